"""The file exporter: what stands in the files, and when they are renamed."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph._core import compress
from heliograph.errors import ConfigError, Reject, Retry
from heliograph.exporters import _rotating
from heliograph.exporters._rotating import RotatingFile, Rotation
from heliograph.exporters.file import Config, Exporter, place
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Kind
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import EPOCH_NS, FakeClock, logs, metrics, settings, traces

Golden = Callable[[Path, str], None]
GOLDEN = Path(__file__).parent / "file"


def made(path: Path | str, telemetry: Telemetry | None = None, **fields: Any) -> Exporter:
    config = Config(path=str(path), **fields)
    assert list(config.check()) == []
    return Exporter(config, settings("file", Kind.EXPORTER, telemetry=telemetry))


async def write(exporter: Exporter, *batches: Batch) -> None:
    await exporter.start()
    for batch in batches:
        await exporter.consume(batch)
    await exporter.stop()
    await exporter.stop()


async def test_json_is_one_request_a_line(tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "telemetry.json"
    await write(made(path), traces(2), logs(1), metrics(1))
    golden(GOLDEN / "lines.json", path.read_text())
    for line, signal in zip(
        path.read_bytes().splitlines(), [Signal.TRACES, Signal.LOGS, Signal.METRICS], strict=True
    ):
        assert Batch.from_json(line, signal).items


async def test_an_acknowledged_batch_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.json"
    exporter = made(path)
    await exporter.start()
    for count in (1, 2):
        await exporter.consume(logs(1))
        assert path.read_bytes().count(b"\n") == count
    await exporter.stop()


def messages(data: bytes) -> list[bytes]:
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


async def test_proto_is_length_and_message(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.bin"
    batches = [traces(2), traces(300)]
    await write(made(path, format="proto"), *batches, Batch(Signal.PROFILES, b"\x0a\x00"))
    assert messages(path.read_bytes()) == [*(bytes(b.wire()) for b in batches), b"\x0a\x00"]


@pytest.mark.parametrize("format", ["json", "proto"])
async def test_each_compressed_message_stands_alone(tmp_path: Path, format: str) -> None:
    path = tmp_path / "telemetry.zst"
    batches = [traces(2), traces(3)]
    await write(made(path, format=format, compression="zstd"), *batches)
    plain = [batch.json() if format == "json" else bytes(batch.wire()) for batch in batches]
    found = messages(path.read_bytes())
    assert found == [compress(message, "zstd") for message in plain]
    assert all(message.startswith(b"\x28\xb5\x2f\xfd") for message in found)


async def test_a_file_is_emptied_unless_it_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.json"
    path.write_text("old\n")
    await write(made(path, append=True), logs(1))
    assert path.read_text().startswith("old\n{")
    await write(made(path), logs(1))
    assert path.read_text().startswith("{")


async def test_a_file_that_cannot_be_opened_is_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "telemetry.json"
    with pytest.raises(ConfigError) as caught:
        await made(path).start()
    assert str(caught.value) == f"exporters.file.path: {path}: No such file or directory"


async def test_profiles_have_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.json"
    exporter = made(path)
    await exporter.start()
    with pytest.raises(Reject, match="profiles have no JSON form"):
        await exporter.consume(Batch(Signal.PROFILES, b"\x0a\x00"))
    await exporter.stop()
    assert path.read_bytes() == b""


async def test_profiles_have_no_groups(tmp_path: Path) -> None:
    group_by = {"enabled": True, "resource_attribute": "team"}
    exporter = made(tmp_path / "*.bin", format="proto", group_by=group_by)
    await exporter.start()
    with pytest.raises(Reject, match="cannot be grouped"):
        await exporter.consume(Batch(Signal.PROFILES, b"\x0a\x00"))
    await exporter.stop()


async def test_a_write_that_fails_leaves_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "telemetry.json"
    exporter = made(path)
    await exporter.start()
    await exporter.consume(logs(1))
    before = path.read_bytes()

    def full(file: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) - 50])

    real = os.write
    monkeypatch.setattr(_rotating.os, "write", full)
    with pytest.raises(Retry, match=r"telemetry\.json: No space left on device"):
        await exporter.consume(logs(1))
    assert path.read_bytes() == before
    monkeypatch.undo()
    await exporter.consume(logs(1))
    assert path.read_bytes() == before * 2
    await exporter.stop()


class Files:
    """A rotating file that writes messages of ten bytes, one a second."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = FakeClock()
        rotation = {"max_bytes": 25, "max_age": None, "max_backups": None, "local": False}
        self.folder = path.parent
        self.file = RotatingFile(
            path,
            Rotation(**{**rotation, **options}),
            append=False,
            now_ns=self.clock.time_ns,
        )

    async def write(self, count: int, seconds: float = 1) -> None:
        for _ in range(count):
            self.file.write(b"123456789\n")
            await self.clock.advance(seconds)

    @property
    def sizes(self) -> list[int]:
        return sorted(path.stat().st_size for path in self.folder.iterdir())

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.mark.parametrize("renames_open", [True, False])
async def test_a_full_file_is_renamed_and_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames_open: bool
) -> None:
    monkeypatch.setattr("heliograph.exporters._rotating._RENAMES_OPEN", renames_open)
    files = Files(tmp_path / "data.json")
    await files.write(5)
    assert files.names == [
        "data-2023-11-14T22-13-22.000.json",
        "data-2023-11-14T22-13-24.000.json",
        "data.json",
    ]
    assert [len((tmp_path / name).read_bytes()) for name in files.names] == [20, 20, 10]
    files.file.close()
    files.file.close()


