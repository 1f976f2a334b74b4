"""psycopg 3: one span a statement, synchronous and asynchronous, also on open connections."""

from typing import Any

from heliograph.instrument.fast._patch import Patches, Settings, fenced
from heliograph.instrument.fast._sql import Database


def instrument(psycopg: Any, settings: Settings) -> Patches:
    """Patch the cursors' classes."""
    database = Database("psycopg", settings)
    patches = Patches()

    def plain(many: bool) -> Any:
        def make(original: Any) -> Any:
            def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
                statement = _begin(database, self, query, many, more)
                if statement is None:
                    return original(self, query, *more, **options)
                try:
                    result = original(self, query, *more, **options)
                except BaseException as error:
                    statement.end(error)
                    raise
                statement.end()
                return result

            return call

        return make

    def awaited(many: bool) -> Any:
        def make(original: Any) -> Any:
            async def call(self: Any, query: Any, *more: Any, **options: Any) -> Any:
                statement = _begin(database, self, query, many, more)
                if statement is None:
                    return await original(self, query, *more, **options)
                try:
                    result = await original(self, query, *more, **options)
                except BaseException as error:
                    statement.end(error)
                    raise
                statement.end()
                return result

            return call

        return make

    for owner in (psycopg.Cursor, psycopg.ServerCursor):
        patches.replace(owner, "execute", plain(False))
    for owner in (psycopg.AsyncCursor, psycopg.AsyncServerCursor):
        patches.replace(owner, "execute", awaited(False))
    patches.replace(psycopg.Cursor, "executemany", plain(True))
    patches.replace(psycopg.AsyncCursor, "executemany", awaited(True))
    return patches


@fenced
def _begin(database: Database, cursor: Any, query: Any, many: bool, more: tuple[Any, ...]) -> Any:
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
