"""How a console's characters look: attributes kept as small integers, and the sequence that changes them (SGR).

SGR: ECMA-48 section 8.3.117; 256 colours and true colour as in ITU-T T.416 section 13.1.8 and xterm's `ctlseqs`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

Colour = int | tuple[int, int, int] | None
"""Palette index 0 to 255, red-green-blue, or None for the terminal's own."""

_MOST: Final = 4096  # combinations kept; a hostile stream of true colours must not fill the memory

_FLAGS: Final = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 5: "blink", 6: "blink", 7: "reverse", 9: "strike"}
_RESETS: Final = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    25: ("blink",),
    27: ("reverse",),
    29: ("strike",),
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """The look of a character."""

    fg: Colour = None
    bg: Colour = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    blink: bool = False
    reverse: bool = False
    strike: bool = False


class Attributes:
    """Gives each look that occurs a small number; number 0 is the plain one."""

    def __init__(self) -> None:
        self._by_number = [Attribute()]
        self._numbers = {Attribute(): 0}
        self._after: dict[tuple[int, str], int] = {}

    def __getitem__(self, number: int) -> Attribute:
        return self._by_number[number]

    def number(self, attribute: Attribute) -> int:
        """The number of a look; 0 once there are too many."""
        number = self._numbers.get(attribute)
        if number is None:
            if len(self._by_number) >= _MOST:
                return 0
            number = self._numbers[attribute] = len(self._by_number)
            self._by_number.append(attribute)
        return number

    def after_sgr(self, current: int, parameters: str) -> int:
        """The look that `CSI parameters m` makes of the current one."""
        key = (current, parameters)
        number = self._after.get(key)
        if number is None:
            if len(self._after) >= _MOST:
                self._after.clear()
            number = self._after[key] = self.number(_apply(self._by_number[current], parameters))
        return number

    def erased(self, current: int) -> int:
        """The look of a cell erased while `current` is set: only its background stays."""
        return self.number(Attribute(bg=self._by_number[current].bg)) if current else 0


def _apply(attribute: Attribute, parameters: str) -> Attribute:
    """One SGR sequence; what is unknown or out of range is passed over."""
    fields = parameters.split(";")
    position = 0
    while position < len(fields):
        field = fields[position]
        position += 1
        code, _, rest = field.partition(":")
        number = _number(code)
        if number == 0:
            attribute = Attribute()
        elif number in (38, 48):
            if rest:
                colour = _colour(rest.split(":"))
            else:
                used = {"5": 2, "2": 4}.get(fields[position] if position < len(fields) else "", 1)
                colour = _colour(fields[position : position + used])
                position += used
            if colour is not None:
                attribute = replace(attribute, fg=colour) if number == 38 else replace(attribute, bg=colour)
        elif number == 4:
            attribute = replace(attribute, underline=rest != "0")
        else:
            attribute = _simple(attribute, number)
    return attribute


def _simple(attribute: Attribute, number: int) -> Attribute:
    if number in _FLAGS:
        return replace(attribute, **{_FLAGS[number]: True})
    if number in _RESETS:
        return replace(attribute, **dict.fromkeys(_RESETS[number], False))
    if 30 <= number <= 37 or number == 39:
        return replace(attribute, fg=None if number == 39 else number - 30)
    if 40 <= number <= 47 or number == 49:
        return replace(attribute, bg=None if number == 49 else number - 40)
    if 90 <= number <= 97:
        return replace(attribute, fg=number - 82)
    if 100 <= number <= 107:
        return replace(attribute, bg=number - 92)
    return attribute


def _colour(fields: list[str]) -> Colour:
    """`5;n` or `2;r;g;b`, and with colons `2:colour-space:r:g:b`."""
    values = [_number(field) for field in fields]
    if values[:1] == [5] and len(values) >= 2:
        return values[1] if values[1] <= 255 else None
    if values[:1] == [2] and len(values) >= 4:
        red, green, blue = values[-3:] if len(values) == 5 else values[1:4]
        return (red, green, blue) if max(red, green, blue) <= 255 else None
    return None


def _number(field: str) -> int:
    """A parameter; an empty one is 0, one that is none is too large to mean anything."""
    if not field:
        return 0
    return int(field) if field.isdecimal() and len(field) <= 5 else 1 << 20
