"""Backing up a node: each service stopped, its data streamed to this host, started, seen to be well."""

from __future__ import annotations

import asyncio
import errno
import time
from pathlib import Path
from typing import Final

import msgspec

from plasmatui.backups import writer
from plasmatui.backups.manifest import (
    CONFIGURATION,
    INVENTORY,
    MANIFEST,
    SUFFIXES,
    BackupError,
    Head,
    NodeManifest,
    Part,
    RaftSeen,
    moment,
    write_file,
    write_json,
)
from plasmatui.inventory.inventory import Service
from plasmatui.model.operation import BackupOrder
from plasmatui.model.words import StepResult
from plasmatui.operations import serviceturn, witness
from plasmatui.operations.backup import STREAM_LIMIT, services_of
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.gauges import Gauge, size_words
from plasmatui.operations.nodedata import AT_NIXOS, NodeData, ServiceData, create_argv, look_at
from plasmatui.operations.ssh import system
from plasmatui.operations.streams import Copying, Stalls
from plasmatui.operations.work import NodeWork
from plasmatui.remote.channel import last_lines
from plasmatui.text import clean_line

MARGIN: Final = 64 * 1024 * 1024
"""Bytes that must be left on this host's disk beside a backup."""


async def back_up(work: NodeWork, order: BackupOrder) -> None:
    """Back the node up, or leave it as it was, with what was written marked as partial."""
    text = await work.remember("check-node", lambda: _check(work, order))
    found = msgspec.json.decode(text, type=NodeData)
    place = await _turn(work, order)
    for service in services_of(order, work.node, work.site):
        data = next(each for each in found.data if each.service == service.name)
        await _service(work, order, found, data, service, place)
    exclude = "" if order.secrets else "nixos/secrets"
    argv = create_argv(AT_NIXOS, found.codec, exclude)
    configuration = _Stream(work, place, CONFIGURATION, AT_NIXOS, "", 0, False, found.codec, argv, None)
    await work.act(
        "stream-configuration", configuration.copying.run, seen=configuration.seen, stop=configuration.copying.stop
    )
    await work.act("write-manifest", lambda: _manifest(work, order, found, place), seen=_again)
    work.update(after=f"{order.directory}/{order.name}/{work.node}")


async def _check(work: NodeWork, order: BackupOrder) -> str:
    found = await look_at(system(work), services_of(order, work.node, work.site))
    await _room(work, order, found.bytes)
    return msgspec.json.encode(found).decode()


async def _room(work: NodeWork, order: BackupOrder, needed: int) -> None:
    try:
        free = await asyncio.to_thread(writer.free_bytes, Path(order.directory))
    except OSError as error:
        raise NodeFailedError("no-space", f"{order.directory} on this host: {error.strerror}") from None
    if free < needed + MARGIN:
        text = f"{work.node}: {size_words(needed)} do not fit on this host: {order.directory} has {size_words(free)}"
        raise NodeFailedError("no-space", f"{text} free; nothing was stopped")


async def _turn(work: NodeWork, order: BackupOrder) -> Path:
    """Wait for the node's turn, and make its directory."""
    work.turns.ready(work.node)
    if any(work.history.was_begun(f"{verb}-{name}") for verb in ("stop", "stream") for name in _names(work, order)):
        work.skip("wait-turn", "its turn had come before the engine was restarted")
        return await _begin(work, order)

    async def wait() -> Path | str:
        return await work.turns.turn(work.node, work.progress) or await _begin(work, order)

    stopped = await work.look("wait-turn", wait)
    if isinstance(stopped, str):
        work.amend(StepResult.SKIPPED, stopped)
        raise NodeLeftError(f"{stopped}; nothing was changed on it")
    return stopped


def _names(work: NodeWork, order: BackupOrder) -> tuple[str, ...]:
    return (*(service.name for service in services_of(order, work.node, work.site)), "configuration")


async def _begin(work: NodeWork, order: BackupOrder) -> Path:
    inventory = work.site.inventory()
    directory = Path(order.directory) / order.name
    head = Head(
        inventory.cluster, order.name, moment(time.time()), tuple(sorted(work.peers)), order.live, order.secrets
    )

    def make() -> Path:
        place = writer.begin(directory, head, work.node)
        write_file(directory / INVENTORY, inventory.path.read_bytes())
        return place

    try:
        return await asyncio.to_thread(make)
    except OSError as error:
        raise _not_written(work, directory, error) from None


async def _service(
    work: NodeWork, order: BackupOrder, found: NodeData, data: ServiceData, service: Service, place: Path
) -> None:
    """Copy the data of one service. Whatever comes of it, a service that ran runs afterwards."""
    name = service.name
    quiesce, quiesced = data.active and not order.live, not (data.active and order.live)
    raft = msgspec.json.decode(
        await work.remember(f"read-group-{name}", lambda: _raft(work, order, name)), type=RaftSeen | None
    )
    argv = create_argv(data.path, found.codec)
    stream = _Stream(work, place, name, data.path, service.unit_name, data.bytes, quiesced, found.codec, argv, raft)
    failure: NodeFailedError | NodeLeftError | None = None
    try:
        if quiesce:
            await serviceturn.stop(work, service, lambda: _room(work, order, data.bytes))
        elif not order.live:
            work.skip(f"stop-{name}", "it did not run")
        await work.act(f"stream-{name}", stream.copying.run, seen=stream.seen, stop=stream.copying.stop)
    except (NodeFailedError, NodeLeftError) as error:
        failure = error
    if quiesce and work.history.begun(f"stop-{name}"):
        await _start_again(work, service, failure)
    elif not order.live:
        work.skip(f"start-{name}", "it was not stopped")
        work.skip(f"see-{name}", "it was not stopped")
    if failure is not None:
        raise failure


