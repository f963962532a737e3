"""authorized_keys as text: a key added beside another, taken out, found. Nothing else of a file is changed.

Lines are those of sshd(8), "AUTHORIZED_KEYS FILE FORMAT": options, type, key, comment. Keys are given as
"TYPE BASE64", with or without a comment behind.
"""

from __future__ import annotations

import re


def with_key(text: str, old: str, new: str) -> str:
    """The file with a new key: behind the old one, with the options of that; at the end where there is no old one."""
    if has_key(text, new):
        return text
    lines = text.splitlines()
    at = next((place for place, line in enumerate(lines) if _options(line, old) is not None), None)
    if at is None:
        return _joined([*lines, new])
    return _joined([*lines[: at + 1], f"{_options(lines[at], old)}{new}", *lines[at + 1 :]])


def without_key(text: str, key: str) -> str:
    """The file without the lines of a key."""
    return _joined([line for line in text.splitlines() if _options(line, key) is None])


def has_key(text: str, key: str) -> bool:
    """Whether the file lets a key in."""
    return any(_options(line, key) is not None for line in text.splitlines())


def _options(line: str, key: str) -> str | None:
    """What stands before a key in its line; None when the line is another key's, or a comment."""
    kind, blob = key.split()[:2]
    found = re.search(rf"(?:^|(?<=[ \t])){re.escape(kind)}[ \t]+{re.escape(blob)}(?=[ \t]|$)", line)
    if found is None or line.lstrip().startswith("#"):
        return None
    return line[: found.start()]


def _joined(lines: list[str]) -> str:
    return "\n".join([*lines, ""]) if lines else ""
