"""Asking detectors, side by side and for a bounded time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from heliograph.sdk import _variables as variables
from heliograph.sdk._worker import attach_exporting
from heliograph.sdk.environment_variables import OTEL_EXPERIMENTAL_RESOURCE_DETECTORS
from heliograph.sdk.resources import _container, _names
from heliograph.sdk.resources import _detectors as detectors
from heliograph.sdk.resources._resource import Resource, merge_all

_log = logging.getLogger("heliograph.sdk.resources")

GROUP = "opentelemetry_resource_detector"
"""Entry points of further detectors."""

OWN: dict[str, type[detectors.ResourceDetector]] = {
    "service_instance": detectors.ServiceInstanceIdResourceDetector,
    "service": detectors.ServiceResourceDetector,
    "otel": detectors.OTELResourceDetector,
    "process": detectors.ProcessResourceDetector,
    "os": detectors.OsResourceDetector,
    "host": detectors.HostResourceDetector,
    "container": _container.ContainerResourceDetector,
    "kubernetes": _container.KubernetesResourceDetector,
}

USUAL = "process,host,os,container,kubernetes"
"""What is asked where a program is configured by its environment alone."""


def configured(default: str = "") -> list[detectors.ResourceDetector]:
    """Return the detectors that ``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS`` names (``*`` for all that
    are installed), the service's instance before them and the environment after them."""
    names = variables.names(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS) or default.split(",")
    if not {"service_instance", "service"} & set(names):
        names.insert(0, "service_instance")
    names = list(dict.fromkeys([*filter(None, names), "otel"]))
    if "*" in names:
        at = names.index("*")
        names[at : at + 1] = sorted({*OWN, *_installed()} - set(names))
    found = []
    for name in names:
        try:
            found.append(detector(name))
        except Exception as error:
            _log.warning("%s: %s; it is left out", OTEL_EXPERIMENTAL_RESOURCE_DETECTORS, error)
    return found


def detector(name: str) -> detectors.ResourceDetector:
    """Return a detector by its name, ours or an installed package's. Raises: LookupError."""
    if name in OWN:
        return OWN[name]()
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    for point in entry_points(group=GROUP, name=name):
        try:
            made: detectors.ResourceDetector = point.load()()
        except Exception as error:
            raise LookupError(f"the resource detector {name!r} cannot be made: {error}") from error
        return made
    known = ", ".join(dict.fromkeys([*OWN, *_installed()]))
    raise LookupError(f"there is no resource detector {name!r}; there are {known}")


def _installed() -> list[str]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    return sorted({point.name for point in entry_points(group=GROUP)})


def get_aggregated_resources(
    detectors: Sequence[Any], initial_resource: Resource | None = None, timeout: float = 5
) -> Resource:
    """Return what the detectors find, the later ones over the earlier.

    Ours read a few files. Those of other packages run side by side on threads, and all together get
    ``timeout`` seconds; who takes longer is left behind, and that is logged.
    """
    initial = Resource.create() if initial_resource is None else initial_resource
    end = time.monotonic() + timeout
    answers = [_Answer(detector) for detector in detectors]
    return merge_all([initial, *(answer.get(end, timeout) for answer in answers)])


class _Answer:
    """What one detector finds, for which nobody waits before it is asked for."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._found: Resource | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        if type(detector) not in OWN.values():
            self._thread = threading.Thread(target=self._run_quietly, daemon=True)
            self._thread.start()

    def _run_quietly(self) -> None:
        # What a detector asks over HTTP is nobody's trace.
        attach_exporting()
        self._run()

    def _run(self) -> None:
        try:
            found = self._detector.detect()
            self._found = Resource(found.attributes, found.schema_url)
        except Exception as error:
            self._error = error

    def get(self, end: float, timeout: float) -> Resource:
        if self._thread is None:
            self._run()
        else:
            self._thread.join(max(0.0, end - time.monotonic()))
        if self._found is not None:
            return self._found
        error = self._error or TimeoutError(f"it took longer than {timeout:g} s")
        if getattr(self._detector, "raise_on_error", False):
            raise error
        name = type(self._detector).__qualname__
        _log.warning("the resource detector %s found nothing: %s", name, error)
        return Resource.get_empty()


def process_dependent(resource: Resource) -> Resource:
    """Return what is different in this forked child of what a resource says: ids that were made up
    or that the system gives, never those that somebody chose."""
    found: dict[str, Any] = {}
    instance = detectors.ServiceInstanceIdResourceDetector
    if instance.is_made_here(resource.attributes.get(_names.SERVICE_INSTANCE_ID)):
        found.update(instance().detect().attributes)
    if _names.PROCESS_PID in resource.attributes:
        found[_names.PROCESS_PID] = os.getpid()
    if _names.PROCESS_PARENT_PID in resource.attributes:
        found[_names.PROCESS_PARENT_PID] = os.getppid()
    return Resource(found)
