"""A rack whose machines are reached by SSH."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from plasmatui.sim.machine import Machine
from plasmatui.sim.rack import Rack


async def until(condition: Callable[[], object], limit: float = 30.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - state without an event
            await asyncio.sleep(0.002)


async def reachable(machine: Machine) -> None:
    """Wait until the machine answers."""
    await until(lambda: machine.host is not None and machine.host.up)


def connect(rack: Rack, node: str, **options: object) -> asyncssh.SSHClientConnection:
    """A connection, as an asynchronous context manager."""
    sshd = rack.nodes[node].sshd
    settings: dict[str, object] = {
        "username": "root",
        "client_keys": [str(rack.provisioning.ssh_key)],
        "known_hosts": None,
    }
    return asyncssh.connect(sshd.address, sshd.port, **(settings | options))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Answer:
    code: int | None
    out: str
    err: str


class Remote:
    """Commands over one connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection

    async def __call__(self, *argv: str, data: bytes = b"") -> Answer:
        return await self.line(shlex.join(argv), data)

    async def line(self, line: str, data: bytes = b"") -> Answer:
        done = await self.connection.run(line, input=data, encoding=None)
        out, err = bytes(done.stdout or b"").decode(), bytes(done.stderr or b"").decode()  # type: ignore[arg-type]
        return Answer(done.exit_status, out, err)
