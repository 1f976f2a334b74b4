"""The reference pages are those of the components as they are."""

from pathlib import Path

from heliograph.pipeline.reference import pages, write
from heliograph.pipeline.registry import Registry, modules

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def test_not_stale(update: bool) -> None:
    if update:
        write(FOLDER, Registry())
    written = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*.md")}
    wanted = pages(Registry())
    stale = sorted(name for name in {*written, *wanted} if written.get(name) != wanted.get(name))
    assert stale == [], "run 'make docs'"


def test_every_component_has_a_page_with_every_option() -> None:
    found = pages(Registry())
    for kind, name, module in modules(Registry()):
        page = found[f"{kind}/{name}.md"]
        assert (module.__doc__ or "").split("\n")[0] in page
        for option in module.Config.model_fields:
            assert f"| `{option}` |" in page


def test_what_a_row_says() -> None:
    page = pages(Registry())["receivers/otlp.md"]
    rows = {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| `")}
    assert "| size (`4MiB`) | `20MiB` |" in rows["`protocols.http.max_request_body_size`"]
    assert "| time (`200ms`) | `1m` |" in rows["`protocols.http.idle_timeout`"]
    assert "| whole number | `0` |" in rows["`protocols.http.cors.max_age`"]
    assert rows["`protocols.http.cors.max_age`"].endswith("Unit: s. |")
    assert "| text | **required** |" in rows["`protocols.http.auth.authenticator`"]
    assert "secret" in rows["`protocols.http.response_headers`"]


def test_pages_of_what_is_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "gone.md").write_text("x")
    write(tmp_path, Registry())
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.md")} == {
        *pages(Registry())
    }
