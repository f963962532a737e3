"""An engine in memory for tests under Pilot: the methods of `EngineClient`, answers as a test wants them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device, SensorReading
from plasmatui.model.boot import LogFilter, LogLine, SourceState, UnknownClient
from plasmatui.model.checks import CHECKS, CheckAnswer, CheckState
from plasmatui.model.event import AuditLine, EventLine
from plasmatui.model.health import GroupState, HealthLook, NodeServices, NodeSystem
from plasmatui.model.node import BmcState, ConsoleState, Finding, Node, NodeState, PenHolder, PowerState
from plasmatui.model.operation import NodePlan, NodeRecord, OperationRecord, Pace, Plan, PowerOrder, Step
from plasmatui.model.system import Disk, Generation
from plasmatui.model.words import BmcStatus, ConsoleStatus, OperationState, Power, Role, Severity
from plasmatui.ui.app import PlasmatuiApp
from plasmatui.ui.options import TuiOptions

NOW = 1_700_000_000.0
"""The clock of all tests: 2023-11-14 22:13:20 UTC."""


def rack(count: int = 12) -> tuple[Node, ...]:
    """Three control-plane nodes, then workers."""
    return tuple(
        Node(
            f"node{i:02d}",
            "control-plane" if i <= 3 else "worker",
            (f"52:54:00:00:00:{i:02x}",),
            f"10.0.10.{49 + i}:623",
            "ipmi" if i % 4 else "redfish",
            f"10.0.100.{49 + i}",
            f"10.0.200.{9 + i}",
            (f"/dev/disk/by-id/nvme-{i}",),
            "r1" if i <= 6 else "r2",
            i,
            ("ssd",) if i % 2 else (),
            i <= 3,
        )
        for i in range(1, count + 1)
    )


def states(nodes: tuple[Node, ...]) -> dict[str, NodeState]:
    """Every second node on; the fifth has no BMC, the seventh a wrong password, the ninth no answer."""
    result = {}
    for i, node in enumerate(nodes, 1):
        state = NodeState(
            node.name,
            PowerState(Power.ON if i % 2 else Power.OFF, NOW - 3600, "ipmi", "anna" if i == 1 else ""),
            BmcState(BmcStatus.UP, NOW - 3600, latency_ms=12.0, sessions=True),
            ConsoleState(ConsoleStatus.OPEN, NOW - 60, recording=True),
            BootDevice(Device.PXE, uefi=True) if i == 2 else None,
            last_event=f"power {'on' if i % 2 else 'off'}",
            last_event_at=NOW - 3600,
        )
        if i == 7:
            finding = Finding("bmc-auth", Severity.ERROR, "The BMC refuses the user or the password.",
                              "Correct `bmc_defaults`.", NOW - 120, ("RAKP 2 status 0x0d",))  # fmt: skip
            state = NodeState(
                node.name,
                bmc=BmcState(BmcStatus.REFUSED, NOW - 120, "bmc-auth", "wrong password for admin", failures=1),
                findings=(finding,),
            )
        if i == 9:
            finding = Finding("bmc-unreachable", Severity.ERROR, "The BMC does not answer.",
                              "Check the BMC's power.", NOW - 300)  # fmt: skip
            state = NodeState(
                node.name,
                bmc=BmcState(BmcStatus.WAITING, NOW - 300, "bmc-unreachable", "no answer in 4 s", NOW + 20, 5),
                findings=(finding,),
            )
        result[node.name] = state
    return result


def pxe_services() -> wire.PxeServices:
    """DHCP is heard, TFTP does not answer."""
    services = (
        wire.PxeService("dhcp", "kea", CheckState.OK, "UDP port 67 is taken; last line of its log 2s ago"),
        wire.PxeService("tftp", "tftpd-hpa", CheckState.FAILED, "10.0.100.10 port 69 does not answer",
                        "systemctl status tftpd-hpa on the PXE server"),
        wire.PxeService("http", "nginx", CheckState.OK, "http://10.0.100.10:8080/boot/ipxe/boot.ipxe, 4711 bytes"),
    )  # fmt: skip
    return wire.PxeServices(services, NOW - 4)


def pxe_images() -> wire.Images:
    """Two versions of worker's image, the older one damaged; one of control-plane's, verified."""
    files = (wire.ImageFile("bzImage", 12_100_000, "ab" * 32), wire.ImageFile("initrd", 402_000_000, "cd" * 32))
    init = "/nix/store/7rrs0q1dmv2x3z4y5w6v7a8b9c0d1f2g-nixos-system-netboot-25.11/init"
    facts = {"files": files, "init": init, "architecture": "x86_64", "revision": "4f1c2d3e4a5b", "built": NOW - 9000}
    return wire.Images(
        "/var/lib/pxe-boot",
        NOW - 4,
        (
            wire.ImageVersion(
                name="control-plane.20231114T100000Z-0123abcd", profile="control-plane", active=True,
                deployed=NOW - 90_000, state=wire.ImageState.VERIFIED, verified=NOW - 60,
                nodes=("node01", "node02", "node03"),
                fix="plasmatui images verify control-plane.20231114T100000Z-0123abcd", **facts,
            ),
            wire.ImageVersion(
                name="worker.20231114T200000Z-89abcdef", profile="worker", active=True, state=wire.ImageState.WHOLE,
                deployed=NOW - 7200, nodes=("node04", "node05"),
                fix="plasmatui images verify worker.20231114T200000Z-89abcdef", **facts,
            ),
            wire.ImageVersion(
                name="worker.20231101T080000Z-00112233", profile="worker", active=False, state=wire.ImageState.WHOLE,
                deployed=NOW - 1_000_000, fix="plasmatui images activate worker.20231101T080000Z-00112233", **facts,
            ),
            wire.ImageVersion(
                name="worker.20231001T080000Z-44556677", profile="worker", active=False, state=wire.ImageState.DAMAGED,
                deployed=NOW - 4_000_000, reason="initrd has 12 bytes, the manifest says [/] 402000000",
                fix="plasmatui images deploy worker", **facts,
            ),
        ),
        {"worker": "worker.20231101T080000Z-00112233"},
        ("rescue",),
        ("node06",),
        (wire.ImageCheck("boot-script", True, "what /var/lib/pxe-boot/ipxe/boot.ipxe asks for is there"),),
    )  # fmt: skip


def pxe_drift() -> wire.Drift:
    """Kea's configuration was edited, a file of the firewall is not there."""
    return wire.Drift(
        "/",
        NOW - 4,
        (
            wire.DriftFile("dhcp", "server/etc/kea/kea-dhcp4.conf", "/etc/kea/kea-dhcp4.conf", wire.DriftState.DIFFERS,
                           fix="plasmatui render --only dhcp -o rendered"),
            wire.DriftFile("firewall", "server/etc/iptables/rules.v4", "/etc/iptables/rules.v4",
                           wire.DriftState.MISSING, fix="plasmatui render --only firewall -o rendered"),
        ),
        {"same": 9, "differs": 1, "missing": 1},
        images=True,
    )  # fmt: skip


