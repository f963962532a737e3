"""The functions that Go's text/template predefines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from plasmatui.pxe.service.documents import go_text, go_true, kind_of


class TemplateError(Exception):
    """A template that cannot be filled in; the message says where and why."""


class Texts(dict[str, str]):
    """A map that holds strings alone: what `index` does not find in it is empty."""


def index(value: object, *keys: object) -> object:
    """An element, of an element, ...: maps by key, lists by number. A key that is missing gives null."""
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "" if isinstance(value, Texts) else None)
        elif isinstance(value, list | str) and isinstance(key, int | float) and float(key).is_integer():
            if not 0 <= int(key) < len(value):
                raise TemplateError(f"index: {key} is out of range")
            value = value[int(key)]
        else:
            raise TemplateError(f"index: {kind_of(value)} has no element {key!r}")
    return value


def _equal(first: object, *others: object) -> bool:
    return any(first == other and isinstance(first, bool) == isinstance(other, bool) for other in others)


def _less(first: Any, second: Any) -> bool:
    try:
        return bool(first < second)
    except TypeError:
        raise TemplateError(f"{kind_of(first)} and {kind_of(second)} cannot be compared") from None


def _length(value: object) -> int:
    if not isinstance(value, str | list | Mapping):
        raise TemplateError(f"len: {kind_of(value)} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _slice(value: object, *bounds: object) -> object:
    if not isinstance(value, str | list):
        raise TemplateError(f"slice: {kind_of(value)} cannot be sliced")
    numbers = [int(bound) for bound in bounds if isinstance(bound, int | float)]
    if len(numbers) != len(bounds) or any(not 0 <= number <= len(value) for number in numbers):
        raise TemplateError("slice: out of range")
    return value[slice(*(numbers[:2] if len(numbers) > 1 else [*numbers, None]))]


def _print(*values: object) -> str:
    """Spaces stand between operands when neither is a string (fmt.Sprint)."""
    text = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            text += " "
        text += go_text(value)
    return text


_VERB: Final = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


def _printf(form: object, *values: object) -> str:
    rest = list(values)

    def fill(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        return _verb(verb, flags, width, precision, rest.pop(0))

    text = _VERB.sub(fill, go_text(form))
    return text + (f"%!(EXTRA {', '.join(go_text(value) for value in rest)})" if rest else "")


def _verb(verb: str, flags: str, width: str, precision: str | None, value: object) -> str:
    form = f"%{flags}{width}{f'.{precision}' if precision is not None else ''}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb in "vs":
        return f"{form}s" % go_text(value)
    if verb == "t" and isinstance(value, bool):
        return go_text(value)
    if verb == "q":
        return json.dumps(go_text(value), ensure_ascii=False)
    if verb in "eEfFgG" and number:
        return f"{form}{verb}" % value
    if verb in "dxXo" and isinstance(value, int | float) and number and float(value).is_integer():
        return f"{form}{verb}" % int(value)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    return f"%!{verb}({go_text(value)})"


_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;"})
_JS: Final = str.maketrans({"<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D", "'": "\\'"})

FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "not": lambda value: not go_true(value),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _less,
    "le": lambda first, second: not _less(second, first),
    "gt": lambda first, second: _less(second, first),
    "ge": lambda first, second: not _less(first, second),
    "len": _length,
    "index": index,
    "slice": _slice,
    "print": _print,
    "println": lambda *values: " ".join(go_text(value) for value in values) + "\n",
    "printf": _printf,
    "html": lambda *values: _print(*values).translate(_HTML),
    "js": lambda *values: json.dumps(_print(*values))[1:-1].translate(_JS),
    "urlquery": lambda *values: quote_plus(_print(*values)),
}
"""By name; `and` and `or`, which do not look at all their operands, are the interpreter's own."""
