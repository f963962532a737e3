"""Redraws its whole screen as fast as it may and counts keys: what `test_pacing.py` runs in a terminal."""

from __future__ import annotations

import os
import sys

os.environ["TEXTUAL_FPS"] = "30"  # read when Textual is imported

from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.events import Key
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.ui.pacing import PacedApp


class Flood(Widget, can_focus=True):
    frame = 0
    keys = 0

    def on_mount(self) -> None:
        self.set_interval(1 / 20, self.next_frame)

    def next_frame(self) -> None:
        self.frame += 1
        self.refresh()

    def on_key(self, event: Key) -> None:
        if event.key == "x":
            self.keys += 1
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        noise = "".join(chr(48 + ((self.frame + y) * 7919 + x * 31) % 70) for x in range(width))
        text = f"K#{self.keys:06} {noise}" if y == 0 else noise
        return Strip([Segment(text[:width])], width)


class Screenful:
    def compose(self) -> ComposeResult:
        yield Flood()

    def on_mount(self) -> None:
        self.query_one(Flood).focus()  # type: ignore[attr-defined]


class Paced(Screenful, PacedApp[None]):
    pass


class Stock(Screenful, App[None]):
    pass


if __name__ == "__main__":
    (Paced if sys.argv[1] == "paced" else Stock)().run()
