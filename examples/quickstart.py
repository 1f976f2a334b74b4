"""Run the collector on quickstart.yaml and feed it with the demo app, until Ctrl-C."""

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
HEALTH = "http://localhost:13133/ready"
METRICS = "http://localhost:8889/metrics"

WELCOME = """
  demo app ──OTLP──▶ otlp :4317 ──▶ memory_limiter ──▶ batch ──┬──▶ debug: a line a batch, below
                                                               ├──▶ file: {file}
                                                               └──▶ prometheus: {metrics}
"""

NEXT = """
  It flows. Try next, in another terminal:

    curl {metrics}
        its metrics, as Prometheus sees them
    tail -n 1 {file} | python3 -m json.tool
        its newest telemetry, as OTLP/JSON
    .venv/bin/heliograph collector components
        what a configuration can name; examples/ has configurations to start from

  Send your own: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 in any OpenTelemetry program.
  Ctrl-C stops both.
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.read())
    except (urllib.error.URLError, OSError):
        return False


def wait(url: str, collector: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Return whether the page answered before the time was up or the collector ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and collector.poll() is None:
        if answers(url):
            return True
        time.sleep(0.1)
    return False


def stop(process: "subprocess.Popen[bytes]") -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    return process.wait(timeout=30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop by itself after so long")
    seconds = parser.parse_args().seconds
    file = os.environ.setdefault("QUICKSTART_FILE", "quickstart.jsonl")
    program = Path(sys.executable).parent / "heliograph"
    print(WELCOME.format(file=file, metrics=METRICS), flush=True)
    # Out of reach of Ctrl-C, so that the demo app can send what it has before the collector stops.
    command = [program, "collector", "--config", HERE / "quickstart.yaml"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    collector = subprocess.Popen(command, start_new_session=True)
    demo = None
    try:
        if not wait(HEALTH, collector, 30):
            return 1
        demo = subprocess.Popen([sys.executable, HERE / "demo_app.py"])
        if wait(METRICS, collector, 30):
            print(NEXT.format(file=file, metrics=METRICS), flush=True)
        collector.wait(seconds)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        pass
    finally:
        if demo is not None:
            stop(demo)
        status = stop(collector)
    return status


if __name__ == "__main__":
    sys.exit(main())
