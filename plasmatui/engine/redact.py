"""Takes secrets out of what is handed to others: values of the inventory's secrets, and what is written like one."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

import msgspec

from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.secrets import Secret, SecretError

SHORTEST = 4
"""Characters of a secret below which its value would be found in ordinary words."""

LONG_ENOUGH = 8
"""Bytes from which on a value is found also where a terminal's right margin has cut it."""

_NAMES = (
    rb"(?:password|passwd|passphrase|passcode|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"
    rb"|signature|psk|pwd|bearer)"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # What follows a question for a password, up to the end of the line: typed, or echoed.
        rb"((?:password|passphrase|passcode)\b[^\r\n:=\"?&]{0,120}:[ \t]*)([^\r\n\"]+)",
        rb"((?:authorization|cookie)[\"']?\s*[:=]\s*[\"']?)([^\r\n]+)",
        rb"(" + _NAMES + rb"[\"']?\s*[:=]\s*[\"']?(?:bearer |basic )?)([^\s\"',;&]{3,})",
        rb"([?&;](?:key|sig|auth|code|session|sid|jwt|pass|pw|p)=)([^\s\"'&;]+)",
        rb"(\bbearer +)([a-z0-9._~+/=-]{8,})",
        rb"(://[^\s/:@]*:)([^\s/@]+)(?=@)",
        rb"(://)([a-z0-9_-]{20,})(?=@)",
    )
) + tuple(
    re.compile(rb"()(" + pattern + rb")")
    for pattern in (
        rb"\bgh[pousr]_[A-Za-z0-9]{16,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        rb"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\bAGE-SECRET-KEY-1[0-9A-Z]{20,}",
        rb"(?<=\$)(?:1|5|6|7|y|gy|2[abxy]|argon2\w{0,3})\$[\w./,=+$-]{8,}",  # crypt(5)
    )
)
_HINTS = tuple(
    b"pass pwd secret token key cred signature psk bearer auth cookie :// sig= code= session= sid= jwt= pw= ?p= &p= ;p="
    b" ghp_ gho_ ghu_ ghs_ ghr_ glpat- xox akia asia eyj $1$ $5$ $6$ $7$ $y$ $gy$ $2a$ $2b$ $2x$ $2y$ $argon2".split()
)
"""One of these, in lower case, is in every line that a pattern finds something in: most lines need no closer look."""

_KEY_BEGINS = re.compile(rb"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*)")
_KEY_ENDS = b"PRIVATE KEY-----"
_KEY_LINES = 200
_KEY_TEXT = re.compile(rb"()([A-Za-z0-9+/=]{8,})")


class Redactor:
    """Stars out secrets without changing a length, so that timing files and columns stay true. Making one may block: a
    secret may come from a command; without an inventory only what is written like a secret is found."""

    def __init__(self, inventory: Inventory | None) -> None:
        values = {value.encode() for value in _values(inventory) if len(value) >= SHORTEST}
        forms = {form for value in values for form in (value, quote(value).encode(), base64.b64encode(value))}
        ordered = sorted(forms, key=len, reverse=True)
        self._values = [(value, _wrapped(value) if len(value) >= LONG_ENOUGH else _short(value)) for value in ordered]

    def clean(self, data: bytes) -> bytes:
        """The bytes without secrets."""
        flat = data.replace(b"\r", b"").replace(b"\n", b"")
        for value, pattern in self._values:
            if value in data or value in flat:
                data = pattern.sub(_all_stars, data)
        lines = _without_keys(data.split(b"\n")) if _KEY_ENDS in data else data.split(b"\n")
        return b"\n".join(_line(line) for line in lines)

    def text(self, text: str) -> str:
        """A text without secrets."""
        return self.clean(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    def tree(self, value: object) -> object:
        """What JSON or YAML will be made of, every text in it without secrets: in the file it would be escaped."""
        value = msgspec.to_builtins(value)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.tree(each) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(each) for each in value]
        return value


def _values(value: object) -> Iterator[str]:
    """Every secret that an inventory refers to and that can be read here: others were never used either."""
    if isinstance(value, Secret):
        if value.given:
            try:
                yield value.reveal()
            except SecretError:
                return
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _values(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _values(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _values(each)


def _without_keys(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Private keys, also where a log has written something before each line, or the end is missing."""
    left = 0
    for line in lines:
        begin = _KEY_BEGINS.search(line)
        if begin is not None:
            left = 0 if _KEY_ENDS in begin[2] else _KEY_LINES
            line = line[: begin.start()] + _stars(begin)
        elif left:
            left = left - 1 if _KEY_TEXT.search(line) and _KEY_ENDS not in line else 0
            line = _KEY_TEXT.sub(_stars, line)
        yield line


def _line(line: bytes) -> bytes:
    small = line.lower()
    if any(hint in small for hint in _HINTS):
        for pattern in _PATTERNS:
            line = pattern.sub(_stars, line)
    return line


def _wrapped(value: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:\r?\n)?".join(re.escape(bytes((byte,))) for byte in value))


def _short(value: bytes) -> re.Pattern[bytes]:
    """A number of a few digits is part of many others, of times above all."""
    found = re.escape(value)
    return re.compile(rb"(?<!\d)" + found + rb"(?!\d)" if value.isdigit() else found)


def _stars(found: re.Match[bytes]) -> bytes:
    return found[1] + re.sub(rb"[^\r\n]", b"*", found[2])


def _all_stars(found: re.Match[bytes]) -> bytes:
    return re.sub(rb"[^\r\n]", b"*", found[0])
