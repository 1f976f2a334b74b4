"""Paths: OTTL's notation for a place in a batch."""


def attribute_path(attributes: str, key: str) -> str:
    """Return the path of a key in a map: ``attributes["http.route"]``."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'{attributes}["{escaped}"]'
