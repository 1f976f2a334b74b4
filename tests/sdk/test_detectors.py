"""Detectors: what they find where, and how long they are waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from heliograph.sdk.resources import (
    ContainerResourceDetector,
    HostResourceDetector,
    KubernetesResourceDetector,
    OsResourceDetector,
    OTELResourceDetector,
    ProcessResourceDetector,
    Resource,
    ResourceDetector,
    ServiceInstanceIdResourceDetector,
    _container,
    get_aggregated_resources,
)
from heliograph.sdk.resources._entities import Entity, read_entities

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
UID = "6be9ce1f-7d0b-4b9d-a2a4-9a1cd5ecb1a6"

CGROUPS = {
    f"13:cpu:/docker/{ID}": ID,
    f"1:name=systemd:/kubepods/burstable/pod{UID}/{ID}": ID,
    f"5:cpu:/kubepods.slice/kubepods-pod6be9ce1f.slice/cri-containerd-{ID}.scope": ID,
    f"0::/kubepods.slice/crio-{ID}.scope": ID,
    f"4:cpu:/system.slice/kubepods-pod{UID}.slice:cri-containerd:{ID}": ID,
    f"0::/machine.slice/libpod-{ID}.scope": ID,
    f"9:cpu:/ecs/{ID[:32]}/{ID[:32]}-1234567890": f"{ID[:32]}-1234567890",
    f"12:pids:/user.slice\n11:cpu:/docker/{ID}": ID,
    "0::/": None,
    "11:cpu:/user.slice/user-1000.slice/session-3.scope": None,
    "": None,
}

DOCKER = f"""\
675 657 0:93 / /proc rw,nosuid - proc proc rw
682 657 254:1 /docker/volumes/{OTHER}/_data /data rw,relatime - ext4 /dev/vda1 rw
683 657 254:1 /docker/containers/{ID}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw
684 657 254:1 /docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
"""
PODMAN = f"""\
1 2 0:5 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw
"""
POD = f"""\
9 8 8:1 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw
9 8 8:1 /var/lib/kubelet/pods/{UID}/containers/till/3b2a1f0c /dev/termination-log rw - ext4 /dev rw
9 8 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{OTHER}/hostname /etc/hostname rw
"""


@pytest.mark.parametrize(("cgroup", "found"), CGROUPS.items())
def test_a_container_is_told_by_control_groups(cgroup: str, found: str | None) -> None:
    assert _container.container_id(cgroup, "") == found


@pytest.mark.parametrize(
    ("mounts", "found"), [(DOCKER, ID), (PODMAN, ID), (POD, None), ("x", None)]
)
def test_a_container_is_told_by_its_mounts(mounts: str, found: str | None) -> None:
    assert _container.container_id("0::/", mounts) == found
    assert _container.container_id(f"0::/docker/{OTHER}", mounts) == OTHER


def test_a_pod_is_told_by_its_mounts_and_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/self/cgroup": "0::/", "/proc/self/mountinfo": POD, _container.NAMESPACE: "shop"}
    monkeypatch.setattr(_container, "read", files.get)
    assert dict(KubernetesResourceDetector().detect().attributes) == {}
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    found = {"k8s.pod.uid": UID, "k8s.container.name": "till", "k8s.namespace.name": "shop"}
    assert dict(KubernetesResourceDetector().detect().attributes) == found
    monkeypatch.setenv("POD_NAME", "till-7d0b")
    monkeypatch.setenv("K8S_NODE_NAME", "node-1")
    monkeypatch.setenv("K8S_NAMESPACE_NAME", "said")
    said = {"k8s.pod.name": "till-7d0b", "k8s.node.name": "node-1", "k8s.namespace.name": "said"}
    assert dict(KubernetesResourceDetector().detect().attributes) == found | said
    files["/proc/self/mountinfo"] = ""
    files["/proc/self/cgroup"] = f"0::/kubepods-pod{UID.replace('-', '_')}.slice/x.scope"
    assert KubernetesResourceDetector().detect().attributes["k8s.pod.uid"] == UID


@pytest.mark.parametrize(
    "cls",
    [
        ServiceInstanceIdResourceDetector,
        ProcessResourceDetector,
        HostResourceDetector,
        OsResourceDetector,
        ContainerResourceDetector,
        KubernetesResourceDetector,
    ],
)
def test_names_of_conventions_have_their_schema(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(_container, "read", lambda path: f"0::/docker/{ID}")
    found = cls().detect()
    assert found.attributes
    assert found.schema_url == "https://opentelemetry.io/schemas/1.36.0"


class Waits(ResourceDetector):
    """Waits for something that only happens when all ask at the same time, or never."""

    def __init__(self, wait: Any, found: dict[str, Any]) -> None:
        super().__init__()
        self._wait, self._found = wait, found

    def detect(self) -> Resource:
        self._wait()
        return Resource(self._found)


def test_detectors_of_others_run_side_by_side() -> None:
    both = threading.Barrier(2)
    waiting = [Waits(lambda: both.wait(60), {name: 1}) for name in ("a", "b")]
    found = get_aggregated_resources(waiting, Resource({}), timeout=60)
    assert dict(found.attributes) == {"a": 1, "b": 1}


def test_one_that_hangs_or_fails_is_left_behind_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Raises(ResourceDetector):
        def detect(self) -> Resource:
            raise RuntimeError("no metadata here")

    class FindsNone(ResourceDetector):
        def detect(self) -> Resource:
            return None  # type: ignore[return-value]

    never = threading.Event()
    hanging = [Waits(never.wait, {"late": True}) for _ in range(20)]
    found = get_aggregated_resources(
        [*hanging, Raises(), FindsNone(), OsResourceDetector()], Resource({}), timeout=0.05
    )
    assert sorted(found.attributes) == ["os.type", "os.version"]
    assert len(caplog.messages) == 22
    assert caplog.messages[0] == (
        "the resource detector Waits found nothing: it took longer than 0.05 s"
    )
    assert caplog.messages[20].endswith("Raises found nothing: no metadata here")
    never.set()
    with pytest.raises(RuntimeError, match="no metadata"):
        get_aggregated_resources([Raises(raise_on_error=True)], Resource({}))


PACKAGE = """
from heliograph.sdk.resources import Resource
class Cloud:
    def detect(self):
        return Resource({"cloud.provider": "here"}, "https://cloud")
