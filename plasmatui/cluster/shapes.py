"""JSON of any shape as something that can be looked at: bounded, with clean text, and never raising.

The documents describe few fields; services may leave them out, name them otherwise or send nonsense. A string that
cleaning changed is marked, for what is shown may be tidied, but an id that is sent back must be the one that came.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from plasmatui.text import ELLIPSIS, clean_line

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

TEXT_LIMIT: Final = 512
DEPTH_LIMIT: Final = 16
ITEMS_LIMIT: Final = 20_000
_LARGEST: Final = 2**63
_IDENTIFIER: Final = re.compile(r"[^\s/\\?#%]{1,200}")


class Altered(str):
    """Text that cleaning changed: to be shown, never to be sent back."""

    __slots__ = ()


def cleaned(value: object, depth: int = 0) -> Json:
    """A decoded JSON value with clean text; what is nested too deep, too long or no JSON is cut. Never raises."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else Altered(ELLIPSIS)
    if isinstance(value, float):
        return value if math.isfinite(value) else Altered(ELLIPSIS)
    if depth >= DEPTH_LIMIT:
        return Altered(ELLIPSIS)
    if isinstance(value, Mapping):
        pairs = list(value.items())[:ITEMS_LIMIT]
        return {_clean(str(key)): cleaned(item, depth + 1) for key, item in pairs}
    if isinstance(value, Sequence):
        return [cleaned(item, depth + 1) for item in value[:ITEMS_LIMIT]]
    return Altered(ELLIPSIS)


def _clean(text: str) -> str:
    shown = clean_line(text, TEXT_LIMIT)
    return shown if shown == text else Altered(shown)


def mapping(value: Json) -> dict[str, Json]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def records(body: Json, *names: str) -> list[dict[str, Json]] | None:
    """The objects of a list, which stands alone or under one of the names; None when there is none.

    An object in place of a list (`{"vm-1": {...}}`) is taken as its values, with the key as `id`.
    """
    found = body
    if isinstance(body, dict):
        found = next((body[name] for name in names if name in body), None)
    if isinstance(found, dict):
        return [{"id": key, **item} for key, item in found.items() if isinstance(item, dict)]
    if not isinstance(found, list):
        return None
    return [item for item in found if isinstance(item, dict)]


def text(record: Mapping[str, Json], *names: str) -> str:
    """The first of the fields that holds text or a number, as text; "" when none does."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return ""


def number(record: Mapping[str, Json], *names: str) -> float | None:
    """The first of the fields that holds a number that is not negative; None when none does."""
    for name in names:
        value = record.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def flag(record: Mapping[str, Json], *names: str) -> bool | None:
    """The first of the fields that holds true or false; None when none does."""
    return next((value for name in names if isinstance(value := record.get(name), bool)), None)


def usable_id(value: str) -> bool:
    """Whether an id may stand in a URL: as it came, without anything that would change the URL's meaning."""
    return not isinstance(value, Altered) and bool(_IDENTIFIER.fullmatch(value)) and value not in (".", "..")


def flat(record: Mapping[str, Json], limit: int = 32) -> dict[str, str]:
    """The fields as short text in their order, for people: lists and objects as their size."""
    found: dict[str, str] = {}
    for key, value in list(record.items())[:limit]:
        if isinstance(value, dict):
            found[key] = f"{{{len(value)}}}"
        elif isinstance(value, list):
            found[key] = f"[{len(value)}]"
        elif isinstance(value, bool):
            found[key] = "yes" if value else "no"
        else:
            found[key] = "-" if value is None else str(value)
    return found
