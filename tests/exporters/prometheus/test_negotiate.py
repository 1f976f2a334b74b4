"""Accept headers of real scrapers, and of nobody in particular."""

import pytest

from heliograph.exporters._prometheus.naming import Escaping
from heliograph.exporters._prometheus.negotiate import Format, Style, negotiate

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.7," + PROMETHEUS_3
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)
CLASSIC = Style(Format.TEXT, "0.0.4", Escaping.UNDERSCORES)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", CLASSIC),
        ("*/*", CLASSIC),
        ("text/html,application/xhtml+xml,*/*;q=0.8", CLASSIC),
        ("application/json", CLASSIC),
        ("text/plain;version=9", CLASSIC),
        ("text/plain; version=0.0.4; escaping=dots", CLASSIC._replace(escaping=Escaping.DOTS)),
        ("text/plain;escaping=strange", CLASSIC),
        ("text/plain;q=bad,*/*;q=0.1", CLASSIC),
        (PROMETHEUS_3, Style(Format.OPENMETRICS, "1.0.0", Escaping.NONE)),
        (PROMETHEUS_2, Style(Format.OPENMETRICS, "1.0.0", Escaping.UNDERSCORES)),
        (PROMETHEUS_NATIVE, Style(Format.PROTOBUF, "", Escaping.NONE)),
        (f"{PROTOBUF};q=0.7,{PROMETHEUS_2}", Style(Format.PROTOBUF, "", Escaping.UNDERSCORES)),
        (f"{PROTOBUF};escaping=dots,{PROMETHEUS_3}", Style(Format.PROTOBUF, "", Escaping.DOTS)),
        ("application/openmetrics-text", Style(Format.OPENMETRICS, "0.0.1", Escaping.UNDERSCORES)),
        ("application/openmetrics-text;q=0,text/plain", CLASSIC),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            CLASSIC,
        ),
    ],
)
def test_negotiation(accept: str, expected: Style) -> None:
    assert negotiate(accept) == expected


def test_openmetrics_can_be_switched_off() -> None:
    assert negotiate(PROMETHEUS_3, openmetrics=False) == Style(Format.TEXT, "1.0.0", Escaping.NONE)
    assert negotiate(PROMETHEUS_NATIVE, openmetrics=False).format is Format.PROTOBUF


def test_content_types() -> None:
    assert CLASSIC.content_type == (
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    )
    assert negotiate(PROMETHEUS_NATIVE).content_type == (
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
        "encoding=delimited; escaping=allow-utf-8"
    )
