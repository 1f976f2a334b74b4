"""Small parts that others build on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


def ns_to_iso_str(nanoseconds: int) -> str:
    """Return nanoseconds since 1970 as ISO 8601 in UTC, to the microsecond."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class BoundedList(Sequence[Item], Generic[Item]):
    """A list that keeps its last ``maxlen`` items and counts what it ``dropped``."""

    def __init__(self, maxlen: int | None) -> None:
        self.dropped = 0
        self._dq: deque[Item] = deque(maxlen=maxlen)

    @classmethod
    def from_seq(cls, maxlen: int | None, seq: Iterable[Item]) -> BoundedList[Item]:
        """Return a list of the last items of a sequence."""
        made = cls(maxlen)
        made.extend(list(seq))
        return made

    def append(self, item: Item) -> None:
        """Add an item; the oldest makes room."""
        self.extend([item])

    def extend(self, seq: Sequence[Item]) -> None:
        """Add items; the oldest make room."""
        if self._dq.maxlen is not None:
            self.dropped += max(0, len(self._dq) + len(seq) - self._dq.maxlen)
        self._dq.extend(seq)

    def __getitem__(self, index: Any) -> Any:
        return self._dq[index]

    def __len__(self) -> int:
        return len(self._dq)

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._dq))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._dq)}, maxlen={self._dq.maxlen})"
