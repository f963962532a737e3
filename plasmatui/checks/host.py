"""This host: flake, programs, room, the journal and the logs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.model.boot import SourceState
from plasmatui.model.command import CommandError
from plasmatui.nix import flake as flakes
from plasmatui.nix.tools import OutputError, find_tool, parse_version, tool_path
from plasmatui.text import clean_line

VERSION_LIMIT = 20.0
FLAKE_LIMIT = 150.0
"""Seconds: a flake whose inputs are not here yet fetches them."""
ROOM_JOURNAL, ROOM_ASSETS, ROOM_STORE = 1 << 30, 4 << 30, 16 << 30
"""Bytes that should be free: a week of recordings; images of a few profiles beside their successors; a build."""
_UNITS = {"kea": "kea-dhcp4-server", "dhcpd": "isc-dhcp-server"}
"""Debian's units by DHCP server; the others are dnsmasq's."""
_NO_LOGS = "the inventory names no logs"
RECENT = 7 * 86400.0
"""Seconds within which a log should have said something."""

_ENOUGH_OUTPUT = 1 << 20

NIX_OLDEST = (2, 19)
"""As `nix.tools.HINTS` has it."""

_SOURCES_START = 5.0
_LOOK = 0.1


async def run(argv: tuple[str, ...], limit: float, path: str | None = None) -> tuple[int, bytes, bytes]:
    """Run a program without input to its end; `path`: PATH instead of this process's. Raises OSError, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=None if path is None else {**os.environ, "PATH": path},
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out[:_ENOUGH_OUTPUT], errors[:_ENOUGH_OUTPUT]


async def flake(context: Context) -> Found:
    inventory = context.inventory
    if not inventory.flake:
        return skipped("the inventory names no flake")
    try:
        nix = str(find_tool("nix", inventory))
        argv = flakes.names_argv(nix, flakes.reference(inventory))
        code, out, errors = await run(argv, FLAKE_LIMIT, tool_path(inventory))
        if code:
            lines = [line for line in errors.decode("utf-8", "replace").splitlines() if "error" in line]
            told = clean_line(lines[-1].strip() if lines else "no reason given", 200)
            return Found(FAILED, f"it does not evaluate: {told}", f"nix flake check {inventory.flake}")
        named = set(flakes.parse_names(out))
    except CommandError as error:
        return Found(UNKNOWN, error.message, "see tools")
    except TimeoutError:
        return Found(UNKNOWN, f"it was not evaluated within {FLAKE_LIMIT:g} s", f"nix flake check {inventory.flake}")
    except (OSError, ValueError) as error:  # OutputError is a ValueError
        return Found(FAILED, clean_line(str(error), 200), f"nix flake show {inventory.flake}")
    missing = [name for name in inventory.nodes if name not in named]
    if missing:
        fix = "plasmatui render --only flake -o DIR, or add them to nixosConfigurations"
        return together({name: Found(FAILED, "the flake has no configuration", fix) for name in missing}, "", "")
    return Found(OK, f"{len(inventory.nodes)} nodes")


async def disks(context: Context) -> Found:
    def one(names: tuple[str, ...]) -> Found:
        if not names:
            return Found(
                WARNING,
                "no disk is named, so that it cannot be installed",
                "plasmatui inventory, then disks: in the inventory",
            )
        odd = [name for name in names if not re.match(r"/dev/disk/by-(id|path|vdev)/", name)]
        if odd:
            fix = "ls -l /dev/disk/by-id on the installer, and name that"
            return Found(WARNING, f"{odd[0]} may be another disk at the next boot", fix)
        return Found(OK)

    return together({node.name: one(node.disks) for node in context.nodes}, "of {} nodes", "there is no node")


async def tools(context: Context) -> Found:
    """Programs, and nix's version; the others need long to tell theirs, or tell none."""
    inventory = context.inventory
    wanted = ("ssh", *(("nix", "nixos-anywhere", "nixos-rebuild") if inventory.flake else ()))
    versions: list[str] = []

    async def one(name: str) -> Found:
        try:
            path = str(find_tool(name, inventory))
        except CommandError as error:
            fix = f"install {name}, or name its directory as tools"
            return Found(FAILED, error.message.removeprefix(f"{name} is "), fix)
        if name != "nix":
            return Found(OK)
        try:
            _, out, _ = await run((path, "--version"), VERSION_LIMIT, tool_path(inventory))
            version = parse_version(out.decode("utf-8", "replace"))
        except (OSError, OutputError) as error:  # TimeoutError is an OSError
            return Found(UNKNOWN, f"{path} tells no version: {clean_line(str(error), 80)}", "nix --version")
        versions.append(f"nix {'.'.join(map(str, version))}")
        if version < NIX_OLDEST:
            return Found(FAILED, f"{versions[0]} is too old", "install Nix 2.19 or newer")
        return Found(OK)

    result = await context.each(wanted, one)
    return together(result, ", ".join((*versions, *(name for name in wanted if name != "nix"))), "")