class Breaks:
    def __init__(self):
        raise RuntimeError("no such cloud")
"""
POINTS = "[opentelemetry_resource_detector]\ncloud = clouds:Cloud\nbroken = clouds:Breaks\n"


def test_installed_detectors_are_named_or_all(tmp_path: Path) -> None:
    (tmp_path / "clouds.py").write_text(PACKAGE)
    info = tmp_path / "clouds-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: clouds\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    program = """
from heliograph.sdk.resources import Resource
found = Resource.create()
print(found.attributes.get("cloud.provider"), "os.type" in found.attributes, found.schema_url)
"""
    for names, shown, said in (
        ("cloud,nobody", "here False \n", ["resources of different schemas", "OTEL_EXPERIMENTAL"]),
        ("*", "here True \n", ["resources of different", "OTEL_EXPERIMENTAL"]),
        ("", "None False https://opentelemetry.io/schemas/1.36.0\n", []),
    ):
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={"PYTHONPATH": str(tmp_path), "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": names},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, shown), ended.stderr
        lines = sorted(ended.stderr.splitlines(), reverse=True)
        assert len(lines) == len(said), ended.stderr
        assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


IMPORTS = """
from heliograph.sdk.resources import Resource
class Cloud:
    def detect(self):
        import opentelemetry.trace
        from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
        return Resource({"quiet": str(get_value(_SUPPRESS_INSTRUMENTATION_KEY))})
"""


def test_a_detector_may_import_what_is_being_imported_when_it_is_asked(tmp_path: Path) -> None:
    """The launcher configures the SDK inside the import of the API, and waits for detectors."""
    (tmp_path / "clouds.py").write_text(IMPORTS)
    info = tmp_path / "clouds-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: clouds\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    program = """
from opentelemetry import trace
print(trace.get_tracer_provider().resource.attributes.get("quiet"))
"""
    heliograph = str(Path(sys.executable).parent / "heliograph")
    ended = subprocess.run(
        [heliograph, "run", sys.executable, "-W", "error", "-c", program],
        env={
            "PYTHONPATH": str(tmp_path),
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "cloud",
            **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_entities_become_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OTEL_ENTITIES",
        ";service{service.name=my%2Capp,service.instance.id=1}[service.version=1.0]@https://u/1;;"
        "host{host.id=h}[host.name=web]@https://u/1;",
    )
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=said")
    found = OTELResourceDetector().detect()
    assert (dict(found.attributes), found.schema_url) == (
        {
            "service.name": "my,app",
            "service.instance.id": "1",
            "service.version": "1.0",
            "host.id": "h",
            "host.name": "said",
        },
        "https://u/1",
    )


SERVICE = Entity("service", {"service.name": "app"}, {})
HOST = Entity("host", {"host.id": "1"}, {})


@pytest.mark.parametrize(
    ("text", "found", "said"),
    [
        ("service{service.name=app};bad{syntax;host{host.id=1}", [SERVICE, HOST], "not type{"),
        ("service{};host{host.id=1}", [HOST], "which nothing identifies"),
        ("service{service.name=x};service{service.name=app}", [SERVICE], "another service"),
        ("service{service.name=app}@not-a-url", [SERVICE], "is no URL"),
        ("service{service.name=app}[a]", [], "'a' is not key=value"),
        ("service{service.name=app}[a=1];host{host.id=1}[a=2]",
         [SERVICE, Entity("host", {"host.id": "1"}, {"a": "2"})], "and service says a, too"),
        ("1{a=b}", [], "not type{"),
        ("", [], None),
    ],
)  # fmt: skip
def test_malformed_entities_are_left_out(
    text: str, found: list[Entity], said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_entities(text) == found
    assert [said in message for message in caplog.messages if said] == [True] * bool(said)


def test_a_configured_program_says_where_it_runs() -> None:
    program = """
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment(default_exporter="none")
print(*made.tracer_provider.resource.attributes)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert {"host.name", "host.arch", "process.pid"} <= set(ended.stdout.split())
