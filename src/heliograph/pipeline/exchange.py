"""Let one graph take over from another while data flows.

::

    build ─▶ start what is new, from the end ─▶ switch ─▶ drain and stop what is no longer used
      │               │                       (one step)        (in the background)
      └───────────────┴─▶ on a failure: stop what is new; the old graph goes on

What is new listens on copies of the sockets of what leaves (`Listeners`), so both run for a moment.
A receiver that cannot share is stopped first, and started again when the rest fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.component import Kind
from heliograph.pipeline.config import Config
from heliograph.pipeline.graph import DRAIN, Graph
from heliograph.pipeline.joints import Way
from heliograph.pipeline.listeners import InTheWay
from heliograph.pipeline.nodes import Node, staged, stop, stop_stages
from heliograph.pipeline.reuse import Change, Reuse

STARTING = 30.0
"""Seconds that a component may take to start."""

INSIDE = 8.0
"""Seconds that batches have to leave what is no longer used, before it is stopped."""


class Exchange:
    """One reload of a running graph. First `start`, then `switch`, then `retire`."""

    def __init__(self, old: Graph) -> None:
        self._old = old
        self._around = old.surroundings
        self._reuse = Reuse(old.nodes)
        self._gauges = old.telemetry.gauges()
        self._owners = dict(self._around.owners)
        self._cleared: list[Node] = []
        """Stopped before their time, because they were in the way."""
        self._ways: list[Way] = []

    async def start(self, config: Config) -> Graph:
        """Build the new graph and start what is new in it; batches take the old one still.

        Raises: ConfigError, or what a component raised; nothing has changed then.
        """
        try:
            new = Graph(config, self._around.edge, before=(self._old, self._reuse))
            self._around.listeners.leave({node.path for node in self._reuse.leaving()})
            *behind, receivers = staged(self._reuse.new())
            for stage in behind:
                await self._open(new, stage)
            if receivers:
                await self._clear(
                    node
                    for node in self._reuse.leaving()
                    if node.spec.kind is Kind.RECEIVER
                    and not getattr(node.spec.factory, "hands_over", False)
                )
            await self._open(new, receivers)
        except BaseException:
            await self._undo()
            raise
        return new

    def switch(self) -> Change:
        """Let batches take the new graph."""
        self._ways = self._reuse.switch()
        staying = {(node.spec.kind, node.spec.id) for node in self._reuse.staying()}
        for node in self._reuse.leaving():
            kind, id = node.spec.kind, node.spec.id
            if (kind, id) not in staying:
                self._old.telemetry.forget(kind.singular, str(id), self._gauges)
            self._around.owners.pop(id_of(node), None)
            node.gone.set()
        return self._reuse.change()

    async def retire(self, within: float = DRAIN) -> None:
        """Let what is inside of the old graph arrive, and stop what is no longer used."""
        end = asyncio.get_running_loop().time() + within
        left = [node for node in self._reuse.leaving() if node not in self._cleared]
        *behind, receivers = staged(left)
        await stop(receivers, end, self._around.log)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end - within + min(within, INSIDE)):
                for way in self._ways:
                    await way.empty()
        await stop_stages([*behind, []], end, self._around.log)
        for node in (*receivers, *self._cleared):
            node.close()

    async def _open(self, new: Graph, nodes: Sequence[Node]) -> None:
        problems: list[Problem] = []
        for node in nodes:
            try:
                await self._start(node)
            except ConfigError as error:
                problems += [new.placed(problem, node) for problem in error.problems]
            except TimeoutError:
                problems.append(new.placed(Problem("", f"did not start in {STARTING:g} s"), node))
            except Exception as error:
                problems.append(new.placed(Problem("", f"failed to start: {error!r}"), node))
        if problems:
            raise ConfigError(problems)

    async def _start(self, node: Node) -> None:
        try:
            async with asyncio.timeout(STARTING):
                await node.component.start()
        except InTheWay as error:
            await self._clear(node for node in self._reuse.leaving() if node.path == error.owner)
            async with asyncio.timeout(STARTING):
                await node.component.start()

    async def _clear(self, nodes: Iterable[Node]) -> None:
        """Stop what is in the way."""
        stopping = [node for node in nodes if node not in self._cleared]
        for node in stopping:
            node.gone.set()
        self._cleared += stopping
        await stop(stopping, asyncio.get_running_loop().time() + DRAIN, self._around.log)

    async def _undo(self) -> None:
        """Stop what is new, and start again what was in the way."""
        end = asyncio.get_running_loop().time() + DRAIN
        for node in self._reuse.new():
            node.gone.set()
        await stop_stages(staged(self._reuse.new()), end, self._around.log)
        self._around.listeners.leave(())
        self._old.telemetry.put_back(self._gauges)
        self._around.owners.clear()
        self._around.owners.update(self._owners)
        for node in self._cleared:
            try:
                node.gone.clear()
                await node.component.start()
            except Exception as error:
                self._around.log.error("%s could not be started again: %s", node.path, error)


def id_of(node: Node) -> int:
    """Return the identity of a component's own object."""
    return id(getattr(node.inner, "component", node.inner))
