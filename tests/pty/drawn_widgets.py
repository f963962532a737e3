"""A table and a console, driven by keys: what `test_widget_bytes.py` runs in a terminal."""

from __future__ import annotations

import asyncio
import random

from textual.app import App, ComposeResult
from textual.containers import Vertical

from plasmatui.ui.widgets import chops
from plasmatui.ui.widgets.console import ConsoleView
from plasmatui.ui.widgets.grid import NodeGrid
from plasmatui.ui.widgets.gridlayout import Cell, Column, Row

COLUMNS = [Column(key, key.upper(), 14) for key in ("node", "power", "boot", "bmc", "os", "health", "temp")]
HOSTILE = "\x1b]52;c;c3RvbGVu\x07\x1b]0;owned\x07\x9b31m\u202e\x7f\x1b[?1049l\x1b[6n[@click=app.bell]x[/]"


class Drawn(App[None]):
    CSS = "NodeGrid { height: 2fr; } ConsoleView { height: 1fr; }"

    def compose(self) -> ComposeResult:
        self.grid = NodeGrid(COLUMNS)
        self.console_view = ConsoleView("node0001")
        yield Vertical(self.grid, self.console_view)

    def on_mount(self) -> None:
        chops.install()
        self.count = 0
        self.grid.set_rows(
            Row(f"n{n:04}", {c.key: Cell(f"{c.key}{n:04}", "success" if n % 2 else "error") for c in COLUMNS})
            for n in range(1000)
        )
        self.call_after_refresh(self.console_view.feed, b"READY#")

    def key_u(self) -> None:
        """One cell of one node changes."""
        self.count += 1
        self.grid.update_cells("n0005", {"power": Cell(f"C#{self.count:06}", "warning")})

    def key_h(self) -> None:
        """Everything that a machine can write, everywhere it is shown."""
        self.grid.update_cells("n0006", {"os": Cell(HOSTILE)})
        self.console_view.node = HOSTILE
        self.console_view.feed(HOSTILE.encode() + b"\r\nHOSTILE-SHOWN")

    def key_f(self) -> None:
        """A thousand changes each second, spread over all rows."""
        self.flood = asyncio.create_task(self.change_much(), name="flood")

    async def change_much(self) -> None:
        pick = random.Random(1)
        while True:
            await asyncio.sleep(0.01)
            for _ in range(10):
                column = pick.choice(COLUMNS).key
                self.grid.update_cells(f"n{pick.randrange(1000):04}", {column: Cell(f"v{pick.randrange(1000)}")})


if __name__ == "__main__":
    Drawn().run()
