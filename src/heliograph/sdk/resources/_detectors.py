"""What finds out who records. Imports wait for the detector that needs them."""

from __future__ import annotations

import abc
import logging
import os
import sys
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from heliograph.sdk import _variables as variables
from heliograph.sdk.environment_variables import (
    OTEL_EXPERIMENTAL_RESOURCE_DETECTORS,
    OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SERVICE_NAME,
)
from heliograph.sdk.resources import _names
from heliograph.sdk.resources._resource import Resource

_log = logging.getLogger("heliograph.sdk.resources")

GROUP = "opentelemetry_resource_detector"
"""Entry points of further detectors."""


class ResourceDetector(abc.ABC):
    """Finds out about one thing.

    Args:
        raise_on_error: raise what goes wrong, instead of logging it and finding nothing.
    """

    def __init__(self, raise_on_error: bool = False) -> None:
        self.raise_on_error = raise_on_error

    @abc.abstractmethod
    def detect(self) -> Resource:
        """Return what was found; `Resource.create` must not be called here."""

    def is_process_dependent(self) -> bool:
        """Whether a forked child finds something else."""
        return False


class OTELResourceDetector(ResourceDetector):
    """``OTEL_RESOURCE_ATTRIBUTES``: ``key=value`` with commas between, percent-encoded, all of it
    or, where something is wrong, nothing; and ``OTEL_SERVICE_NAME``.

    Spec: Resource SDK, Specifying resource information via an environment variable.
    """

    def detect(self) -> Resource:
        found: dict[str, Any] = {}
        given = variables.text(OTEL_RESOURCE_ATTRIBUTES)
        try:
            found.update(read_pairs(given))
        except ValueError as error:
            variables.warn(OTEL_RESOURCE_ATTRIBUTES, given, str(error), "none of it")
        if name := variables.text(OTEL_SERVICE_NAME):
            found[_names.SERVICE_NAME] = name
        return Resource(found)


