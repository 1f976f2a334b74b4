"""Which listening socket is used for which endpoint."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.pipeline.listeners import Inherited, InTheWay, Listeners, Listening, fits


@contextlib.contextmanager
def listening(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as bound:
        bound.bind((host, port))
        bound.listen()
        yield bound


def wanted(endpoint: str, owner: str = "receivers.otlp", transport: str = "tcp") -> Listening:
    return Listening(owner, owner.partition(".")[2] + "/grpc", endpoint, transport)


@pytest.mark.parametrize(
    ("host", "endpoint", "given", "exactly"),
    [
        ("127.0.0.1", "127.0.0.1", True, True),
        ("127.0.0.1", "localhost", True, True),
        ("127.0.0.1", "0.0.0.0", False, False),
        ("127.0.0.1", "", False, False),
        ("127.0.0.1", "127.0.0.2", False, False),
        ("127.0.0.1", "no-address", False, False),
        ("0.0.0.0", "0.0.0.0", True, False),
        ("0.0.0.0", "", True, False),
        ("0.0.0.0", "localhost", True, False),
        ("0.0.0.0", "127.0.0.1", True, False),
    ],
)
def test_addresses(host: str, endpoint: str, given: bool, exactly: bool) -> None:
    with listening(host) as bound:
        port = bound.getsockname()[1]
        assert fits(bound, wanted(f"{endpoint}:{port}")) is given
        assert fits(bound, wanted(f"{endpoint}:{port}"), exactly=True) is exactly
        assert not fits(bound, wanted(f"{endpoint}:{port + 1}"))


def test_a_mapped_address_is_the_address() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with listening("::ffff:127.0.0.1") as bound:
        assert fits(bound, wanted(f"127.0.0.1:{bound.getsockname()[1]}"))


def test_a_socket_that_was_handed_in_is_used_by_one_component_at_a_time() -> None:
    with listening() as bound:
        endpoint = f"127.0.0.1:{bound.getsockname()[1]}"
        listeners = Listeners([Inherited(bound, "some")])
        assert [str(given) for given in listeners.unused()] == [f"{endpoint} (some)"]
        assert list(listeners.unused()) == [], "it is said once"
        first = wanted(endpoint)
        (copy,) = listeners.find(first)
        copy.close()
        listeners.add(first)
        assert listeners.find(wanted(endpoint, "receivers.other")) == ()
        listeners.leave({"receivers.otlp"})
        (copy,) = listeners.find(wanted(endpoint))
        copy.close()
        listeners.remove(first)
        assert len(list(listeners.unused())) == 1, "nobody uses it any more"


def test_a_name_comes_before_an_address() -> None:
    with listening() as one, listening() as two:
        listeners = Listeners([Inherited(one), Inherited(two, "otlp/grpc")])
        (copy,) = listeners.find(wanted(f"127.0.0.1:{one.getsockname()[1]}"))
        with copy:
            assert copy.getsockname() == two.getsockname()


def test_a_successor_takes_the_socket_of_who_leaves() -> None:
    with listening() as bound:
        endpoint = f"127.0.0.1:{bound.getsockname()[1]}"
        listeners = Listeners()
        old = wanted(endpoint)
        old.share = lambda: [bound.dup()]
        listeners.add(old)
        assert listeners.find(wanted(endpoint)) == ()
        listeners.leave({"receivers.otlp"})
        for same in (endpoint, endpoint.replace("127.0.0.1", "localhost")):
            (copy,) = listeners.find(wanted(same, "receivers.renamed"))
            with copy:
                assert copy.getsockname() == bound.getsockname()
        with pytest.raises(InTheWay) as caught:
            listeners.find(wanted(endpoint.replace("127.0.0.1", "0.0.0.0")))
        assert caught.value.owner == "receivers.otlp"
        listeners.leave(())
        assert listeners.find(wanted(endpoint)) == ()


def test_a_wider_socket_is_not_kept_for_a_narrower_endpoint() -> None:
    with listening("0.0.0.0") as bound:
        port = bound.getsockname()[1]
        listeners = Listeners()
        old = wanted(f"0.0.0.0:{port}")
        old.share = lambda: [bound.dup()]
        listeners.add(old)
        listeners.leave({"receivers.otlp"})
        with pytest.raises(InTheWay):
            listeners.find(wanted(f"127.0.0.1:{port}"))


def test_a_path_goes_with_the_last_who_listens_there(tmp_path: Path) -> None:
    path = tmp_path / "otlp.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()
        listeners = Listeners()
        old, new = (wanted(str(path), transport="unix") for _ in range(2))
        old.share = lambda: [bound.dup()]
        listeners.add(old)
        listeners.leave({"receivers.otlp"})
        (copy,) = listeners.find(new)
        copy.close()
        listeners.add(new)
        listeners.remove(old)
        assert path.exists()
        listeners.remove(new)
        assert not path.exists()
        given = Listeners([Inherited(bound)])
        (copy,) = given.find(new)
        copy.close()
