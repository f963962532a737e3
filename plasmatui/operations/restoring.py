"""Restoring a node's data: verified, laid beside what is there, looked at, swapped, seen well; else swapped back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plasmatui.backups.manifest import BackupError, Part
from plasmatui.backups.verify import CHUNK, Contents, check_list, verify_part
from plasmatui.model.operation import RestoreOrder
from plasmatui.model.words import StepResult
from plasmatui.operations import serviceturn
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.gauges import Gauge, size_words
from plasmatui.operations.nodedata import LIMIT, extract_argv, is_active, real_path
from plasmatui.operations.restore import COPY_LIMIT, FILES_LIMIT, manifest_of, parts_of, service_of
from plasmatui.operations.ssh import system
from plasmatui.operations.streams import Copying, Stalls
from plasmatui.operations.work import NodeWork
from plasmatui.remote.channel import last_lines
from plasmatui.text import clean_line

if TYPE_CHECKING:
    from plasmatui.remote.host import Host

MARGIN: Final = 64 * 1024 * 1024
"""Bytes that must be left on the node's file system."""


class Target(msgspec.Struct, frozen=True):
    """Where a service's data go. `active`: it ran before."""

    service: str
    path: str
    active: bool


@dataclass(frozen=True)
class Item:
    """One archive on its way into its place. `stamp` and `number` make the names of what lies beside it."""

    part: Part
    contents: Contents
    target: Target
    stamp: str
    number: int

    @property
    def beside(self) -> str:
        return f"{self.target.path}.restoring-{self.number}"

    @property
    def old(self) -> str:
        return f"{self.target.path}.before-restore-{self.stamp}"

    @property
    def failed(self) -> str:
        return f"{self.target.path}.failed-restore-{self.number}"


async def restore(work: NodeWork, order: RestoreOrder) -> None:
    """Restore the node's services, one after the other; each is well, or as it was."""
    items = await prepare(work, order.backup, order.services)
    await _turn(work, items)
    for item in items:
        await _one(work, order.backup, item)
    with work.uncancelled():
        work.update(message=await told_old(work, items))


async def told_old(work: NodeWork, items: tuple[Item, ...]) -> str:
    """How to remove what was moved aside; "" when nothing was, or the node does not tell."""
    from plasmatui.model.command import CommandError

    try:
        old = [item.old for item in items if await _exists(system(work), item.old)]
    except CommandError:
        return ""
    return f"when all is well, remove the old data: ssh {work.node} rm -r {' '.join(old)}" if old else ""


async def prepare(work: NodeWork, backup: str, services: tuple[str, ...]) -> tuple[Item, ...]:
    """Do the steps `verify-backup` and `check-node`: nothing is touched.

    Raises:
        NodeFailedError: "backup-damaged", "no-space", "data-missing".
    """
    parts, contents = await work.look("verify-backup", lambda: _verify(work, backup, services))
    text = await work.remember("check-node", lambda: _check(work, parts, contents))
    targets = {target.service: target for target in msgspec.json.decode(text, type=list[Target])}
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(work.history.begun("check-node")))
    return tuple(Item(part, contents[part.service], targets[part.service], stamp, work.number) for part in parts)


async def _verify(
    work: NodeWork, backup: str, services: tuple[str, ...]
) -> tuple[tuple[Part, ...], dict[str, Contents]]:
    over = False
    read = 0

    def progress(count: int) -> None:
        nonlocal read
        read += count
        if over:
            raise BackupError("left")

    def verify() -> tuple[tuple[Part, ...], dict[str, Contents]]:
        parts = parts_of(manifest_of(backup, work.node, work.site), services)
        found = {part.service: verify_part(Path(backup) / work.node, part, progress) for part in parts}
        return parts, found

    task = asyncio.create_task(asyncio.to_thread(verify), name=f"verify a backup of {work.node}")
    try:
        while not task.done():
            work.progress(f"{size_words(read)} read")
            await asyncio.wait((task,), timeout=0.5)
        return task.result()
    except BackupError as error:
        raise NodeFailedError("backup-damaged", f"{work.node}: {error}; nothing was touched") from None
    finally:
        over = True
        await asyncio.gather(task, return_exceptions=True)


async def _check(work: NodeWork, parts: tuple[Part, ...], contents: dict[str, Contents]) -> str:
    host = system(work)
    targets = []
    for part in parts:
        service = service_of(part, work.site)
        path = await real_path(host, service.data or part.path) or part.path
        parent = path.rpartition("/")[0]
        if await real_path(host, parent) is None:
            raise NodeFailedError("data-missing", f"{work.node}: {parent} is not there, so {path} cannot be")
        needed = sum(each.bytes for each in contents.values())
        ran = await host.run(("df", "-B1", "--output=avail", "--", parent), limit=LIMIT)
        word = ran.out.decode(errors="replace").split()[-1:]
        if word and word[0].isdigit() and int(word[0]) < needed + MARGIN:
            text = (
                f"{work.node}: {size_words(needed)} do not fit in {parent}, which has {size_words(int(word[0]))} free"
            )
            raise NodeFailedError("no-space", f"{text}; nothing was touched")
        targets.append(Target(part.service, path, await is_active(host, service.unit_name)))
    return msgspec.json.encode(targets).decode()


