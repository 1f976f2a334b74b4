"""Instrumentations of our own, for the libraries where contrib's cost dominates.

Each module is one library. It offers ``instrument(module, settings)``, which patches the imported
library in place and returns the `Patches` that undo it. Names, variables and hooks are those of
the contrib package of the name.
"""

from __future__ import annotations


class Library:
    """A library that has an instrumentation here, under contrib's name of it.

    ``module`` is what a program imports, ``requires`` the versions that ours is for (any of them).
    ``contrib`` is ``package:class`` of contrib's instrumentor, below
    ``opentelemetry.instrumentation``, if there is one. ``part_of`` is a name that disables this
    one, too.
    """

    __slots__ = ("contrib", "module", "part_of", "requires")

    def __init__(
        self, module: str, contrib: str, requires: tuple[str, ...] = (), part_of: str = ""
    ) -> None:
        self.module = module
        self.contrib = contrib
        self.requires = requires
        self.part_of = part_of


LIBRARIES = {
    "aiosqlite": Library("aiosqlite", "", ("aiosqlite >= 0.17",), "sqlite3"),
    "django": Library("django", "django:DjangoInstrumentor", ("django >= 3.2",)),
    "fastapi": Library("fastapi", "fastapi:FastAPIInstrumentor", ("fastapi >= 0.92",)),
    "flask": Library("flask", "flask:FlaskInstrumentor", ("flask >= 2.2",)),
    "httpx": Library("httpx", "httpx:HTTPXClientInstrumentor", ("httpx >= 0.18",)),
    "httpx2": Library("httpx2", "httpx:HTTPX2ClientInstrumentor", ("httpx2 >= 2",), "httpx"),
    "psycopg": Library("psycopg", "psycopg:PsycopgInstrumentor", ("psycopg >= 3.1",)),
    "redis": Library("redis", "redis:RedisInstrumentor", ("redis >= 4.3",)),
    "requests": Library("requests", "requests:RequestsInstrumentor", ("requests ~= 2.0",)),
    "sqlalchemy": Library(
        "sqlalchemy", "sqlalchemy:SQLAlchemyInstrumentor", ("sqlalchemy >= 1.4",)
    ),
    "sqlite3": Library("sqlite3", "sqlite3:SQLite3Instrumentor"),
    "starlette": Library("starlette", "starlette:StarletteInstrumentor", ("starlette >= 0.27",)),
    "urllib3": Library("urllib3", "urllib3:URLLib3Instrumentor", ("urllib3 >= 1.0, < 3",)),
}
