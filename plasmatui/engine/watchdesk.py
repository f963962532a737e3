"""What the requests about logs, boots, bundles and unknown machines do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from plasmatui.engine.bundles import write_bundle
from plasmatui.engine.evidence import Collector
from plasmatui.engine.loglines import shown, store_filter
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.redact import Redactor
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.engine.watch import WatchHub
from plasmatui.inventory.edit import EditError, Editor
from plasmatui.journal.journal import Journal
from plasmatui.model import wire
from plasmatui.watch.lines import Order

MAX_PAGE = 2000
"""Lines that one page carries at most."""

MAX_BOOTS = 100

BEFORE = 60.0
"""Seconds before an operation that its bundle holds too."""

MAX_HITS = 100_000

RULER = 128
"""Parts into which all that is kept is cut for the marks beside a log."""

Handler = Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]


class Reloads(Protocol):
    """What reads the inventory again."""

    async def reload(self) -> None:
        """Raises `ProblemError` "inventory" when it is wrong."""


class WatchDesk:
    """Answers the requests of boot watch. `enrolling` keeps two edits of the inventory from crossing."""

    def __init__(self, store: Store, hub: WatchHub, journal: Journal, evidence: Collector, control: Reloads) -> None:
        self._journal = journal
        self._evidence = evidence
        self._store = store
        self._hub = hub
        self._control = control
        self._enrolling = asyncio.Lock()
        self.handlers: dict[type, Handler] = {
            wire.AskTimeline: self._timeline,
            wire.ListLogs: self._logs,
            wire.FollowLogs: self._follow,
            wire.SearchLogs: self._search,
            wire.MakeBundle: self._bundle,
            wire.EnrolNode: self._enrol,
        }

    async def _timeline(self, _: Session, __: int, body: wire.AskTimeline) -> wire.ReplyBody:
        if body.node not in self._store.nodes:
            raise ProblemError("unknown-node", f"the inventory has no node {body.node}")
        return wire.Timelines(await self._hub.boots.timelines(body.node, max(1, min(body.limit, MAX_BOOTS))))

    async def _logs(self, _: Session, __: int, body: wire.ListLogs) -> wire.ReplyBody:
        lines, wanted = self._hub.lines, store_filter(body.filter)
        limit = max(1, min(body.limit, MAX_PAGE))
        if body.forward:
            found = await lines.after(body.seq, limit + 1, wanted, Order.TIME)
            page = found[:limit]
        elif body.seq:
            found = await lines.before(body.seq, limit + 1, wanted, Order.TIME)
            page = found[-limit:]
        else:
            found = await lines.tail(limit + 1, wanted, Order.TIME)
            page = found[-limit:]
        told = tuple(shown(line, self._hub.kind_of(line.source)) for line in page)
        return wire.LogPage(told, len(found) > limit, lines.ruler(RULER))

    async def _search(self, _: Session, __: int, body: wire.SearchLogs) -> wire.ReplyBody:
        lines, wanted = self._hub.lines, store_filter(body.filter, body.pattern)
        limit = max(1, min(body.limit, MAX_HITS))
        found = await lines.after(0, limit, wanted, Order.TIME)
        total = len(found) if len(found) < limit else (await lines.count(wanted)).total
        return wire.LogHits(tuple(line.seq for line in found), tuple(line.wall for line in found), total)

    async def _follow(self, session: Session, _: int, body: wire.FollowLogs) -> wire.ReplyBody:
        if body.filter is None:
            self._hub.followers.leave(session.id.number)
        else:
            self._hub.followers.follow(session.id.number, session.outbound, store_filter(body.filter))
        return wire.Done()

    def left(self, session: Session) -> None:
        """A client is gone."""
        self._hub.followers.leave(session.id.number)

    async def _bundle(self, session: Session, _: int, body: wire.MakeBundle) -> wire.ReplyBody:
        names, since = body.nodes, body.since
        if body.operation:
            record = next(iter(await self._journal.operations(1, body.operation)), None)
            if record is None:
                raise ProblemError("no-such-operation", f"there is no operation {body.operation}")
            names = names or tuple(each.node for each in record.nodes if each.node in self._store.nodes)
            since = since or record.begin - BEFORE
        unknown = [node for node in names if node not in self._store.nodes]
        if unknown or not names:
            raise ProblemError("unknown-node", f"the inventory has no node {', '.join(unknown[:5])}")
        directory = Path(body.directory)
        if not directory.is_absolute():
            raise ProblemError("refused", f"{body.directory}: name the directory from the root on")
        nodes = tuple(dict.fromkeys(names))
        content = await self._evidence.collect(nodes, since)
        try:
            redactor = await asyncio.to_thread(Redactor, self._hub.inventory)
            files = await asyncio.to_thread(write_bundle, directory, content, redactor)
        except OSError as error:
            raise ProblemError("refused", f"no bundle in {directory}: {error.strerror or error}") from None
        text = f"incident bundle of {', '.join(nodes)} in {directory}"
        self._store.audit(session.id.user, "", text, "done", origin=session.id.origin)
        return wire.BundleReply(str(directory), files, nodes)

    async def _enrol(self, session: Session, _: int, body: wire.EnrolNode) -> wire.ReplyBody:
        if session.read_only and body.apply:
            raise ProblemError("read-only", "this client was started with --read-only: it changes nothing")
        values: dict[str, Any] = {"mac": body.mac}
        for key in ("profile", "bmc", "provisioning_ip"):
            if getattr(body, key):
                values[key] = getattr(body, key)
        async with self._enrolling:
            try:
                editor = await asyncio.to_thread(Editor, self._hub.inventory.path)
                await asyncio.to_thread(editor.add_node, body.name, values)
                edit = editor.edit()
                if body.apply:
                    await asyncio.to_thread(edit.apply)
            except EditError as error:
                raise ProblemError("inventory", str(error)) from None
            if body.apply:
                self._store.audit(
                    session.id.user,
                    body.name,
                    f"enrol with MAC {body.mac}",
                    "done",
                    origin=session.id.origin,
                    before="not in the inventory",
                    after=" / ".join(line for line in edit.diff().splitlines() if line.startswith("+ "))[:500],
                )
                await self._control.reload()
        return wire.EnrolReply(edit.diff(), body.apply)
