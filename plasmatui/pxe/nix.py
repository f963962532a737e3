"""Values as Nix expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from plasmatui.pxe.quoting import Quoted, nix_string

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
_KEYWORDS = frozenset(("assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"))

Value = str | int | bool | None | Sequence["Value"] | Mapping[str, "Value"]


def to_nix(value: Value, indent: int = 0) -> Quoted:
    """A Nix expression of the value, lines after the first one indented."""
    pad, inner = " " * indent, " " * (indent + 2)
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, str):
        text = nix_string(value)
    elif isinstance(value, Mapping):
        lines = [f"{inner}{_name(key)} = {to_nix(each, indent + 2)};\n" for key, each in value.items()]
        text = "{\n" + "".join(lines) + pad + "}" if lines else "{ }"
    else:
        items = [f"{inner}{to_nix(each, indent + 2)}\n" for each in value]
        text = "[\n" + "".join(items) + pad + "]" if items else "[ ]"
    return Quoted(text)


def _name(key: str) -> str:
    return key if _NAME.fullmatch(key) and key not in _KEYWORDS else nix_string(key)
