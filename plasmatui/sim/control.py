"""Faults at run time: a Unix socket that takes one line and answers with one line.

fault NODE=FAULT[=NUMBER]     -> ok
clear NODE[=FAULT]            -> ok
list                          -> ok NODE=FAULT NODE=FAULT ...
anything that cannot be done  -> error: why
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from plasmatui.sim.faults import FaultError, parse_assignment
from plasmatui.sim.machine import Machine


class Faulty(Protocol):
    """What the socket controls: a rack."""

    @property
    def machines(self) -> Mapping[str, Machine]: ...

    async def set_fault(self, node: str, fault: str) -> None: ...

    async def clear_faults(self, node: str, fault: str | None = None) -> None: ...


async def execute(rack: Faulty, line: str) -> str:
    """Obey one line; the answer without its newline. Never raises for what the line says."""
    verb, _, rest = line.strip().partition(" ")
    try:
        if verb == "fault":
            await rack.set_fault(*parse_assignment(rest))
        elif verb == "clear":
            node, _, fault = rest.strip().partition("=")
            await rack.clear_faults(node, fault or None)
        elif verb == "list":
            active = [f"{name}={fault}" for name, machine in rack.machines.items() for fault in machine.faults.names()]
            return " ".join(["ok", *active])
        else:
            return f"error: {verb or 'an empty line'} is none of: fault NODE=FAULT, clear NODE, list"
    except FaultError as error:
        return f"error: {error}"
    return "ok"


class ControlSocket:
    """The socket, for this user alone."""

    def __init__(self, rack: Faulty, path: Path) -> None:
        self._rack = rack
        self._path = path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write((await execute(self._rack, line.decode(errors="replace")) + "\n").encode())
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line without end
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
