"""Which spans are recorded and sent on.

Ready to use: `ALWAYS_ON`, `ALWAYS_OFF`, `DEFAULT_ON` and `DEFAULT_OFF` (which follow the parent),
`TraceIdRatioBased`, `ParentBased`, `ParentBasedTraceIdRatio`, `AlwaysRecordSampler`; more are in
`heliograph.sdk.trace.composable` and `heliograph.sdk.trace.jaeger_remote`. A sampler of your own is
a subclass of `Sampler`. ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` choose
one for providers that are given none.

Spec: Tracing SDK, Sampling.
"""

from __future__ import annotations

import abc
import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, TraceFlags, TraceState, get_current_span

from heliograph.sdk import _variables as variables
from heliograph.sdk._fence import fenced
from heliograph.sdk.environment_variables import OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG
from heliograph.sdk.trace._tracestate import NEVER, Sampling, randomness_of, threshold_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

_log = logging.getLogger(__name__)


class Decision(enum.Enum):
    """What becomes of a new span."""

    DROP = 0
    """It is neither recorded nor sent."""
    RECORD_ONLY = 1
    """Processors see it; exporters do not."""
    RECORD_AND_SAMPLE = 2
    """It is recorded and sent."""

    def is_recording(self) -> bool:
        """Whether the span is recorded."""
        return self is not Decision.DROP

    def is_sampled(self) -> bool:
        """Whether the span is sent."""
        return self is Decision.RECORD_AND_SAMPLE


class SamplingResult:
    """A decision, the attributes that the span begins with, and its trace state."""

    def __init__(
        self,
        decision: Decision,
        attributes: Attributes = None,
        trace_state: TraceState | None = None,
    ) -> None:
        self.decision = decision
        self.attributes: Mapping[str, Any] = MappingProxyType(
            {} if attributes is None else attributes
        )
        self.trace_state = trace_state

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.decision!s}, attributes={self.attributes!s})"


class Sampler(abc.ABC):
    """Decides for each new span."""

    @abc.abstractmethod
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide. Runs on the thread that starts the span; ``parent_context`` None is the current
        one."""

    @abc.abstractmethod
    def get_description(self) -> str:
        """Return the sampler's name and configuration, short enough for a log."""


def introduce(sampler: Any, resource: Any, *around: Any) -> None:
    """Tell a sampler, and those inside of it, whose spans they decide about, if they want to know:
    such samplers have ``take_resource(resource)``."""
    take = getattr(sampler, "take_resource", None)
    if take is not None:
        fenced(take, resource)
    for part in list(getattr(sampler, "__dict__", {}).values()):
        if isinstance(part, Sampler) and part is not sampler and part not in around:
            introduce(part, resource, sampler, *around)


class StaticSampler(Sampler):
    """Always the same decision."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        return _result(self._decision, parent_context, attributes)

    def get_description(self) -> str:
        return "AlwaysOffSampler" if self._decision is Decision.DROP else "AlwaysOnSampler"


ALWAYS_OFF = StaticSampler(Decision.DROP)
"""No span, whatever its parent."""

ALWAYS_ON = StaticSampler(Decision.RECORD_AND_SAMPLE)
"""Every span, whatever its parent."""


class TraceIdRatioBased(Sampler):
    """A share of all traces, the same ones in every process; the parent does not matter.

    Sampled are those whose randomness reaches a threshold, which stands in the trace state of their
    spans as ``ot=th:…``. The randomness is the trace state's ``rv``, or the low 56 bits of the
    trace id. Spec: Tracing SDK, TraceIdRatioBased; TraceState Probability Sampling.

    Args:
        rate: the share, from 0 to 1; to four digits of its threshold.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.threshold = threshold_of(rate)
        is_never = self.threshold == NEVER
        self.root_state = TraceState() if is_never else Sampling(self.threshold).write(None)

    @property
    def rate(self) -> float:
        """The share."""
        return self._rate

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            is_random = bool(parent.trace_flags & TraceFlags.RANDOM_TRACE_ID)
            sampled, state = choose(self.threshold, trace_id, is_random, parent.trace_state)
        else:
            sampled, state = choose(self.threshold, trace_id, True, trace_state)
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
        return SamplingResult(decision, attributes if sampled else None, state)

    def get_description(self) -> str:
        return f"TraceIdRatioBased{{{self._rate}}}"


_presumed: set[str] = set()


def choose(
    threshold: int, trace_id: int, is_random: bool, above: TraceState | None
) -> tuple[bool, TraceState | None]:
    """Decide for a share of the traces: whether the span is sampled, and its trace state.

    ``above`` is the parent's trace state. That a trace id is random though its flag does not say
    so is presumed, and said once.
    """
    said = Sampling.read(above)
    randomness = said.randomness
    if randomness is None:
        randomness = randomness_of(trace_id)
        if not is_random and not _presumed:
            _presumed.add("said")
            _log.warning(
                "trace ids without the W3C random flag are sampled by their share, as if random"
            )
    sampled = randomness >= threshold
    said.threshold = threshold if sampled else None
    return sampled, said.write(above)


