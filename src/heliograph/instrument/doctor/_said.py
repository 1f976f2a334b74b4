"""What the doctor found, for people and for programs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from heliograph.instrument._winner import NAME
from heliograph.instrument.doctor._destinations import Target
from heliograph.instrument.doctor._libraries import Library
from heliograph.instrument.doctor._verdict import Verdict

WORDS = {True: "instrumented", None: "ready", False: "not instrumented"}


@dataclass(frozen=True)
class Findings:
    """All of it. ``winners`` are what `opentelemetry-instrument` would use, by group."""

    disabled: bool
    libraries: Sequence[Library]
    tested: Sequence[tuple[Target, Verdict | None]]
    winners: Mapping[str, str | None]

    @property
    def well(self) -> bool:
        """Whether everything that is to be sent can be, and no instrumentation failed."""
        sent = all(not t.problem and (v is None or v.kind == "ok") for t, v in self.tested)
        failed = any(each.text.startswith(("failed", "cannot load")) for each in self.libraries)
        return self.disabled or (sent and not failed)


def as_json(found: Findings) -> dict[str, Any]:
    """Return what programs read."""
    return {
        "well": found.well,
        "disabled": found.disabled,
        "libraries": [asdict(each) for each in found.libraries],
        "telemetry": [
            {
                "signal": target.signal,
                "exporter": target.exporter,
                "protocol": target.protocol,
                "endpoint": target.where,
                "headers": list(target.headers),
                "problem": target.problem,
                "test": asdict(verdict) if verdict else None,
            }
            for target, verdict in found.tested
        ],
        "official_launcher": dict(found.winners),
    }


def as_text(found: Findings) -> str:
    """Return what people read."""
    lines = ["Libraries"]
    rows = [
        (each.name, each.found, WORDS[each.instrumented], each.text) for each in found.libraries
    ]
    lines += _columns(rows) or ["  none is installed that can be instrumented"]
    lines += ["", "Telemetry"]
    if found.disabled:
        lines.append("  OTEL_SDK_DISABLED is true: nothing is recorded and nothing sent")
    sent = [(t.signal, t.exporter, t.protocol, t.where, _verdict(t, v)) for t, v in found.tested]
    lines += _columns(sent)
    lines += sorted({f"  fix: {v.fix}" for _, v in found.tested if v is not None and v.fix})
    headers = sorted({name for target, _ in found.tested for name in target.headers})
    if headers:
        lines.append(f"  headers: {', '.join(headers)}")
    lines += ["", "Below opentelemetry-instrument"]
    for group, name in found.winners.items():
        kind = group.removeprefix("opentelemetry_")
        note = "" if name == NAME else f"; for ours: OTEL_PYTHON_{kind.upper()}={NAME}"
        lines.append(f"  {kind}: {name or 'none of those installed'}{note}")
    return "\n".join(lines)


def _verdict(target: Target, verdict: Verdict | None) -> str:
    return target.problem or ("" if verdict is None else verdict.text)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
