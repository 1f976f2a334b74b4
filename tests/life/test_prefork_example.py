"""The workers of examples/prefork are counted on one page, those that have ended included."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from processes import Collector

from life.programs import SOURCE, environment, free_port, get

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "prefork"


class Page:
    """What Prometheus would read."""

    def __init__(self, port: int) -> None:
        self._port = port

    def by_instance(self, name: str, **labels: str) -> dict[str, float]:
        """Return the values of a series of the shop, by instance."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as got:
                text = got.read().decode()
        except OSError:
            return {}
        found = {}
        for line in text.splitlines():
            if not line.startswith(f"{name}{{"):
                continue
            told = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if labels.items() <= told.items():
                assert told["job"] == "shop"
                found[told["instance"]] = float(line.rsplit(" ", 1)[1])
        return found

    def total(self, name: str, **labels: str) -> float:
        return sum(self.by_instance(name, **labels).values())


@pytest.mark.parametrize("preload", [False, True])
def test_every_request_to_any_worker_is_on_the_page(preload: bool, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("otlp", "page", "shop")}
    places = {f"PREFORK_{name.upper()}": f"127.0.0.1:{ports[name]}" for name in ("otlp", "page")}
    page = Page(ports["page"])
    command = [environment() / "gunicorn", "--workers", "3", "--bind", f"127.0.0.1:{ports['shop']}"]
    command += ["--preload"] * preload + ["app:app"]
    stderr = tmp_path / "stderr"
    with Collector(EXAMPLE / "collector.yaml", env=places) as collector, stderr.open("wb") as said:
        collector.until(lambda: any(line.endswith("ready") for line in collector.err))
        shop = subprocess.Popen(
            command,
            cwd=EXAMPLE,
            env={
                **os.environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports['otlp']}",
                "PYTHONPATH": str(SOURCE),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stderr=said,
        )
        try:
            for _ in range(30):
                get(shop, ports["shop"], "/basket")
            # All workers are replaced by new ones; what the old ones counted stays.
            shop.send_signal(signal.SIGHUP)
            collector.until(
                lambda: page.total("shop_requests_total", http_route="/basket") == 30, 30
            )
            before = set(page.by_instance("shop_requests_total"))
            for _ in range(12):
                get(shop, ports["shop"], "/pay")
            shop.send_signal(signal.SIGTERM)
            shop.wait(timeout=20)
        finally:
            if shop.poll() is None:
                shop.kill()
                shop.wait()
        collector.until(lambda: page.total("shop_requests_total", http_route="/pay") == 12, 10)
        assert page.total("shop_requests_total") == 42
        assert page.total("shop_request_duration_seconds_count") == 42
        after = set(page.by_instance("shop_requests_total", http_route="/pay"))
        assert before
        assert after
        assert not before & after
    assert "could not be" not in stderr.read_text()
