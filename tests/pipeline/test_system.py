"""What the collector asks of the system it runs on."""

import os
import socket
from pathlib import Path

import pytest

from heliograph.pipeline import system


def test_a_file_has_one_lock_at_a_time(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert system.lock(first)
    assert not system.lock(second)
    os.close(first)
    assert system.lock(second)
    os.close(second)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_a_unix_socket_is_known_by_its_family() -> None:
    with system.unix_socket() as unix, socket.socket() as other:
        assert system.is_unix(unix)
        assert not system.is_unix(other)