def read_pairs(given: str) -> dict[str, str]:
    """Return ``key=value`` pairs with commas between, percent-encoded. Raises: ValueError."""
    from urllib.parse import unquote  # noqa: PLC0415

    found = {}
    for pair in filter(None, map(str.strip, given.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"and {pair!r} is not key=value")
        try:
            found[unquote(key.strip(), errors="strict")] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            raise ValueError(f"and {pair!r} is not percent-encoded UTF-8") from None
    return found


class ServiceInstanceIdResourceDetector(ResourceDetector):
    """``service.instance.id``: a random UUID, one for each process."""

    _ids: dict[int, str] = {}  # noqa: RUF012 - one for the process, whichever instance asks

    def is_process_dependent(self) -> bool:
        return True

    def detect(self) -> Resource:
        found = self._ids.setdefault(os.getpid(), str(uuid.uuid4()))
        return Resource({_names.SERVICE_INSTANCE_ID: found})

    @classmethod
    def is_made_here(cls, instance_id: object) -> bool:
        """Whether this process or one that it was forked from made up an id."""
        return instance_id in cls._ids.values()


class ProcessResourceDetector(ResourceDetector):
    """The process: id, executable, interpreter; its arguments only when asked for, as they may
    hold secrets."""

    def __init__(self, raise_on_error: bool = False, *, include_command_args: bool = False) -> None:
        super().__init__(raise_on_error)
        self._include_command_args = include_command_args

    def is_process_dependent(self) -> bool:
        return True

    def detect(self) -> Resource:
        import platform  # noqa: PLC0415

        executable = sys.executable or ""
        found: dict[str, Any] = {
            _names.PROCESS_RUNTIME_DESCRIPTION: sys.version,
            _names.PROCESS_RUNTIME_NAME: sys.implementation.name,
            _names.PROCESS_RUNTIME_VERSION: platform.python_version(),
            _names.PROCESS_PID: os.getpid(),
            _names.PROCESS_PARENT_PID: os.getppid(),
            _names.PROCESS_EXECUTABLE_NAME: os.path.basename(executable),
            _names.PROCESS_EXECUTABLE_PATH: executable,
            _names.PROCESS_COMMAND: sys.orig_argv[0] if sys.orig_argv else "",
        }
        if self._include_command_args:
            found[_names.PROCESS_COMMAND_LINE] = " ".join(sys.orig_argv)
            found[_names.PROCESS_COMMAND_ARGS] = list(sys.orig_argv)
        return Resource(found)


class OsResourceDetector(ResourceDetector):
    """The operating system: type and version."""

    def detect(self) -> Resource:
        import platform  # noqa: PLC0415

        kind = platform.system().lower()
        by_version = kind in {"windows", "sunos"}
        version = platform.version() if by_version else platform.release()
        kind = "solaris" if kind == "sunos" else kind
        return Resource({_names.OS_TYPE: kind, _names.OS_VERSION: version})


class HostResourceDetector(ResourceDetector):
    """The host: name, architecture, and on Linux the machine's id."""

    def detect(self) -> Resource:
        import platform  # noqa: PLC0415
        import socket  # noqa: PLC0415

        found = {_names.HOST_NAME: socket.gethostname(), _names.HOST_ARCH: platform.machine()}
        for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
            try:
                with open(path, encoding="utf-8") as file:
                    machine = file.read().strip()
            except OSError:
                continue
            if machine:
                found[_names.HOST_ID] = machine
                break
        return Resource(found)


_OWN: dict[str, type[ResourceDetector]] = {
    "service_instance": ServiceInstanceIdResourceDetector,
    "otel": OTELResourceDetector,
    "process": ProcessResourceDetector,
    "os": OsResourceDetector,
    "host": HostResourceDetector,
}


def configured() -> list[ResourceDetector]:
    """Return the detectors that ``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS`` names (``*`` for all that
    are installed), the service's instance before them and the environment after them."""
    text = os.environ.get(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS, "")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if "service_instance" not in names:
        names.insert(0, "service_instance")
    names = list(dict.fromkeys([*names, "otel"]))
    if "*" in names:
        from importlib.metadata import entry_points  # noqa: PLC0415

        installed = {point.name for point in entry_points(group=GROUP)} | set(_OWN)
        at = names.index("*")
        names[at : at + 1] = sorted(installed - set(names))
    found = []
    for name in names:
        try:
            found.append(_detector(name))
        except Exception:
            _log.exception("the resource detector %r cannot be used", name)
    return found


def _detector(name: str) -> ResourceDetector:
    if name in _OWN:
        return _OWN[name]()
    from importlib.metadata import entry_points  # noqa: PLC0415

    points = list(entry_points(group=GROUP, name=name))
    if not points:
        raise LookupError(f"no installed package has a resource detector {name!r}")
    made: ResourceDetector = points[0].load()()
    return made


def get_aggregated_resources(
    detectors: Sequence[ResourceDetector],
    initial_resource: Resource | None = None,
    timeout: int = 5,
) -> Resource:
    """Return what the detectors find, the later ones over the earlier.

    Detectors of other packages run side by side on threads; one that takes longer than ``timeout``
    seconds is left behind, and that is logged.
    """
    found = Resource.create() if initial_resource is None else initial_resource
    answers = [_Answer(detector) for detector in detectors]
    for answer in answers:
        found = found.merge(answer.get(timeout))
    return found


class _Answer:
    """What one detector finds, for which nobody waits before it is asked for."""

    def __init__(self, detector: ResourceDetector) -> None:
        self._detector = detector
        self._found: Resource | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        if type(detector) in _OWN.values():
            self._run()
        else:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._detector.detect()
        except Exception as error:
            self._error = error

    def get(self, timeout: float) -> Resource:
        if self._thread is not None:
            self._thread.join(timeout)
        if self._found is not None:
            return self._found
        error = self._error or TimeoutError(f"it took longer than {timeout} s")
        if self._detector.raise_on_error:
            raise error
        _log.warning("the resource detector %s found nothing: %s", self._detector, error)
        return Resource.get_empty()


def process_dependent(resource: Resource) -> Resource:
    """Return what is different in this forked child of what a resource says: ids that were made up
    or that the system gives, never those that somebody chose."""
    found: dict[str, Any] = {}
    if ServiceInstanceIdResourceDetector.is_made_here(
        resource.attributes.get(_names.SERVICE_INSTANCE_ID)
    ):
        found.update(ServiceInstanceIdResourceDetector().detect().attributes)
    if _names.PROCESS_PID in resource.attributes:
        found[_names.PROCESS_PID] = os.getpid()
    if _names.PROCESS_PARENT_PID in resource.attributes:
        found[_names.PROCESS_PARENT_PID] = os.getppid()
    return Resource(found)
