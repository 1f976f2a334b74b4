"""A JSON Schema of the whole configuration, for editors."""

from typing import Any

from heliograph.pipeline.component import Kind
from heliograph.pipeline.config.journal import JournalConfig
from heliograph.pipeline.config.model import SIGNALS
from heliograph.pipeline.config.telemetry import TelemetryConfig
from heliograph.pipeline.registry import ALIASES, Registry, first_line, modules

_EXPANSION = {"type": "string", "pattern": r"\$\{.*\}"}
_NULL = {"type": "null"}
_OUTSIDE = ("title", "description", "default", "unit")
_ID = r"^%s(/.+)?$"


def schema(registry: Registry) -> dict[str, Any]:
    """Return the schema of what ``load`` takes, for the components that there are."""
    definitions: dict[str, Any] = {}
    sections: dict[str, Any] = {
        kind.value: {"type": ["object", "null"], "patternProperties": {}, **_CLOSED}
        for kind in Kind
    }
    for kind, name, module in modules(registry):
        reference = _add(definitions, f"{kind}.{name}", module.Config)
        may_be_empty = not definitions[f"{kind}.{name}"].get("required")
        choices = [reference, _NULL] if may_be_empty else [reference]
        entry = {"description": first_line(module), "anyOf": choices}
        for other in [name, *(a for (k, a), type in ALIASES.items() if k is kind and type == name)]:
            sections[kind]["patternProperties"][_ID % other] = entry
    telemetry = _add(definitions, "service.telemetry", TelemetryConfig)
    journal = _add(definitions, "service.journal", JournalConfig)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of heliograph collector",
        "type": "object",
        "properties": {**sections, "service": _service(telemetry, journal)},
        "required": ["receivers", "exporters", "service"],
        **_CLOSED,
        "$defs": definitions,
    }


_CLOSED = {"additionalProperties": False}
_IDS = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": ["string", "null"]}]}


def _service(telemetry: dict[str, Any], journal: dict[str, Any]) -> dict[str, Any]:
    pipeline = {
        "type": "object",
        "properties": {"receivers": _IDS, "processors": _IDS, "exporters": _IDS},
        "required": ["receivers", "exporters"],
        **_CLOSED,
    }
    return {
        "type": "object",
        "properties": {
            "telemetry": {"anyOf": [telemetry, {"type": "null"}]},
            "journal": {"anyOf": [journal, {"type": "null"}]},
            "extensions": _IDS,
            "pipelines": {
                "type": "object",
                "patternProperties": {_ID % f"({'|'.join(SIGNALS)})": pipeline},
                "minProperties": 1,
                **_CLOSED,
            },
            "components": {
                **_IDS,
                "description": "Python files beside the configuration, a component each.",
            },
        },
        "required": ["pipelines"],
        **_CLOSED,
    }


def _add(definitions: dict[str, Any], name: str, model: Any) -> dict[str, str]:
    """Take a model and the models in it into the definitions; return the reference to it."""
    found = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in found.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _lenient(definition)
    definitions[name] = _lenient(found)
    return {"$ref": f"#/$defs/{name}"}


def _lenient(node: Any) -> Any:
    """Allow ``${…}`` where no text is wanted, and nothing behind an option's name."""
    if isinstance(node, list):
        return [_lenient(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {
        key: value if key in ("default", "enum", "examples") else _lenient(value)
        for key, value in node.items()
    }
    if isinstance(result.get("properties"), dict):
        result["properties"] = {k: _optional(v) for k, v in result["properties"].items()}
    if result.get("type") in ("integer", "number", "boolean") or "enum" in result:
        kept = {
            key: result.pop(key) for key in ("title", "description", "default") if key in result
        }
        return {**kept, "anyOf": [result, _EXPANSION]}
    return result


def _optional(option: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in option.items() if key in _OUTSIDE}
    rest = {key: value for key, value in option.items() if key not in _OUTSIDE}
    choices = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return option if not rest or _NULL in choices else {**kept, "anyOf": [*choices, _NULL]}
