"""The official SDK's name for `heliograph.sdk.trace.composable`."""

from heliograph.sdk.trace._sampling_experimental._composable import (
    ComposableSampler,
    SamplingIntent,
    composable_always_off,
    composable_always_on,
    composable_annotating,
    composable_parent_threshold,
    composable_traceid_ratio_based,
)
from heliograph.sdk.trace._sampling_experimental._rule_based import composable_rule_based
from heliograph.sdk.trace._sampling_experimental._sampler import composite_sampler

__all__ = [
    "ComposableSampler",
    "SamplingIntent",
    "composable_always_off",
    "composable_always_on",
    "composable_annotating",
    "composable_parent_threshold",
    "composable_rule_based",
    "composable_traceid_ratio_based",
    "composite_sampler",
]