class FakeEngine:
    """One connection; `asked` holds every request. Set `answers[type]` to a function for another answer."""

    def __init__(self, world: FakeWorld, client: int) -> None:
        self.world = world
        self.client = client
        self.welcome = wire.Welcome(
            wire.PROTOCOL,
            "0.1.0",
            1,
            client,
            "/srv/inventory.yaml",
            world.cluster,
            "prod",
            world.read_only,
            world.nodes,
            role=world.role,
        )
        self.on_changes: Callable[[wire.Changes], None] | None = None
        self.on_console: Callable[[wire.ConsoleData], None] | None = None
        self.on_logs: Callable[[wire.LogLines], None] | None = None
        self.on_lost: Callable[[str], None] | None = None
        self.closed = False
        self.open: set[str] = set()

    async def ask(self, body: wire.RequestBody) -> wire.ReplyBody:
        self.world.asked.append(body)
        await asyncio.sleep(0)
        if self.closed:
            raise EngineUnreachableError("closed")
        return self.world.answer(self, body)

    async def stream(self, body: wire.RequestBody) -> AsyncIterator[Any]:
        self.world.asked.append(body)
        if isinstance(body, wire.AskChecks):
            for check in CHECKS:
                await asyncio.sleep(0)
                if check.id in self.world.silent:
                    await self.world.speak.wait()
                yield self.world.checked.get(check.id) or CheckAnswer(check.id, check.group, check.what, CheckState.OK)
            return
        if isinstance(body, wire.VerifyImage):
            yield wire.ImageProgress(body.version, 240_000_000)
            await self.world.reads.wait()
            yield self.world.answer(self, body)
            return
        assert isinstance(body, wire.Query)
        for name in body.nodes:
            await asyncio.sleep(0)
            if body.what == "generations":
                yield self.world.generations(name)
            elif body.what == "sensors":
                yield wire.NodeAnswer(name, sensors=(SensorReading("CPU [/] Temp", "temperature", 41.0, "C", "ok"),))
            elif body.what == "refresh" and name == "node09":
                yield wire.NodeAnswer(name, wire.Problem("bmc-unreachable", "no answer from 10.0.10.58"))
            else:
                yield wire.NodeAnswer(name, power=Power.ON)

    async def close(self) -> None:
        self.closed = True


