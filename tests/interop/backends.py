"""The real backends of the founding example: started on loopback, asked through their own APIs."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import harness
from install import find

HOSTS = "127.0.0.1 localhost loki\n::1 tempo\n"
"""Where the founding example's names are. It listens on 0.0.0.0:4317 itself, so that tempo's 4317
is on the other family's loopback."""


def program(peer: str, name: str) -> Path:
    folder = find(peer)
    assert folder is not None, f"{peer} is not installed"
    return folder / name


def get(url: str, **query: str) -> Any:
    """Fetch JSON; None where the answer is 404."""
    try:
        with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise RuntimeError(f"{url} {query}: {error.code} {error.read()!r}") from error


class Jaeger:
    """Stands where Tempo is."""

    def __init__(self, folder: Path, otlp: str) -> None:
        self.port = harness.free_port()
        aside = [
            f"--{name}.host-port=127.0.0.1:{harness.free_port()}"
            for name in (
                *("admin.http", "query.grpc-server"),
                *("collector.grpc-server", "collector.http-server", "collector.otlp.http"),
            )
        ]
        self.process = harness.Process(
            [
                program("jaeger", "all-in-one"),
                f"--collector.otlp.grpc.host-port={otlp}",
                f"--query.http-server.host-port=127.0.0.1:{self.port}",
                *aside,
            ],
            folder / "jaeger.log",
        )

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        """A trace: its spans and processes; None as long as Jaeger knows nothing of it."""
        found = get(f"http://127.0.0.1:{self.port}/api/traces/{trace_id}")
        return dict(found["data"][0]) if found and found["data"] else None

    def traces(self, service: str) -> list[dict[str, Any]]:
        found = get(f"http://127.0.0.1:{self.port}/api/traces", service=service)
        return list(found["data"]) if found else []


class Prometheus:
    """Scrapes one address each second, with exemplars and native histograms kept."""

    def __init__(self, folder: Path, target: str) -> None:
        self.port = harness.free_port()
        scrape = {
            "job_name": "collector",
            "scrape_interval": "1s",
            "scrape_native_histograms": True,
            "honor_labels": True,
            "static_configs": [{"targets": [target]}],
        }
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"scrape_configs": [scrape]}))
        self.process = harness.Process(
            [
                program("prometheus", "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--enable-feature=exemplar-storage",
            ],
            folder / "prometheus.log",
        )

    def ready(self) -> None:
        """Return when it answers queries, which is later than when it listens."""

        def is_ready() -> bool:
            try:
                url = f"http://127.0.0.1:{self.port}/-/ready"
                with urllib.request.urlopen(url, timeout=5) as reply:
                    return bool(reply.status == 200)
            except OSError:
                self.process.alive()
                return False

        harness.wait_until(is_ready, 60, "Prometheus is ready")

    def ask(self, what: str, **query: str) -> Any:
        return get(f"http://127.0.0.1:{self.port}/api/v1/{what}", **query)["data"]

    def series(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        return list(self.ask("query", query=query)["result"])


class Loki:
    """One tenant, in memory and one folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        config = folder / "loki.yml"
        store = {
            "from": "2024-01-01",
            "store": "tsdb",
            "object_store": "filesystem",
            "schema": "v13",
            "index": {"prefix": "index_", "period": "24h"},
        }
        document = {
            "auth_enabled": False,
            "analytics": {"reporting_enabled": False},
            "server": {
                "http_listen_address": "127.0.0.1",
                "http_listen_port": port,
                "grpc_listen_address": "127.0.0.1",
                "grpc_listen_port": harness.free_port(),
            },
            "common": {
                "instance_addr": "127.0.0.1",
                "path_prefix": str(folder / "loki"),
                "replication_factor": 1,
                "ring": {"kvstore": {"store": "inmemory"}},
                "storage": {
                    "filesystem": {
                        "chunks_directory": str(folder / "loki" / "chunks"),
                        "rules_directory": str(folder / "loki" / "rules"),
                    }
                },
            },
            "schema_config": {"configs": [store]},
            "limits_config": {"allow_structured_metadata": True},
        }
        config.write_text(json.dumps(document))
        self.process = harness.Process(
            [program("loki", "loki"), f"-config.file={config}"], folder / "loki.log"
        )

    def ready(self) -> None:
        """Return when Loki takes lines; its ring takes some seconds to form."""

        def is_ready() -> bool:
            try:
                url = f"http://127.0.0.1:{self.port}/ready"
                with urllib.request.urlopen(url, timeout=5) as reply:
                    return bool(reply.status == 200)
            except OSError:
                self.process.alive()
                return False

        harness.wait_until(is_ready, 60, "Loki is ready")

    def streams(self, query: str) -> list[dict[str, Any]]:
        """Streams with their labels and values; structured metadata stands apart from labels."""
        url = f"http://127.0.0.1:{self.port}/loki/api/v1/query_range"
        request = urllib.request.Request(
            f"{url}?{urllib.parse.urlencode({'query': query, 'since': '1h'})}",
            headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return list(json.load(reply)["data"]["result"])
