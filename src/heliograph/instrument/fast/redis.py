"""Redis: one span a command or pipeline, synchronous, asynchronous and in a cluster.

Values are not shown, not in messages of errors either. What Celery and kombu say to a broker
makes no spans.

Hooks: ``request_hook(span, client, args, kwargs)``, ``response_hook(span, client, response)``.
"""

import sys
from functools import lru_cache
from importlib import import_module
from typing import Any

from heliograph.instrument.fast._patch import Patches, Settings, fenced, told
from heliograph.instrument.fast._redis_errors import command_name, public_message
from heliograph.instrument.fast._sql import Database, Described, Statement

_PLACE = "_heliograph_place"
_LONGEST_TEXT = 1000
_BROKER = "kombu."
_OWN = ("redis.", "heliograph.")
_CLUSTER = {"db.system.name": "redis"}


def instrument(redis: Any, settings: Settings) -> Patches:
    """Patch the clients' classes."""
    commands = _Commands(settings)
    patches = Patches()
    asynchronous = import_module("redis.asyncio.client")
    clusters = import_module("redis.cluster")
    async_clusters = import_module("redis.asyncio.cluster")
    for owner in (import_module("redis.client").Redis, clusters.RedisCluster):
        patches.replace(owner, "execute_command", commands.plain)
    pipeline = import_module("redis.client").Pipeline
    patches.replace(pipeline, "execute", commands.pipeline)
    patches.replace(pipeline, "immediate_execute_command", commands.plain)
    for owner in (asynchronous.Redis, async_clusters.RedisCluster):
        patches.replace(owner, "execute_command", commands.awaited)
    patches.replace(asynchronous.Pipeline, "execute", commands.awaited_pipeline)
    patches.replace(asynchronous.Pipeline, "immediate_execute_command", commands.awaited)
    patches.replace(import_module("redis.connection").ConnectionPool, "__init__", _made)
    return patches


def _made(original: Any) -> Any:
    """Mark the pools that kombu makes for its transport."""

    def call(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        frame = sys._getframe(1)
        while frame.f_back is not None and _module(frame).startswith(_OWN):
            frame = frame.f_back
        if _module(frame).startswith(_BROKER):
            setattr(self, _PLACE, None)

    return call


def _module(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", ""))


class _Commands:
    def __init__(self, settings: Settings) -> None:
        self._database = Database("redis", settings)
        self._asked = settings.hooks.get("request_hook")
        self._answered = settings.hooks.get("response_hook")

    @fenced
    def _begin(self, client: Any, what: Described, batch: int | None = None) -> Any:
        place = _place(client)
        return None if place is None else self._database.begin_described(place, what, batch)

    def _fail(self, statement: Statement, error: BaseException, commands: list[Any]) -> None:
        statement.end(error, _message(error, commands) or type(error).__name__)

    def _end(self, client: Any, statement: Statement, response: Any) -> Any:
        told(self._answered, statement.span, client, response)
        statement.end()
        return response

    def plain(self, original: Any) -> Any:
        def call(client: Any, *arguments: Any, **options: Any) -> Any:
            statement = self._begin(client, _described(str(arguments[0]), len(arguments)))
            if statement is None:
                return original(client, *arguments, **options)
            told(self._asked, statement.span, client, arguments, options)
            try:
                response = original(client, *arguments, **options)
            except BaseException as error:
                self._fail(statement, error, [arguments])
                raise
            return self._end(client, statement, response)

        return call

    def awaited(self, original: Any) -> Any:
        async def call(client: Any, *arguments: Any, **options: Any) -> Any:
            statement = self._begin(client, _described(str(arguments[0]), len(arguments)))
            if statement is None:
                return await original(client, *arguments, **options)
            told(self._asked, statement.span, client, arguments, options)
            try:
                response = await original(client, *arguments, **options)
            except BaseException as error:
                self._fail(statement, error, [arguments])
                raise
            return self._end(client, statement, response)

        return call

    def pipeline(self, original: Any) -> Any:
        def call(pipeline: Any, *arguments: Any, **options: Any) -> Any:
            stack = pipeline.command_stack
            statement = self._begin(pipeline, _batch(stack), len(stack)) if stack else None
            if statement is None:
                return original(pipeline, *arguments, **options)
            try:
                response = original(pipeline, *arguments, **options)
            except BaseException as error:
                self._fail(statement, error, [sent for sent, _ in stack])
                raise
            return self._end(pipeline, statement, response)

        return call

    def awaited_pipeline(self, original: Any) -> Any:
        async def call(pipeline: Any, *arguments: Any, **options: Any) -> Any:
            stack = pipeline.command_stack
            statement = self._begin(pipeline, _batch(stack), len(stack)) if stack else None
            if statement is None:
                return await original(pipeline, *arguments, **options)
            try:
                response = await original(pipeline, *arguments, **options)
            except BaseException as error:
                self._fail(statement, error, [sent for sent, _ in stack])
                raise
            return self._end(pipeline, statement, response)

        return call


_message = fenced(public_message)


@lru_cache(maxsize=512)
def _described(command: str, words: int) -> Described:
    name, more = command_name(command)
    text = " ".join([name, *["?"] * (words - 1 + more)])
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 3] + "..."
    return Described(name, name, None, text)


def _batch(stack: Any) -> Described:
    lines = []
    names = []
    for arguments, _ in stack:
        described = _described(str(arguments[0]), len(arguments))
        lines.append(described.text)
        names.append(described.operation)
    name = names[0] if len(set(names)) == 1 else ""
    operation = f"PIPELINE {name}".strip()
    return Described(operation, operation, None, "\n".join(lines)[:_LONGEST_TEXT])


def _place(client: Any) -> dict[str, Any] | None:
    """Return the attributes of a client's database, or None where it serves a broker."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return _CLUSTER
    if hasattr(pool, _PLACE):
        marked: dict[str, Any] | None = getattr(pool, _PLACE)
        return marked
    known = _of(pool.connection_kwargs)
    setattr(pool, _PLACE, known)
    return known


def _of(options: dict[str, Any]) -> dict[str, Any]:
    place: dict[str, Any] = {"db.system.name": "redis", "db.namespace": str(options.get("db") or 0)}
    if "path" in options:
        place["server.address"] = str(options["path"])
        place["network.transport"] = "unix"
    else:
        place["server.address"] = str(options.get("host") or "localhost")
        place["server.port"] = int(options.get("port") or 6379)
    return place