class FakeWorld:
    """What engines know, over several connections."""

    def __init__(self, nodes: tuple[Node, ...] | None = None, *, read_only: bool = False, cluster: str = "lab") -> None:
        self.nodes = rack() if nodes is None else nodes
        self.states = states(self.nodes)
        self.cluster = cluster
        self.read_only = read_only
        self.asked: list[Any] = []
        self.engines: list[FakeEngine] = []
        self.starts: list[bool] = []
        self.down = False
        self.confirm = 2
        self.refused = ""
        self.locked = ""
        self.role = Role.ADMIN
        self.phrase = ""
        self.notes: tuple[str, ...] = ()
        self.diffs: dict[str, str] = {}
        self.disks: dict[str, tuple[Disk, ...]] = {}
        self.oplogs: dict[tuple[int, str], bytes] = {}
        self.page = 256_000
        self.seq = 0
        self.recording: dict[str, bytes] = {}
        self.answers: dict[type, Callable[[FakeEngine, Any], wire.ReplyBody]] = {}
        self.events: tuple[EventLine, ...] = tuple(
            EventLine(i, NOW - 600 + i, f"node{1 + i % 9:02d}", "ipmi", "power", f"power {'on' if i % 2 else 'off'}")
            for i in range(1, 9)
        )
        self.checked: dict[str, CheckAnswer] = {}
        self.silent: frozenset[str] = frozenset()
        self.speak = asyncio.Event()
        self.reads = asyncio.Event()
        self.logs: list[LogLine] = []
        self.followed: LogFilter | None = None
        self.sources: tuple[SourceState, ...] = (
            SourceState("dhcp kea pxe01", "dhcp", "kea", "pxe01", "running", lag=0.4, lines=812, last=NOW - 2),
            SourceState(
                "http nginx", "http", "nginx-access", "here", "waiting", "no such file: /var/log/nginx/access.log"
            ),
        )
        self.unknown: tuple[UnknownClient, ...] = (
            UnknownClient(
                "52:54:00:aa:bb:cc", "10.0.100.150", "PXEClient:Arch:00007", 7, NOW - 90, NOW - 3, 4, "spare[/]"
            ),
        )
        self.services: tuple[NodeServices, ...] = ()
        self.groups: tuple[GroupState, ...] = ()
        self.look = HealthLook()
        self.pxe_services = pxe_services()
        self.images = pxe_images()
        self.drift = pxe_drift()
        self.systems: tuple[NodeSystem, ...] = ()
        self.operations: dict[int, OperationRecord] = {}
        self.audit: tuple[AuditLine, ...] = (AuditLine(1, NOW - 50, "anna", "node01", "chassis control 1", "done"),)

    async def connect(self, start: bool) -> FakeEngine:
        self.starts.append(start)
        if self.down:
            raise EngineUnreachableError("no engine answers")
        engine = FakeEngine(self, 7)
        self.engines.append(engine)
        return engine

    @property
    def engine(self) -> FakeEngine:
        return self.engines[-1]

    def of(self, kind: type) -> list[Any]:
        """All requests of a kind so far."""
        return [body for body in self.asked if isinstance(body, kind)]

    def push(self, *new: NodeState, **more: Any) -> None:
        """Change nodes and tell the screen."""
        self.seq += 1
        for state in new:
            self.states[state.name] = state
        for record in more.get("operations", ()):
            self.operations[record.number] = record
        if self.engine.on_changes is not None:
            self.engine.on_changes(wire.Changes(self.seq, new, **more))

    def change(self, name: str, **fields: Any) -> None:
        """Replace fields of one node's state and tell the screen."""
        self.push(msgspec.structs.replace(self.states[name], **fields))

    def say(self, name: str, data: bytes) -> None:
        """A console says something; pushed when it is open."""
        old = self.recording.get(name, b"")
        self.recording[name] = old + data
        engine = self.engine
        if name in engine.open and engine.on_console is not None:
            engine.on_console(wire.ConsoleData(name, len(old), data))

    def log(self, *texts: str, node: str = "node01", kind: str = "dhcp", severity: str = "") -> None:
        """Lines are written; pushed when they pass what is followed."""
        new = [
            LogLine(len(self.logs) + i, NOW - 100 + len(self.logs) + i, "dhcp kea pxe01", kind, node, text, severity)
            for i, text in enumerate(texts, 1)
        ]
        self.logs += new
        passed = tuple(line for line in new if self.followed is not None and self.passes(line, self.followed))
        if passed and self.engines and self.engine.on_logs is not None:
            self.engine.on_logs(wire.LogLines(passed))

    @staticmethod
    def passes(line: LogLine, wanted: LogFilter) -> bool:
        return (
            (not wanted.kinds or line.kind in wanted.kinds)
            and (not wanted.sources or line.source in wanted.sources)
            and (not wanted.nodes or line.node in wanted.nodes)
            and (not wanted.include or re.search(wanted.include, line.text) is not None)
            and (not wanted.exclude or re.search(wanted.exclude, line.text) is None)
        )

    def log_page(self, body: wire.ListLogs) -> wire.LogPage:
        lines = [line for line in self.logs if self.passes(line, body.filter)]
        if body.forward:
            found = [line for line in lines if line.seq > body.seq]
            page = found[: body.limit]
        else:
            found = [line for line in lines if not body.seq or line.seq < body.seq]
            page = found[-body.limit :]
        ruler = tuple(line.wall for line in self.logs[:: max(1, len(self.logs) // 100)])
        return wire.LogPage(tuple(page), len(found) > body.limit, ruler)

    def lose(self, reason: str = "the engine closed the connection") -> None:
        """The connection breaks."""
        self.down = True
        if self.engine.on_lost is not None:
            self.engine.on_lost(reason)

    def console(self, name: str) -> ConsoleState:
        return msgspec.structs.replace(self.states[name].console, end=len(self.recording.get(name, b"")))

    def answer(self, engine: FakeEngine, body: Any) -> wire.ReplyBody:
        special = self.answers.get(type(body))
        if special is not None:
            return special(engine, body)
        if isinstance(body, wire.Watch):
            return wire.Snapshot(
                self.seq, self.nodes, tuple(self.states.values()), tuple(self.operations.values()), self.events,
                (), self.sources, self.unknown, self.services, self.groups, self.look, (), self.systems,
            )  # fmt: skip
        if isinstance(body, wire.ListLogs):
            return self.log_page(body)
        if isinstance(body, wire.FollowLogs):
            self.followed = body.filter
            return wire.Done()
        if isinstance(body, wire.SearchLogs):
            hits = [line for line in self.logs if self.passes(line, body.filter) and re.search(body.pattern, line.text)]
            seqs, walls = [line.seq for line in hits], [line.wall for line in hits]
            return wire.LogHits(tuple(seqs[: body.limit]), tuple(walls[: body.limit]), len(seqs))
        if isinstance(body, wire.EnrolNode):
            return wire.EnrolReply(f"--- inventory.yaml\n+  {body.name}:\n+    mac: {body.mac}\n", body.apply)
        if isinstance(body, wire.AskTimeline):
            return wire.Timelines(())
        if isinstance(body, wire.AskPxeServices):
            return self.pxe_services
        if isinstance(body, wire.AskImages):
            return self.images
        if isinstance(body, wire.AskDrift):
            return self.drift
        if isinstance(body, wire.PlanOrder):
            return wire.PlanReply(self.plan(body))
        if isinstance(body, wire.StartOrder):
            number = max(self.operations, default=0) + 1
            records = tuple(NodeRecord(name, OperationState.RUNNING, before="off") for name in body.nodes)
            record = OperationRecord(
                number, body.order, "anna", "plasmatui power", NOW, OperationState.RUNNING, records, body.pace or Pace()
            )
            self.operations[number] = record
            return wire.OperationReply(record)
        if isinstance(body, wire.ListOperations):
            return wire.Operations(tuple(self.operations.values()))
        if isinstance(body, wire.ListEvents):
            return wire.Events(())
        if isinstance(body, wire.ListAudit):
            return wire.Audit(self.audit)
        if isinstance(body, wire.ConsoleOpen):
            engine.open.add(body.node)
            data = self.recording.get(body.node, b"")
            offset = max(0, len(data) - body.history)
            return wire.ConsoleOpened(self.console(body.node), offset, data[offset:])
        if isinstance(body, wire.ConsoleClose):
            engine.open.discard(body.node)
            return wire.Done()
        if isinstance(body, wire.ConsoleHistory):
            data = self.recording.get(body.node, b"")
            return wire.ConsoleChunk(body.offset, data[body.offset : body.offset + body.length])
        if isinstance(body, wire.ConsolePen):
            return self.pen(engine, body)
        if isinstance(body, wire.CancelOperation):
            record = msgspec.structs.replace(self.operations[body.number], state=OperationState.CANCELLED, end=NOW + 3)
            self.operations[body.number] = record
            return wire.OperationReply(record)
        if isinstance(body, wire.HoldOperation):
            return self.put(body.number, held="held by anna")
        if isinstance(body, wire.ReleaseOperation):
            return self.release(body)
        if isinstance(body, wire.RetryOperation):
            old = self.operations[body.number]
            number = max(self.operations) + 1
            nodes = tuple(NodeRecord(node.node, OperationState.RUNNING) for node in old.nodes if node.error)
            self.operations[number] = msgspec.structs.replace(
                old, number=number, nodes=nodes, state=OperationState.RUNNING, end=0.0, retry_of=body.number
            )
            return wire.OperationReply(self.operations[number])
        if isinstance(body, wire.AskOperationLog):
            return self.oplog(body)
        return wire.Done()

    def put(self, number: int, **fields: Any) -> wire.OperationReply:
        """Change an operation as an answer does."""
        self.operations[number] = msgspec.structs.replace(self.operations[number], **fields)
        return wire.OperationReply(self.operations[number])

    def release(self, body: wire.ReleaseOperation) -> wire.ReplyBody:
        if not body.node:
            return self.put(body.number, held="")
        nodes = tuple(
            msgspec.structs.replace(node, state=OperationState.RUNNING, question="", answers=())
            if node.node == body.node
            else node
            for node in self.operations[body.number].nodes
        )
        return self.put(body.number, nodes=nodes)

    def oplog(self, body: wire.AskOperationLog) -> wire.OperationLog:
        """As `engine/oplogs.py` reads: whole lines at the end, a cut one at the begin of a page that was asked for."""
        log = self.oplogs.get((body.number, body.node), b"")
        begin = max(0, len(log) - self.page) if body.offset < 0 else min(body.offset, len(log))
        data = log[begin : begin + self.page]
        if body.offset < 0 and begin:
            cut = data.find(b"\n") + 1
            begin, data = begin + cut, data[cut:]
        data = data[: data.rfind(b"\n") + 1]
        return wire.OperationLog(begin + len(data), data.decode(errors="replace"))

    def printed(self, number: int, node: str, *texts: str) -> None:
        """The steps of a node print lines."""
        lines = "".join(f"{NOW - 5:.3f} {text}\n" for text in texts)
        self.oplogs[(number, node)] = self.oplogs.get((number, node), b"") + lines.encode()

    def generations(self, name: str) -> wire.NodeAnswer:
        """Of node03: SSH is refused; of others: three generations, the newest of which is not active yet."""
        if name == "node03":
            return wire.NodeAnswer(name, wire.Problem("ssh-refused", "node03: connection refused"))
        return wire.NodeAnswer(
            name,
            generations=(
                Generation(43, "2023-11-14 21:00", "24.05.2", "6.6.31", "abc123", current=True),
                Generation(42, "2023-11-01 10:00", "24.05.1", "6.6.30", "abc122", booted=True, active=True),
                Generation(41, "2023-10-01 10:00", "23.11.9", "6.1.90", "abc121"),
            ),
        )

    def pen(self, engine: FakeEngine, body: wire.ConsolePen) -> wire.ReplyBody:
        held = self.states[body.node].console.pen
        if body.take and held is not None and held.client != engine.client and not body.steal:
            raise EngineError(wire.Problem("pen-held", f"{held.user} on {held.terminal} writes to {body.node}"))
        pen = PenHolder(engine.client, "me", "pts/1", NOW) if body.take else None
        console = msgspec.structs.replace(self.states[body.node].console, pen=pen)
        self.change(body.node, console=console)
        return wire.ConsoleReply(console)

    def plan(self, body: wire.PlanOrder) -> Plan:
        tag = str(body.order.__struct_config__.tag)
        words = f"power {body.order.action}" if isinstance(body.order, PowerOrder) else tag
        nodes = tuple(
            NodePlan(
                name,
                (Step("act", words, f"IPMI {words} to {name}", 60.0, True, self.confirm == 3),),
                disks=self.disks.get(name, ()),
                diff=self.diffs.get(name, ""),
            )
            for name in body.nodes
        )
        cli = f"plasmatui {words} {','.join(body.nodes)}"
        return Plan(body.order, nodes, body.pace or Pace(), cli, self.confirm, self.refused, self.phrase, self.notes,
                    self.locked)  # fmt: skip


def make_app(world: FakeWorld, **options: Any) -> PlasmatuiApp:
    """The app on this world, with a frozen clock."""
    return PlasmatuiApp(TuiOptions(Path("inventory.yaml"), connect=world.connect, **options), clock=lambda: NOW)
