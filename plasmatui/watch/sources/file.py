"""A log file on this host."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from plasmatui.watch.sources.base import LogLine, OnBatch, OnState, Position, SourceStatus, Stamp, Start
from plasmatui.watch.sources.follower import Follower, OpenFile, last_before
from plasmatui.watch.sources.splitter import Piece
from plasmatui.watch.sources.supervised import Pauses, Supervised

TICK: Final = 0.05
"""Seconds between two looks at the open files."""
LOOK: Final = 1.0
"""Seconds between two looks at the path."""
PATIENCE: Final = 3.0
"""Seconds that an unfinished line is kept for its end."""
BATCH: Final = 256
"""Lines handed on at once."""


class FileSource(Supervised):
    """Reads a file in a thread of its own, so that a slow disk holds nobody up; splits and delivers on the loop in
    batches, giving way between them."""

    def __init__(
        self,
        name: str,
        path: Path,
        on_batch: OnBatch,
        *,
        on_state: OnState | None = None,
        start: Start | float = Start.END,
        position: Position | None = None,
        stamp: Stamp | None = None,
        patience: float = PATIENCE,
        look_every: float = LOOK,
        pauses: Pauses | None = None,
    ) -> None:
        super().__init__(name, on_batch, on_state, position, pauses)
        self.path = path
        self._start = start
        self._stamp = stamp
        self._patience = patience
        self._look_every = look_every

    async def recall(self, limit: int) -> tuple[LogLine, ...]:
        read = await asyncio.to_thread(last_before, self.path, self.position.marks, limit)
        return self._numbered([(piece.raw, piece.offset, None) for piece in read])

    async def _follow(self) -> None:
        follower = Follower(self.path, self._stamp)
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"log {self.name}")
        try:
            await loop.run_in_executor(thread, follower.begin, self._start, self.position)
            # What appears after the first try is new, whatever the start was.
            self._start = Start.BEGINNING
            if follower.files and not self.position.marks:
                self._pass(follower, [])
            await self._drive(follower, thread)
        finally:
            thread.submit(follower.close)  # queued behind a read that may still hang
            thread.shutdown(wait=False)

    async def _drive(self, follower: Follower, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        looked = -self._look_every
        while True:
            if time.monotonic() - looked >= self._look_every:
                await loop.run_in_executor(thread, follower.look)
                looked = time.monotonic()
                self._tell(follower)
            behind = follower.behind()
            self._lag(abs(behind))
            if behind:
                read = await loop.run_in_executor(thread, follower.read)
                if read is not None:
                    await self._hand_on(follower, *read)
            else:
                self._flush(follower)
                if follower.gap:
                    self._pass(follower, [])
                await asyncio.sleep(TICK)

    def _tell(self, follower: Follower) -> None:
        if not follower.missing:
            self._say(SourceStatus.RUNNING)
        else:
            self._say(SourceStatus.FAILED if follower.denied else SourceStatus.WAITING, follower.missing)

    async def _hand_on(self, follower: Follower, file: OpenFile, data: bytes) -> None:
        # The last bytes of a slice may be the next ones' begin: what is fed stays fed when this is cancelled, and the
        # position says what was delivered.
        view = memoryview(data)
        for begin in range(0, len(data), 1 << 16):
            file.splitter.feed(bytes(view[begin : begin + (1 << 16)]))
            while True:
                pieces = file.splitter.take(BATCH)
                if pieces:
                    self._pass(follower, pieces)
                await self._breathe()
                if len(pieces) < BATCH:
                    break

    def _flush(self, follower: Follower) -> None:
        """Deliver unfinished lines that nobody has finished."""
        for file in follower.files:
            if file.splitter.pending and time.monotonic() - file.changed > self._patience:
                self._pass(follower, file.splitter.flush())

    def _pass(self, follower: Follower, pieces: list[Piece]) -> None:
        number = self.position.number
        lines = [
            LogLine(self.name, count, raw, offset, None, cut)
            for count, (raw, offset, cut) in enumerate(pieces, number + 1)
        ]
        gap, follower.gap = follower.gap, ""
        self._deliver(lines, Position(number + len(lines), follower.looked, follower.marks()), gap)