async def _turn(work: NodeWork, items: tuple[Item, ...]) -> None:
    work.turns.ready(work.node)
    if any(work.history.was_begun(f"copy-{item.part.service}") for item in items):
        work.skip("wait-turn", "its turn had come before the engine was restarted")
        return

    stopped = await work.look("wait-turn", lambda: work.turns.turn(work.node, work.progress))
    if stopped:
        work.amend(StepResult.SKIPPED, stopped)
        raise NodeLeftError(f"{stopped}; nothing was changed on it")


async def _one(work: NodeWork, backup: str, item: Item) -> None:
    """One service: well with the restored data, or as it was."""
    name, service = item.part.service, service_of(item.part, work.site)
    if work.history.was_begun(f"put-back-{name}"):
        text = f"{work.node}: {name} did not come up with the restored data before the engine was restarted"
        await put_back(work, item, NodeFailedError("restore-failed", text))
    await bring(work, backup, item)
    try:
        if item.target.active or work.history.was_begun(f"stop-{name}"):
            await serviceturn.stop(work, service, _nothing)
        else:
            work.skip(f"stop-{name}", "it did not run")
        with work.uncancelled():
            await place(work, item)
            await serviceturn.start(work, service)
    except NodeFailedError as error:
        if not work.history.begun(f"stop-{name}") and not work.history.begun(f"place-{name}"):  # the guard refused
            await remove_beside(work, item)
            raise
        await put_back(work, item, error)
    work.skip(f"put-back-{name}", "it is well")


async def bring(work: NodeWork, backup: str, item: Item) -> None:
    """Do the steps `copy-NAME` and `verify-files-NAME`: the archive's content lies beside the data, and is as it was.

    Raises: as `NodeWork.act`; what lay beside is removed then.
    """
    name = item.part.service
    copying = _Copy(work, backup, item).copying
    # Then it was looked at, and may be in place.
    if work.history.was_done(f"place-{name}") or work.history.was_begun(f"stop-{name}"):
        work.skip(f"copy-{name}", "done before the engine was restarted")
        work.skip(f"verify-files-{name}", "done before the engine was restarted")
        return
    try:
        await work.act(f"copy-{name}", copying.run, seen=_again, stop=copying.stop)
        await work.look(f"verify-files-{name}", lambda: _compare(work, item))
    except (NodeFailedError, NodeLeftError):
        await remove_beside(work, item)
        raise


async def remove_beside(work: NodeWork, item: Item) -> None:
    """Remove what was unpacked and is not used; as well as can be."""
    await _remove(work, item.beside)


async def _remove(work: NodeWork, *paths: str) -> None:
    from plasmatui.model.command import CommandError

    try:
        await system(work).run(("rm", "-rf", "--", *paths), limit=FILES_LIMIT)
    except CommandError as error:
        work.log(f"{' and '.join(paths)} may be left: {error.message}")


