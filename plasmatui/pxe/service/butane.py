"""Butane to Ignition, by the program `butane` where it is installed (github.com/coreos/butane)."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from typing import Final

from plasmatui.pxe.service.answers import JSON, Answer

_LIMIT: Final = 10.0
_LARGEST: Final = 16 * 1024 * 1024
_KEPT: Final = 256
_AT_ONCE: Final = 4


class ButaneError(Exception):
    """A configuration cannot be converted; the message says why."""


class Butane:
    """Converts, and remembers what it converted."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def convert(self, answer: Answer) -> Answer:
        """The Ignition configuration of a Butane one.

        Raises:
            ButaneError: the program is not there, refuses, or takes too long.
        """
        found = self._known.get(answer.body)
        if found is None:
            async with self._turn:
                found = await _run(answer.body)
            self._known[answer.body] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return Answer(found, JSON)


def program() -> str | None:
    """Where the program is; None when it is not installed."""
    return shutil.which("butane")


async def _run(text: bytes) -> bytes:
    path = program()
    if path is None:
        raise ButaneError("the program butane is not installed")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(path, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(_LIMIT):
            out, told = await process.communicate(text)
    except TimeoutError:
        raise ButaneError(f"butane took longer than {_LIMIT:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or len(out) > _LARGEST:
        raise ButaneError(told.decode("utf-8", "replace").strip()[:500] or f"butane ended with {process.returncode}")
    return out
