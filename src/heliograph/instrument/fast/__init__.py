"""Instrumentations of our own, for the libraries where contrib's cost dominates.

Each module is one library. It offers ``instrument(module, settings)``, which patches the imported
library in place and returns the `Patches` that undo it. Names, variables and hooks are those of
the contrib package of the name.
"""

from typing import NamedTuple


class Library(NamedTuple):
    """A library that has an instrumentation here, under contrib's name of it.

    ``module`` is what a program imports, ``contrib`` the instrumentor's class in contrib's module
    (if there is one), ``requires`` the versions that ours is for (any of them).
    """

    module: str
    contrib: str
    requires: tuple[str, ...] = ()


LIBRARIES = {
    "aiosqlite": Library("aiosqlite", "", ("aiosqlite >= 0.17",)),
    "django": Library("django", "DjangoInstrumentor", ("django >= 3.2",)),
    "fastapi": Library("fastapi", "FastAPIInstrumentor", ("fastapi >= 0.92",)),
    "flask": Library("flask", "FlaskInstrumentor", ("flask >= 2.2",)),
    "httpx": Library("httpx", "HTTPXClientInstrumentor", ("httpx >= 0.18",)),
    "httpx2": Library("httpx2", "HTTPXClientInstrumentor", ("httpx2 >= 2",)),
    "psycopg": Library("psycopg", "PsycopgInstrumentor", ("psycopg >= 3.1",)),
    "redis": Library("redis", "RedisInstrumentor", ("redis >= 4.3",)),
    "requests": Library("requests", "RequestsInstrumentor", ("requests ~= 2.0",)),
    "sqlalchemy": Library("sqlalchemy", "SQLAlchemyInstrumentor", ("sqlalchemy >= 1.4",)),
    "sqlite3": Library("sqlite3", "SQLite3Instrumentor"),
    "starlette": Library("starlette", "StarletteInstrumentor", ("starlette >= 0.27",)),
    "urllib3": Library("urllib3", "URLLib3Instrumentor", ("urllib3 >= 1.0, < 3",)),
}
