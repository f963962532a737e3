"""Draws the real screen on a simulated rack with faults: `python docs/make_screen.py docs/screen.svg [KEYS]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
from pathlib import Path

SIZE = (132, 38)
FAULTS = {"node05": "bmc-dead", "node09": "kernel-missing"}
KEYS = ("down",) * 8 + ("e", "e")


async def draw(keys: tuple[str, ...], size: tuple[int, int], theme: str, ascii_only: bool) -> str:
    """Start a rack and an engine, open the screen without a terminal, press the keys, and give back what is drawn."""
    from plasmatui.client import connect_or_start
    from plasmatui.model import wire
    from plasmatui.model.operation import PowerOrder
    from plasmatui.model.words import ConsoleStatus, PowerAction
    from plasmatui.sim.rack import Rack, RackOptions
    from plasmatui.ui.app import PlasmatuiApp
    from plasmatui.ui.options import TuiOptions

    async with Rack(RackOptions(nodes=12, on=4, faults=FAULTS, speed=4.0)) as rack:
        engine = await connect_or_start(rack.inventory_path, kind="cli", read_only=False)
        try:
            app = PlasmatuiApp(TuiOptions(rack.inventory_path, theme=theme, ascii=ascii_only))
            async with app.run_test(size=size) as pilot:
                store = app.context.store
                for _ in range(600):
                    await pilot.pause(0.05)
                    done = [state for state in store.states.values() if state.console.status is ConsoleStatus.OPEN]
                    if len(done) >= 12 - len(FAULTS):
                        break
                await engine.ask(wire.StartOrder(PowerOrder(PowerAction.ON), ("node06", "node07", "node09")))
                for key in keys:
                    await pilot.press(key)
                await pilot.pause(9.0)
                svg = app.export_screenshot(title="plasmatui", simplify=True)
        finally:
            await engine.ask(wire.StopEngine(force=True))
            await engine.close()
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)  # no fonts from elsewhere: the reader's own monospace does
    svg = svg.replace("font-family: Fira Code, monospace", "font-family: monospace")
    svg = re.sub(
        r'(<text class="[^"]*" x=")([0-9.]+)(" y="[0-9.]+" textLength=")([0-9.]+)("[^>]*>)((?:&#160;)+)', _indent, svg
    )
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _indent(match: re.Match[str]) -> str:
    """Leading blanks become a place: some programs drop them."""
    before, x, between, length, rest, blanks = match.groups()
    count, text = blanks.count("&#160;"), match.string[match.end() : match.string.index("</text>", match.end())]
    cells = len(re.sub(r"&#?\w+;", "x", text))
    cell = float(length) / (count + cells)
    if not cells:
        return match.group()
    return f"{before}{float(x) + count * cell:g}{between}{cells * cell:g}{rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("keys", nargs="*", default=list(KEYS))
    parser.add_argument("--size", default="x".join(map(str, SIZE)))
    parser.add_argument("--theme", default="")
    parser.add_argument("--ascii", action="store_true")
    options = parser.parse_args()
    width, height = (int(number) for number in options.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="pt-") as directory:
        for name in ("CONFIG_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"):
            os.environ[f"XDG_{name}"] = directory
        os.environ |= {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
        svg = asyncio.run(draw(tuple(options.keys), (width, height), options.theme, options.ascii))
    options.path.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
