"""The boots of all nodes as they happen: signals in, stages, findings and timelines out, in slices."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from plasmatui.engine.ordering import Ordering
from plasmatui.engine.owners import Owners
from plasmatui.engine.preludes import Preludes
from plasmatui.engine.room import Room
from plasmatui.engine.store import Store
from plasmatui.engine.usual import UsualTimes
from plasmatui.journal.boots import BootJournal, Duration, Recalled, encoded
from plasmatui.model.boot import BootTimeline, Evidence, Signal, SignalKind
from plasmatui.model.event import (
    BootDeviceSeen,
    Event,
    FindingCleared,
    FindingRaised,
    PowerSeen,
    StageSeen,
)
from plasmatui.model.node import Finding, Node, NodeState, StageState
from plasmatui.model.operation import NodeRecord, OperationRecord, PowerOrder
from plasmatui.model.words import OperationState, Power, PowerAction, Stage
from plasmatui.watch.identity import Identity, NodeIdentity
from plasmatui.watch.timeline import Correlator

INTERVAL = 0.1
"""Seconds between two looks at the nodes that something was heard of; more when looking takes longer."""

SLICE = 0.004
"""Seconds of work after which the loop gets its turn."""

SHARE = 8
"""Looking at nodes takes one part in this many of the time, so that a flood does not leave the logs behind; more where
the next look would come too late."""

LATE = 2.0
"""Seconds between two looks in a flood, at most."""

LOOK = 0.5
"""Seconds between two looks for nodes that fell silent."""

PENDING = 10_000
"""Signals that may wait for the journal; then the logs are read no further."""

SIGNALS_KEPT = 2000
"""Signals of one boot that are kept for the next engine."""

SOURCE = "watch"

_VAIN = (OperationState.FAILED, OperationState.CANCELLED)

_STAGES = {"running": SignalKind.STAGE_BEGUN, "done": SignalKind.STAGE_DONE, "failed": SignalKind.STAGE_FAILED}


class BootWatch:
    """Tells the store the stage, the findings and the timeline of each node.

    `feed` costs little and is called for every signal; what it means is worked out later, at most ten times a second
    and node, and only for nodes of which something new was heard or that have been silent for notably longer.
    `on_owner` is told whose a line is that names an address only.
    """

    def __init__(
        self, nodes: Iterable[Node], store: Store, journal: BootJournal, on_owner: Callable[[Evidence, str], None]
    ) -> None:
        self._on_owner = on_owner
        self.usual = UsualTimes()
        self._store = store
        self._journal = journal
        self._preludes = Preludes()
        self._shown: dict[str, BootTimeline] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._raised: dict[str, dict[str, Finding]] = {}
        self._closed: dict[str, int] = {}  # number of the last boot that is over
        self._base: dict[str, int] = {}  # boots before those that the correlator knows
        self._dirty: dict[str, None] = {}
        self._due: dict[str, tuple[float, float]] = {}  # node -> next look, silent since
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.room = Room(PENDING)
        self._pending: list[tuple[str, float, bytes]] = []
        self._pending_boots: dict[tuple[str, int], BootTimeline] = {}
        self._pending_durations: list[Duration] = []
        self._counts: dict[str, int] = {}
        self._ordered: dict[int, tuple[NodeRecord, ...]] = {}  # of orders for power, as they were told last
        self._powered: dict[str, int] = {}  # the last operation that was looked at for switching a node on
        self._meanwhile: list[tuple[Signal, float, bool]] | None = None
        self._ordering = Ordering(self._take)
        self._unknown_changed = False
        self._know(nodes)

    def _know(self, nodes: Iterable[Node]) -> None:
        nodes = tuple(nodes)
        identities = tuple(identity_of(node) for node in nodes)
        self.usual.profiles = {node.name: node.profile for node in nodes}
        self._identity = Identity(identities)
        self.owners = Owners(identities, self._identity)
        self._correlator = Correlator(identities, self.usual.of)

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self, recalled: Recalled) -> None:
        """Go on from what the journal knows."""
        self.usual.recall(recalled.durations)
        await self._replay(recalled)
        self._ordering.start()
        self._task = asyncio.create_task(self._run(), name="boot watch")

    async def replace(self, nodes: Iterable[Node]) -> None:
        """The nodes are these from now on."""
        await self._ordering.drain()
        self.keep()
        recalled = await self._journal.recall()
        nodes, strangers = tuple(nodes), self._identity
        names = {node.name for node in nodes}
        for node in self._shown.keys() - names:
            self._preludes.forget(node)
            for table in (self._shown, self._raised, self._base, self._closed, self._due, self._counts, self._dirty):
                table.pop(node, None)
        self._know(nodes)
        self._identity.recall_unknown(strangers)
        self._unknown_changed = True
        await self._replay(recalled)
        self._wake.set()

    async def close(self, positions: dict[str, bytes]) -> None:
        """Keep what is known for the next engine."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._ordering.close()
        for node in tuple(self._dirty):
            self._show(node)
        self.keep(positions)

    async def _replay(self, recalled: Recalled) -> None:
        """Hear again what was heard of the running boots. Signals that come meanwhile wait their turn."""
        self._meanwhile = []
        begun = time.perf_counter()
        for kept in recalled.signals:
            self._hear(kept.signal, kept.heard)
            if time.perf_counter() - begun > SLICE:
                await asyncio.sleep(0)
                begun = time.perf_counter()
        for node, boot in recalled.boots.items():
            if node not in self._identity.nodes:
                continue
            alone = self._preludes.recall(boot) if node not in self._shown else False
            known = self._correlator.timeline(node)
            self._base[node] = boot.number - (known.number if known is not None else int(alone))
            self._closed[node] = boot.number - 1
            self._show(node, quietly=True)
        meanwhile, self._meanwhile = self._meanwhile, None
        for signal, heard, kept_already in meanwhile:
            self._take(signal, heard, kept_already)

    # --- in -------------------------------------------------------------------------------------------------------

    def feed(self, signal: Signal, heard: float) -> str:
        """Take a signal that was heard at Unix seconds `heard`; the node that it is about, as far as that is known
        before its turn has come ("": it is not)."""
        self._ordering.push(signal, heard)
        if signal.kind is SignalKind.DHCP_ACK:
            self.owners.lease(signal, heard)
        return self.owners.of(signal)

    def _take(self, signal: Signal, heard: float, kept: bool) -> None:
        """A signal whose turn has come."""
        if self._meanwhile is not None:
            self._meanwhile.append((signal, heard, kept))
            return
        node, new = self._hear(signal, heard)
        if signal.ip and not signal.mac and not signal.node:
            self._on_owner(signal.evidence, node)  # of a log that was read before the lease, it is known only now
        if new and not kept and self._counts.get(node, 0) < SIGNALS_KEPT:
            self._counts[node] = self._counts.get(node, 0) + 1
            self._pending.append((node, heard, encoded(signal)))
            self.room.fill(len(self._pending))

    def _hear(self, signal: Signal, heard: float) -> tuple[str, bool]:
        node = self._identity.node_of(signal)
        known = node in self._identity.nodes
        if known and signal.kind is SignalKind.DHCP_ACK:
            self.owners.lease(signal, heard, node)
        if signal.mac and not known:
            self._unknown_changed = True
            self._wake.set()
        changed = self._correlator.feed(signal, heard, node if known else "")
        for each in changed:
            self._touch(each)
        return (node if known else ""), bool(changed)

    def on_event(self, before: NodeState, event: Event) -> None:
        """What we, or the BMC, did to a node: it belongs to its boot."""
        node, payload, wall = event.node, event.payload, event.wall
        shown = self._number(node)
        match payload:
            case BootDeviceSeen(boot=boot, verified=verified) if verified is not None and boot is not None:
                text = f"boot device {boot.device} set and read back" if verified else f"the BMC reports {boot.device}"
                self._preludes.override(node, wall, Evidence(event.source, 0, text), shown, failed=not verified)
            case PowerSeen(value=Power.ON) if before.power.value is Power.OFF:
                self._preludes.power(node, wall, _told(event, f"power on{_by(payload.by)}"), shown, on=True)
            case PowerSeen(value=Power.OFF) if before.power.value is not Power.OFF:
                self._preludes.off(node, shown)
                told_last = self._shown.get(node)
                # After a silence of the BMC or an absence of the engine only what still seemed to go on ends.
                if told_last is not None and (before.power.value is Power.ON or told_last.outcome == "running"):
                    told = _told(event, f"power off{_by(payload.by)}")
                    self.feed(Signal(kind=SignalKind.POWER_OFF, evidence=told, wall=wall, node=node), wall)
            case _:
                return
        self._touch(node)

    def on_operation(self, record: OperationRecord) -> None:
        """An operation of ours that switches machines on: from when it works on a node, that node is powering on."""
        order = record.order
        if not isinstance(order, PowerOrder) or order.action in (PowerAction.OFF, PowerAction.SOFT):
            return  # other operations tell of the power that they switch by what the BMC then reports
        before = self._ordered.pop(record.number, None) or (None,) * len(record.nodes)
        if not record.state.ended:
            self._ordered[record.number] = record.nodes
        for earlier, each in zip(before, record.nodes, strict=True):
            if each is earlier:
                continue
            node = each.node
            state = self._store.states.get(node)
            if state is None:
                continue
            runs = state.power.value is Power.ON
            source = f"operation {record.number}"
            if each.state is OperationState.RUNNING and self._powered.get(node) != record.number:
                self._powered[node] = record.number
                if runs and order.action is PowerAction.ON:
                    continue
                told = Evidence(source, 0, f"power {order.action}")
                self._preludes.power(node, time.time(), told, self._number(node), on=False, runs=runs)
                self._touch(node)
            elif each.state in _VAIN and self._powered.get(node) == record.number:
                self._preludes.failed(node, Evidence(source, 0, each.message or str(each.state)))
                self._touch(node)

    # --- for operations (operations.ports.Boots) ------------------------------------------------------------------

    def current(self, node: str) -> BootTimeline | None:
        """The boot that runs or ran last, as it is told."""
        return self._shown.get(node)

    async def news(self, node: str, limit: float) -> None:
        """Wait until the node's boot is told anew, at most `limit` seconds."""
        event = self._news.setdefault(node, asyncio.Event())
        event.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await event.wait()

    def fingerprints(self, node: str) -> frozenset[str]:
        """SSH host keys (SHA256:...) that the machine printed on its serial console in the current boot."""
        return self._correlator.host_keys(node)

    def vouch(self, node: str, fingerprint: str, text: str) -> None:
        """A person believes this host key for the node's current boot."""
        evidence = Evidence("operation", 0, text)
        now = time.time()
        self.feed(Signal(kind=SignalKind.HOST_KEY, evidence=evidence, wall=now, node=node, text=fingerprint), now)

    def stage(self, node: str, stage: Stage, state: str, text: str) -> None:
        """An operation of ours sees a stage begin, end or fail."""
        now = time.time()
        self.feed(
            Signal(kind=_STAGES[state], evidence=Evidence("operation", 0, text), wall=now, node=node, code=stage), now
        )

    def boot_bytes(self, node: str) -> int:
        """Bytes that a network boot of the node's profile transfers: of the largest that is shown; 0: not known."""
        profile = self.usual.profiles.get(node, "")
        alike = (boot for name, boot in self._shown.items() if self.usual.profiles.get(name, "") == profile)
        return max((_downloaded(boot) for boot in alike), default=0)

    # --- out ------------------------------------------------------------------------------------------------------

    async def timelines(self, node: str, limit: int) -> tuple[BootTimeline, ...]:
        """The boots of a node, newest first."""
        if node in self._dirty:
            self._dirty.pop(node)
            self._show(node)
        boots = {boot.number: boot for boot in await self._journal.boots(node, limit)}
        boots.update({n: boot for (name, n), boot in self._pending_boots.items() if name == node})
        current = self._shown.get(node)
        if current is not None:
            boots[current.number] = current
        return tuple(boots[number] for number in sorted(boots, reverse=True)[:limit])

    def keep(self, positions: dict[str, bytes] | None = None) -> None:
        """Give the journal what is new, together with how far the logs were read when it was heard."""
        for heard, signal in self._ordering.unkept():
            owner = self.owners.of(signal)
            if owner:
                self._pending.append((owner, heard, encoded(signal)))
        signals = [(node, max(1, self._number(node)), heard, blob) for node, heard, blob in self._pending]
        self._journal.keep(signals, positions, self._pending_boots.values(), self._pending_durations)
        self._pending.clear()
        self.room.empty()
        self._pending_boots.clear()
        self._pending_durations.clear()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _touch(self, node: str) -> None:
        self._dirty[node] = None
        self._wake.set()

    def _number(self, node: str) -> int:
        shown = self._shown.get(node)
        return shown.number if shown is not None else self._base.get(node, 0)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()
            self._wake.clear()
            now = time.time()
            for node, (due, _) in self._due.items():
                if due <= now:
                    self._dirty[node] = None
            if self._unknown_changed:
                self._unknown_changed = False
                self._store.unknown_clients(self._identity.unknown_clients())
            begun, worked = time.perf_counter(), 0.0
            for _ in range(len(self._dirty)):  # what is heard of meanwhile waits for the next round
                if not self._dirty:
                    break
                node = next(iter(self._dirty))
                del self._dirty[node]
                self._show(node)
                if time.perf_counter() - begun > SLICE:
                    worked += time.perf_counter() - begun
                    await asyncio.sleep(0)
                    begun = time.perf_counter()
            await asyncio.sleep(min(max(INTERVAL, (SHARE - 1) * worked), LATE))

    def _show(self, node: str, *, quietly: bool = False) -> None:
        """Tell what is known of a node's boot now, as far as it is new; quietly what a former engine told already."""
        now = time.time()
        boot = self._correlator.timeline(node, now)
        base = self._base.setdefault(node, 0)
        if boot is not None and base:
            boot = replace(boot, number=boot.number + base)
        self._ended(node, base)
        boot = self._preludes.complete(node, boot)
        if boot is None or node not in self._store.states:
            return
        former = self._shown.get(node)
        self._look_again(node, boot, former, now)
        if boot == former:
            return
        self._shown[node] = boot
        if node in self._news:
            self._news[node].set()
        if former is None or _gist(former) != _gist(boot):
            self._pending_boots[node, boot.number] = boot
        self._store.timeline(boot)
        if quietly:
            self._raised[node] = {finding.id: finding for finding in boot.findings}
            self._store.recall_boot(node, stage_of(boot), boot.findings)
            return
        self._pending_durations += self.usual.learn(boot)
        self._store.tell(node, SOURCE, StageSeen(stage_of(boot)))
        self._findings(node, boot)  # after the stage: the last event of a stopped boot is why it stopped

    def _look_again(self, node: str, boot: BootTimeline, former: BootTimeline | None, now: float) -> None:
        """A running boot is looked at again and again, ever less often, while nothing is heard of it."""
        if boot.outcome != "running":
            self._due.pop(node, None)
            return
        since = self._due.get(node, (0.0, now))[1]
        if former is None or _gist(former) != _gist(boot):
            since = now
        self._due[node] = (now + max(1.0, (now - since) / 8), since)

    def _ended(self, node: str, base: int) -> None:
        """Boots that another has followed are kept as they ended."""
        for old in self._correlator.history(node, self._closed.get(node, 0) - base):
            ended = self._preludes.ended(node, replace(old, number=old.number + base))
            self._closed[node] = ended.number
            self._counts.pop(node, None)
            self._pending_boots[node, ended.number] = ended
            self._store.timeline(ended)

    def _findings(self, node: str, boot: BootTimeline) -> None:
        former = self._raised.get(node, {})
        current = {finding.id: finding for finding in boot.findings}
        for finding in current.values():
            if former.get(finding.id) != finding:
                since = finding.since or time.time()
                self._store.tell(node, SOURCE, FindingRaised(replace(finding, since=since)))
        for gone in former.keys() - current.keys():
            self._store.tell(node, SOURCE, FindingCleared(gone))
        self._raised[node] = current