class _Copy:
    """An archive on its way to the node."""

    def __init__(self, work: NodeWork, backup: str, item: Item) -> None:
        self._work = work
        self._file = Path(backup) / work.node / item.part.file
        self._item = item
        self.copying = Copying(work, item.part.service, self._copy, "; its data were left alone")

    async def _copy(self) -> None:
        try:
            await self._send()
        except OSError as error:
            raise NodeFailedError("backup-damaged", f"{self._work.node}: {self._file}: {error.strerror}") from None

    async def _send(self) -> None:
        work, item, host = self._work, self._item, system(self._work)
        await host.run(("rm", "-rf", "--", item.beside), limit=FILES_LIMIT, check=True)
        await host.run(("mkdir", "-m", "700", "--", item.beside), limit=LIMIT, check=True)
        gauge = Gauge(item.part.service, item.part.bytes, work.pace.bandwidth, work.progress, exact=True)
        async with Stalls(work, item.part.service) as stalls:

            async def source() -> AsyncIterator[bytes]:
                with self._file.open("rb") as file:
                    while data := await asyncio.to_thread(file.read, CHUNK // 4):
                        yield data
                        await gauge.passed(len(data))
                        stalls.moved()

            ended = await host.send(extract_argv(item.beside, item.part.codec), source(), limit=COPY_LIMIT)
        if ended.status != 0:
            lines = last_lines(ended.err)
            text = f"{work.node}: tar ended with status {ended.status}: {lines[-1] if lines else 'it says nothing'}"
            raise NodeFailedError("restore-failed", f"{text}; its data were left alone", lines)
        top = item.contents.top  # which --strip-components leaves out
        await host.run(("chown", f"{top.uid}:{top.gid}", "--", item.beside), limit=LIMIT, check=True)
        await host.run(("chmod", f"{top.mode & 0o7777:04o}", "--", item.beside), limit=LIMIT, check=True)


async def _compare(work: NodeWork, item: Item) -> None:
    """See what lies there: sums by sha256sum, the rest by find."""
    host = system(work)
    sums = check_list(item.contents, item.beside)
    if sums:
        argv = ("sha256sum", "--check", "--quiet", "--strict", "-")
        ran = await host.run(argv, limit=FILES_LIMIT, input=sums)
        if ran.status != 0:
            lines = last_lines(ran.out + ran.err)
            text = f"{work.node}: what arrived is not what was backed up: {lines[0] if lines else 'sha256sum fails'}"
            raise NodeFailedError("restore-failed", f"{text}; its data were left alone", lines)
    ran = await host.run(("find", item.beside, "-printf", "%y %m %U %G %P\\0"), limit=FILES_LIMIT, check=True)
    found = set(filter(None, ran.out.decode("utf-8", "surrogateescape").split("\0")))
    wanted = {_shown(member) for member in item.contents.members}
    wrong = sorted({entry for entry in found ^ wanted if not entry.startswith("l ")})
    if wrong:
        text = f"{work.node}: owner, mode or name differ from what was backed up: {clean_line(wrong[0], 200)}"
        raise NodeFailedError("restore-failed", f"{text}; its data were left alone", tuple(wrong))


def _shown(member: object) -> str:
    from plasmatui.backups.verify import Member

    assert isinstance(member, Member)
    kind = {"file": "f", "link": "f", "directory": "d", "symlink": "l", "fifo": "p"}[member.kind]
    return f"{kind} {member.mode & 0o7777:o} {member.uid} {member.gid} {member.path}"


async def place(work: NodeWork, item: Item) -> None:
    """Do the step `place-NAME`. Each move is looked for before it is made, so that half of it is completed."""

    async def do() -> None:
        host = system(work)
        if await _exists(host, item.beside):
            await _move(host, item.target.path, item.old)
            await _move(host, item.beside, item.target.path)
        if not await placed():
            raise NodeFailedError("restore-failed", f"{work.node}: {item.target.path} is not in place")

    async def placed() -> bool:
        host = system(work)
        return not await _exists(host, item.beside) and await _exists(host, item.target.path)

    await work.act(f"place-{item.part.service}", do, seen=placed)


async def put_back(work: NodeWork, item: Item, error: NodeFailedError) -> None:
    """As it was: the old directory in its place, and the service with it, if it ran.

    Raises:
        NodeFailedError: always: what had failed, and whether all is as before.
    """
    try:
        await move_back(work, item, well=True)
    except NodeFailedError as second:
        text = f"{error.message}; and it could not be put back: {second.message}; the old data are in {item.old}"
        raise NodeFailedError(error.id, text, (*error.evidence, *second.evidence)) from None
    raise NodeFailedError(error.id, f"{error.message}; the old data are in their place again", error.evidence)


async def move_back(work: NodeWork, item: Item, *, well: bool) -> None:
    """Do the step `put-back-NAME`; it is not cancelled. `well`: the service must be so, if it ran.

    Raises:
        NodeFailedError: it is not as before.
    """
    service = service_of(item.part, work.site)

    async def do() -> None:
        host = system(work)
        await host.run(("systemctl", "stop", "--", service.unit_name), limit=serviceturn.STOP_LIMIT, check=True)
        old = await _exists(host, item.old)
        if (old or await placed(host)) and not await _exists(host, item.failed):
            await _move(host, item.target.path, item.failed)
        if old:
            await _move(host, item.old, item.target.path)
        if item.target.active:
            await host.run(("systemctl", "reset-failed", "--", service.unit_name), limit=LIMIT)
            await host.run(("systemctl", "start", "--", service.unit_name), limit=serviceturn.START_LIMIT, check=True)
            if well:
                await serviceturn.see_well(work, service)

    async def placed(host: Host) -> bool:
        """What was restored lies in a place where nothing had been."""
        begun = bool(work.history.begun(f"place-{item.part.service}"))
        return begun and not await _exists(host, item.beside) and await _exists(host, item.target.path)

    with work.uncancelled():
        await work.act(f"put-back-{item.part.service}", do, seen=_again)
    # Behind the step, which tells by these names how far it came.
    await _remove(work, item.beside, item.failed)


async def _exists(host: Host, path: str) -> bool:
    return (await host.run(("test", "-e", path), limit=LIMIT)).status == 0


async def _move(host: Host, old: str, new: str) -> None:
    """Rename a directory, where there is one; nothing is moved into another directory."""
    if await _exists(host, old):
        await host.run(("mv", "-T", "--", old, new), limit=LIMIT, check=True)


async def _nothing() -> None:
    pass


async def _again() -> bool:
    return False
