"""Programs on this host, as `model.command` wants them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from plasmatui.model.command import CommandError, Commands, CommandStream
from plasmatui.text import decode

_CHUNK: Final = 1 << 16
_ERRORS: Final = 4096
_GRACE: Final = 2.0
RECALL_LIMIT: Final = 15.0
"""Seconds that reading again what was read before may take."""


async def output_of(commands: Commands, argv: Sequence[str], limit: float) -> bytes:
    """All that a short program prints, whatever its status.

    Raises:
        CommandError: it did not start, the way to it broke, or it took longer than `limit` seconds.
    """
    try:
        async with asyncio.timeout(limit):
            stream = await commands.run(argv)
            try:
                said = bytearray()
                while data := await stream.read():
                    said += data
            finally:
                await stream.close()
    except TimeoutError:
        raise CommandError("ssh-lost", f"{argv[0]} on {commands.name} does not end within {limit:g} s") from None
    return bytes(said)


class LocalCommands:
    """Starts programs here."""

    name = "this host"

    async def run(self, argv: Sequence[str]) -> CommandStream:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_CHUNK,
            )
        except FileNotFoundError as error:
            raise CommandError(
                "program-missing", f"{argv[0]} is not installed on this host, or not on the engine's PATH", lasting=True
            ) from error
        except OSError as error:
            raise CommandError(
                "program-missing", f"{argv[0]} cannot be started: {error.strerror}", lasting=True
            ) from error
        return _LocalStream(process, argv[0])


class _LocalStream:
    def __init__(self, process: asyncio.subprocess.Process, program: str) -> None:
        self._process = process
        self._errors = b""
        self._reader = asyncio.create_task(self._read_errors(), name=f"errors of {program}")

    async def read(self) -> bytes:
        assert self._process.stdout is not None
        data = await self._process.stdout.read(_CHUNK)
        if not data:
            await self._process.wait()
            await asyncio.wait({self._reader}, timeout=_GRACE)
        return data

    @property
    def errors(self) -> str:
        return decode(self._errors)

    @property
    def status(self) -> int | None:
        return self._process.returncode

    async def close(self) -> None:
        for end in (self._process.terminate, self._process.kill):
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    end()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), _GRACE)
        self._reader.cancel()
        await asyncio.wait({self._reader})

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_CHUNK):
            self._errors = (self._errors + data)[-_ERRORS:]
