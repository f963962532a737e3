"""Short programs on this host: run to their end, and begun again by whoever was interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plasmatui.model.command import CommandError

MOST_OUTPUT = 16 * 1024 * 1024
"""Bytes of a program's result that are read."""

LINE = 1 << 20
"""Bytes of a line of a program's messages at most; nix writes long ones."""

TERMINATE_LIMIT = 5.0


@dataclass(frozen=True)
class Ran:
    """How a short program ended: its exit code and what it printed as its result."""

    code: int
    out: bytes


async def run_local(
    argv: Sequence[str], env: Mapping[str, str], on_message: Callable[[bytes], None], *, cwd: Path | None = None
) -> Ran:
    """Run a program to its end; cancelled, it is ended with all that it started.

    Args:
        on_message: takes what it writes to standard error, as it comes.

    Raises:
        CommandError: "program-missing": it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            limit=LINE,
        )
    except OSError as error:
        raise CommandError("program-missing", f"{argv[0]} cannot be started: {error.strerror}", lasting=True) from error
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        out, _ = await asyncio.gather(_all(process.stdout), _messages(process.stderr, on_message))
        return Ran(await process.wait(), out)
    finally:
        if process.returncode is None:
            await _end(process)


async def _all(stream: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while data := await stream.read(65536):
        kept += data[: MOST_OUTPUT - len(kept)]
    return bytes(kept)


async def _messages(stream: asyncio.StreamReader, on_message: Callable[[bytes], None]) -> None:
    while data := await stream.read(65536):
        on_message(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        waiter = asyncio.create_task(process.wait(), name=f"end of process {process.pid}")
        done, _ = await asyncio.wait({waiter}, timeout=TERMINATE_LIMIT)
        if done:
            return
