"""Real servers on loopback, each for the length of a block, with nothing in them.

They come from Debian's packages, from PyPI and, for Kafka and FerretDB (which speaks MongoDB's
protocol), from ``tests/interop/peers/install.py``. One that is not there skips the test and says
what installs it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.peers.install import find

from instrument.conftest import clean_environment, free_port, listens
from instrument.real.environment import binaries

PATIENCE = 60.0
USER = "nobody"
PLACES = (
    "/usr/sbin",
    "/usr/lib/rabbitmq/bin",
    *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
)


def program(name: str, package: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = os.pathsep.join([os.environ["PATH"], *PLACES])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return found


def peer(name: str) -> Path:
    """Return the folder of a peer; skip the test where it is not installed."""
    found = find(name)
    if found is None:
        pytest.skip(f"needs {name}: python tests/interop/peers/install.py {name}")
    return found


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that servers own which refuse to run as root."""
    with tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            shutil.chown(name, USER)
        yield Path(name)


@contextmanager
def running(
    command: Sequence[str],
    ready: int | Callable[[], bool],
    home: Path,
    *,
    unprivileged: bool = False,
    **variables: str,
) -> Iterator[None]:
    """A server that is up for the length of a block.

    Args:
        ready: the port that listens then, or what says so.
    """
    log = home / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=home,
            stdout=output,
            stderr=output,
            env=clean_environment(HOME=str(home), **variables),
            user=USER if unprivileged and os.geteuid() == 0 else None,
        )
    up = ready if callable(ready) else lambda: listens(ready)
    try:
        end = time.monotonic() + PATIENCE
        while not up():
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < end, log.read_text(errors="replace")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def prepare(*command: str, home: Path, unprivileged: bool = False) -> None:
    """Run a command that sets a server up, as the user it will run as."""
    subprocess.run(
        command,
        cwd=home,
        check=True,
        capture_output=True,
        env=clean_environment(HOME=str(home)),
        user=USER if unprivileged and os.geteuid() == 0 else None,
    )


@contextmanager
def redis() -> Iterator[int]:
    port = free_port()
    command = [program("redis-server", "redis-server"), "--port", str(port), "--save", ""]
    with folder() as home, running([*command, "--bind", "127.0.0.1"], port, home):
        yield port


@contextmanager
def postgres() -> Iterator[int]:
    port = free_port()
    with folder() as home:
        initdb = program("initdb", "postgresql")
        data = str(home / "data")
        prepare(initdb, "-D", data, "-A", "trust", "-U", "app", "-N", home=home, unprivileged=True)
        where = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(home))
        command = [program("postgres", "postgresql"), "-D", data, *where]
        is_ready = [program("pg_isready", "postgresql-client"), "-h", "127.0.0.1", "-p", str(port)]

        def up() -> bool:
            return subprocess.run(is_ready, capture_output=True, check=False).returncode == 0

        with running(command, up, home, unprivileged=True):
            yield port


@contextmanager
def mariadb() -> Iterator[int]:
    """A database ``test`` that root opens without a password."""
    port = free_port()
    with folder() as home:
        data = f"--datadir={home / 'data'}"
        install = program("mariadb-install-db", "mariadb-server")
        socket = f"--socket={home / 'socket'}"
        prepare(
            install,
            "--no-defaults",
            data,
            "--auth-root-authentication-method=normal",
            home=home,
            unprivileged=True,
        )
        server = [program("mariadbd", "mariadb-server"), "--no-defaults", data, socket]
        where = [f"--port={port}", "--bind-address=127.0.0.1"]
        with running([*server, *where], port, home, unprivileged=True):
            yield port


@contextmanager
def rabbitmq() -> Iterator[int]:
    port, epmd, distribution = free_port(), free_port(), free_port()
    server = Path("/usr/lib/rabbitmq/lib")
    scripts = sorted(server.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not scripts:
        pytest.skip("needs rabbitmq-server: apt-get install rabbitmq-server")
    with folder() as home:
        places = {
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        names = [program("epmd", "erlang-base"), "-port", str(epmd), "-address", "127.0.0.1"]
        with (
            running(names, epmd, home, unprivileged=True),
            running([str(scripts[-1])], port, home, unprivileged=True, **places),
        ):
            yield port


@contextmanager
def kafka() -> Iterator[int]:
    """One broker without ZooKeeper."""
    port, controller = free_port(), free_port()
    java = [program("java", "default-jre-headless"), "-Xmx512m", "-cp", f"{peer('kafka')}/lib/*"]
    with folder() as home:
        settings = home / "server.properties"
        settings.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={home / 'data'}\noffsets.topic.replication.factor=1\n"
            "offsets.topic.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n"
        )
        identity = ("-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(settings))
        prepare(*java, "kafka.tools.StorageTool", "format", *identity, home=home)
        with running([*java, "kafka.Kafka", str(settings)], port, home):
            yield port


@contextmanager
def mongodb() -> Iterator[int]:
    """FerretDB over SQLite: MongoDB itself is in neither Debian nor a package registry."""
    port = free_port()
    command = [
        str(peer("ferretdb") / "ferretdb"),
        f"--listen-addr=127.0.0.1:{port}",
        *("--handler=sqlite", "--telemetry=disable", "--debug-addr=-", "--log-level=warn"),
    ]
    with folder() as home:
        where = [f"--sqlite-url=file:{home}/", f"--state-dir={home}"]
        with running([*command, *where], port, home):
            yield port


@contextmanager
def aws() -> Iterator[int]:
    """moto's server, which answers as Amazon's services do."""
    port = free_port()
    with folder() as home:
        command = [str(binaries() / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        with running(command, port, home):
            yield port
