"""The container around this process, and its pod.

Spec: Resource SDK, Detecting resource information; Semantic Conventions, Container and Kubernetes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from heliograph.sdk.resources import _names
from heliograph.sdk.resources._detectors import SCHEMA_URL, ResourceDetector
from heliograph.sdk.resources._resource import Resource

_ID = r"[0-9a-f]{64}|[0-9a-f]{32}-[0-9]{8,10}"
"""Ids of Docker, containerd, CRI-O and Podman; of tasks on Fargate."""

_CGROUP = re.compile(rf"(?:^|[-:/])({_ID})(?:\.scope)?$")
_MOUNT = re.compile(rf"/(?:overlay-)?containers/({_ID})/(?:\S+/)?(?:hostname|hosts|resolv\.conf)$")
"""Runtimes mount these files from the container's folder; a pod's sandbox has another one."""

_POD = re.compile(r"/pods/([0-9a-f-]{32,36})/")
_POD_CONTAINER = re.compile(r"/pods/[0-9a-f-]{32,36}/containers/([^/\s]+)/")
_CGROUP_POD = re.compile(
    r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})"
)

NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

DOWNWARD = {
    _names.KUBERNETES_POD_NAME: ("K8S_POD_NAME", "POD_NAME"),
    _names.KUBERNETES_POD_UID: ("K8S_POD_UID", "POD_UID"),
    _names.KUBERNETES_NAMESPACE_NAME: ("K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE"),
    _names.KUBERNETES_NODE_NAME: ("K8S_NODE_NAME", "NODE_NAME"),
    _names.KUBERNETES_CONTAINER_NAME: ("K8S_CONTAINER_NAME",),
    _names.KUBERNETES_DEPLOYMENT_NAME: ("K8S_DEPLOYMENT_NAME",),
    _names.KUBERNETES_CLUSTER_NAME: ("K8S_CLUSTER_NAME",),
}
"""Variables that a pod's specification sets from the downward API, the first one that is set."""


def container_id(cgroup: str, mountinfo: str) -> str | None:
    """Return the id of the container that these files under ``/proc/self`` tell of.

    Control groups tell it in version 1, and in version 2 without a namespace of their own; else the
    mounts do. None outside of containers, and where a pod's files come from its sandbox.
    """
    for line in cgroup.splitlines():
        if found := _CGROUP.search(line.strip()):
            return found[1]
    for root in _roots(mountinfo):
        if found := _MOUNT.search(root):
            return found[1]
    return None


def pod_facts(cgroup: str, mountinfo: str) -> dict[str, str]:
    """Return a pod's uid and the container's name, from the files that kubelet mounts."""
    facts = {}
    for root in _roots(mountinfo):
        if found := _POD.search(root):
            facts[_names.KUBERNETES_POD_UID] = found[1]
        if found := _POD_CONTAINER.search(root):
            facts[_names.KUBERNETES_CONTAINER_NAME] = found[1]
    if _names.KUBERNETES_POD_UID not in facts and (found := _CGROUP_POD.search(cgroup)):
        facts[_names.KUBERNETES_POD_UID] = found[1].replace("_", "-")
    return facts


def downward(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what variables say of the pod."""
    found = {}
    for attribute, names in DOWNWARD.items():
        value = next((variables[name] for name in names if variables.get(name)), None)
        if value is not None:
            found[attribute] = value
    return found


class ContainerResourceDetector(ResourceDetector):
    """The container: its id, on Linux."""

    def detect(self) -> Resource:
        found = container_id(read("/proc/self/cgroup"), read("/proc/self/mountinfo"))
        if found is None:
            return Resource.get_empty()
        return Resource({_names.CONTAINER_ID: found}, SCHEMA_URL)


class KubernetesResourceDetector(ResourceDetector):
    """The pod: what the downward API has put into variables (`DOWNWARD`), and what the mounts and
    the service account tell without them. Nothing outside of Kubernetes; asks nobody."""

    def detect(self) -> Resource:
        if not os.environ.get("KUBERNETES_SERVICE_HOST"):
            return Resource.get_empty()
        found = pod_facts(read("/proc/self/cgroup"), read("/proc/self/mountinfo"))
        if namespace := read(NAMESPACE).strip():
            found[_names.KUBERNETES_NAMESPACE_NAME] = namespace
        return Resource(found | downward(os.environ), SCHEMA_URL)


def read(path: str) -> str:
    """Return a file's text; empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _roots(mountinfo: str) -> list[str]:
    """Return where mounts come from, inside their file system."""
    lines = [line.split(" ", 4) for line in mountinfo.splitlines()]
    return [fields[3] for fields in lines if len(fields) == 5]