class ParentBased(Sampler):
    """One sampler for spans without a parent, others for each kind of parent."""

    def __init__(
        self,
        root: Sampler,
        remote_parent_sampled: Sampler = ALWAYS_ON,
        remote_parent_not_sampled: Sampler = ALWAYS_OFF,
        local_parent_sampled: Sampler = ALWAYS_ON,
        local_parent_not_sampled: Sampler = ALWAYS_OFF,
    ) -> None:
        self._root = root
        self._remote_parent_sampled = remote_parent_sampled
        self._remote_parent_not_sampled = remote_parent_not_sampled
        self._local_parent_sampled = local_parent_sampled
        self._local_parent_not_sampled = local_parent_not_sampled

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        sampler = self._root
        if parent is not None and parent.is_valid:
            remote = (self._remote_parent_not_sampled, self._remote_parent_sampled)
            local = (self._local_parent_not_sampled, self._local_parent_sampled)
            sampler = (remote if parent.is_remote else local)[parent.trace_flags.sampled]
        return sampler.should_sample(
            parent_context=parent_context,
            trace_id=trace_id,
            name=name,
            kind=kind,
            attributes=attributes,
            links=links,
        )

    def get_description(self) -> str:
        parts = {
            "root": self._root,
            "remoteParentSampled": self._remote_parent_sampled,
            "remoteParentNotSampled": self._remote_parent_not_sampled,
            "localParentSampled": self._local_parent_sampled,
            "localParentNotSampled": self._local_parent_not_sampled,
        }
        said = ",".join(f"{name}:{part.get_description()}" for name, part in parts.items())
        return f"ParentBased{{{said}}}"


class AlwaysRecordSampler(Sampler):
    """What ``root`` decides, but what it would drop is recorded for the processors.

    Raises: ValueError when there is no root.
    Spec: Tracing SDK, AlwaysRecord.
    """

    def __init__(self, root: Sampler) -> None:
        if root is None:
            raise ValueError("root is None, not a sampler")
        self._root = root

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        result = self._root.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )
        if result.decision is not Decision.DROP:
            return result
        return SamplingResult(Decision.RECORD_ONLY, result.attributes, result.trace_state)

    def get_description(self) -> str:
        return f"AlwaysRecordSampler{{{self._root.get_description()}}}"


DEFAULT_OFF = ParentBased(ALWAYS_OFF)
"""What the parent says; no span without one."""

DEFAULT_ON = ParentBased(ALWAYS_ON)
"""What the parent says; every span without one."""


class ParentBasedTraceIdRatio(ParentBased):
    """What the parent says; a share of the traces that begin here."""

    def __init__(self, rate: float) -> None:
        super().__init__(root=TraceIdRatioBased(rate))


def _share(make: Callable[[float], Sampler]) -> Callable[[str], Sampler]:
    return lambda argument: make(float(argument or 1))


def _jaeger_remote(argument: str) -> Sampler:
    from heliograph.sdk.trace.jaeger_remote import from_argument  # noqa: PLC0415 - seldom needed

    return from_argument(argument)


_BY_NAME: dict[str, Sampler | Callable[[str], Sampler]] = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
    "traceidratio": _share(TraceIdRatioBased),
    "parentbased_traceidratio": _share(ParentBasedTraceIdRatio),
    "jaeger_remote": _jaeger_remote,
    "parentbased_jaeger_remote": lambda argument: ParentBased(_jaeger_remote(argument)),
}


def _get_from_env_or_default() -> Sampler:
    """Return the sampler that the environment names, or `DEFAULT_ON`.

    Other names are looked up among the entry points of group ``opentelemetry_traces_sampler``.
    """
    name = variables.text(OTEL_TRACES_SAMPLER).lower() or "parentbased_always_on"
    argument = variables.text(OTEL_TRACES_SAMPLER_ARG)
    known = _BY_NAME.get(name.removeprefix("heliograph_"))
    if isinstance(known, Sampler):
        return known
    if known is not None:
        try:
            return known(argument)
        except ValueError as error:
            variables.warn(OTEL_TRACES_SAMPLER_ARG, argument, f"no argument: {error}", "none")
            return known("")
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    wrong = f"not one of {', '.join(_BY_NAME)}, nor of an installed package"
    try:
        for point in entry_points(group="opentelemetry_traces_sampler", name=name):
            sampler = point.load()(argument)
            if hasattr(sampler, "should_sample"):
                return sampler  # type: ignore[no-any-return]  # the official SDK's, too
            wrong = f"no sampler but {type(sampler).__name__}"
    except Exception as error:
        wrong = f"a sampler that cannot be made: {error}"
    variables.warn(OTEL_TRACES_SAMPLER, name, wrong, "parentbased_always_on")
    return DEFAULT_ON


def _result(
    decision: Decision, parent_context: Context | None, attributes: Attributes
) -> SamplingResult:
    return SamplingResult(
        decision,
        None if decision is Decision.DROP else attributes,
        _get_parent_trace_state(parent_context),
    )


def _get_parent_trace_state(parent_context: Context | None) -> TraceState | None:
    """Return the trace state of a valid parent. Others' samplers import it by this name."""
    parent = get_current_span(parent_context).get_span_context()
    return parent.trace_state if parent is not None and parent.is_valid else None
