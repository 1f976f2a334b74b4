"""Who records: the resource, and what finds out about it.

Spec: Resource SDK.
"""

from heliograph.sdk.resources._container import (
    ContainerResourceDetector,
    KubernetesResourceDetector,
)
from heliograph.sdk.resources._detectors import (
    HostResourceDetector,
    OsResourceDetector,
    OTELResourceDetector,
    ProcessResourceDetector,
    ResourceDetector,
    ServiceInstanceIdResourceDetector,
)
from heliograph.sdk.resources._gather import get_aggregated_resources
from heliograph.sdk.resources._names import *  # noqa: F403 - constants, some of them seldom used
from heliograph.sdk.resources._resource import Attributes, LabelValue, Resource

_HostResourceDetector = HostResourceDetector

__all__ = [
    "Attributes",
    "ContainerResourceDetector",
    "HostResourceDetector",
    "KubernetesResourceDetector",
    "LabelValue",
    "OTELResourceDetector",
    "OsResourceDetector",
    "ProcessResourceDetector",
    "Resource",
    "ResourceDetector",
    "ServiceInstanceIdResourceDetector",
    "get_aggregated_resources",
]
