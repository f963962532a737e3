"""Programs on this host: short ones that are run again after a restart, and jobs that outlive the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plasmatui.model.command import CommandError
from plasmatui.nix import job as jobs
from plasmatui.nix.job import Ending, Job
from plasmatui.operations.work import NodeFailedError, NodeLeftError, NodeWork

MOST_OUTPUT = 16 * 1024 * 1024
"""Bytes of a program's result that are read."""

LINE = 1 << 20
"""Bytes of a line of a program's messages at most; nix writes long ones."""

TERMINATE_LIMIT = 5.0

LOOK = 1.0
"""Seconds between two looks whether a job still says something."""


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


class JobRun:
    """A job of a step: started, or attached again when the engine was restarted in its middle.

    Args:
        name: of the step; with number and node it names the job's directory.
        stall: seconds without any output after which it counts as stuck; 0: no limit but the step's.
        leaves: what a cancelled job leaves behind, for people.
    """

    def __init__(
        self, work: NodeWork, name: str, on_output: Callable[[bytes], None], *, stall: float, leaves: str
    ) -> None:
        self._work = work
        self._base = work.site.jobs / str(work.number) / work.node / name
        self._on_output = on_output
        self._stall = stall
        self._leaves = leaves
        self._job: Job | None = None
        self._heard = 0.0

    async def start(self, argv: Sequence[str], env: Mapping[str, str], *, remove: Sequence[Path] = ()) -> Ending:
        """Start it, follow it to its end. Raises: as `follow`, and `CommandError` when it cannot be started."""
        directory = self._base
        attempt = 1
        while directory.exists():
            attempt += 1
            directory = self._base.with_name(f"{self._base.name}-{attempt}")
        self._job = await jobs.start(directory, argv, env, remove=remove)
        return await self._follow(self._job)

    async def attach(self) -> Ending | None:
        """Follow the one that was started last; None when none was. Raises: as `start`."""
        tries = sorted(self._base.parent.glob(f"{self._base.name}*"), key=lambda path: (len(path.name), path.name))
        if not tries:
            return None
        try:
            self._job = Job.attach(tries[-1])
        except CommandError:
            return None
        return await self._follow(self._job)

    def stop(self) -> None:
        """Ask it to end."""
        if self._job is not None:
            self._job.terminate()

    def tail(self) -> bytes:
        """The last of what it printed."""
        return self._job.tail() if self._job is not None else b""

    async def _follow(self, job: Job) -> Ending:
        """Read what it prints until it has ended.

        Raises:
            NodeLeftError: it was stopped because the operation was cancelled.
            NodeFailedError: "stalled" when it printed nothing for too long; it was stopped then.
        """
        self._heard = time.monotonic()
        reading = asyncio.create_task(self._read(job), name=f"output of {job.directory}")
        try:
            ending = await self._end_of(job)
            await reading  # ends with the job's output
        except asyncio.CancelledError:
            if not self._work.suspended:
                job.terminate()
            raise
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if ending.terminated and self._work.left:
            raise NodeLeftError(f"{self._work.left}; {self._leaves}")
        return ending

    async def _end_of(self, job: Job) -> Ending:
        waiting = asyncio.create_task(job.wait(), name=f"end of {job.directory}")
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=LOOK)
                if self._stall and not waiting.done() and time.monotonic() - self._heard > self._stall:
                    job.terminate()
                    await waiting
                    raise NodeFailedError(
                        "stalled", f"{self._work.node}: nothing came on for {self._stall:g} s; {self._leaves}"
                    )
            return waiting.result()
        finally:
            waiting.cancel()

    async def _read(self, job: Job) -> None:
        async for chunk in job.output():
            self._heard = time.monotonic()
            self._on_output(chunk.data)