async def test_a_message_larger_than_a_file_gets_one_of_its_own(tmp_path: Path) -> None:
    files = Files(tmp_path / "data")
    await files.write(1)
    files.file.write(b"x" * 99)
    await files.write(1)
    files.file.close()
    assert files.sizes == [10, 10, 99]


async def test_two_renames_in_one_millisecond_keep_both(tmp_path: Path) -> None:
    files = Files(tmp_path / "data.json", max_bytes=10)
    await files.write(3, seconds=0)
    files.file.close()
    assert files.names == [
        "data-2023-11-14T22-13-20.000.json",
        "data-2023-11-14T22-13-20.001.json",
        "data.json",
    ]


async def test_the_newest_backups_are_kept(tmp_path: Path) -> None:
    other = tmp_path / "data-notes.json"
    other.write_text("mine")
    files = Files(tmp_path / "data.json", max_backups=2)
    await files.write(12)
    files.file.close()
    assert files.names == [
        "data-2023-11-14T22-13-28.000.json",
        "data-2023-11-14T22-13-30.000.json",
        "data-notes.json",
        "data.json",
    ]


async def test_old_backups_go(tmp_path: Path) -> None:
    files = Files(tmp_path / "data.json", max_age=3600.0)
    await files.write(5, seconds=1200)
    assert len(files.names) == 3
    await files.write(4, seconds=1200)
    files.file.close()
    assert files.names == [
        "data-2023-11-15T00-13-20.000.json",
        "data-2023-11-15T00-53-20.000.json",
        "data.json",
    ]


async def test_a_rotating_file_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.json"
    for _ in range(2):
        await write(made(path, rotation={}), logs(1))
    assert len(path.read_bytes().splitlines()) == 2


def test_local_time_in_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-3")
    _rotating.time.tzset()
    try:
        rotation = Rotation(max_bytes=1, max_age=None, max_backups=None, local=True)
        file = RotatingFile(tmp_path / "a", rotation, append=True, now_ns=lambda: EPOCH_NS)
        file.write(b"1")
        file.write(b"2")
        file.close()
    finally:
        monkeypatch.undo()
        _rotating.time.tzset()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a-2023-11-15T01-13-20.000"]


@pytest.mark.parametrize(
    ("pattern", "segment", "path"),
    [
        ("out/*.json", "shop", "out/shop.json"),
        ("out/*.json", "eu/shop", "out/eu/shop.json"),
        ("/data/x-*", "shop", "/data/x-shop"),
        ("out/*.json", "../../etc/passwd", "out/etc/passwd.json"),
        ("out/*.json", "./shop", "out/shop.json"),
        ("out/*.json", "a/../../../b", "out/b.json"),
        ("out/*.json", "/b", "out/b.json"),
        ("out/*.json", "a\0b", "out/a_b.json"),
    ],
)
def test_a_segment_never_leads_out_of_the_folder(pattern: str, segment: str, path: str) -> None:
    assert place(pattern, segment) == Path(path)


def requests(*segments: object) -> Batch:
    resources = []
    for index, segment in enumerate(segments):
        kind = "stringValue" if isinstance(segment, str) else "intValue"
        attributes = [] if segment is None else [{"key": "team", "value": {kind: segment}}]
        record = {"body": {"stringValue": f"line {index}"}}
        resources.append(
            {"resource": {"attributes": attributes}, "scopeLogs": [{"logRecords": [record]}]}
        )
    return Batch.from_json(json.dumps({"resourceLogs": resources}).encode(), Signal.LOGS)


def lines_by_name(folder: Path) -> dict[str, list[str]]:
    return {
        str(path.relative_to(folder)): path.read_text().splitlines()
        for path in folder.rglob("*.json")
    }


async def test_a_file_for_each_value_of_an_attribute(tmp_path: Path) -> None:
    telemetry = Telemetry()
    group_by = {"enabled": True, "resource_attribute": "team", "max_open_files": 1}
    exporter = made(tmp_path / "*.json", telemetry, group_by=group_by)
    await exporter.start()
    await exporter.consume(requests("a", "b/c", "a", None, 7))
    await exporter.consume(requests("a"))
    await exporter.stop()
    lines = lines_by_name(tmp_path)
    assert {name: len(found) for name, found in lines.items()} == {"a.json": 2, "b/c.json": 1}
    assert Batch.from_json(lines["a.json"][0].encode(), Signal.LOGS).items == 2
    dropped = telemetry.value("heliograph_exporter_dropped_log_records", reason="no_path_segment")
    assert dropped == 2


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"path": ""}, "path: is empty"),
        ({"append": True, "compression": "zstd"}, "append: is not possible together with"),
        ({"append": True, "rotation": {}}, "append: is not possible together with rotation"),
        ({"group_by": {"enabled": True}}, "path: needs exactly one *"),
        ({"path": "*/a", "group_by": {"enabled": True}}, "path: must not begin with *"),
    ],
)
def test_options_that_contradict(fields: dict[str, object], problem: str) -> None:
    (found,) = Config.model_validate({"path": "out", **fields}).check()
    assert str(found).startswith(problem)
