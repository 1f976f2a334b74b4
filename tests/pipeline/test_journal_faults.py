"""What a journal does when the disk, the machine or somebody else lets it down."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from journaling import MIB, child, drained, opened, output

from heliograph.errors import ConfigError
from heliograph.otlp import Signal
from heliograph.pipeline.journal import JournalSettings
from heliograph.testing import traces, until


def segments(directory: Path, suffix: str = ".seg") -> list[Path]:
    return sorted(directory.glob(f"*{suffix}"))


async def write(directory: Path, count: int = 6) -> Path:
    """Leave some batches in a journal; return its only segment."""
    async with opened(directory, fsync=None) as journal:
        queue = journal.queue("otlp")
        for number in range(count):
            await queue.append(traces(name=f"batch {number}"))
    (segment,) = segments(directory)
    return segment


async def refusal(directory: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        async with opened(directory):
            pass
    return str(caught.value)


@pytest.mark.parametrize("version", [0, 2, 65535])
async def test_another_version_is_refused_with_the_fix(tmp_path: Path, version: int) -> None:
    segment = await write(tmp_path)
    data = bytearray(segment.read_bytes())
    data[8:10] = struct.pack("<H", version)
    data[28:32] = struct.pack("<I", zlib.crc32(data[:28]))
    segment.write_bytes(data)
    text = await refusal(tmp_path)
    assert f"{segment} has journal format {version}" in text
    assert "reads format 1" in text
    assert "move the directory away to start with an empty one" in text
    assert segment.read_bytes() == data


async def test_features_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    segment = await write(tmp_path)
    data = bytearray(segment.read_bytes())
    data[10] = 4
    segment.write_bytes(data)
    assert "features of a newer heliograph (flags 0x4)" in await refusal(tmp_path)


async def test_a_changed_byte_costs_its_record_and_the_file_is_kept(tmp_path: Path) -> None:
    segment = await write(tmp_path)
    data = bytearray(segment.read_bytes())
    at = data.find(b"batch 3")
    data[at] ^= 1
    segment.write_bytes(data)
    async with opened(tmp_path) as journal:
        (note,) = journal.recovery.notes
        assert f"{segment.name}: a checksum does not match at byte " in note
        assert 0 < journal.recovery.skipped_bytes < len(data) // 3
        queue = journal.queue("otlp")
        assert await drained(queue) == [f"batch {number} 0" for number in (0, 1, 2, 4, 5)]
        assert queue.lost_items[Signal.TRACES] == 1
        aside = segment.with_suffix(".seg.damaged")
        await until(aside.exists)
        assert aside.read_bytes() == bytes(data)
        assert journal.used >= len(data), "what is set aside counts"


async def test_behind_a_changed_length_nothing_is_believed(tmp_path: Path) -> None:
    segment = await write(tmp_path)
    data = bytearray(segment.read_bytes())
    sizes, at = [], 32
    while at < len(data):
        sizes.append(at)
        at += 9 + int.from_bytes(data[at : at + 4], "little")
    data[sizes[4]] ^= 1  # the first one is the state
    segment.write_bytes(data)
    async with opened(tmp_path) as journal:
        assert journal.recovery.skipped_bytes == len(data) - sizes[4]
        queue = journal.queue("otlp")
        assert await drained(queue) == ["batch 0 0", "batch 1 0", "batch 2 0"]


@pytest.mark.parametrize("cut", [1, 10, 60])
async def test_a_write_that_was_cut_off_is_forgotten(tmp_path: Path, cut: int) -> None:
    segment = await write(tmp_path)
    size = segment.stat().st_size
    os.truncate(segment, size - cut)
    async with opened(tmp_path) as journal:
        assert len(journal.recovery.notes) == 1
        queue = journal.queue("otlp")
        assert await drained(queue) == [f"batch {number} 0" for number in range(5)]
    assert segments(tmp_path, ".damaged") == []


async def test_blocks_that_were_never_written_are_no_damage(tmp_path: Path) -> None:
    segment = await write(tmp_path)
    with segment.open("ab") as file:
        file.write(bytes(5000))
    async with opened(tmp_path) as journal:
        assert len(await drained(journal.queue("otlp"))) == 6
    assert segments(tmp_path, ".damaged") == []


async def test_a_file_of_something_else_is_set_aside(tmp_path: Path) -> None:
    await write(tmp_path)
    other = tmp_path / f"{99:016x}.seg"
    other.write_bytes(b"something else" * 10)
    async with opened(tmp_path) as journal:
        assert journal.recovery.records == 6
    assert other.with_suffix(".seg.damaged").exists()


def in_a_namespace(script: str) -> list[str]:
    """A command line in whose mounts root can do as it likes; skips where that is not allowed."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system allows no mount namespace")
    return ["unshare", "-rm", "sh", "-c", f'{script} && exec "$0" "$@"']


