"""The editors' schema accepts what ``load`` accepts, and refuses what it refuses."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from test_config_mistakes import HERE, NAMES, split

from heliograph.pipeline.config.schema import schema
from heliograph.pipeline.registry import Registry, modules

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
STRUCTURE = {
    "01_misspelt_option", "02_time_without_unit", "03_number_in_quotes", "10_log_for_logs",
    "11_empty_service", "12_pipelines_outside_service", "20_option_too_high",
    "21_no_such_choice", "23_missing_option",
}  # fmt: skip
"""Mistakes that a schema can see."""


@pytest.fixture(scope="module")
def validator() -> Any:
    found = json.loads(json.dumps(schema(Registry())))
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("name", NAMES)
def test_fixed_mistakes_fit(name: str, validator: Any) -> None:
    good = yaml.safe_load((HERE / f"{name}.good.yaml").read_text())
    assert list(validator.iter_errors(good)) == []


@pytest.mark.parametrize("name", sorted(STRUCTURE))
def test_mistakes_of_structure_do_not(name: str, validator: Any) -> None:
    assert list(validator.iter_errors(yaml.safe_load(split(name)[2]))) != []


def test_expansions_fit_anywhere(validator: Any) -> None:
    text = (HERE / "01_misspelt_option.good.yaml").read_text().replace("1000", "${env:SIZE}")
    assert list(validator.iter_errors(yaml.safe_load(text))) == []


def test_every_option_has_its_sentence() -> None:
    definitions = schema(Registry())["$defs"]
    for kind, name, module in modules(Registry()):
        options = definitions[f"{kind}.{name}"].get("properties", {})
        assert set(options) == {
            info.alias or key for key, info in module.Config.model_fields.items()
        }
        assert all(option.get("description") for option in options.values()), f"{kind}.{name}"
