"""What finds out who records. Imports wait for the detector that needs them.

Spec: Resource SDK, Detecting resource information.
"""

from __future__ import annotations

import abc
import os
import sys
import uuid
from typing import Any

from heliograph.sdk import _variables as variables
from heliograph.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME
from heliograph.sdk.resources import _entities, _names
from heliograph.sdk.resources._resource import Resource

SCHEMA_URL = "https://opentelemetry.io/schemas/1.36.0"
"""Where the names are defined that detectors of ours use."""

ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv6l": "arm32",
    "armv7l": "arm32",
    "i386": "x86",
    "i686": "x86",
    "ppc64le": "ppc64",
}
"""Machines by the names that semantic conventions give them."""


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
    or, where something is wrong, nothing; ``OTEL_SERVICE_NAME`` over it; and below both the
    attributes of ``OTEL_ENTITIES``.

    Spec: Resource SDK, Specifying resource information via an environment variable; Entity
    Propagation.
    """

    def detect(self) -> Resource:
        found: dict[str, Any] = {}
        entities = _entities.read_entities(variables.text(_entities.VARIABLE))
        for entity in entities:
            found |= entity.id | entity.description
        urls = {entity.schema_url for entity in entities}
        given = variables.text(OTEL_RESOURCE_ATTRIBUTES)
        try:
            found.update(read_pairs(given))
        except ValueError as error:
            variables.warn(OTEL_RESOURCE_ATTRIBUTES, given, str(error), "none of it")
        if name := variables.text(OTEL_SERVICE_NAME):
            found[_names.SERVICE_NAME] = name
        return Resource(found, urls.pop() if len(urls) == 1 else None)


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
        return Resource({_names.SERVICE_INSTANCE_ID: found}, SCHEMA_URL)

    @classmethod
    def is_made_here(cls, instance_id: object) -> bool:
        """Whether this process or one that it was forked from made up an id."""
        return instance_id in cls._ids.values()


class ServiceResourceDetector(ServiceInstanceIdResourceDetector):
    """The service: ``OTEL_SERVICE_NAME``, and its instance."""

    def detect(self) -> Resource:
        found = super().detect()
        name = variables.text(OTEL_SERVICE_NAME)
        return found.merge(Resource({_names.SERVICE_NAME: name} if name else {}))


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
        return Resource(found, SCHEMA_URL)


class OsResourceDetector(ResourceDetector):
    """The operating system: type and version."""

    def detect(self) -> Resource:
        import platform  # noqa: PLC0415

        kind = platform.system().lower()
        by_version = kind in {"windows", "sunos"}
        version = platform.version() if by_version else platform.release()
        kind = "solaris" if kind == "sunos" else kind
        return Resource({_names.OS_TYPE: kind, _names.OS_VERSION: version}, SCHEMA_URL)


class HostResourceDetector(ResourceDetector):
    """The host: name, architecture, and on Linux the machine's id."""

    def detect(self) -> Resource:
        import platform  # noqa: PLC0415
        import socket  # noqa: PLC0415

        machine = platform.machine().lower()
        found = {
            _names.HOST_NAME: socket.gethostname(),
            _names.HOST_ARCH: ARCHITECTURES.get(machine, machine),
        }
        for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
            try:
                with open(path, encoding="utf-8") as file:
                    host_id = file.read().strip()
            except OSError:
                continue
            if host_id:
                found[_names.HOST_ID] = host_id
                break
        return Resource(found, SCHEMA_URL)