async def test_a_full_disk_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """On a tmpfs of 2 MiB, in a mount namespace of the child's own."""
    directory = tmp_path / "journal"
    directory.mkdir()
    mount = in_a_namespace(f"mount -t tmpfs -o size=2m tmpfs {directory}")
    body = """
settings = {"fsync": 0.0}
async def body(journal, queue):
    kept = 0
    try:
        while True:
            await queue.append(traces(padding=50_000))
            kept += 1
    except JournalFull:
        print("full")
    except JournalError as error:
        print(type(error).__name__, error.reason)
    assert kept > 30 and queue.waiting == kept and journal.failures
    for _ in range(10):
        record = await queue.take()
        queue.done(record.id)
    with contextlib.suppress(JournalError):
        await queue.append(traces(padding=50_000))
    await journal.close()
    async with opened(directory) as again:
        assert not again.recovery.notes, again.recovery.notes
        assert again.recovery.records in (kept - 10, kept - 9), (again.recovery.records, kept)
        queue = again.queue("otlp")
        while (record := await queue.take()) is not None:
            queue.done(record.id)
        await until(lambda: again.used == 0)
        await queue.append(traces(padding=50_000))
    print("went on")
"""
    out = output(child(directory, body, mount))
    assert "JournalBroken" in out
    assert "No space left on device" in out
    assert "went on" in out


async def test_a_file_that_may_not_grow_is_a_failed_write(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the write is cut in the middle of a record, with another error than ENOSPC."""
    body = """
import resource
settings = {"fsync": None}
async def body(journal, queue):
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    kept = 0
    try:
        while True:
            await queue.append(traces(padding=50_000))
            kept += 1
    except JournalError as error:
        print(error.reason)
    assert kept == 5, kept
    record = await queue.take()
    queue.done(record.id)
"""
    assert "File too large" in output(child(tmp_path, body))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    async with opened(tmp_path) as journal:
        assert (journal.recovery.notes, journal.recovery.records) == ([], 4)


SHIM = """
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fdatasync(int fd) {
    if (access(getenv("FAIL_SYNC"), F_OK) == 0) { errno = EIO; return -1; }
    return syscall(SYS_fdatasync, fd);
}
"""


def built(directory: Path) -> Path:
    """Compile the shim."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    source, library = directory / "shim.c", directory / "shim.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


async def test_a_failed_sync_keeps_nothing_and_writes_elsewhere_from_then_on(
    tmp_path: Path,
) -> None:
    """A library in front of libc lets fdatasync fail while a file is there."""
    library, flag, directory = built(tmp_path), tmp_path / "fail", tmp_path / "journal"
    body = f"""
settings = {{"fsync": 0.0}}
flag = pathlib.Path({str(flag)!r})
async def body(journal, queue):
    await queue.append(traces(name="before"))
    flag.touch()
    try:
        await queue.append(traces(name="lost"))
    except JournalError as error:
        print(error.reason)
    flag.unlink()
    await queue.append(traces(name="after"))
    assert journal.failures == 1 and queue.waiting == 2
"""
    env = {**os.environ, "LD_PRELOAD": str(library), "FAIL_SYNC": str(flag)}
    assert "Input/output error" in output(child(directory, body, env=env))
    assert len(segments(directory)) == 2, "what is in the first one is not known"
    async with opened(directory) as journal:
        assert await drained(journal.queue("otlp")) == ["before 0", "after 0"]


async def test_a_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """Root may write whatever the mode says: so a read-only mount, and a file in the way."""
    directory = tmp_path / "journal"
    directory.mkdir()
    await write(directory)
    mount = in_a_namespace(f"mount --bind -o ro {directory} {directory}")
    out = output(child(directory, "settings = {}", mount))
    assert "storage: cannot be used" in out
    assert "Read-only file system" in out
    assert "fix: name a directory that this user may write" in out
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    text = await refusal(in_the_way / "journal")
    assert "cannot be used" in text
    assert "Not a directory" in text


@pytest.mark.parametrize("fsync", [None, 0.0])
async def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path, fsync: float | None) -> None:
    body = f"""
settings = {{"fsync": {fsync}}}
async def body(journal, queue):
    async def one(number):
        id = await queue.append(traces(name=f"batch {{number}}"), pack=number % 2 == 0)
        print(number, id, flush=True)
    number = 0
    while True:
        await asyncio.gather(*(one(number + i) for i in range(20)))
        number += 20
"""
    process = child(tmp_path, body)
    assert process.stdout is not None
    answered: dict[int, int] = {}
    while len(answered) < 300:
        number, id = map(int, process.stdout.readline().split())
        answered[number] = id
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=30)
    for line in rest.splitlines():
        if len(line.split()) == 2:
            number, id = map(int, line.split())
            answered[number] = id
    assert len(set(answered.values())) == len(answered)
    async with opened(tmp_path) as journal:
        found = await drained(journal.queue("otlp"))
        assert len(set(found)) == len(found)
        assert {f"batch {number} 0" for number in answered} <= set(found)


