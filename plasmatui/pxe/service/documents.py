"""JSON as the stores' files hold it, read as leniently as Go's decoder does, with lines for what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

_DECODER: Final = json.JSONDecoder(parse_constant=lambda name: _refuse(name))


class WrongDocumentError(ValueError):
    """A file that cannot be used; `line` counts from 1, 0 when it has none."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


class Document:
    """An object of a JSON file. Unknown keys are no error, and the letters' case of keys does not matter."""

    def __init__(self, text: str) -> None:
        """Raises WrongDocumentError: the text does not begin with a JSON object."""
        self._text = text
        lead = len(text) - len(text.lstrip(" \t\r\n"))
        try:
            value, _ = _DECODER.raw_decode(text, lead)
        except json.JSONDecodeError as error:
            raise WrongDocumentError(error.lineno, f"no JSON: {error.msg} (column {error.colno})") from None
        except ValueError as error:
            raise WrongDocumentError(0, str(error)) from None
        except RecursionError:
            raise WrongDocumentError(0, "nested too deeply") from None
        if not isinstance(value, dict):
            raise WrongDocumentError(1, f"found {kind_of(value)}, expected an object")
        self.values: dict[str, Any] = value

    def line_of(self, key: str) -> int:
        """Where a key stands, as far as that can be told."""
        at = self._text.lower().find(f'"{key.lower()}"')
        return self._text.count("\n", 0, at) + 1 if at >= 0 else 1

    def wrong(self, key: str, found: object, expected: str) -> WrongDocumentError:
        return WrongDocumentError(self.line_of(key), f"{key}: found {kind_of(found)}, expected {expected}")

    def text(self, key: str, within: Mapping[str, Any] | None = None) -> str:
        """A string; empty when it is missing or null."""
        value = _get(self.values if within is None else within, key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(key, value, "a string")
        return value

    def has_text(self, key: str) -> bool:
        """Whether there is a string."""
        return isinstance(_get(self.values, key), str)

    def texts(self, key: str, within: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """A list of strings; empty when it is missing or null."""
        value = _get(self.values if within is None else within, key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, value, "a list of strings")
        return tuple(value)

    def object(self, key: str) -> dict[str, Any]:
        """An object; empty when it is missing or null."""
        value = _get(self.values, key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(key, value, "an object")
        return value


def _get(values: Mapping[str, Any], key: str) -> object:
    if key in values:
        return values[key]
    return next((value for name, value in values.items() if name.lower() == key), None)


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    for kind, words in ((str, "a string"), (list, "a list"), (dict, "an object")):
        if isinstance(value, kind):
            return words
    return "a number"


def go_text(value: object) -> str:
    """A value as Go's templates print it; whole numbers below 1e21 as such."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list | tuple):
        return f"[{' '.join(_inner(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_inner(value[key])}' for key in sorted(value))}]"
    return str(value)


def _inner(value: object) -> str:
    return "<nil>" if value is None else go_text(value)


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) < 10**21:
        return str(value)
    try:
        number = float(value)
    except OverflowError:
        return str(value)
    if not math.isfinite(number):
        return str(value)
    if number.is_integer() and abs(number) < 1e21:
        return str(int(number))
    mantissa, e, exponent = repr(number).partition("e")
    if not e:
        return mantissa
    sign = exponent[0] if exponent[0] in "+-" else "+"
    return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').rjust(2, '0')}"


def go_true(value: object) -> bool:
    """Whether Go's templates take a value for true: what is not empty, null, false or zero."""
    return bool(value)
