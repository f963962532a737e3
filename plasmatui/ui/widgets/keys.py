"""Keys as the bytes that a machine expects from a VT220 or xterm.

xterm's `ctlseqs`, "PC-Style Function Keys" and "VT220-Style Function Keys"; modifiers as `CSI 1 ; m X`.
"""

from __future__ import annotations

from typing import Final

_CURSOR: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_TILDE: Final = {
    "insert": 2, "delete": 3, "pageup": 5, "pagedown": 6,
    "f5": 15, "f6": 17, "f7": 18, "f8": 19, "f9": 20, "f10": 21, "f11": 23, "f12": 24,
}  # fmt: skip
_SS3: Final = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_PLAIN: Final = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "shift+tab": "\x1b[Z", "backspace": "\x7f", "space": " ",
    "shift+enter": "\r", "shift+backspace": "\x7f", "ctrl+backspace": "\x08", "ctrl+m": "\r", "ctrl+i": "\t",
}  # fmt: skip
# Textual's names for characters that make a control character with ctrl
_CTRL: Final = {
    "@": 0, "space": 0, "at": 0, "left_square_bracket": 27, "backslash": 28, "right_square_bracket": 29,
    "circumflex_accent": 30, "underscore": 31, "slash": 31, "question_mark": 127,
}  # fmt: skip
_MODIFIERS: Final = {"shift": 1, "alt": 2, "ctrl": 4}


def encode_key(key: str, character: str | None, application_cursor: bool = False) -> bytes:
    """The bytes of a key as Textual names it (`ctrl+c`, `shift+up`, `f5`); empty when it has none.

    Alt sends ESC before the key. `application_cursor` is the console's mode DECCKM.
    """
    if key in _PLAIN:
        return _PLAIN[key].encode()
    *prefixes, name = key.split("+") if key != "+" else [key]
    modifiers = sum(_MODIFIERS.get(prefix, 0) for prefix in set(prefixes))
    special = _special(name, modifiers, application_cursor)
    if special:
        return special.encode()
    escape = b"\x1b" if modifiers & 2 else b""
    if modifiers & 4:
        control = _control(name)
        return b"" if control is None else escape + bytes([control])
    if key != name and name in _PLAIN:
        return escape + _PLAIN[name].encode()
    if character is not None and (character.isprintable() or modifiers == 0):
        return escape + character.encode("utf-8", "ignore")
    return escape + name.encode() if modifiers & 2 and len(name) == 1 else b""


def _special(name: str, modifiers: int, application_cursor: bool) -> str:
    """Arrows, paging and function keys."""
    if name in _CURSOR:
        if modifiers:
            return f"\x1b[1;{modifiers + 1}{_CURSOR[name]}"
        return ("\x1bO" if application_cursor else "\x1b[") + _CURSOR[name]
    if name in _SS3:
        return f"\x1b[1;{modifiers + 1}{_SS3[name]}" if modifiers else "\x1bO" + _SS3[name]
    if name in _TILDE:
        return f"\x1b[{_TILDE[name]};{modifiers + 1}~" if modifiers else f"\x1b[{_TILDE[name]}~"
    return ""


def _control(name: str) -> int | None:
    if len(name) == 1 and name.isascii() and name.isalpha():
        return ord(name.upper()) - 64
    return _CTRL.get(name)
