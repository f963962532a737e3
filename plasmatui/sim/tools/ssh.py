"""The stand-in of `ssh`, for hosts without OpenSSH's client: `ssh [OPTIONS] [USER@]HOST [COMMAND...]`."""

from __future__ import annotations

import asyncio
import sys

from plasmatui.sim.tools.site import Site, ToolError
from plasmatui.sim.tools.sshclient import Login, log_in, remote

_VALUES = frozenset(f"-{letter}" for letter in "pioLFEbcDeIJmOQRSWw") | {"-l"}


async def run(_site: Site, arguments: list[str]) -> int:
    """Run a command on a host, or a script from the input; its exit code, or 255."""
    head: list[str] = []
    todo = list(arguments)
    while todo and todo[0].startswith("-"):
        head.append(todo.pop(0))
        if head[-1] in _VALUES and todo:
            head.append(todo.pop(0))
    if not todo:
        raise ToolError("usage: ssh [options] destination [command [argument ...]]", 255)
    target, *command = todo
    login = Login.parse(target, head)
    data = b"" if "-n" in head or sys.stdin.isatty() else await asyncio.to_thread(sys.stdin.buffer.read)
    async with await log_in(login) as connection:
        code, _ = await remote(connection, login, " ".join(command) or "sh", data=data)
    return code