async def test_three_readers_have_one_copy(tmp_path: Path) -> None:
    async with opened(tmp_path, fsync=None) as journal:
        queues = [journal.queue(f"otlp/{number}") for number in range(3)]
        batch = traces(padding=200_000)
        for queue in queues:
            await queue.append(batch)
        assert batch.nbytes < journal.used < batch.nbytes + 1000
    async with opened(tmp_path) as journal:
        assert journal.recovery.records == 3
        for queue in (journal.queue(f"otlp/{number}") for number in range(3)):
            record = await queue.take()
            assert record is not None
            assert bytes(record.batch.wire()) == bytes(batch.wire())
            assert journal.used > batch.nbytes
            queue.done(record.id)
        await until(lambda: journal.used == 0)


async def test_another_limit_counts_without_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=MIB) as journal:
        queue = journal.queue("otlp")
        while journal.used < MIB * 3 // 4:
            await queue.append(traces(padding=50_000))
        journal.adjust(JournalSettings(tmp_path, 2 * MIB, 0.0))
        for _ in range(15):
            await queue.append(traces(padding=50_000))
        assert MIB < journal.used <= 2 * MIB == journal.max_bytes


RESIDENT = """
settings = {"fsync": None, "max_bytes": 2**31}
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
async def body(journal, queue):
    one = traces()
    await asyncio.gather(*(queue.append(one) for _ in range(1000)))
    before = resident()
    for _ in range(COUNT // 1000):
        await asyncio.gather(*(queue.append(traces()) for _ in range(1000)))
    written = resident()
    await journal.close()
    async with opened(directory, **settings) as again:
        queue = again.queue("otlp")
        for _ in range(COUNT // 100):
            record = await queue.take()
            queue.done(record.id)
        print(queue.waiting, written - before, resident() - before)
"""


def memory(directory: Path, count: int) -> None:
    """Check that memory does not follow the number of records."""
    process = child(directory, RESIDENT.replace("COUNT", str(count)))
    waiting, written, recovered = map(int, output(process, 600).split())
    assert waiting == 1000 + count - count // 100
    assert written < 48 * MIB
    assert recovered < 80 * MIB


async def test_memory_does_not_follow_the_records(tmp_path: Path) -> None:
    memory(tmp_path, 50_000)


@pytest.mark.slow
async def test_a_million_records(tmp_path: Path) -> None:
    memory(tmp_path, 1_000_000)


async def test_what_is_done_out_of_order_stays_small(tmp_path: Path) -> None:
    """Each second record is done while the one before it waits: no two are done side by side."""
    async with opened(tmp_path, fsync=None) as journal:
        queue = journal.queue("otlp")
        for _ in range(50):
            waits = [queue.append(traces()) for _ in range(50)]
            held = [queue.append(traces(), hold=True) for _ in range(50)]
            for pair in zip(waits, held, strict=True):
                for append in pair:
                    id = await append
                queue.done(id)
        await until(lambda: queue.out == 0)
        assert queue.waiting == 2500
        assert queue.waiting_items[Signal.TRACES] == 2500
    size = sum(path.stat().st_size for path in segments(tmp_path))
    assert size < 5000 * 250 + 2500 * 16 * 60
    async with opened(tmp_path) as journal:
        assert journal.recovery.records == 2500
