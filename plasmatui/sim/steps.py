"""The material of a boot: steps in machine time, and who plays them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterable
from typing import NamedTuple, TypeVar

from plasmatui.sim.clock import Clock
from plasmatui.sim.console import Line
from plasmatui.sim.identity import BOOT_SERVER

KERNEL = "6.12.41"
RELEASE = "25.05.20250801.c7ab75f"
HTTP = f"http://{BOOT_SERVER}:8080/boot"
_GRAIN = 0.02  # real seconds; shorter waits of a boot are merged

T = TypeVar("T")


class Step(NamedTuple):
    """Wait `delay` machine seconds, then write `data` to the serial line, then let `event` happen elsewhere."""

    delay: float
    data: bytes = b""
    event: Callable[[], None] | None = None


Scene = Generator[Step, None, T]
"""A part of a boot that has an outcome."""


def line(delay: float, text: str) -> Step:
    """A line of text."""
    return Step(delay, text.encode() + b"\r\n")


class Player:
    """Plays the steps of one boot in machine time."""

    def __init__(self, output: Line, clock: Clock) -> None:
        self._output = output
        self._clock = clock
        self._due = time.monotonic()

    async def play(self, steps: Iterable[Step]) -> None:
        """Write steps. Waits too short for the event loop are merged, none is lost."""
        self._due = max(self._due, time.monotonic())
        pending = bytearray()
        for delay, data, event in steps:
            self._due += delay / self._clock.speed
            wait = self._due - time.monotonic()
            if wait > _GRAIN:
                self._output.write(bytes(pending))
                pending.clear()
                await asyncio.sleep(wait)
            pending += data
            if event is not None:
                event()
        self._output.write(bytes(pending))

    async def perform(self, scene: Scene[T]) -> T:
        """Play a scene; returns its outcome."""
        outcome: list[T] = []

        def whole() -> Generator[Step, None, None]:
            outcome.append((yield from scene))

        await self.play(whole())
        return outcome[0]
