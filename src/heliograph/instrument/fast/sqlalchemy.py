"""SQLAlchemy: one span a statement, none of its driver's; how many connections the pools hold.

What the dialect asks a new connection about itself makes no span, nor does what goes on between
statements: transactions begin and end, pools reset connections and look whether they are alive.

Engines made before and after are covered, synchronous and asynchronous. An engine that contrib's
package listens to is left to it.

Metric: ``db.client.connection.count``, by pool and by ``idle`` and ``used``.
"""

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    get_current,
    set_value,
)
from opentelemetry.context.context import Context
from opentelemetry.metrics import CallbackOptions, Observation

from heliograph.instrument.fast._patch import LEFT, Patches, Settings
from heliograph.instrument.fast._sql import Database, Statement, inside

_SPAN = "_heliograph_statement"
_OWN_DRIVERS = {"pysqlite", "aiosqlite", "psycopg", "psycopg_async"}
"""Those whose instrumentation is ours, too, and looks at `inside`."""
_SYSTEMS = {"postgresql": "postgresql", "mssql": "microsoft.sql_server", "oracle": "oracle.db"}


def quiet(driver: str = "") -> Context | None:
    """Have the driver make no spans; return the context to go back to.

    Tokens would not do: a statement may end in another context than it began in.
    """
    inside.set(True)
    if driver in _OWN_DRIVERS:
        return None
    before = get_current()
    attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True, before))
    return before


def loud(before: Context | None) -> None:
    """Let the driver make spans again."""
    inside.set(False)
    if before is not None:
        attach(before)


def _silent(driver: Callable[[Any], str]) -> Callable[[Any], Any]:
    """Return what makes a method quiet whose driver is found from the object."""

    def make(original: Any) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            before = quiet(driver(self))
            try:
                return original(self, *arguments, **options)
            finally:
                loud(before)

        return call

    return make


_BETWEEN: tuple[tuple[str, tuple[str, ...], Callable[[Any], str]], ...] = (
    (
        "sqlalchemy.engine.base:Connection",
        ("_begin_impl", "_commit_impl", "_rollback_impl"),
        lambda connection: str(connection.dialect.driver),
    ),
    (
        "sqlalchemy.pool.base:_ConnectionFairy",
        ("_reset",),
        lambda fairy: "",
    ),
    (
        "sqlalchemy.engine.default:DefaultDialect",
        ("_do_ping_w_event",),
        lambda dialect: str(dialect.driver),
    ),
)
"""What goes on between the statements of the program: some drivers make statements of it, such as
asyncpg of a rollback."""


class Engines:
    """The engines that have run something, and what is said of each."""

    def __init__(self) -> None:
        self._places: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()

    def place(self, engine: Any) -> dict[str, Any]:
        """Return the attributes of an engine's database."""
        known = self._places.get(engine)
        if known is None:
            url = engine.url
            system = engine.dialect.name
            known = {"db.system.name": _SYSTEMS.get(system, system)}
            if url.database:
                known["db.namespace"] = url.database
            if url.host:
                known["server.address"] = url.host
            if url.port:
                known["server.port"] = url.port
            self._places[engine] = known
        return known

    def connections(self, options: CallbackOptions) -> Iterable[Observation]:
        """Yield how many connections each pool holds."""
        for engine, place in list(self._places.items()):
            pool = engine.pool
            if not hasattr(pool, "checkedout"):
                continue
            url = engine.url
            named = getattr(pool, "logging_name", None)
            name = named or f"{url.host or ''}:{url.port or ''}/{url.database or ''}"
            for state, count in (("idle", pool.checkedin()), ("used", pool.checkedout())):
                yield Observation(
                    count,
                    {
                        "db.system.name": place["db.system.name"],
                        "db.client.connection.pool.name": name,
                        "db.client.connection.state": state,
                    },
                )


def instrument(sqlalchemy: Any, settings: Settings) -> Patches:
    """Listen to every engine."""
    database = Database("sqlalchemy", settings)
    engines = Engines()
    database.meter.create_observable_up_down_counter(
        "db.client.connection.count",
        [engines.connections],
        unit="{connection}",
        description="The number of connections that are in the state.",
    )
    event = import_module("sqlalchemy.event")
    engine = import_module("sqlalchemy.engine").Engine
    patches = Patches()

    def before(
        connection: Any, cursor: Any, text: Any, values: Any, context: Any, many: bool
    ) -> None:
        batch = len(values) if many else None
        if context is None:
            return
        if hasattr(connection.engine, LEFT):
            inside.set(True)
            setattr(context, _SPAN, (None, None))
            return
        statement = database.begin(engines.place(connection.engine), text, batch=batch)
        if statement is not None:
            setattr(context, _SPAN, (statement, quiet(connection.dialect.driver)))

    def finish(context: Any, error: BaseException | None) -> None:
        begun: tuple[Statement | None, Context | None] | None = getattr(context, _SPAN, None)
        if begun is None:
            return
        delattr(context, _SPAN)
        statement, before = begun
        loud(before)
        if statement is not None:
            statement.end(error)

    def after(
        connection: Any, cursor: Any, text: Any, values: Any, context: Any, many: bool
    ) -> None:
        finish(context, None)

    def failed(what: Any) -> None:
        finish(what.execution_context, what.original_exception)

    record = import_module("sqlalchemy.pool.base")._ConnectionRecord
    patches.replace(record, "_ConnectionRecord__connect", _silent(lambda record: ""))
    for owner, names, driver in _BETWEEN:
        module, _, kind = owner.partition(":")
        found = getattr(import_module(module), kind)
        for name in names:
            if name in vars(found):
                patches.replace(found, name, _silent(driver))
    for name, listener in (
        ("before_cursor_execute", before),
        ("after_cursor_execute", after),
        ("handle_error", failed),
    ):
        event.listen(engine, name, listener)
        patches.on_undo(partial(event.remove, engine, name, listener))

    def leave() -> None:
        setattr(engine, LEFT, True)
        patches.on_undo(lambda: delattr(engine, LEFT))

    patches.leave = leave
    return patches
