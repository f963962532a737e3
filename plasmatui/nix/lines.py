"""Output of programs as lines, cut anywhere, of bounded size; and which lines of it are normal noise."""

from __future__ import annotations

import re
from typing import Final

from plasmatui.text import clean_line, decode

LONGEST: Final = 1 << 20
"""Bytes of a line; what is longer is cut. Nix's records hold whole stack traces."""

_NOISE: Final = re.compile(
    "|".join(
        (
            r"^\s*$",
            r"^Warning: Identity file .* not accessible",
            r"^Pseudo-terminal will not be allocated",
            r"^Warning: Permanently added ",
            r"^(?:\S*/)?ssh-copy-id: (?:INFO|WARNING): ",
            r"^\(if you think this is a mistake",
            r"^Number of key\(s\) added: ",
            r"^Now try logging into the machine",
            r"^and check to make sure that only the key",
            r"^warning: you don't have Internet access",
            r"^don't know how to build these paths:",
            r"^lsblk: failed to access sysfs directory",
            r"^WARNING: --\S+ is deprecated",
            r"^the '-t' flag is deprecated",
            r"^warning: unknown setting 'json-log-path'",
            r"^warning: (?:error: )?unable to download .*nix-cache-info",
        )
    )
)


class LineSplitter:
    """Lines of a byte stream. Of a line that is rewritten in place (`\\r`) its last form is taken."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete with this chunk, without their ends."""
        lines = []
        *whole, rest = data.split(b"\n")
        for part in whole:
            if not self._skipping:
                self._add(part)
            lines.append(self._taken())
            self._skipping = False
        if not self._skipping:
            self._add(rest)
        return lines

    def finish(self) -> list[bytes]:
        """What stands after the last line end."""
        self._skipping = False
        return [self._taken()] if self._rest else []

    def _add(self, part: bytes) -> None:
        room = self._longest - len(self._rest)
        self._rest += part[:room]
        self._skipping = len(part) > room

    def _taken(self) -> bytes:
        line = bytes(self._rest)
        self._rest.clear()
        return line


def shown(line: bytes, limit: int = 200) -> str:
    """A line for a screen: clean, what was rewritten in place in its last form."""
    return clean_line(decode(line.rstrip(b"\r \t").rpartition(b"\r")[2]), limit)


def is_noise(line: str) -> bool:
    """Whether nixos-anywhere prints this line when all is well (nixos-anywhere issues 629 and 635)."""
    return _NOISE.search(line) is not None
