"""What a node's installation is made from: its configuration in the flake, checked and built on this host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.operation import Step
from plasmatui.nix import flake
from plasmatui.nix.anywhere import JSON_LOG_SINCE, Features, parse_help
from plasmatui.nix.failures import explain
from plasmatui.nix.flake import Built, DiskoDevice
from plasmatui.nix.jsonlog import BuildLog
from plasmatui.nix.programs import Ran, run_local
from plasmatui.nix.tools import OutputError, find_tool, parse_version, tool_path
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

T = TypeVar("T")

EVAL_LIMIT = 600.0
"""Seconds for evaluating a configuration; large ones take minutes."""

BUILD_LIMIT = 3 * 3600.0

VERSION_LIMIT = 30.0


@dataclass(frozen=True)
class Tools:
    """The programs of this host that install, and what they understand."""

    nix: str
    anywhere: str
    features: Features
    json_log: bool
    env: dict[str, str]


def check_steps(node: str, site: Site) -> tuple[Step, ...]:
    """Look at the configuration, build it."""
    at = where(site.inventory(), node)
    return (
        Step(
            "check-flake",
            "See that the flake has the node, and which disks it would wipe",
            f"nix eval {at}",
            EVAL_LIMIT,
        ),
        Step(
            "build",
            "Build the system and disko's script on this host",
            f"nix build {at}.config.system.build.toplevel {at}.config.system.build.diskoScript",
            BUILD_LIMIT,
            proof="nix finds everything built",
        ),
    )


def where(inventory: Inventory, node: str) -> str:
    """The installable of a node's configuration, for a plan."""
    try:
        return flake.attribute(flake.reference(inventory), node)
    except ValueError as error:
        return f"({error})"


async def find_tools(work: NodeWork) -> Tools:
    """The programs, asked for what they understand.

    Raises:
        CommandError: "program-missing".
        NodeFailedError: one of them answers something else than it should.
    """
    inventory = work.site.inventory()
    env = environment(inventory)
    nix = str(find_tool("nix", inventory))
    anywhere = str(find_tool("nixos-anywhere", inventory))
    version = await _told(work.site, flake.version_argv(nix), env)
    usage = await _told(work.site, (anywhere, "--help"), env)
    try:
        json_log = parse_version(version) >= JSON_LOG_SINCE
        return Tools(nix, anywhere, parse_help(usage), json_log, env)
    except OutputError as error:
        raise NodeFailedError("program-missing", f"{work.node}: the programs of nix on this host: {error}") from error


async def _told(site: Site, argv: tuple[str, ...], env: dict[str, str]) -> str:
    """What a program says of itself, asked once for as long as it is not replaced."""
    stat = await asyncio.to_thread(os.stat, argv[0])
    key = (argv[0], stat.st_mtime_ns)
    async with site.asking:
        if key not in site.told:
            ran = await run_local(argv, env, _quiet)
            site.told[key] = ran.out.decode(errors="replace")
    return site.told[key]


def environment(inventory: Inventory) -> dict[str, str]:
    """The environment of programs that are started: this process's, with the inventory's tools first in PATH."""
    return {**os.environ, "PATH": tool_path(inventory)}


async def check_flake(work: NodeWork, nix: str) -> tuple[DiskoDevice, ...]:
    """The disks that the node's layout would wipe.

    Raises:
        NodeFailedError: "install-flake-missing" when the flake does not have the node, or it cannot be evaluated.
    """
    inventory = work.site.inventory()
    try:
        reference = flake.reference(inventory)
    except ValueError as error:
        raise NodeFailedError("install-flake-missing", f"{work.node}: {error}") from error
    await _nix(work, flake.exists_argv(nix, reference, work.node))
    ran = await _nix(work, flake.devices_argv(nix, reference, work.node))
    return _parsed(work, lambda: flake.parse_devices(ran.out))


async def build(work: NodeWork, nix: str, *, wipe: bool) -> Built:
    """Build the node's system, and disko's script that wipes, or the one that only mounts.

    Raises:
        NodeFailedError: with the finding that explains why it cannot be built.
    """
    reference = flake.reference(work.site.inventory())
    ran = await _nix(work, flake.build_argv(nix, reference, work.node, wipe=wipe))
    return _parsed(work, lambda: flake.parse_built(ran.out))


async def build_system(work: NodeWork, nix: str) -> str:
    """Build the node's system alone; its store path.

    Raises:
        NodeFailedError: with the finding that explains why it cannot be built.
    """
    try:
        reference = flake.reference(work.site.inventory())
    except ValueError as error:
        raise NodeFailedError("install-flake-missing", f"{work.node}: {error}") from error
    ran = await _nix(work, flake.system_argv(nix, reference, work.node))
    return _parsed(work, lambda: flake.parse_built(ran.out)).toplevel


def _parsed(work: NodeWork, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except OutputError as error:
        raise NodeFailedError("build-failed", f"{work.node}: nix on this host: {error}") from error


async def _nix(work: NodeWork, argv: tuple[str, ...]) -> Ran:
    log = BuildLog()

    def take(data: bytes) -> None:
        log.feed(data)
        work.progress(log.progress.text, log.progress.percent)

    ran = await run_local(argv, environment(work.site.inventory()), take)
    log.finish()
    for line in log.tail:
        work.log(line)
    if ran.code != 0:
        failure = explain(ran.code, "\n".join(log.tail))
        raise NodeFailedError(failure.id, f"{work.node}: {failure.message}", failure.evidence)
    return ran


def _quiet(_: bytes) -> None:
    """Messages that nobody needs."""
