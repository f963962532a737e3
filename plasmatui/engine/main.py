"""`plasmatui -i FILE engine run [--idle S]`: the engine in the foreground, as systemd and the client start it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Sequence

from plasmatui.engine.faults import write_crash_file
from plasmatui.engine.running import run_engine
from plasmatui.paths import engine_paths


def _seconds(text: str) -> float:
    value = float(text)
    if value < 0:
        raise ValueError
    return value


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plasmatui", description="Run the engine in the foreground.")
    parser.add_argument(
        "-i", "--inventory", metavar="FILE", default=os.environ.get("PLASMATUI_INVENTORY") or "inventory.yaml"
    )
    parser.add_argument("words", nargs=2, metavar="engine run")
    parser.add_argument(
        "--idle",
        type=_seconds,
        metavar="S",
        help="leave after S seconds with nobody attached, also while consoles are recorded; 0 is never "
        "(default 1800, and never while consoles are recorded)",
    )
    return parser.parse_intermixed_args(arguments)


def settle_memory() -> None:
    """What is loaded stays, and most of what an engine makes is let go by its last reference: the search for cycles
    looks at less, and less often. In a flood of log lines it took a tenth to a sixth of the time. What waits for it
    stays bounded: a million objects."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def main(arguments: Sequence[str]) -> int:
    """Run the engine; returns the process's exit code."""
    chosen = _arguments(arguments)
    settle_memory()
    try:
        return asyncio.run(run_engine(engine_paths(chosen.inventory), idle=chosen.idle))
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the boundary of the process: a crash file without locals, and two lines
        path = write_crash_file(error, "engine")
        print(  # noqa: T201
            f"plasmatui engine: unforeseen {type(error).__name__}; BMC sessions may stay open for a minute\n"
            f"please report it with {path}",
            file=sys.stderr,
        )
        return 1
