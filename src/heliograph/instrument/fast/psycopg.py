"""psycopg 3: one span a statement, a COPY or a stream, synchronous and asynchronous, also on open
connections. In a pipeline, which answers later, a span is of the sending.
"""

from contextlib import asynccontextmanager, contextmanager
from typing import Any

from heliograph.instrument.fast._patch import Patches, Settings, fenced
from heliograph.instrument.fast._sql import NOTHING, Database, Statement


def instrument(psycopg: Any, settings: Settings) -> Patches:
    """Patch the cursors' classes."""
    database = Database("psycopg", settings)
    patches = Patches()

    def plain(many: bool) -> Any:
        def make(original: Any) -> Any:
            def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
                with _begin(database, self, query, many, more) or NOTHING:
                    return original(self, query, *more, **options)

            return call

        return make

    def awaited(many: bool) -> Any:
        def make(original: Any) -> Any:
            async def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
                with _begin(database, self, query, many, more) or NOTHING:
                    return await original(self, query, *more, **options)

            return call

        return make

    def streamed(original: Any) -> Any:
        def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
            with _begin(database, self, query) or NOTHING:
                yield from original(self, query, *more, **options)

        return call

    def streamed_later(original: Any) -> Any:
        async def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
            with _begin(database, self, query) or NOTHING:
                async for row in original(self, query, *more, **options):
                    yield row

        return call

    def copied(original: Any) -> Any:
        @contextmanager
        def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
            with (
                _begin(database, self, query) or NOTHING,
                original(self, query, *more, **options) as copy,
            ):
                yield copy

        return call

    def copied_later(original: Any) -> Any:
        @asynccontextmanager
        async def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
            with _begin(database, self, query) or NOTHING:
                async with original(self, query, *more, **options) as copy:
                    yield copy

        return call

    for owner in (psycopg.Cursor, psycopg.ServerCursor):
        patches.replace(owner, "execute", plain(False))
    for owner in (psycopg.AsyncCursor, psycopg.AsyncServerCursor):
        patches.replace(owner, "execute", awaited(False))
    patches.replace(psycopg.Cursor, "executemany", plain(True))
    patches.replace(psycopg.AsyncCursor, "executemany", awaited(True))
    patches.replace(psycopg.Cursor, "stream", streamed)
    patches.replace(psycopg.AsyncCursor, "stream", streamed_later)
    patches.replace(psycopg.Cursor, "copy", copied)
    patches.replace(psycopg.AsyncCursor, "copy", copied_later)
    return patches


@fenced
def _begin(
    database: Database, cursor: Any, query: Any, many: bool = False, more: tuple[Any, ...] = ()
) -> Statement | None:
    connection = cursor.connection
    if not isinstance(query, (str, bytes)) and hasattr(query, "as_string"):
        query = query.as_string(connection)
    batch = len(more[0]) if many and more and hasattr(more[0], "__len__") else None
    return database.begin(_place(connection), query, batch=batch)


def _place(connection: Any) -> dict[str, Any]:
    known: dict[str, Any] | None = getattr(connection, _PLACE, None)
    if known is None:
        info = connection.info
        known = {"db.system.name": "postgresql", "db.namespace": info.dbname}
        if info.host:
            known["server.address"] = info.host
        if info.port:
            known["server.port"] = info.port
        setattr(connection, _PLACE, known)
    return known


_PLACE = "_heliograph_place"
