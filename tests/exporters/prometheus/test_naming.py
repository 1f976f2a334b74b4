"""Names: each row is a rule of the compatibility specification or of the Go collector's namer."""

import pytest

from heliograph.exporters._prometheus.naming import (
    Escaping,
    Namer,
    Strategy,
    escape_label,
    escape_metric,
)

FULL, PLAIN = Strategy.ESCAPE_AND_SUFFIX, Strategy.ESCAPE
UTF8, AS_IS = Strategy.SUFFIX, Strategy.NONE


@pytest.mark.parametrize(
    ("strategy", "name", "unit", "kind", "expected"),
    [
        (FULL, "http.server.request.duration", "s", "", "http_server_request_duration_seconds"),
        (FULL, "requests", "", "counter", "requests_total"),
        (FULL, "requests_total", "", "counter", "requests_total"),
        (FULL, "total.requests", "", "counter", "requests_total"),
        (FULL, "cpu_usage", "1", "gauge", "cpu_usage_ratio"),
        (FULL, "cpu_usage_ratio", "1", "gauge", "cpu_usage_ratio"),
        (FULL, "queue", "1", "", "queue"),
        (FULL, "items", "1", "counter", "items_total"),
        (FULL, "throughput", "By/s", "gauge", "throughput_bytes_per_second"),
        (FULL, "requests", "1/s", "gauge", "requests_per_second"),
        (FULL, "requests_per_second", "1/s", "gauge", "requests_per_second"),
        (FULL, "custom", "{requests}", "", "custom"),
        (FULL, "custom", "By/{packet}", "", "custom_bytes"),
        (FULL, "custom", "custom_unit", "", "custom_custom_unit"),
        (FULL, "response_time_seconds", "s", "", "response_time_seconds"),
        (FULL, "seconds.spent.here", "s", "", "seconds_spent_here"),
        (FULL, "a__b", "u__v", "", "a_b_u_v"),
        (FULL, "2xx", "", "counter", "_2xx_total"),
        (FULL, "température", "Cel", "gauge", "temp_rature_celsius"),
        (FULL, "disk", "%", "gauge", "disk_percent"),
        (PLAIN, "metric@with#special$chars", "s", "counter", "metric_with_special_chars"),
        (PLAIN, "123metric", "", "", "_123metric"),
        (PLAIN, "___", "", "", "___"),
        (PLAIN, "a__b", "", "", "a__b"),
        (UTF8, "http.requests", "", "counter", "http.requests_total"),
        (UTF8, "requests_total", "", "counter", "requests_total"),
        (UTF8, "cpu_seconds_total", "s", "counter", "cpu_seconds_total"),
        (UTF8, "rate", "By/s", "gauge", "rate_bytes_per_second"),
        (UTF8, "usage", "1", "gauge", "usage_ratio"),
        (AS_IS, "http.requests", "s", "counter", "http.requests"),
    ],
)
def test_metric_names(strategy: Strategy, name: str, unit: str, kind: str, expected: str) -> None:
    namer = Namer(strategy=strategy)
    found = namer.metric(name, unit, counter=kind == "counter", gauge=kind == "gauge")
    assert found == expected


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (FULL, "test_space_2xx_total"),
        (PLAIN, "test_space_2xx"),
        (UTF8, "test-space_2xx_total"),
        (AS_IS, "test-space_2xx"),
    ],
)
def test_a_namespace_stands_in_front(strategy: Strategy, expected: str) -> None:
    assert Namer("test-space", strategy).metric("2xx", "", counter=True) == expected


@pytest.mark.parametrize(("strategy", "name"), [(FULL, "@#"), (PLAIN, "@_#"), (AS_IS, "")])
def test_a_name_of_nothing_is_an_error(strategy: Strategy, name: str) -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        Namer(strategy=strategy).metric(name, "")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("s", "seconds"), ("By/s", "bytes_per_second"), ("1", ""), ("{x}/min", "per_min"), ("", "")],
)
def test_units(unit: str, expected: str) -> None:
    assert Namer().unit(unit) == expected


@pytest.mark.parametrize(
    ("strategy", "key", "expected"),
    [
        (FULL, "http.request.method", "http_request_method"),
        (FULL, "a..b__c", "a_b_c"),
        (FULL, "_private", "_private"),
        (FULL, "1st", "key_1st"),
        (FULL, "größe", "gr_e"),
        (FULL, "___", ""),
        (FULL, "", ""),
        (AS_IS, "http.request.method", "http.request.method"),
        (AS_IS, "__", ""),
        (AS_IS, "__name__", "exported_name"),
        (FULL, "__name__", "exported_name"),
    ],
)
def test_label_names(strategy: Strategy, key: str, expected: str) -> None:
    assert Namer(strategy=strategy).label(key) == expected


@pytest.mark.parametrize(
    ("escaping", "expected"),
    [
        (Escaping.NONE, "http.status:code_ü"),
        (Escaping.UNDERSCORES, "http_status:code__"),
        (Escaping.DOTS, "http_dot_status:code____"),
        (Escaping.VALUES, "U__http_2e_status:code___fc_"),
    ],
)
def test_metric_names_are_escaped_for_a_scrape(escaping: Escaping, expected: str) -> None:
    assert escape_metric("http.status:code_ü", escaping) == expected


def test_what_needs_no_escaping_stays() -> None:
    for escaping in Escaping:
        assert escape_metric("a_b:c", escaping) == "a_b:c"
        assert escape_label("a_b", escaping) == "a_b"


def test_a_colon_is_for_metrics_only() -> None:
    assert escape_label("a:b", Escaping.UNDERSCORES) == "a_b"
    assert escape_label("1a", Escaping.VALUES) == "U___31_a"
