"""A node's system built on this host from the flake, and copied to the node with all that it needs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.operation import Step
from plasmatui.model.words import Stage
from plasmatui.nix import flake
from plasmatui.nix.anywhere import ssh_front
from plasmatui.nix.failures import explain
from plasmatui.nix.jsonlog import BuildLog
from plasmatui.nix.tools import find_tool, tool_path
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.flake import BUILD_LIMIT, build_system, environment, where
from plasmatui.operations.local import JobRun
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.remote.target import Target

COPY_LIMIT = 6 * 3600.0
STALL = 600.0
"""Seconds without a word of nix after which a copy counts as stuck."""

LEAVES = "what was copied stays in the node's store, and another try goes on there"


def closure_steps(node: str, site: Site) -> tuple[Step, ...]:
    """Build, copy."""
    return (
        Step(
            "build",
            "Build its system on this host",
            f"nix build {where(site.inventory(), node)}.config.system.build.toplevel",
            BUILD_LIMIT,
            proof="nix prints its store path",
        ),
        Step(
            "copy",
            "Copy the system to the node's store, which disturbs nothing",
            f"nix copy --to ssh://root@{node} TOPLEVEL",
            COPY_LIMIT,
            proof="nix copy ends with 0",
        ),
    )


async def build_closure(work: NodeWork) -> str:
    """The store path of the node's system; a restarted engine keeps what was built for this operation.

    Raises:
        NodeFailedError: "install-flake-missing", "build-failed" ...
    """
    return await work.remember("build", lambda: _build(work))


async def _build(work: NodeWork) -> str:
    nix = str(find_tool("nix", work.site.inventory()))
    work.progress("waits for other builds on this host")
    async with work.site.building:
        return await build_system(work, nix)


async def copy_closure(work: NodeWork, toplevel: str) -> None:
    """Copy the system. The copy outlives the engine."""
    log = BuildLog(work.log)
    counted = False

    def listen(data: bytes) -> None:
        nonlocal counted
        log.feed(data)
        seen = log.progress
        work.progress(_told(seen.paths, seen.paths_expected, seen.bytes, seen.bytes_expected), seen.percent)
        if not counted and seen.bytes_expected:
            counted = True
            work.site.copies.spend(seen.bytes_expected, work.pace.bandwidth)

    run = JobRun(work, "copy", listen, stall=STALL, leaves=LEAVES)
    await work.act("copy", lambda: _copy(work, run, log, toplevel), seen=lambda: _copied(run), stop=run.stop)


def _told(paths: int, paths_expected: int, size: int, expected: int) -> str:
    if not expected:
        return f"{paths} of {paths_expected} paths"
    return f"{paths} of {paths_expected} paths, {size / 1e6:.0f} of {expected / 1e6:.0f} MB"


async def _copied(run: JobRun) -> bool:
    """Follow a copy that was begun before the engine was restarted; another one only copies what is missing."""
    ending = await run.attach()
    return ending is not None and ending.code == 0


async def _copy(work: NodeWork, run: JobRun, log: BuildLog, toplevel: str) -> None:
    inventory = work.site.inventory()
    nix = str(find_tool("nix", inventory))
    host = system(work)
    await host.boot_id()  # connects: its key is checked by us, and then the only one that ssh takes
    front = await asyncio.to_thread(pinned_ssh, work, inventory, host.target, host.host_key)
    target = host.target
    argv = flake.copy_argv(nix, (toplevel,), f"{target.user}@{target.address}", substitute=False)
    try:
        env = flake.copy_environment(
            environment(inventory), front=str(front), path=tool_path(inventory), key=_key(target), port=target.port
        )
    except ValueError as error:
        raise NodeFailedError("install-copy-failed", f"{work.node}: {error}") from error
    work.progress("waits for other copies")
    async with work.site.copies.slot(max(1, work.pace.parallel)):
        ending = await run.start(argv, env)
    log.finish()
    if ending.uncertain:
        raise NodeFailedError("uncertain", f"{work.node}: nix copy vanished: this host ended it")
    if ending.code != 0:
        failure = explain(ending.code, "\n".join(log.tail), Stage.CLOSURE_COPY)
        raise NodeFailedError(failure.id, f"{work.node}: {failure.message}", failure.evidence)


def _key(target: Target) -> str:
    return os.path.expanduser(target.key)


def pinned_ssh(work: NodeWork, inventory: Inventory, target: Target, host_key: str) -> Path:
    """A directory with an `ssh` that trusts this host key alone, to be first in PATH of programs that call it."""
    directory = work.site.jobs / str(work.number) / work.node / "ssh"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(f"{target.place} {host_key}\n")
    ssh_front(directory, known_hosts, tool_path(inventory), target.jump)
    return directory
