"""Instrumentations of our own, for the libraries where contrib's cost dominates.

Each module is one library. It offers ``REQUIRES`` (requirement strings, any of them), and
``instrument(module, settings)``, which patches the imported library in place and returns the
`Patches` that undo it. Names, variables and hooks are those of the contrib package of the name.
"""

from typing import NamedTuple


class Library(NamedTuple):
    """A library that has an instrumentation here, under contrib's name of it.

    ``module`` is what a program imports, ``contrib`` the instrumentor's class in contrib's module.
    """

    module: str
    contrib: str


LIBRARIES = {
    "django": Library("django", "DjangoInstrumentor"),
    "fastapi": Library("fastapi", "FastAPIInstrumentor"),
    "flask": Library("flask", "FlaskInstrumentor"),
    "httpx": Library("httpx", "HTTPXClientInstrumentor"),
    "psycopg": Library("psycopg", "PsycopgInstrumentor"),
    "redis": Library("redis", "RedisInstrumentor"),
    "requests": Library("requests", "RequestsInstrumentor"),
    "sqlalchemy": Library("sqlalchemy", "SQLAlchemyInstrumentor"),
    "sqlite3": Library("sqlite3", "SQLite3Instrumentor"),
    "starlette": Library("starlette", "StarletteInstrumentor"),
    "urllib3": Library("urllib3", "URLLib3Instrumentor"),
}
