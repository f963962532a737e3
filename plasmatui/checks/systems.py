"""Nodes over SSH: login, clocks, room; and the keys on both sides."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.checks.http import judged_clock
from plasmatui.model.command import CommandError

LIMIT = 20.0
ROOM = 8 << 30
"""Bytes in /nix/store that another NixOS system, beside the one that runs, should find."""

_NONE_RUNS = "no node with an installed system is on"


@dataclass(frozen=True)
class Seen:
    """What a node's system says. `skew`: seconds that its clock is ahead; `doubt`: that this may be wrong by."""

    skew: float
    doubt: float
    room: int | None


async def _seen(context: Context, node: str) -> Seen | Found:
    return await context.once(f"system {node}", lambda: _look(context, node))


async def _look(context: Context, node: str) -> Seen | Found:
    try:
        host = context.hosts().system(node)
        await host.run(["true"], limit=LIMIT)  # the connection stands: the clock's answer is not late for it
        begin = time.time()
        told = await host.run(["date", "+%s.%N"], limit=LIMIT)
        end = time.time()
        room = await host.run(["df", "-B1", "--output=avail", "/nix/store"], limit=LIMIT, check=False)
    except CommandError as error:
        installed = context.installed(node)
        fix = f"plasmatui explain {error.id}" if error.id.startswith("ssh-") else ""
        if installed:
            return Found(FAILED, error.message, fix)
        return Found(WARNING, f"{error.message} (it is not known to be installed)", fix)
    try:
        clock = float(told.out)
    except ValueError:
        return Found(UNKNOWN, "it tells no time", f"ssh {node} date")
    lines = room.out.split()
    free = int(lines[-1]) if room.status == 0 and lines and lines[-1].isdigit() else None
    return Seen(clock - (begin + end) / 2, (end - begin) / 2, free)


async def login(context: Context) -> Found:
    async def one(node: str) -> Found:
        seen = await _seen(context, node)
        return seen if isinstance(seen, Found) else Found(OK)

    return together(await context.each(context.running, one), "{} nodes", _NONE_RUNS)


async def clock(context: Context) -> Found:
    async def one(node: str) -> Found:
        seen = await _seen(context, node)
        if isinstance(seen, Found):
            return skipped("they cannot be logged in to")
        return judged_clock(seen.skew, seen.doubt, f"ssh {node} timedatectl; see that NTP runs there")

    return together(await context.each(context.running, one), "{} nodes", _NONE_RUNS)


async def space(context: Context) -> Found:
    async def one(node: str) -> Found:
        seen = await _seen(context, node)
        if isinstance(seen, Found):
            return skipped("they cannot be logged in to")
        if seen.room is None:
            return Found(UNKNOWN, "it does not tell its room", f"ssh {node} df /nix/store")
        if seen.room >= ROOM:
            return Found(OK)
        return Found(
            WARNING, f"{seen.room / 1e9:.1f} GB are free", f"ssh {node} nix-collect-garbage --delete-older-than 30d"
        )

    return together(await context.each(context.running, one), "{} nodes", _NONE_RUNS)


async def key(context: Context) -> Found:
    given = context.inventory.ssh.key
    if not given:
        if os.environ.get("SSH_AUTH_SOCK"):
            return Found(OK, "the engine has an SSH agent")
        return Found(WARNING, "ssh.key is not given, and the engine has no SSH agent", "give ssh.key in the inventory")
    return await asyncio.to_thread(_key_file, given)


def _key_file(given: str) -> Found:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    path = Path(os.path.expanduser(given))
    make = f"ssh-keygen -t ed25519 -f {path}"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        data = path.read_bytes()[:65536]
    except OSError as error:
        return Found(FAILED, f"{path}: {error.strerror or error}", make)
    if mode & 0o077:
        return Found(FAILED, f"{path} is open to others (mode {mode:04o})", f"chmod 600 {path}")
    try:
        load_ssh_private_key(data, None)
    except TypeError:
        return Found(WARNING, f"{path} has a passphrase: it works through an SSH agent only", f"ssh-add {path}")
    except (ValueError, UnsupportedAlgorithm):
        return Found(WARNING, f"{path} is in no format that is known here", make)
    return Found(OK, str(path))


async def host_keys(context: Context) -> Found:
    """Of nodes that run: those that we installed stand in the engine's file, others in known_hosts."""
    from plasmatui.remote.knownhosts import KnownHosts, default_known_hosts
    from plasmatui.remote.target import Role, target_of

    names = context.running
    if not names:
        return skipped(_NONE_RUNS)
    try:
        known = await asyncio.to_thread(KnownHosts(default_known_hosts(context.inventory.ssh)).read)
    except CommandError as error:
        return Found(FAILED, error.message, "mend the file")

    def one(node: str) -> Found:
        try:
            target = target_of(context.inventory, node, Role.SYSTEM)
            if context.hosts().keys.keys(target.known_as):
                return Found(OK)
        except CommandError as error:
            return Found(FAILED, error.message)
        matched = known.match(target.address, target.address, target.port)
        if any(matched[:2]):
            return Found(OK)
        fix = f"compare its fingerprint on the console, then: ssh-keyscan -p {target.port} {target.address} >> FILE"
        state = FAILED if context.installed(node) else WARNING
        return Found(state, "its host key is not known", f"{fix} (ssh.known_hosts)")

    return together({name: one(name) for name in names}, "{} nodes", _NONE_RUNS)
