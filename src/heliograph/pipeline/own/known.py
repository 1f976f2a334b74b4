"""Every metric that the program has of itself; docs/guide/telemetry.md is this table in prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.pipeline.telemetry import ITEMS

LEVELS = ("none", "basic", "normal", "detailed")


@dataclass(frozen=True)
class Metric:
    """What a metric is beside its name.

    ``kind`` is counter, gauge, sum (which may shrink) or histogram; ``level`` the least
    ``service.telemetry.metrics.level`` that shows it.
    """

    kind: str
    unit: str
    text: str
    level: str = "basic"


_RECEIVER = {
    "heliograph_receiver_received_{}": "{} that receivers handed to the pipelines.",
    "otelcol_receiver_accepted_{}": "{} that were acknowledged to their senders.",
    "otelcol_receiver_refused_{}": "{} whose senders were told to keep or drop them.",
    "otelcol_receiver_failed_{}": "{} that met an internal error.",
}
_EXPORTER = {
    "heliograph_exporter_received_{}": "{} that came to the exporter.",
    "heliograph_exporter_restored_{}": "{} that an earlier process left in the journal.",
    "otelcol_exporter_sent_{}": "{} that the other side acknowledged.",
    "otelcol_exporter_send_failed_{}": "{} that were not delivered, and were dropped or sent back.",
    "otelcol_exporter_enqueue_failed_{}": "{} for which there was no room.",
    "heliograph_exporter_dropped_{}": "{} that were lost, by reason.",
    "heliograph_exporter_returned_{}": "{} whose senders were told to try again, or had gone.",
    "heliograph_exporter_journaled_{}": "{} that were written to the journal.",
    "heliograph_exporter_repeated_{}": "{} that the other side may have got twice.",
    "heliograph_fanout_repeated_{}": "{} that a branch will get twice, as another wants a retry.",
    "otelcol_processor_memory_limiter_accepted_{}": "{} that there was memory for.",
    "otelcol_processor_memory_limiter_refused_{}": "{} that there was no memory for.",
}
_UNITS = {
    "spans": "{span}",
    "metric_points": "{datapoint}",
    "log_records": "{record}",
    "profile_samples": "{sample}",
}
_NOUNS = {
    "spans": "Spans",
    "metric_points": "Data points",
    "log_records": "Log records",
    "profile_samples": "Profile samples",
}
_OTHERS = {
    "otelcol_receiver_requests": Metric("counter", "{request}", "Requests, by outcome."),
    "heliograph_receiver_turned_away_requests": Metric(
        "counter", "{request}", "Requests that were answered before their items were counted."
    ),
    "otelcol_processor_incoming_items": Metric(
        "counter", "{item}", "Items handed to the processor."
    ),
    "otelcol_processor_outgoing_items": Metric(
        "counter", "{item}", "Items that the processor handed on."
    ),
    "heliograph_processor_returned_items": Metric(
        "counter", "{item}", "Outgoing items that the next step did not take."
    ),
    "heliograph_processor_refused_items": Metric(
        "counter", "{item}", "Incoming items that went back to where they came from."
    ),
    "heliograph_processor_created_items": Metric(
        "counter", "{item}", "Items that the processor made."
    ),
    "heliograph_processor_removed_items": Metric(
        "counter", "{item}", "Items that the processor did not hand on, by reason."
    ),
    "heliograph_processor_held_items": Metric(
        "gauge", "{item}", "Items that the processor keeps from one batch to the next."
    ),
    "otelcol_processor_batch_batch_send_size": Metric(
        "histogram", "{unit}", "Items of a merged request.", "normal"
    ),
    "otelcol_processor_batch_batch_send_size_bytes": Metric(
        "histogram", "By", "Bytes of a merged request.", "detailed"
    ),
    "otelcol_processor_batch_batch_size_trigger_send": Metric(
        "counter", "{time}", "Requests sent because enough had come together.", "normal"
    ),
    "otelcol_processor_batch_timeout_trigger_send": Metric(
        "counter", "{time}", "Requests sent because they had waited long enough.", "normal"
    ),
    "otelcol_processor_batch_metadata_cardinality": Metric(
        "sum", "{combination}", "Kinds of requests that are being merged.", "normal"
    ),
    "heliograph_connector_consumed_items": Metric(
        "counter", "{item}", "Items handed to the connector."
    ),
    "heliograph_connector_produced_items": Metric(
        "counter", "{item}", "Items that the connector handed on."
    ),
    "otelcol_exporter_queue_size": Metric(
        "gauge", "{batch}", "What waits for the exporter, in the unit of its queue_size."
    ),
    "otelcol_exporter_queue_capacity": Metric(
        "gauge", "{batch}", "What may wait for the exporter."
    ),
    "otelcol_exporter_in_flight_requests": Metric(
        "sum", "{request}", "Requests that await their answer."
    ),
    "heliograph_exporter_cut_requests": Metric(
        "counter", "{request}", "Requests that the other side wanted in two halves."
    ),
    "heliograph_exporter_waiting_items": Metric(
        "gauge", "{item}", "Items that the exporter has taken and not delivered yet."
    ),
    "heliograph_exporter_oldest_seconds": Metric(
        "gauge", "s", "How long the oldest batch has been waiting for the exporter."
    ),
    "heliograph_journal_used_bytes": Metric("gauge", "By", "Bytes in the journal on disk."),
    "heliograph_journal_limit_bytes": Metric("gauge", "By", "Bytes that the journal may have."),
    "heliograph_journal_failures": Metric(
        "counter", "{time}", "Writes and syncs of the journal that failed."
    ),
    "heliograph_component_errors": Metric(
        "counter", "{error}", "Exceptions that came out of a component's own code."
    ),
    "heliograph_loop_held": Metric(
        "counter", "{time}", "Times that a component held the event loop for too long."
    ),
    "heliograph_log_lines_suppressed": Metric(
        "counter", "{line}", "Lines that the log left out because too many were alike."
    ),
    "heliograph_own_telemetry_dropped": Metric(
        "counter", "{item}", "The program's own telemetry that could not be pushed."
    ),
    "heliograph_admission_used_bytes": Metric("gauge", "By", "Telemetry bytes that are held."),
    "heliograph_admission_limit_bytes": Metric(
        "gauge", "By", "Telemetry bytes that may be held; absent without a limit."
    ),
    "otelcol_process_uptime": Metric("counter", "s", "Time since the program's start."),
    "otelcol_process_cpu_seconds": Metric("counter", "s", "Processor time, user and system."),
    "otelcol_process_memory_rss": Metric("gauge", "By", "Resident memory."),
    "otelcol_process_runtime_heap_alloc_bytes": Metric(
        "gauge", "By", "Telemetry bytes that the native core holds."
    ),
    "otelcol_process_runtime_total_sys_memory_bytes": Metric(
        "gauge", "By", "Memory that the program has asked the system for: data and stacks."
    ),
}


def _expanded(templates: Mapping[str, str], kind: str) -> dict[str, Metric]:
    return {
        template.format(noun): Metric(kind, _UNITS[noun], text.format(_NOUNS[noun]))
        for template, text in templates.items()
        for noun in ITEMS.values()
    }


TEMPLATES = {**_RECEIVER, **_EXPORTER}
"""Names with ``{}`` for the noun of each signal."""

KNOWN: Mapping[str, Metric] = {
    **_expanded(_RECEIVER, "counter"),
    **_expanded(_EXPORTER, "counter"),
    **_OTHERS,
}


def known(name: str, *, grows: bool) -> Metric:
    """Return what a metric is, also one of a user's component, which is only counted."""
    return KNOWN.get(name) or Metric("counter" if grows else "gauge", "1" if grows else "", "")


def shown(level: str, metric: Metric) -> bool:
    """Whether a level shows a metric."""
    return LEVELS.index(metric.level) <= LEVELS.index(level)
