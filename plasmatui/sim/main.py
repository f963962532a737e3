"""Run a simulated rack until it is told to stop. The command line (`plasmatui sim`) calls this."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable, Coroutine

from plasmatui.sim.rack import Rack, RackOptions

_FILES = 65536


Work = Callable[[Rack], Coroutine[object, object, None]]


async def serve(options: RackOptions, ready: Callable[[Rack], None], work: Work | None = None) -> int:
    """Run a rack; `ready` is called once, when every BMC answers. Ends on SIGINT, SIGTERM, when it was idle, or with
    `work`, which is done beside it.

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
            waits: list[asyncio.Task[object]] = [
                asyncio.create_task(stop.wait(), name="sim-stop"),
                asyncio.create_task(rack.idle.wait(), name="sim-idle"),
            ]
            if work is not None:
                waits.append(asyncio.create_task(work(rack), name="sim-work"))
            try:
                ended, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
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


def run(options: RackOptions, ready: Callable[[Rack], None], work: Work | None = None) -> int:
    """`serve` with an event loop of its own; returns the exit code."""
    return asyncio.run(serve(options, ready, work))
