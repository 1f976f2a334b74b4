"""docs/formats/journal.md is right: its tables are enough to read a real file."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from journaling import opened

from heliograph.otlp import Context
from heliograph.testing import logs, traces

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "journal.md").read_text()


class Table:
    """Fields of a fixed size, as a table of the page has them."""

    def __init__(self, heading: str) -> None:
        text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (\d+) \| (\d*) \| (.+?) \| (.*?) ?\|$", text, re.MULTILINE)
        assert rows, heading
        self.fields = [(int(at), int(size or 0), value.strip("` ")) for at, size, _, value in rows]
        at = 0
        for place, size, _ in self.fields:
            assert place == at, f"{heading}: a field is at {place}, not at {at}"
            at += size
        self.size = at

    def read(self, data: bytes, start: int = 0) -> list[int]:
        """Return the numbers; those whose value the page knows must have it."""
        found = []
        for at, size, value in self.fields:
            field = data[start + at : start + at + size]
            found.append(int.from_bytes(field, "little"))
            if value:
                expected = value.replace("\\n", "\n").encode() if size == 8 else None
                assert field == (expected or int(value).to_bytes(size, "little"))
        return found


HEADER, RECORD, ENTRY, POSITION = map(Table, ("Header", "Record", "Entry", "Position"))
KINDS = {int(number): name for number, name in re.findall(r"^\| `(\d)` \| ([A-Z]+) ", PAGE, re.M)}


def records(data: bytes) -> list[tuple[str, bytes, int]]:
    """Return kind, payload and place of each record, all checksums right."""
    found, at = [], HEADER.size
    while at < len(data):
        length, checksum, kind, _ = RECORD.read(data, at)
        payload = data[at + RECORD.size : at + RECORD.size + length]
        summed = data[at : at + 4] + data[at + 8 : at + RECORD.size] + payload
        assert zlib.crc32(summed) == checksum
        found.append((KINDS[kind], payload, at))
        at += RECORD.size + length
    assert at == len(data)
    return found


def number(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


async def test_the_page_reads_a_file(tmp_path: Path) -> None:
    first = traces(2, context=Context({"tenant": ["a"]}, auth={"user": "b"}))
    second = logs(3)
    async with opened(tmp_path, fsync=None) as journal:
        one, two = journal.queue("otlp"), journal.queue("otlp/two")
        await one.append(first)
        await two.append(first)
        await one.append(second)
        done = await one.append(second, hold=True)
        one.done(done)
    (segment,) = tmp_path.glob("*.seg")  # noqa: ASYNC240 - a test
    data = segment.read_bytes()
    *_, id, begun, checksum = HEADER.read(data)
    assert segment.name == f"{id:016x}.seg"
    assert begun > 1.7e18
    assert checksum == zlib.crc32(data[: HEADER.size - 4])
    found = records(data)
    assert [kind for kind, *_ in found] == ["STATE", "DATA", "REF", "DATA", "REF", "POSITION"]
    (_, state, _), (_, kept, place), (_, ref, _), (_, other, _), _, (_, moved, _) = found

    assert number(state) == 2
    name = b"otlp"
    assert state[8:16] == len(name).to_bytes(4, "little") + name
    assert POSITION.read(state, 16) == [0, 0, 0, 0]

    signal, flags, readers, items, received, raw, stored, context, _ = ENTRY.read(kept)
    assert (signal, flags, readers, items) == (0, 0, 1, 2)
    assert abs(received - begun) < 60e9
    assert raw == stored == first.nbytes
    rest = kept[ENTRY.size + 4 :]
    assert number(kept[ENTRY.size :]) == number(state[4:])
    assert rest[context:] == bytes(first.wire())
    texts = [b"tenant", b"a", b"user", b"b"]
    assert [
        text for text in texts if len(text).to_bytes(4, "little") + text in rest[:context]
    ] == texts

    *_, target, _ = ENTRY.read(ref)
    assert target == place
    assert len(ref) == ENTRY.size + 4
    assert ENTRY.read(other)[0] == 2
    assert other.endswith(bytes(second.wire()))

    assert number(moved) == number(state[4:])
    cursor, pending, ranges, _ = POSITION.read(moved, 4)
    assert (cursor, pending, ranges) == (0, 0, 1)
    span = moved[4 + POSITION.size :]
    assert [int.from_bytes(span[at : at + 8], "little") for at in (0, 8)] == [3, 3]


def test_every_kind_is_drawn() -> None:
    assert KINDS == {1: "DATA", 2: "REF", 3: "READER", 4: "POSITION", 5: "STATE"}
    source = (Path(__file__).parents[2] / "rust/src/journal/format.rs").read_text()
    kinds = source.partition("pub enum Kind {")[2].partition("}")[0]
    written = dict(re.findall(r"(\w+) = (\d+),", kinds))
    assert {int(value): name.upper() for name, value in written.items()} == KINDS


@pytest.mark.parametrize("version", re.findall(r"There is one, (\d+)\.", PAGE))
def test_the_version_is_the_codes(version: str) -> None:
    source = (Path(__file__).parents[2] / "rust/src/journal/format.rs").read_text()
    assert f"pub const VERSION: u16 = {version};" in source
