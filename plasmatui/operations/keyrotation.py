"""A new provisioning key on nodes: added, tried, switched to, and only then the old one taken out.

At every moment the key that the inventory names is let in; on the way, both are. What was done is seen on the nodes and
in the inventory, so that it can be gone on with after the engine's end.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from plasmatui.certs.authorized import has_key, with_key, without_key
from plasmatui.certs.sshkeys import KeyFileError, make_key, next_path, public_line, read_key
from plasmatui.inventory.edit import EditError
from plasmatui.model.command import CommandError
from plasmatui.model.operation import NodePlan, SshKeysRotateOrder
from plasmatui.operations import sshkeys
from plasmatui.operations.authorizedkeys import login, read_keys, tried, write_keys
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

PACE = 0.5
SWITCH, STOP = "switch", "stop"
"""What a person may answer where nodes outside the set do not answer."""


async def look(
    order: SshKeysRotateOrder, plans: tuple[NodePlan, ...], site: Site
) -> tuple[SshKeysRotateOrder, tuple[NodePlan, ...]]:
    """See `sshkeys.look`."""
    key = site.inventory().ssh.key
    if key and not (order.old and order.new):
        new = order.new or await asyncio.to_thread(next_path, key, time.strftime("%Y%m%d", time.gmtime()))
        order = SshKeysRotateOrder(key, new)
    problem = await asyncio.to_thread(_problem, order)
    if problem:
        return order, tuple(NodePlan(plan.node, skipped=problem) for plan in plans)
    looked = await asyncio.gather(*(_look(order, plan, site) for plan in plans))
    notes = _notes(order, site, frozenset(plan.node for plan in plans))
    first, *others = looked
    return order, (NodePlan(first.node, first.steps, first.skipped, (*first.notes, *notes)), *others)


def _problem(order: SshKeysRotateOrder) -> str:
    """Why no key can be rotated, "" when it can."""
    if not order.old:
        return (
            "ssh.key is not given in the inventory: the keys are those of an agent or of the user; replace them there"
        )
    old = Path(os.path.expanduser(order.old))
    if old.with_name(f"{old.name}-cert.pub").exists():
        return f"{old} logs in by a certificate of an SSH CA: sign a new key there"
    try:
        public_line(order.old)
        if Path(os.path.expanduser(order.new)).exists():
            public_line(order.new)
    except KeyFileError as error:
        return str(error)
    return ""


async def _look(order: SshKeysRotateOrder, plan: NodePlan, site: Site) -> NodePlan:
    """A node that does not let the old key in is left in the plan: its part fails, and nothing is switched."""
    steps = sshkeys.steps(order, plan.node, site)
    try:
        text = await _keys_of(site, plan.node, order.old)
    except (CommandError, NodeFailedError) as error:
        return NodePlan(plan.node, steps, notes=(*plan.notes, f"{error.message}: as it is, nothing would be switched"))
    lines = sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    own = has_key(text, await asyncio.to_thread(public_line, order.old))
    note = (
        f"{plan.node}: {lines} keys in authorized_keys{'' if own else ', the old one is let in by its configuration'}"
    )
    return NodePlan(plan.node, steps, "", (*plan.notes, note))


def _notes(order: SshKeysRotateOrder, site: Site, chosen: frozenset[str]) -> tuple[str, ...]:
    from plasmatui.inventory.nodesets import fold

    outside = [node for node in site.inventory().nodes if node not in chosen]
    notes = [
        f"put {order.new}.pub into the flake and the netboot images, which bring the old key with each installation"
    ]
    if outside:
        notes.append(f"{fold(outside)}: not in the set; those must let the new key in, or nothing is switched")
    notes += [f"{host}: must let the new key in, too; add it there first" for host in _other_hosts(site)]
    return tuple(notes)


def _other_hosts(site: Site) -> tuple[str, ...]:
    """Hosts that are no nodes and logged in to with the same key: a jump host, hosts of logs."""
    inventory = site.inventory()
    return tuple(dict.fromkeys(host for host in (inventory.ssh.jump, *(log.ssh for log in inventory.logs)) if host))


async def rotate(work: NodeWork, order: SshKeysRotateOrder) -> None:
    """See `sshkeys.rotate`."""
    if not order.old or not order.new:
        raise NodeFailedError("refused", f"{work.node}: the order names no keys; plan it first")
    await work.act("make-key", lambda: _make(work, order), seen=_again)
    old, new = await asyncio.to_thread(_publics, order)
    if not work.record.before:
        work.update(before=read_key(order.old).fingerprint)
    await work.act("add-key", lambda: _add(work, order, old, new), seen=_again)
    await work.look("verify-new", lambda: _enter(work, order.new))
    await work.look("wait-others", lambda: _wait(work, order))
    await work.act("switch-inventory", lambda: _switch(work, order), seen=lambda: _is_switched(work, order))
    await work.act("remove-old", lambda: _remove(work, order, old), seen=_again)
    if await work.look("verify-removed", lambda: tried(work.site, work.node, order.old)):
        text = "the old key is still let in, by the node's configuration: take it out of the flake"
        work.update(message=text)
    work.update(after=read_key(order.new).fingerprint)


def _publics(order: SshKeysRotateOrder) -> tuple[str, str]:
    try:
        return public_line(order.old), public_line(order.new, _comment(order))
    except KeyFileError as error:
        raise NodeFailedError("ssh-refused", str(error)) from None


def _comment(order: SshKeysRotateOrder) -> str:
    return read_key(order.old).comment or "provisioning"


async def _again() -> bool:
    """These steps have the same effect when they are done twice."""
    return False


async def _make(work: NodeWork, order: SshKeysRotateOrder) -> None:
    try:
        await asyncio.to_thread(make_key, order.new, _comment(order))
    except KeyFileError as error:
        raise NodeFailedError("ssh-refused", f"{work.node}: {error}") from None


def _switched(work: NodeWork, order: SshKeysRotateOrder) -> bool:
    return Path(os.path.expanduser(work.site.inventory().ssh.key)) == Path(os.path.expanduser(order.new))


async def _is_switched(work: NodeWork, order: SshKeysRotateOrder) -> bool:
    return _switched(work, order)


async def _keys_of(site: Site, node: str, key: str) -> str:
    async with login(site, node, key) as host:
        return (await read_keys(host))[1]


async def _add(work: NodeWork, order: SshKeysRotateOrder, old: str, new: str) -> None:
    """Raises NodeFailedError, CommandError: the node cannot be reached, or the file is not ours to write."""
    async with login(work.site, work.node, order.new if _switched(work, order) else order.old) as host:
        path, text = await read_keys(host)
        changed = with_key(text, old, new)
        if changed != text:
            await write_keys(host, path, changed)
            work.log(f"{path}: {new.split(None, 2)[0]} {read_key(order.new).fingerprint} was added")


async def _enter(work: NodeWork, key: str) -> None:
    """Log in with a key and no other."""
    async with login(work.site, work.node, key):
        work.log(f"{work.node} lets {key} in")


async def _wait(work: NodeWork, order: SshKeysRotateOrder) -> None:
    """Wait until all nodes of the set let the new key in; all but the first then wait until that has switched.

    Raises:
        NodeFailedError: "peers": one of them does not.
    """
    if _switched(work, order):
        return
    work.turns.ready(work.node)
    stopped = await work.turns.turn(work.node, work.progress)
    while not stopped and work.node != min(work.peers) and not _switched(work, order):
        work.progress(f"{min(work.peers)} switches the inventory")
        await asyncio.sleep(PACE)
        stopped = work.turns.stopped
    if stopped and not _switched(work, order):
        text = f"both keys are let in here; ssh.key is not switched, and the old key stays: {stopped}"
        raise NodeFailedError("peers", f"{work.node}: {text}")


async def _switch(work: NodeWork, order: SshKeysRotateOrder) -> None:
    """Name the new key in the inventory, when nobody is locked out by it.

    Raises:
        NodeFailedError: "peers": a host outside the set does not let the new key in; "inventory": it cannot be edited.
        NodeLeftError: a person said so.
    """
    if _switched(work, order):
        return
    await _see_outside(work, order)
    try:
        diff = await work.site.amend(lambda editor: editor.set_ssh_key(_written(work, order.new)))
    except EditError as error:
        raise NodeFailedError("inventory", f"{work.node}: ssh.key cannot be switched: {error}") from None
    for line in diff.splitlines():
        work.log(line)


def _written(work: NodeWork, path: str) -> str:
    """As the old one is written: with ~ where that has one."""
    home = Path.home()
    if work.site.inventory().ssh.key.startswith("~") and Path(path).is_relative_to(home):
        return f"~/{Path(path).relative_to(home)}"
    return path


async def _see_outside(work: NodeWork, order: SshKeysRotateOrder) -> None:
    site = work.site
    outside = [node for node in site.inventory().nodes if node not in work.peers]
    hosts = _other_hosts(site)
    answers = await asyncio.gather(
        *(_asked(partial(tried, site, node, order.new)) for node in outside),
        *(_asked(partial(site.hosts().lets_in, host, order.new)) for host in hosts),
    )
    found = dict(zip((*outside, *hosts), answers, strict=True))
    refused = [name for name, answer in found.items() if answer is False]
    silent = [name for name, answer in found.items() if isinstance(answer, str)]
    if refused:
        text = (
            f"{', '.join(refused[:5])} {'do' if len(refused) > 1 else 'does'} not let the new key in, and would be lost"
        )
        hint = f"take {'them' if len(refused) > 1 else 'it'} into the set, or add {shlex.quote(order.new)}.pub there"
        raise NodeFailedError("peers", f"{work.node}: {text}; {hint}; nothing was switched")
    if silent:
        work.log("\n".join(f"{name}: {found[name]}" for name in silent))
        names = f"{', '.join(silent[:8])}{' ...' if len(silent) > 8 else ''}"
        answer = await work.ask(
            f"{names}: no answer, so that nobody knows whether the new key is let in there. Once ssh.key is switched, "
            f"{order.old} may be the only way in. Answer {SWITCH} to switch, {STOP} to leave both keys everywhere",
            (SWITCH, STOP),
        )
        if answer == STOP:
            raise NodeLeftError("not switched, as a person decided; both keys are let in")


async def _asked(ask: Callable[[], Awaitable[bool]]) -> bool | str:
    """True or False, or why that is not known."""
    try:
        return await ask()
    except CommandError as error:
        return error.message


async def _remove(work: NodeWork, order: SshKeysRotateOrder, old: str) -> None:
    """Take the old key out. The connection that does it stays until another one has shown that the new key is let in.

    Raises:
        NodeFailedError: "ssh-refused": it is not; the old one was put back.
    """
    async with login(work.site, work.node, order.new) as host:
        path, text = await read_keys(host)
        left = without_key(text, old)
        if left == text:
            work.log(f"{path} does not hold the old key")
            return
        await write_keys(host, path, left)
        try:
            await _enter(work, order.new)
        except CommandError as error:
            await write_keys(host, path, text)
            why = f"after the old key was taken out the new one was refused ({error.message}); it was put back"
            raise NodeFailedError("ssh-refused", f"{work.node}: {why}") from None
        work.log(f"{path}: the old key was taken out")
