"""Count what a journal's files still have, record by record, without the journal's own code.

docs/formats/journal.md draws them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

HEADER = 32
FRAME = struct.Struct("<IIB")
ENTRY = struct.Struct("<BBHI")
DATA, REF = 1, 2


def spans(files: Iterable[Path]) -> int:
    """Items of all records whose checksum is right."""
    return sum(sum(records(path.read_bytes())) for path in files)


def records(data: bytes) -> Iterator[int]:
    """The items of each whole record of a segment; a damaged one in between is passed over."""
    at = HEADER
    while at + FRAME.size <= len(data):
        length, checksum, kind = FRAME.unpack_from(data, at)
        end = at + FRAME.size + length
        if end > len(data):
            return
        if zlib.crc32(data[at + 8 : end], zlib.crc32(data[at : at + 4])) == checksum:
            if kind in (DATA, REF):
                yield ENTRY.unpack_from(data, at + FRAME.size)[3]
        elif kind not in range(1, 6):
            return
        at = end
