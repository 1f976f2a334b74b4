"""sqlite3: one span a statement, through a cursor or straight from the connection.

Connections that are open already are not covered: the classes of the standard library cannot be
patched, so `sqlite3.connect` makes connections of a class that is made here.
"""

from functools import lru_cache
from importlib import import_module
from typing import Any

from heliograph.instrument.fast._patch import Patches, Settings
from heliograph.instrument.fast._sql import Database

_METHODS = ("execute", "executemany", "executescript")


def instrument(sqlite3: Any, settings: Settings) -> Patches:
    """Make what `sqlite3.connect` returns a connection whose cursors are traced."""
    database = Database("sqlite3", settings)
    cursor = _cursor(sqlite3.Cursor, database)
    patches = Patches()

    @lru_cache(maxsize=64)
    def traced(factory: Any) -> Any:
        return _connection(factory, cursor)

    def connect(original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            given = list(arguments)
            if len(given) > _FACTORY:
                factory = given.pop(_FACTORY)
                given.insert(_FACTORY, _made(factory))
            else:
                options["factory"] = _made(options.get("factory") or sqlite3.Connection)
            connection = original(*given, **options)
            if isinstance(connection, sqlite3.Connection) and hasattr(connection, _PLACE):
                name = arguments[0] if arguments else options.get("database")
                setattr(connection, _PLACE, _place(name))
            return connection

        return call

    def _made(factory: Any) -> Any:
        is_class = isinstance(factory, type) and issubclass(factory, sqlite3.Connection)
        return traced(factory) if is_class else factory

    patches.replace(sqlite3, "connect", connect)
    beneath: Any = import_module("sqlite3.dbapi2")
    original = beneath.connect
    beneath.connect = sqlite3.connect
    patches.on_undo(lambda: setattr(beneath, "connect", original))
    return patches


_FACTORY = 5
"""The position of ``factory`` among the arguments of `sqlite3.connect`."""
_PLACE = "_heliograph_place"
_UNKNOWN = {"db.system.name": "sqlite"}


def _place(name: Any) -> dict[str, Any]:
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return {**_UNKNOWN, "db.namespace": str(name)}


def _cursor(base: Any, database: Database) -> Any:
    def method(name: str) -> Any:
        original = getattr(base, name)

        def call(self: Any, sql: Any, *parameters: Any) -> Any:
            place = getattr(self.connection, _PLACE, _UNKNOWN)
            statement = database.begin(place, sql)
            if statement is None:
                return original(self, sql, *parameters)
            try:
                result = original(self, sql, *parameters)
            except BaseException as error:
                statement.end(error)
                raise
            statement.end()
            return result

        return call

    return type("Cursor", (base,), {name: method(name) for name in _METHODS})


def _connection(base: Any, traced: Any) -> Any:
    class Connection(base):  # type: ignore[misc]
        _heliograph_place = _UNKNOWN

        def cursor(self, factory: Any = traced) -> Any:
            return super().cursor(factory)

        def execute(self, sql: Any, *parameters: Any) -> Any:
            return self.cursor().execute(sql, *parameters)

        def executemany(self, sql: Any, *parameters: Any) -> Any:
            return self.cursor().executemany(sql, *parameters)

        def executescript(self, sql: Any) -> Any:
            return self.cursor().executescript(sql)

    Connection.__name__ = base.__name__
    Connection.__qualname__ = base.__qualname__
    return Connection