def identity_of(node: Node) -> NodeIdentity:
    """What a node's signals are known by."""
    ips = tuple(ip for ip in (node.provisioning_ip, node.production_ip) if ip)
    return NodeIdentity(node.name, tuple(mac.lower() for mac in node.macs), ips)


def _downloaded(boot: BootTimeline) -> int:
    """Bytes of kernel and initial RAM disk."""
    return sum(span.bytes or 0 for span in boot.stages if span.stage in (Stage.HTTP_KERNEL, Stage.HTTP_INITRD))


def stage_of(boot: BootTimeline) -> StageState | None:
    """Where a boot stands: at the stage that failed or runs, else at the last that was done."""
    if not boot.stages:
        return None
    open_ = [span for span in boot.stages if span.state != "done"]
    failed = [span for span in open_ if span.state == "failed"]
    span = failed[-1] if failed else boot.stages[-1]
    since = span.begin if span.begin is not None else boot.begin or 0.0
    return StageState(span.stage, since, span.percent, span.usual, span.state, boot.outcome)


def _gist(boot: BootTimeline) -> tuple[object, ...]:
    """What of a boot is worth being written down at once."""
    return (
        boot.number,
        boot.outcome,
        tuple((s.stage, s.state) for s in boot.stages),
        tuple(f.id for f in boot.findings),
    )


def _told(event: Event, text: str) -> Evidence:
    return Evidence(event.source, 0, text)


def _by(who: str) -> str:
    return f" by {who}" if who else ""
