"""A flood of log lines and a journal that is slower: sources wait, and nothing that is to be kept is dropped."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from plasmatui.engine import boots
from plasmatui.engine.boots import identity_of
from plasmatui.engine.ordering import Ordering
from plasmatui.engine.store import Store
from plasmatui.engine.watch import WatchHub
from plasmatui.inventory.inventory import Inventory, LogSource
from plasmatui.journal import sqlite
from plasmatui.journal.boots import BootJournal
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.node import Node
from plasmatui.model.words import Stage
from plasmatui.watch.timeline import Correlator
from tests.engine.conftest import until

NODES = [
    Node(f"n{i:03d}", "worker", (f"52:54:00:00:00:{i:02x}",), provisioning_ip=f"10.0.0.{i}") for i in range(1, 201)
]
FILES = ("/boot.ipxe", "/bzImage", "/initrd")


class SlowDisk:
    """Holds up each transaction while it is `slow`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fast = threading.Event()
        commit = sqlite._commit

        def held(connection: sqlite3.Connection, work: Any) -> int:
            if work.rows:
                self.fast.wait(30)
            return commit(connection, work)

        monkeypatch.setattr(sqlite, "_commit", held)


def flood(path: Path) -> int:
    """Each machine fetches its files within the last seconds; how many lines that are."""
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(time.time() - 5))
    lines = [
        f'{node.provisioning_ip} - - [{stamp}] "GET {file} HTTP/1.1" 200 900 "-" "iPXE/1.21.1"\n'
        for file in FILES
        for node in NODES
    ]
    path.write_text("".join(lines))
    return len(lines)


async def test_a_flood_waits_for_a_slow_journal_and_loses_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    monkeypatch.setattr(boots, "PENDING", 50)
    monkeypatch.setattr(Ordering, "push", _at_once)
    monkeypatch.setattr(sqlite, "MAX_PENDING", 100)  # a dropped row would be one of these
    log = tmp_path / "access.log"
    log.touch()
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    inventory = Inventory(
        tmp_path / "inventory.yaml",
        "test",
        "example.com",
        "lab",
        {node.name: node for node in NODES},
        {},
        logs=(LogSource("http", "nginx-access", str(log)),),
    )
    disk.fast.set()
    store = Store(NODES, on_line=lambda *_: None, on_audit=lambda _: None)
    hub = WatchHub(inventory, store, BootJournal(journal))
    await hub.start()
    (feed,) = hub.logs.feeds
    await until(lambda: feed.source.state.status == "running")
    await journal.flush()
    disk.fast.clear()
    wanted = flood(log)
    await until(lambda: not hub.boots.room.free.is_set())
    read = feed.source.position.number
    assert read < wanted, "the log is read no further"
    disk.fast.set()
    await until(lambda: feed.source.position.number == wanted and hub.boots.room.free.is_set())
    await hub.close()
    recalled = await BootJournal(journal).recall()
    await journal.close()
    assert journal.lost == 0
    assert len(recalled.signals) == wanted
    correlator = Correlator(identity_of(node) for node in NODES)
    for kept in recalled.signals:
        correlator.feed(kept.signal, kept.heard)
    reached = {node.name: correlator.timeline(node.name) for node in NODES}
    assert {boot.reached for boot in reached.values() if boot is not None} == {Stage.HTTP_INITRD}
    assert len(reached) == len(NODES)


def _at_once(self: Ordering, signal: Any, heard: float) -> None:
    """One log needs no order: what waits is what the journal was not given."""
    self._take(signal, heard, False)
