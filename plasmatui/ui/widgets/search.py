"""Looking for text in a console's scrollback and screen."""

from __future__ import annotations

import re

from plasmatui.ui.vt import Vt

Hit = tuple[int, int, int]
"""Where something was found: absolute line, first and last-plus-one character."""


class Search:
    """One search: its pattern, what it found, and the hit that the reader is at."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._by_line: dict[int, tuple[Hit, ...]] = {}
        self.hits: list[Hit] = []
        self.current: Hit | None = None

    def begin(self, vt: Vt, pattern: str) -> None:
        """Look for a regular expression, or for the text itself when it is none.

        The newest hit becomes the current one. Small letters match both cases. An empty pattern finds nothing.
        """
        flags = re.IGNORECASE if pattern == pattern.lower() else 0
        try:
            self._pattern = re.compile(pattern, flags) if pattern else None
        except re.error:
            self._pattern = re.compile(re.escape(pattern), flags)
        self._find(vt)
        self.current = self.hits[-1] if self.hits else None

    def step(self, vt: Vt, count: int) -> Hit | None:
        """Make the hit `count` places newer (older when negative) the current one, around the ends.

        Looks again first: lines may have come and gone.
        """
        self._find(vt)
        if self.current in self.hits:
            self.current = self.hits[(self.hits.index(self.current) + count) % len(self.hits)]
        else:
            self.current = self.hits[-1] if self.hits else None
        return self.current

    @property
    def place(self) -> str:
        """Which hit the reader is at, from the oldest: "3 of 12"."""
        if self.current not in self.hits:
            return f"- of {len(self.hits)}"
        return f"{self.hits.index(self.current) + 1} of {len(self.hits)}"

    def in_line(self, number: int) -> tuple[Hit, ...]:
        """The hits in a line."""
        return self._by_line.get(number, ())

    def _find(self, vt: Vt) -> None:
        self.hits = []
        self._by_line = {}
        if self._pattern is None:
            return
        for number in range(vt.first_line, vt.top_line + vt.rows):
            text = vt.line_text(number)
            hits = tuple((number, m.start(), m.end()) for m in self._pattern.finditer(text) if m.end() > m.start())
            if hits:
                self.hits.extend(hits)
                self._by_line[number] = hits
