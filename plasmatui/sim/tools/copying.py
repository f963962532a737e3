"""Copying store paths to a node, with progress in bytes."""

from __future__ import annotations

import json

import asyncssh

from plasmatui.sim.builds import Build, encode_builds
from plasmatui.sim.tools.nixlog import COPY_PATH, COPY_PATHS, PROGRESS, SET_EXPECTED, NixLog
from plasmatui.sim.tools.site import ToolError
from plasmatui.sim.tools.sshclient import Login


async def copy_builds(
    connection: asyncssh.SSHClientConnection, login: Login, builds: list[Build], log: NixLog, *, root: str = ""
) -> None:
    """Copy what the node lacks.

    Args:
        root: "/mnt" for the store of the system that is being installed.

    Raises:
        ToolError: as of `nix copy`.
    """
    line = f"nix-store --serve --write{f' --root {root}' if root else ''}"
    by_path = {build.path: build for build in builds}
    try:
        async with connection.create_process(line, encoding="utf-8") as process:
            process.stdin.write(encode_builds(builds).decode() + "\n")
            missing = [by_path[path] for path in json.loads(await process.stdout.readline() or "[]")]
            await _follow(process, login, missing, log)
            why = (await process.stderr.read()).strip()
            await process.wait_closed()
            status = process.exit_status
    except (asyncssh.Error, OSError, ValueError):
        raise ToolError("error: unexpected end-of-file") from None
    if status != 0:
        more = "\nerror: write of 24576 bytes: Broken pipe" if "No space left" in why else ""
        raise ToolError((why or "error: unexpected end-of-file") + more)


async def _follow(process: asyncssh.SSHClientProcess[str], login: Login, missing: list[Build], log: NixLog) -> None:
    """Show the progress that the node tells, spread over the paths in their order."""
    umbrella = log.start(COPY_PATHS, f"copying {len(missing)} paths")
    log.result(umbrella, SET_EXPECTED, 100, sum(build.size for build in missing))
    begun: list[int] = []
    base = 0
    current = 0

    def begin(build: Build) -> None:
        target = f"ssh://{login.user}@{login.host}"
        begun.append(log.start(COPY_PATH, f"copying path '{build.path}' to '{target}'", [build.path, "local", target]))

    if missing:
        begin(missing[0])
    while text := await process.stdout.readline():
        words = text.split()
        if len(words) != 2:
            break
        done = int(words[0])
        while current < len(missing) and done >= base + missing[current].size:
            size = missing[current].size
            log.result(begun[current], PROGRESS, size, size, 0, 0)
            log.stop(begun[current])
            base += size
            current += 1
            log.result(umbrella, PROGRESS, current, len(missing), 0, 0)
            if current < len(missing):
                begin(missing[current])
        if current < len(missing):
            log.result(begun[current], PROGRESS, done - base, missing[current].size, 0, 0)
    log.stop(umbrella)
