"""Which requests may be merged: those whose contexts say the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from heliograph.otlp import Batch, Context, Signal


def group_of(batch: Batch) -> Hashable:
    """Return what tells groups apart: signal, metadata and authentication.

    Profiles cannot be merged, so that each is a group of its own.
    """
    if batch.signal == Signal.PROFILES:
        return object()
    context = batch.context
    metadata, auth = context.metadata, context.auth
    if not metadata and not auth:
        return batch.signal
    return batch.signal, tuple(sorted(metadata.items())), tuple(sorted(auth.items()))


def only(batch: Batch, keys: Sequence[str]) -> Batch:
    """Return the batch with these metadata alone; everything else in its context stays."""
    context = batch.context
    wanted = {key.lower() for key in keys}
    metadata = {name: values for name, values in context.metadata.items() if name in wanted}
    return batch.with_context(Context(metadata, context.peer, context.auth, context.deadline))


def join(batches: Sequence[Batch]) -> Batch:
    """Return one batch with the contents of all, in order; they are of one group.

    It has no deadline: a sender that has to leave does so, and the others stay.
    """
    context = batches[0].context
    return Batch.join(batches).with_context(Context(context.metadata, auth=context.auth))
