"""``print-config`` shows what was read, where from, and no secret; what it prints loads again."""

import json
import math

import pytest
from configs import GOOD_SECRETS, loader
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph.errors import Place
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.printing import as_json, as_yaml
from heliograph.pipeline.config.yaml_source import (
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    plain,
    read,
)

HERE = Place("c.yaml", 1, 1)


def test_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT", "3")
    text = """
    receivers:
      in: {count: "${COUNT}", topics: [a, "no"], rules: [{key: k, value: 0x10}]}
      in/2: {name: a$$3}
    exporters:
      out: {endpoint: "a:1"}
    service:
      pipelines:
        traces: {receivers: [in], exporters: [out]}
    """
    found = loader(text, sets=("receivers.in.ratio=0.25",))
    assert not found.problems
    assert (
        as_yaml(found).replace("--config yaml", "c")
        == """\
receivers:
  in:
    count: 3  # c:2:15 from ${env:COUNT}
    topics:
      - a  # c:2:36
      - 'no'  # c:2:39
    rules:
      - key: k  # c:2:60
        value: 16  # c:2:70
    ratio: 0.25  # --set receivers.in.ratio
  in/2:
    name: a$3  # c:3:16
exporters:
  out:
    endpoint: a:1  # c:5:19
service:
  pipelines:
    traces:
      receivers:
        - in  # c:8:26
      exporters:
        - out  # c:8:43
"""
    )


def test_json() -> None:
    found = loader(GOOD_SECRETS)
    shown = json.loads(as_json(found))
    assert shown["config"]["exporters"] == {"out": {"endpoint": "a:1"}}
    assert shown["origins"]["exporters.out.endpoint"] == "--config yaml:11:19"


def test_secrets_are_redacted_and_shown_on_demand() -> None:
    found = loader(GOOD_SECRETS)
    assert not found.problems
    for show in (as_yaml, as_json):
        assert "hunter" not in show(found)
        assert show(found).count("**********") == 3
        assert show(found, redacted=False).count("hunter") == 3


def test_secrets_of_what_is_not_known_are_redacted_by_their_names() -> None:
    found = loader(
        "exporters: {unknown: {password: hunter1, headers: {a: hunter2}, token: hunter3}}"
    )
    assert found.problems
    assert "hunter" not in as_yaml(found)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t ${}:#-'\""))
    | st.sampled_from(
        ["yes", "0o17", "0777", "1_000", "null", "~", "12", "1e3", "${a}", "$$", "- a"]
    )
)
keys = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1).filter(
    lambda key: "::" not in key and key != "<<"
)
trees = st.recursive(
    scalars.map(lambda value: Scalar(value, "" if value is None else str(value), HERE)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: Sequence(tuple(items), HERE))
        | st.dictionaries(keys, inner, max_size=3).map(
            lambda items: Mapping({key: Entry(HERE, node) for key, node in items.items()}, HERE)
        )
    ),
    max_leaves=10,
)


@example({"a": Scalar("\n\U00010000\u2028\x85\ufeff", "", HERE)})
@example({"a": Scalar("\x85", "", HERE), "b": Scalar("\ufeff", "", HERE)})
@settings(deadline=None)
@given(st.dictionaries(keys, trees, min_size=1, max_size=3))
def test_what_is_printed_loads_again(tree: dict[str, Node]) -> None:
    root = Mapping({key: Entry(HERE, node) for key, node in tree.items()}, HERE)
    shown = Loader([])
    shown.root = root
    again = Loader([f"yaml:{as_yaml(shown, redacted=False)}"])
    again.resolve()
    assert plain(again.root) == plain(root)
    assert not again.problems


def test_not_a_number() -> None:
    shown = Loader([])
    shown.root = Mapping({"a": Entry(HERE, Scalar(math.nan, ".nan", HERE))}, HERE)
    node = read(as_yaml(shown, redacted=False), "c.yaml")
    assert math.isnan(plain(node)["a"])
