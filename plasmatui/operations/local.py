"""Jobs of a step on this host, which outlive the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plasmatui.model.command import CommandError
from plasmatui.nix import job as jobs
from plasmatui.nix.job import Ending, Job
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.work import NodeWork

LOOK = 1.0
"""Seconds between two looks whether a job still says something."""


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
