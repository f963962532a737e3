"""Run a simulated rack until it is told to stop. The command line (`plasmatui sim`) calls this."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable

from plasmatui.sim.rack import Rack, RackOptions

_FILES = 65536


async def serve(options: RackOptions, ready: Callable[[Rack], None]) -> int:
    """Run a rack; `ready` is called once, when every BMC answers. Ends on SIGINT, SIGTERM or when it was idle.

    Returns:
        0.

    Raises:
        What `Rack` raises at its start.
    """
    _allow_many_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        async with Rack(options) as rack:
            ready(rack)
            waits = [
                asyncio.create_task(stop.wait(), name="sim-stop"),
                asyncio.create_task(rack.idle.wait(), name="sim-idle"),
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
    return 0


def _allow_many_files() -> None:
    """Each machine has a socket for its BMC, one for SSH while it is up, and more for what it serves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(options: RackOptions, ready: Callable[[Rack], None]) -> int:
    """`serve` with an event loop of its own; returns the exit code."""
    return asyncio.run(serve(options, ready))
