"""Consistent probability sampling from parts.

``composite_sampler(composable_parent_threshold(composable_traceid_ratio_based(0.1)))`` samples a
tenth of the traces that begin here and follows the parent elsewhere; each sampled span carries its
threshold in the ``ot`` member of its trace state, from which counts can be estimated.

Spec: Tracing SDK, CompositeSampler; TraceState Probability Sampling.
"""

from heliograph.sdk.trace._sampling_experimental import (
    ComposableSampler,
    SamplingIntent,
    composable_always_off,
    composable_always_on,
    composable_annotating,
    composable_parent_threshold,
    composable_rule_based,
    composable_traceid_ratio_based,
    composite_sampler,
)
from heliograph.sdk.trace._sampling_experimental._rule_based import (
    AllPredicate,
    AlwaysMatchPredicate,
    AttributePatternsPredicate,
    AttributeValuesPredicate,
    ParentPredicate,
    SpanKindPredicate,
)

__all__ = [
    "AllPredicate",
    "AlwaysMatchPredicate",
    "AttributePatternsPredicate",
    "AttributeValuesPredicate",
    "ComposableSampler",
    "ParentPredicate",
    "SamplingIntent",
    "SpanKindPredicate",
    "composable_always_off",
    "composable_always_on",
    "composable_annotating",
    "composable_parent_threshold",
    "composable_rule_based",
    "composable_traceid_ratio_based",
    "composite_sampler",
]
