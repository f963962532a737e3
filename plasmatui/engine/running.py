"""The engine as a process: lock, log, signals, exit codes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from plasmatui.engine.devices import make_devices
from plasmatui.engine.engine import Engine
from plasmatui.engine.faults import handle_faults, log_stacks
from plasmatui.engine.process import (
    EngineLock,
    EngineRunsError,
    EngineStartError,
    make_directories,
    notify,
    raise_file_limit,
    set_up_log,
)
from plasmatui.inventory.inventory import InventoryError
from plasmatui.inventory.loader import load
from plasmatui.paths import EnginePaths, UnsafeDirectoryError, check_shared

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

EXIT_RUNS = 75
"""Another engine holds the lock (EX_TEMPFAIL of sysexits(3)): who started us may try again when it has ended."""


async def run_engine(paths: EnginePaths, *, idle: float | None = None) -> int:
    """Run the engine of an inventory until it is stopped; returns the exit code of the process.

    Args:
        idle: see `Engine.start`.
    """
    try:
        make_directories(paths)
        lock = EngineLock(paths.lock)
    except EngineRunsError as error:  # the log is the other engine's
        return _say(str(error), EXIT_RUNS)
    except EngineStartError as error:
        return _say(str(error), EXIT_FAILED)
    try:
        set_up_log(paths.log)
        raise_file_limit()
        handle_faults(asyncio.get_running_loop())
        try:
            inventory = await asyncio.to_thread(load, paths.inventory)
            if inventory.policy.access is not None:
                check_shared(paths.shared.parent)  # before any BMC has a session of an engine that may not be
            engine = await Engine.start(paths, inventory, make_devices, idle=idle)
        except (InventoryError, OSError) as error:
            return _refuse(str(error), EXIT_USAGE)
        except (EngineStartError, UnsafeDirectoryError) as error:
            return _refuse(str(error), EXIT_FAILED)
        _handle_signals(engine)
        notify(f"READY=1\nMAINPID={os.getpid()}")
        await engine.stopped.wait()
        notify("STOPPING=1")
        await engine.close()
        return EXIT_OK
    finally:
        lock.release()


def _refuse(message: str, code: int) -> int:
    log.error("%s", message)
    return _say(message, code)


def _say(message: str, code: int) -> int:
    print(f"plasmatui engine: {message}", file=sys.stderr, flush=True)  # noqa: T201 - who starts it reads this
    return code


def _handle_signals(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, engine.stop, f"signal {number.name}")
    loop.add_signal_handler(signal.SIGHUP, engine.reload_soon)
    loop.add_signal_handler(signal.SIGUSR1, log_stacks)
