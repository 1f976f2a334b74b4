"""The import table of docs/architecture.md holds."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "heliograph"
COMPONENTS = {"receivers", "processors", "connectors", "exporters", "extensions"}
EVERYWHERE = {"errors", "_core"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "otlp": set(),
    "pipeline": {"otlp"},
    "ottl": {"otlp"},
    "sdk": {"otlp"},
    "instrument": {"otlp", "sdk"},
    **{kind: {"otlp", "pipeline", "ottl"} for kind in COMPONENTS},
    "testing": {"otlp", "pipeline"},
    "pytest_plugin": {"sdk"},
    "cli": {"otlp", "pipeline", "ottl", "testing", "instrument", *COMPONENTS},
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(source: str, module: str) -> set[str]:
    """Return the heliograph modules that the source imports; ``module`` resolves relative ones."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            name = ".".join([*base, node.module or ""]).rstrip(".")
            found |= {
                f"{name}.{alias.name}" if name == "heliograph" else name for alias in node.names
            }
    return {name for name in found if name.startswith("heliograph.")}


def violations(source: str, module: str) -> list[str]:
    here = room(module)
    allowed = MAY_IMPORT.get(here, set()) | EVERYWHERE | {here}
    return sorted(name for name in imports(source, module) if room(name) not in allowed)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=str)
def test_imports_follow_the_table(path: Path) -> None:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    module = ".".join(parts)
    assert len(parts) == 2 or room(module) in MAY_IMPORT, f"{parts[1]} is not in the table"
    assert violations(path.read_text(), module) == []


def test_planted_upward_import_is_found() -> None:
    planted = "from heliograph.pipeline.graph import Graph"
    assert violations(planted, "heliograph.otlp.batch") == ["heliograph.pipeline.graph"]
