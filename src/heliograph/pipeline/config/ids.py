"""The ids of components and pipelines: ``type`` or ``type/name``."""

import re
import unicodedata

MAX_NAME = 1024
_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}", re.ASCII)


def parse_id(text: str) -> tuple[str, str] | str:
    """Return (type, name) of ``type/name``, or what is wrong with it."""
    type, slash, name = (part.strip() for part in text.partition("/"))
    if not _TYPE.fullmatch(type):
        return "is no id: a type is letters, digits and _, and begins with a letter"
    if slash and not name:
        return "is no id: nothing follows the '/'"
    if len(name) > MAX_NAME:
        return f"is no id: the name is longer than {MAX_NAME} characters"
    if any(unicodedata.category(letter)[0] in "ZC" or _symbol(letter) for letter in name):
        return "is no id: the name has a space, a control character or a symbol"
    return type, name


def _symbol(letter: str) -> bool:
    return unicodedata.category(letter).startswith("S")
