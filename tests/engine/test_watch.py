"""Boot watch in a running engine: logs in files and consoles in, stages, findings, timelines and bundles out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from plasmatui.client import EngineError
from plasmatui.engine.followers import PAGE, Followers
from plasmatui.engine.usual import ENOUGH, UsualTimes
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.inventory.loader import load
from plasmatui.journal import schema
from plasmatui.journal.boots import BootJournal, encoded
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.boot import BootTimeline, Evidence, LogFilter, Signal, SignalKind, StageSpan
from plasmatui.model.operation import BootDeviceOrder, PowerOrder
from plasmatui.model.words import PowerAction
from plasmatui.watch.linefilter import LineFilter
from plasmatui.watch.lines import LineStore
from plasmatui.watch.replay import replay
from plasmatui.watch.sources.base import LogLine
from tests.engine.bootserver import IPS, KERNEL, MACS, RESET, STRANGER, S, Server, boots, done, following, stage
from tests.engine.conftest import Start, until


async def test_two_nodes_boot_through_the_same_logs(start: Start, inventory: Inventory, server: Server) -> None:
    running = await start(inventory=inventory)
    await following(running)
    async with await running.client() as client:
        pushed: list[wire.Changes] = []
        client.on_changes = pushed.append
        await client.ask(wire.Watch())
        server.boot("n1", upto=2)
        server.boot("n2", upto=3)
        await until(lambda: (stage(running, "n1"), stage(running, "n2")) == (S.HTTP_KERNEL, S.HTTP_INITRD))
        running.backend.on_console("n2", KERNEL)
        await until(lambda: stage(running, "n2") is S.INSTALLER_UP)
        first, second = (await boots(running, "n1"))[0], (await boots(running, "n2"))[0]
        assert (first.reached, first.outcome) == (S.HTTP_KERNEL, "running")
        assert (second.reached, second.outcome) == (S.INSTALLER_UP, "installer-up")
        assert {span.stage: span.bytes for span in second.stages}[S.HTTP_INITRD] == 50_000_000
        shown = {each.node for changes in pushed for each in changes.timelines}
        assert shown == {"n1", "n2"}
        page = await client.ask(wire.ListLogs(LogFilter(kinds=("dhcp",), nodes=("n1",))))
        assert isinstance(page, wire.LogPage)
        assert [("DHCP" in line.text, MACS["n1"] in line.text, line.arrived) for line in page.lines] == [
            (True, True, False)
        ] * 4


@pytest.mark.parametrize("rotated", [False, True], ids=["same file", "rotated meanwhile"])
async def test_an_engine_that_begins_in_the_middle_of_a_boot_goes_on_with_it(
    start: Start, inventory: Inventory, server: Server, rotated: bool
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    server.boot("n1", upto=1)
    await until(lambda: stage(running, "n1") is S.IPXE_SCRIPT)
    before = (await boots(running, "n1"))[0]
    await running.close()

    server.fetch(IPS["n1"], "/bzImage", size=9_000_000)
    if rotated:
        server.http.rename(server.http.with_suffix(".log.1"))
    server.fetch(IPS["n1"], "/initrd", size=50_000_000)

    running = await start(inventory=inventory)
    assert stage(running, "n1") is S.IPXE_SCRIPT, "what was known is there at once"
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    (boot,) = await boots(running, "n1")
    assert (boot.number, boot.begin) == (before.number, before.begin)
    spans = {span.stage: span for span in boot.stages}
    assert (spans[S.HTTP_KERNEL].bytes, spans[S.HTTP_INITRD].bytes) == (9_000_000, 50_000_000)
    assert spans[S.IPXE_SCRIPT].tries == 1, "no line counts twice"
    lines = [line.text for line in running.engine._store.events if line.node == "n1"]
    assert lines.count("boot: ipxe-script") == 1, "what was told is not told again"
    assert running.engine._store.states["n1"].last_event == "boot: http-initrd"
    if not rotated:
        directory = server.http.parent / "bundle"
        async with await running.client() as client:
            await client.ask(wire.MakeBundle(("n1",), str(directory)))
        (log,) = directory.glob("*access.log")
        assert log.read_bytes() == server.http.read_bytes()


async def test_a_log_that_is_rotated_in_the_middle_of_a_boot_loses_nothing(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    server.boot("n1", upto=2)
    server.http.rename(server.http.with_suffix(".log.1"))
    server.fetch(IPS["n1"], "/initrd", size=50_000_000)
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    (boot,) = await boots(running, "n1")
    assert {S.IPXE_SCRIPT, S.HTTP_KERNEL, S.HTTP_INITRD} <= set(done(boot))


async def test_a_boot_begins_with_what_we_did_to_the_machine(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    async with await running.client() as client:
        await client.ask(wire.StartOrder(BootDeviceOrder(BootDevice(Device.PXE)), ("n1",)))
        await until(lambda: running.engine._store.states["n1"].boot_verified)
        await until(lambda: not running.engine._store.states["n1"].operation)
        running.backend.machines["n1"].settle = 0.3
        await client.ask(wire.StartOrder(PowerOrder(PowerAction.ON), ("n1",)))
        await until(lambda: stage(running, "n1") is S.POWERING_ON)
        (alone,) = await boots(running, "n1")
        assert [span.stage for span in alone.stages] == [S.OVERRIDE_SET, S.POWERING_ON]
        await until(lambda: running.backend.machines["n1"].power_is == "on")
    server.boot("n1")
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    (boot,) = await boots(running, "n1")
    assert boot.number == alone.number == 1
    assert [span.stage for span in boot.stages][:2] == [S.OVERRIDE_SET, S.POWERING_ON]
    assert {span.state for span in boot.stages[:2]} == {"done"}
    powering = boot.stages[1]
    assert [each.file for each in powering.evidence] == ["operation 2", "ipmi"]


async def test_a_finding_comes_with_its_evidence_and_goes_with_the_next_boot(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    server.boot("n1", upto=1)
    server.fetch(IPS["n1"], "/bzImage", 404, 153)
    states = running.engine._store.states
    await until(lambda: [finding.id for finding in states["n1"].findings] == ["kernel-missing"])
    finding = states["n1"].findings[0]
    assert any(str(server.http) in text for text in finding.evidence)
    assert (states["n1"].stage.stage, states["n1"].stage.outcome) == (S.HTTP_KERNEL, "stopped")  # type: ignore[union-attr]
    running.backend.on_console("n1", RESET)
    server.boot("n1", upto=2)
    await until(lambda: states["n1"].findings == ())
    texts = [line.text for line in running.engine._store.events if line.node == "n1"]
    assert "kernel-missing is over" in texts


async def test_machines_that_nobody_knows_are_listed_and_enrolled(
    start: Start, inventory: Inventory, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "version: 1\ncluster: {name: lab}  # ours\nlogs:\n"
        f"  - {{kind: dhcp, format: dhcpd, file: {server.dhcp}}}\n"
        f"  - {{kind: http, format: nginx-access, file: {server.http}}}\n"
        f'nodes:\n  n1: {{mac: "{MACS["n1"]}", provisioning_ip: {IPS["n1"]}}}\n'
    )
    running = await start(inventory=load(path))
    await following(running)
    server.ask(STRANGER, answered=False)
    store = running.engine._store
    await until(lambda: [each.mac for each in store.unknown] == [STRANGER])
    before = path.read_text()
    async with await running.client() as client:
        order = wire.EnrolNode("n9", STRANGER, provisioning_ip="10.0.100.59")
        shown = await client.ask(order)
        assert isinstance(shown, wire.EnrolReply)
        assert (shown.applied, path.read_text()) == (False, before)
        assert "+  n9:\n" in shown.diff
        applied = await client.ask(wire.EnrolNode("n9", STRANGER, provisioning_ip="10.0.100.59", apply=True))
        assert isinstance(applied, wire.EnrolReply)
        assert applied.applied
    assert "# ours" in path.read_text()
    assert "n9" in store.nodes
    await until(lambda: store.unknown == ())
    server.ask(STRANGER, "10.0.100.59")
    server.fetch("10.0.100.59", "/boot.ipxe")
    await until(lambda: stage(running, "n9") is S.IPXE_SCRIPT)
    async with await running.client(read_only=True) as client:
        await client.ask(wire.EnrolNode("n10", "52:54:00:00:00:98"))
        with pytest.raises(EngineError, match="--read-only"):
            await client.ask(wire.EnrolNode("n10", "52:54:00:00:00:98", apply=True))
        with pytest.raises(EngineError, match="in the inventory already"):
            await client.ask(order)


async def test_logs_in_pages_searched_and_followed(start: Start, inventory: Inventory, server: Server) -> None:
    running = await start(inventory=inventory)
    await following(running)
    async with await running.client() as client:
        pushed: list[str] = []
        client.on_logs = lambda more: pushed.extend(line.text for line in more.lines)
        await client.ask(wire.FollowLogs(LogFilter(kinds=("dhcp",), include="number [0-9]*7$")))
        for number in range(100):
            server.write(server.dhcp, f"dhcpd: number {number}")
        await until(lambda: len(pushed) == 10)
        assert pushed[0] == "dhcpd: number 7"

        async def page(seq: int, *, forward: bool = False) -> wire.LogPage:
            reply = await client.ask(wire.ListLogs(LogFilter(), seq, forward=forward, limit=30))
            assert isinstance(reply, wire.LogPage)
            return reply

        last = await page(0)
        assert ([line.text[-2:] for line in last.lines][::29], last.more) == (["70", "99"], True)
        earlier = await page(last.lines[0].seq)
        assert earlier.lines[-1].seq == last.lines[0].seq - 1
        assert (await page(earlier.lines[-1].seq, forward=True)).lines == last.lines
        hits = await client.ask(wire.SearchLogs("NUMBER 1", limit=3))
        assert isinstance(hits, wire.LogHits)
        assert (len(hits.seqs), hits.total) == (0, 0), "capitals matter when they are written"
        hits = await client.ask(wire.SearchLogs("number 1", LogFilter(exclude="19"), limit=3))
        assert isinstance(hits, wire.LogHits)
        assert (len(hits.seqs), hits.total) == (3, 10)
        both = await client.ask(wire.SearchLogs("7", LogFilter(include="number 1")))
        assert isinstance(both, wire.LogHits)
        assert both.total == 1
        for body in (wire.ListLogs(LogFilter(include="(")), wire.FollowLogs(LogFilter(exclude="(a+)+"))):
            with pytest.raises(EngineError, match="pattern cannot be used"):
                await client.ask(body)
        await client.ask(wire.FollowLogs(None))
        server.write(server.dhcp, "dhcpd: number 7")
        await until(lambda: running.engine._watch.lines.next_seq > 101)
        await asyncio.sleep(0.15)
        assert len(pushed) == 10


class SlowOutbound:
    """A client that takes nothing for a while."""

    def __init__(self) -> None:
        self.slow = True
        self.frames: list[bytes] = []

    def message(self, frame: bytes) -> None:
        self.frames.append(frame)


async def test_a_slow_follower_is_told_how_much_it_missed() -> None:
    lines = LineStore()
    lines.add_source("log", "dhcp")
    followers = Followers(lines, lambda _: "dhcp")
    outbound = SlowOutbound()
    followers.follow(1, outbound, LineFilter())  # type: ignore[arg-type]

    def write(count: int) -> None:
        first = lines.next_seq
        lines.append("log", [LogLine("log", first + i, b"text %d" % (first + i)) for i in range(count)], time.time())
        followers.told()

    await asyncio.sleep(0)
    write(PAGE + 20)
    await asyncio.sleep(0.3)
    assert outbound.frames == []
    outbound.slow = False
    write(1)
    await until(lambda: outbound.frames)
    pushed = wire.ENGINE_MESSAGE.decode(outbound.frames[0][4:])
    assert isinstance(pushed, wire.LogLines)
    assert (pushed.skipped, [line.text for line in pushed.lines]) == (PAGE + 20, [f"text {PAGE + 21}"])
    await followers.close()


async def test_a_line_that_a_parser_fails_on_costs_nothing_but_itself(
    start: Start,
    inventory: Inventory,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from plasmatui.watch.parsers.nginx_access import NginxAccessParser

    good = NginxAccessParser.feed

    def feed(self: NginxAccessParser, line: str, number: int) -> tuple[Signal, ...]:
        if "poison" in line:
            raise IndexError("nobody foresaw it")
        return good(self, line, number)

    monkeypatch.setattr(NginxAccessParser, "feed", feed)
    running = await start(inventory=inventory)
    await following(running)
    server.ask(MACS["n1"], IPS["n1"])
    with caplog.at_level(logging.CRITICAL):
        server.fetch(IPS["n1"], "/poison")
        server.fetch(IPS["n1"], "/boot.ipxe")
        await until(lambda: stage(running, "n1") is S.IPXE_SCRIPT)
    hits = await running.engine._watch.lines.count(LineFilter(sources=frozenset((str(server.http),))))
    assert hits.total == 2
    assert {source.status for source in running.engine._store.sources.values()} == {"running"}


async def test_a_source_says_what_is_wrong_with_it(start: Start, inventory: Inventory, tmp_path: Path) -> None:
    missing = LogEntry("tftp", "tftpd-hpa", file=str(tmp_path / "nowhere.log"))
    running = await start(inventory=dataclasses.replace(inventory, logs=(missing,)))
    async with await running.client() as client:
        await until(lambda: running.engine._store.sources)
        snapshot = await client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        (source,) = snapshot.sources
        assert (source.kind, source.format, source.status, source.where) == (
            "tftp",
            "tftpd-hpa",
            "waiting",
            "this host",
        )
        await until(lambda: "nowhere.log" in running.engine._store.sources[source.name].message)


async def test_a_bundle_replays_to_the_same_boot_and_holds_no_secret(
    start: Start, inventory: Inventory, server: Server, tmp_path: Path
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    for node in ("n1", "n2"):
        server.boot(node, upto=1)
    server.fetch(IPS["n1"], "/bzImage", 404, 153)
    server.fetch(IPS["n2"], "/bzImage?password=hunter22&x=secret")
    text = b"iPXE initialising devices...ok\r\nnet0: the password is secret\r\nAuthorization: Bearer abcdef123\r\n"
    running.backend.on_console("n1", text)
    await until(lambda: stage(running, "n2") is S.HTTP_KERNEL)
    await until(lambda: [f.id for f in running.engine._store.states["n1"].findings] == ["kernel-missing"])
    directory = tmp_path / "out" / "bundle"
    async with await running.client() as client:
        reply = await client.ask(wire.MakeBundle(("n1",), str(directory), time.time() - 600))
        assert isinstance(reply, wire.BundleReply)
        with pytest.raises(EngineError, match="not empty"):
            await client.ask(wire.MakeBundle(("n1",), str(directory)))
        with pytest.raises(EngineError, match="from the root on"):
            await client.ask(wire.MakeBundle(("n1",), "bundle"))
        with pytest.raises(EngineError, match="no node n7"):
            await client.ask(wire.MakeBundle(("n7",), str(directory)))
    assert {path.name for path in directory.iterdir()} == set(reply.files)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    everything = b"".join(path.read_bytes() for path in directory.iterdir())
    for word in (b"secret", b"hunter22", b"abcdef123", IPS["n2"].encode() + b" "):
        assert word not in everything
    assert len((directory / "console-n1.raw").read_bytes()) == len(text)
    (live,) = await boots(running, "n1")
    again = replay(directory)["n1"]
    assert (again.reached, again.outcome) == (live.reached, live.outcome) == (S.IPXE_SCRIPT, "stopped")
    assert [finding.id for finding in again.findings] == [finding.id for finding in live.findings]
    events = json.loads((directory / "events.json").read_text())
    assert {event["node"] for event in events} == {"n1"}


async def test_boots_before_the_last_come_from_the_journal(start: Start, inventory: Inventory, server: Server) -> None:
    running = await start(inventory=inventory)
    await following(running)
    for banner in (b"iPXE initialising devices...ok\r\n", b"\r\n" + RESET):
        running.backend.on_console("n1", banner)
        server.boot("n1")
        await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
        running.backend.on_console("n1", KERNEL)
        await until(lambda: stage(running, "n1") is S.INSTALLER_UP)
    before = await boots(running, "n1")
    assert [(boot.number, boot.outcome) for boot in before] == [(2, "installer-up"), (1, "installer-up")]
    await running.close()
    running = await start(inventory=inventory)
    assert [(b.number, b.outcome, done(b)) for b in await boots(running, "n1")] == [
        (b.number, b.outcome, done(b)) for b in before
    ]


def test_usual_is_the_median_of_enough_good_boots_of_a_profile() -> None:
    usual = UsualTimes()
    usual.profiles = {"n1": "worker", "n2": "worker", "n3": "voter"}

    def boot(number: int, seconds: float, outcome: str = "installer-up") -> BootTimeline:
        span = StageSpan(S.HTTP_INITRD, 100.0, 100.0 + seconds, "done")
        return BootTimeline("n1", number, 100.0, S.HTTP_INITRD, outcome, (span,))

    assert usual.learn(boot(1, 500.0, "stopped")) == []
    durations = [usual.learn(boot(number, seconds)) for number, seconds in enumerate((10.0, 30.0, 20.0), 1)]
    assert [each[0].seconds for each in durations] == [10.0, 30.0, 20.0]
    assert usual.learn(boot(ENOUGH, 99.0)) == [], "a stage of a boot counts once"
    assert (usual.of("n2", S.HTTP_INITRD), usual.of("n3", S.HTTP_INITRD)) == (20.0, None)
    again = UsualTimes()
    again.profiles = usual.profiles
    again.recall(each[0] for each in durations[:2])
    assert again.of("n2", S.HTTP_INITRD) is None
    again.recall(each[0] for each in durations[2:])
    assert again.of("n2", S.HTTP_INITRD) == 20.0


async def test_a_journal_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.executescript(schema._TABLES.partition("-- since version 2:")[0])
    connection.execute("INSERT INTO audit VALUES (7, 1.0, 'anna', 'n1', 'power on', 'done')")
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    journal = SqliteJournal(path)
    await journal.open()
    kept = BootJournal(journal)
    signal = Signal(kind=SignalKind.PANIC, evidence=Evidence("console n1", 3, "panic"), node="n1")
    for number in (1, 2, 3):
        boot = BootTimeline("n1", number, None, S.KERNEL_START, "stopped", ())
        kept.keep([("n1", number, 5.0, encoded(signal))], {"log": b"%d" % number}, [boot])
    recalled = await kept.recall()
    assert journal.problem == ""
    assert [line.number for line in await journal.audit(10)] == [7]
    assert recalled.positions == {"log": b"3"}
    assert [each.boot for each in recalled.signals] == [2, 3], "signals of older boots are forgotten"
    assert recalled.boots["n1"].number == 3
    assert [each.number for each in await kept.boots("n1", 2)] == [3, 2]
    await journal.close()