def _room(path: Path, wanted: int, fix: str) -> Found:
    try:
        free = shutil.disk_usage(path).free
        files = os.statvfs(path)
    except OSError as error:
        return Found(UNKNOWN, f"{path}: {error.strerror or error}", f"df -h {path}")
    if files.f_files and files.f_favail < 1000:
        return Found(FAILED, f"{path}: {files.f_favail} more files fit (inodes)", fix)
    if free < wanted // 16:
        return Found(FAILED, f"{path}: {free / 1e9:.1f} GB are free", fix)
    if free < wanted:
        return Found(WARNING, f"{path}: {free / 1e9:.1f} GB are free", fix)
    return Found(OK, f"{path}: {free / 1e9:.0f} GB are free")


async def space_journal(context: Context) -> Found:
    fix = f"du -sh {context.state}/*; move it by XDG_STATE_HOME, or give it room"
    return await asyncio.to_thread(_room, context.state, ROOM_JOURNAL, fix)


async def space_assets(context: Context) -> Found:
    path = Path(context.inventory.pxe.assets)
    if not await asyncio.to_thread(path.is_dir):
        return skipped(f"{path} is not on this host")
    return await asyncio.to_thread(_room, path, ROOM_ASSETS, f"remove old images below {path}")


async def space_store(context: Context) -> Found:
    path = Path("/nix/store")
    if not await asyncio.to_thread(path.is_dir):
        return skipped("this host has no /nix/store")
    return await asyncio.to_thread(_room, path, ROOM_STORE, "nix-collect-garbage --delete-older-than 30d")


async def journal(context: Context) -> Found:
    if context.journal:
        return Found(FAILED, context.journal, f"df -h {context.state}; ls -ld {context.state}")
    writable = await asyncio.to_thread(os.access, context.state, os.W_OK)
    return (
        Found(OK, str(context.state))
        if writable
        else Found(FAILED, f"{context.state} cannot be written", f"ls -ld {context.state}")
    )


async def _sources(context: Context) -> Mapping[str, SourceState]:
    """The log sources, once those that have just been started have looked."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SOURCES_START):
            while any(each.status == "waiting" and not each.message for each in context.sources.values()):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)  # states are values: there is nothing to be told of
    return context.sources


async def log_sources(context: Context) -> Found:
    found = {}
    for name, source in (await _sources(context)).items():
        fix = f"see that {name} on {source.where} is there and may be read"
        well = source.status == "running"
        found[name] = Found(OK) if well else Found(FAILED, source.message or source.status, fix)
    return together(found, "{} sources", _NO_LOGS)


async def log_recent(context: Context) -> Found:
    """Errors are no sign of life: their logs are left out."""
    now = time.time()
    found = {}
    for name, source in (await _sources(context)).items():
        fix = f"see that {name} on {source.where} is the log that is written"
        if source.status != "running" or source.format == "nginx-error":
            found[name] = skipped("no source can be read")
        elif not source.last:
            found[name] = Found(WARNING, "it said nothing yet", fix)
        elif now - source.last > RECENT:
            found[name] = Found(WARNING, f"its last line is {int((now - source.last) / 86400)} days old", fix)
        else:
            found[name] = Found(OK)
    return together(found, "{} sources", _NO_LOGS)


async def dhcp_port(context: Context) -> Found:
    """Whether something listens on UDP 67, when this host is the PXE server."""
    server = context.inventory.pxe.server
    if server is None:
        return skipped("the inventory names no PXE server (pxe.server)")
    here, listening = await asyncio.to_thread(_here, str(server))
    if not here:
        return skipped(f"{server} is another host: `plasmatui check --online --dhcp-probe IFACE` asks it")
    if listening:
        return Found(OK, "UDP port 67 is taken")
    if server.is_loopback:
        return skipped(f"nothing listens on UDP port 67, and {server} is loopback: a simulated rack has no DHCP server")
    return Found(
        FAILED,
        "nothing listens on UDP port 67",
        f"systemctl status {dhcp_unit(context.inventory.pxe.dhcp)}",
    )


def dhcp_unit(server: str) -> str:
    """Debian's unit of a DHCP server."""
    return _UNITS.get(server, "dnsmasq")


def is_here(address: str) -> bool:
    """Whether an IPv4 address is this host's, told from others: every host has loopback addresses."""
    return not IPv4Address(address).is_loopback and _bindable(address)


def _bindable(address: str) -> bool:
    import socket

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


def listens(port: int) -> bool:
    """Whether a UDP port of this host is taken, on whichever of its addresses: /proc/net/udp, proc(5)."""
    lines = Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") for line in lines)


def _here(address: str) -> tuple[bool, bool]:
    if not _bindable(address):
        return False, False
    return True, listens(67)