async def _start_again(work: NodeWork, service: Service, failure: NodeFailedError | NodeLeftError | None) -> None:
    try:
        await serviceturn.start(work, service)
    except NodeFailedError as error:
        before = f"{failure}; and " if failure is not None else ""
        raise NodeFailedError(error.id, f"{before}{error.message}", error.evidence) from None
    if failure is None and work.left:
        raise NodeLeftError(f"{work.left}; {service.name} runs again, the backup of {work.node} is not whole")
    if isinstance(failure, NodeLeftError):
        raise NodeLeftError(f"{failure}; {service.name} runs again, the backup of {work.node} is not whole")
    if failure is not None:
        text = f"{failure.message}; {service.name} runs again, the backup of {work.node} is not whole"
        raise NodeFailedError(failure.id, text, failure.evidence)


async def _raft(work: NodeWork, order: BackupOrder, service: str) -> str:
    """What the members of a service's group tell of this one; null for a service without a group. A key is left in
    Chainfire by which this backup is known again."""
    from plasmatui.cluster.members import GROUPS, read_group

    if service not in GROUPS:
        return "null"
    group = await read_group(work.site.cluster(), service)
    member = group.member(work.node)
    left = ""
    if service == witness.SERVICE:
        left = await witness.leave(work.site.cluster(), group, work.node, order.name)
    seen = RaftSeen(
        clean_line(member.id, 60) if member else "",
        ("leader" if member.id == group.leader else "follower") if member else "",
        clean_line(group.leader, 60),
        tuple(each.node or clean_line(each.id, 60) for each in group.voters),
        left,
    )
    return msgspec.json.encode(seen).decode()


class _Stream:
    """One archive on its way from the node into a file of this host."""

    def __init__(
        self,
        work: NodeWork,
        place: Path,
        service: str,
        path: str,
        unit: str,
        content: int,
        quiesced: bool,
        codec: str,
        argv: tuple[str, ...],
        raft: RaftSeen | None,
    ) -> None:
        self._work = work
        self._place = place
        self._part = Part(service, path, unit, f"{service}{SUFFIXES[codec]}", 0, "", content, quiesced, "", "", raft)
        self._argv = argv
        self.copying = Copying(work, service, self._write)

    async def seen(self) -> bool:
        """Whether it became whole before the engine was restarted; what is half is written anew."""
        try:
            return await asyncio.to_thread(writer.entry, self._place, self._part.service) is not None
        except BackupError:
            return False

    async def _write(self) -> None:
        """Stream it.

        Raises:
            NodeFailedError: "no-space", "stalled", "backup-failed".
            CommandError: the connection broke.
        """
        try:
            out = await asyncio.to_thread(writer.ArchiveWriter, self._place, self._part.file)
        except OSError as error:
            raise _not_written(self._work, self._place, error) from None
        try:
            await self._receive(out)
        except OSError as error:
            raise _not_written(self._work, self._place, error) from None
        finally:
            out.discard()

    async def _receive(self, out: writer.ArchiveWriter) -> None:
        work, part = self._work, self._part
        gauge = Gauge(part.service, part.content, work.pace.bandwidth, work.progress)
        begin = time.time()
        async with Stalls(work, part.service) as stalls:

            async def sink(data: bytes) -> None:
                await out.write(data)
                await gauge.passed(len(data))
                stalls.moved()

            ended = await system(work).receive(self._argv, sink, limit=STREAM_LIMIT)
        lines = last_lines(ended.err)
        for line in lines:
            work.log(line)
        changed = ended.status == 1 and not part.quiesced  # GNU tar: a file changed while it was read
        if ended.status != 0 and not changed:
            text = f"{work.node}: tar of {part.path} ended with status {ended.status}"
            raise NodeFailedError("backup-failed", f"{text}: {lines[-1] if lines else 'it says nothing'}", lines)
        await asyncio.to_thread(out.finish)
        whole = msgspec.structs.replace(
            part, bytes=out.bytes, sha256=out.sha256, begin=moment(begin), end=moment(time.time())
        )
        await asyncio.to_thread(write_json, self._place / f"{part.service}.json", whole)
        work.log(f"{part.service}: {size_words(out.bytes)}, SHA-256 {out.sha256}")


async def _manifest(work: NodeWork, order: BackupOrder, found: NodeData, place: Path) -> None:
    inventory = work.site.inventory()
    entry = inventory.nodes[work.node]
    names = (*(each.service for each in found.data), CONFIGURATION)

    def write() -> None:
        parts = [writer.entry(place, name) for name in names]
        whole = tuple(part for part in parts if part is not None)
        if len(whole) != len(names):
            raise BackupError(f"{place}: an archive that was written is not there any more")
        began = work.record.steps[0].begin if work.record.steps else time.time()
        manifest = NodeManifest(
            inventory.cluster, work.node, entry.profile, entry.voter, found.generation, work.number,
            moment(began), moment(time.time()), order.secrets, whole,
        )  # fmt: skip
        write_json(place / MANIFEST, manifest)
        writer.remove_entries(place)

    try:
        if not (place / MANIFEST).exists():
            await asyncio.to_thread(write)
    except BackupError as error:
        raise NodeFailedError("backup-failed", f"{work.node}: {error}") from None
    except OSError as error:
        raise _not_written(work, place, error) from None


def _not_written(work: NodeWork, place: Path, error: OSError) -> NodeFailedError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    why = "the disk of this host is full" if full else error.strerror or str(error)
    return NodeFailedError("no-space" if full else "backup-failed", f"{work.node}: {place} cannot be written: {why}")


async def _again() -> bool:
    return False
