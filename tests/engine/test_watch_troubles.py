"""Boot watch on bad days: logs that rotate, addresses that move, engines that are exchanged and show lines again."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path

import pytest

from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.model import wire
from plasmatui.model.boot import LogFilter, LogLine
from tests.engine.bootserver import IPS, MACS, S, Server, boots, done, following, stage
from tests.engine.conftest import Running, Start, until
from tests.unit.watch.sources.test_journal import Fake


async def lines(running: Running, *kinds: str) -> list[LogLine]:
    """What the Logs view shows of these kinds, from the oldest line on."""
    async with await running.client() as client:
        page = await client.ask(wire.ListLogs(LogFilter(kinds=kinds), forward=True, limit=2000))
        assert isinstance(page, wire.LogPage)
        return list(page.lines)


async def test_a_log_that_is_copied_and_truncated_in_the_middle_of_a_boot(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    server.boot("n1", upto=2)
    await until(lambda: stage(running, "n1") is S.HTTP_KERNEL)
    before = server.http.read_text().splitlines()
    shutil.copy(server.http, server.http.with_suffix(".log.1"))
    os.truncate(server.http, 0)
    server.fetch(IPS["n1"], "/initrd", size=50_000_000)
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    (boot,) = await boots(running, "n1")
    spans = {span.stage: span for span in boot.stages}
    assert [spans[each].tries for each in (S.IPXE_SCRIPT, S.HTTP_KERNEL, S.HTTP_INITRD)] == [1, 1, 1]
    assert boot.findings == ()
    shown = [line.text for line in await lines(running, "http")]
    assert shown == [*before, *server.http.read_text().splitlines()], "no line is lost or doubled"


async def test_an_address_that_moves_from_one_machine_to_another(
    start: Start, inventory: Inventory, server: Server
) -> None:
    pool = "10.0.100.150"
    running = await start(inventory=inventory)
    await following(running)
    server.ask(MACS["n1"], pool)
    server.fetch(pool, "/boot.ipxe", size=300)
    await until(lambda: stage(running, "n1") is S.IPXE_SCRIPT)
    server.ask(MACS["n2"], pool)
    for path, size in (("/boot.ipxe", 300), ("/bzImage", 9_000_000)):
        server.fetch(pool, path, size=size)
    await until(lambda: stage(running, "n2") is S.HTTP_KERNEL)
    first, second = (await boots(running, "n1"))[0], (await boots(running, "n2"))[0]
    assert (first.reached, second.reached) == (S.IPXE_SCRIPT, S.HTTP_KERNEL)
    assert {span.stage: span.tries for span in first.stages}[S.IPXE_SCRIPT] == 1
    await until(lambda: running.engine._watch.boots._ordering._heap == [])
    owners = [line.node for line in await lines(running, "http")]
    assert owners == ["n1", "n2", "n2"]


@pytest.mark.parametrize("how", ["renamed", "truncated"])
async def test_a_log_that_rotates_while_no_engine_runs(
    start: Start, inventory: Inventory, server: Server, how: str
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    server.boot("n1", upto=1)
    await until(lambda: stage(running, "n1") is S.IPXE_SCRIPT)
    await running.close()
    server.fetch(IPS["n1"], "/bzImage", size=9_000_000)
    old = server.http.with_suffix(".log.1")
    if how == "renamed":
        server.http.rename(old)
    else:
        shutil.copy(server.http, old)
        os.truncate(server.http, 0)
    server.fetch(IPS["n1"], "/initrd", size=50_000_000)
    running = await start(inventory=inventory)
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    (boot,) = await boots(running, "n1")
    assert {S.IPXE_SCRIPT, S.HTTP_KERNEL, S.HTTP_INITRD} <= set(done(boot))
    assert {span.tries for span in boot.stages} == {1}
    texts = [line.text for line in await lines(running, "http")]
    written = old.read_text().splitlines() + server.http.read_text().splitlines()
    assert texts[-2:] == written[-2:]
    assert len(texts) == len(set(texts)), "no line is doubled"
    if how == "renamed":
        assert texts == written


def journal_of(fake: Fake, count: int) -> LogEntry:
    """A TFTP server's journal with so many transfers to n1."""
    now = int(time.time() * 1e6) - 5_000_000
    fake.write(
        [
            {
                "__CURSOR": f"s=1;i={number}",
                "__REALTIME_TIMESTAMP": str(now + number * 1000),
                "SYSLOG_IDENTIFIER": "in.tftpd",
                "_PID": str(800 + number),
                "MESSAGE": f"RRQ from {IPS['n1']} filename file{number}.efi",
            }
            for number in range(count)
        ]
    )
    return LogEntry("tftp", "tftpd-hpa", journal="tftpd-hpa.service")


async def test_lines_of_a_journal_and_of_consoles_are_shown_again_by_the_next_engine(
    start: Start, inventory: Inventory, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(tmp_path, monkeypatch)
    entry = journal_of(fake, 3)
    inventory = dataclasses.replace(inventory, logs=(entry, *server.entries))
    running = await start(inventory=inventory)
    engine = running.engine
    await until(lambda: [s.status for s in engine._store.sources.values()] == ["running"] * 3)
    await until(lambda: engine._store.sources[entry.journal].lines == 3)
    server.fetch(IPS["n1"], "/boot.ipxe", size=300)
    await until(lambda: stage(running, "n1") is not None)
    running.backend.on_console("n1", b"one\r\ntwo\r\nnot finished")
    await until(lambda: engine._watch.lines.next_seq > 6)
    before = await lines(running)
    await running.close()

    journal_of(fake, 4)
    running = await start(inventory=inventory)
    await until(lambda: running.engine._watch.lines.next_seq > 7)
    running.backend.on_console("n1", b"three\r\n")
    await until(lambda: running.engine._watch.lines.next_seq > 8)
    after = await lines(running)

    def said(found: list[LogLine], kind: str) -> list[tuple[str, str]]:
        return [(line.node, line.text) for line in found if line.kind == kind]

    assert said(after, "http") == said(before, "http")
    assert said(after, "tftp")[:3] == said(before, "tftp")
    assert said(before, "tftp")[2] == ("n1", f"in.tftpd[802]: RRQ from {IPS['n1']} filename file2.efi")
    assert said(after, "console") == [*said(before, "console"), ("n1", "three")]
    walls = {line.text: line.wall for line in before}
    assert all(abs(line.wall - walls[line.text]) < 1.0 for line in after if line.text in walls), "with their times"
    directory = tmp_path / "bundle"
    async with await running.client() as client:
        await client.ask(wire.MakeBundle(("n1",), str(directory)))
    (log,) = directory.glob("*tftpd-hpa*")
    assert log.read_bytes().count(b"filename file") >= 3
