"""What arrived, as trees of spans."""

from typing import Any

KINDS = ["", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]


def trees(spans: list[dict[str, Any]], *, services: bool = False) -> list[Any]:
    """The spans, each with what is below it, in the order of their beginnings.

    One is ``KIND name``, with its service before it when asked for; one that has something below
    is a pair of that and a list.
    """
    known = {span["spanId"] for span in spans}
    ordered = sorted(spans, key=lambda span: int(span["startTimeUnixNano"]))

    def show(span: dict[str, Any]) -> Any:
        service = f"{span['resource']['service.name']} " if services else ""
        text = f"{service}{KINDS[span['kind']]} {span['name']}"
        children = [show(one) for one in ordered if one.get("parentSpanId") == span["spanId"]]
        return (text, children) if children else text

    return [show(span) for span in ordered if span.get("parentSpanId") not in known]
