"""The console hub: many readers, one pen, recordings that never hold anything up."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plasmatui.engine import consoles as module
from plasmatui.engine import recorder
from plasmatui.engine.consoles import ConsoleHub
from plasmatui.engine.ports import ClientId, ProblemError
from plasmatui.engine.recording import SegmentFiles, _private
from plasmatui.engine.store import Store
from plasmatui.model import wire
from plasmatui.model.event import AuditLine, EventLine, Payload
from plasmatui.model.node import ConsoleState, Node
from plasmatui.model.words import ConsoleStatus
from tests.engine.conftest import until
from tests.engine.fakes import FakeKeeper

ANNA, BEN = ClientId(1, "anna", "pts/1"), ClientId(2, "ben", "pts/2")


class Rig:
    """A hub over nodes a and b, with a keeper in memory."""

    def __init__(self, directory: Path, *, always: bool = False) -> None:
        self.directory = directory
        self.audit: list[AuditLine] = []
        self.lines: list[EventLine] = []
        self.busy: frozenset[str] = frozenset()
        self.full = False
        self.store = Store(
            [Node("a"), Node("b")], on_line=lambda line, _: self.lines.append(line), on_audit=self.audit.append
        )
        self.hub = ConsoleHub(
            directory,
            self.store,
            always=always,
            busy=lambda: self.busy,
            make_files=lambda path: SegmentFiles(path, opener=self._open),
        )
        self.keeper = FakeKeeper(self._emit)

    def _open(self, path: str, flags: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return _private(path, flags)

    def _emit(self, node: str, payload: Payload) -> None:
        self.hub.on_state(node, payload.state)  # type: ignore[union-attr]

    async def start(self) -> Rig:
        await self.hub.start(["a", "b"], self.keeper)
        return self

    def state(self, node: str = "a") -> ConsoleState:
        return self.store.states[node].console


class Reader:
    """What a client gets of a console."""

    def __init__(self) -> None:
        self.data: list[wire.ConsoleData] = []

    def __call__(self, data: wire.ConsoleData, frame: bytes) -> None:
        assert wire.ENGINE_MESSAGE.decode(frame[4:]) == data
        self.data.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(each.data for each in self.data)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await Rig(tmp_path / "consoles").start()
    yield made
    await made.hub.close()


async def test_readers_get_the_past_and_every_byte_after_it(rig: Rig) -> None:
    rig.hub.on_data("a", b"before ")
    one, two = Reader(), Reader()
    opened = await rig.hub.read("a", 1, one, 65536)
    assert (opened.offset, opened.data, opened.state.readers) == (0, b"before ", 1)
    for number in range(300):
        rig.hub.on_data("a", b"%03d " % number)
        if number == 150:
            late = await rig.hub.read("a", 2, two, 8)
        if number % 20 == 0:
            await asyncio.sleep(0.003)
    await until(lambda: one.text.endswith(b"299 "))
    assert one.text == b"".join(b"%03d " % number for number in range(300))
    assert (late.data, two.data[0].offset) == (b"149 150 ", late.offset + 8)
    assert two.text == b"".join(b"%03d " % number for number in range(151, 300))
    assert len(one.data) < 150, "bytes that follow each other closely go together"
    offset = opened.offset + len(opened.data)
    for each in one.data:
        assert each.offset == offset
        offset += len(each.data)


async def test_history_from_disk_and_memory(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmatui.engine.recording.TAIL", 1000)
    whole = b"".join(b"%07d\n" % number for number in range(2000))
    for place in range(0, len(whole), 160):
        rig.hub.on_data("a", whole[place : place + 160])
    await rig.hub._recorder.flush()
    rig.hub.on_data("a", b"tail")
    await rig.hub._recorder.flush()
    assert await rig.hub.history("a", 80, 16) == (80, b"0000010\n0000011\n")
    assert await rig.hub.history("a", len(whole), 100) == (len(whole), b"tail")
    assert await rig.hub.history("a", 10**9, 5) == (len(whole) + 4, b"")
    opened = await rig.hub.read("a", 1, Reader(), 12_000)
    assert (whole + b"tail").endswith(opened.data)
    assert opened.offset + len(opened.data) == len(whole) + 4
    assert len(opened.data) == 12_000


async def test_watched_consoles_are_wanted_while_needed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER", 0.2)
    assert rig.keeper.wanted == frozenset()
    await rig.hub.read("a", 1, Reader(), 0)
    assert rig.keeper.wanted == {"a"}
    assert (rig.state().status, rig.state().recording, rig.state().readers) == (ConsoleStatus.OPEN, True, 1)
    rig.busy = frozenset({"b"})
    rig.hub.refresh()
    assert rig.keeper.wanted == {"a", "b"}
    rig.busy = frozenset()
    rig.hub.leave("a", 1)
    assert rig.keeper.wanted == {"a", "b"}, "they linger"
    await until(lambda: rig.keeper.wanted == frozenset(), 5)
    assert (rig.state().status, rig.state().recording) == (ConsoleStatus.CLOSED, False)


async def test_always_means_all(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, always=True).start()
    assert rig.keeper.wanted == {"a", "b"}
    assert rig.hub.holds_engine
    assert rig.hub.open == 2
    await rig.hub.close()


async def test_one_pen(rig: Rig) -> None:
    hub = rig.hub
    with pytest.raises(ProblemError, match="take the console") as nobody:
        hub.write("a", 1, b"x")
    assert nobody.value.problem.id == "pen-held"
    assert hub.take_pen("a", ANNA, steal=False).pen is not None
    hub.write("a", 1, b"secret password\n")
    with pytest.raises(ProblemError, match="anna on pts/1"):
        hub.take_pen("a", BEN, steal=False)
    with pytest.raises(ProblemError, match="anna on pts/1"):
        hub.write("a", 2, b"x")
    hub.give_back("a", 2)
    assert rig.state().pen is not None, "who does not hold it cannot give it back"
    stolen = hub.take_pen("a", BEN, steal=True)
    assert stolen.pen is not None
    assert (stolen.pen.user, rig.state().pen) == ("ben", stolen.pen)
    with pytest.raises(ProblemError, match="ben on pts/2"):
        hub.write("a", 1, b"x")
    hub.send_break("a", BEN)
    hub.give_back("a", 2)
    assert rig.state().pen is None
    assert rig.keeper.written == [("a", b"secret password\n")]
    texts = [line.text for line in rig.audit]
    assert "wrote 16 bytes to the console" in texts
    assert "took the console from anna on pts/1" in texts
    assert "sent a serial break" in texts
    assert not any("secret" in text for text in texts), "what was typed may be a password"
    assert any("ben (pts/2) writes on the console" in line.text for line in rig.lines)


async def test_the_pen_goes_with_its_client(rig: Rig) -> None:
    reader = Reader()
    await rig.hub.read("a", 1, reader, 0)
    rig.hub.take_pen("a", ANNA, steal=False)
    rig.hub.take_pen("b", ANNA, steal=False)
    rig.hub.leave_all(1)
    assert rig.state("a").pen is None
    assert rig.state("b").pen is None
    rig.hub.on_data("a", b"later")
    await asyncio.sleep(0.03)
    assert reader.data == []


async def test_a_full_disk_leaves_the_console_live(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "RETRY", 0.2)
    monkeypatch.setattr(recorder, "FLUSH_INTERVAL", 0.02)
    reader = Reader()
    await rig.hub.read("a", 1, reader, 0)
    rig.full = True
    rig.hub.on_data("a", b"during ")
    await until(lambda: not rig.state().recording)
    assert "No space left" in rig.state().message
    assert "No space left" in rig.store.snapshot().notices[0]
    assert any("console is not recorded" in line.text for line in rig.lines)
    rig.hub.on_data("a", b"the outage")
    await until(lambda: reader.text == b"during the outage")
    assert (await rig.hub.history("a", 0, 100))[1] == b"during the outage"
    rig.full = False
    await until(lambda: rig.state().recording)
    assert rig.store.snapshot().notices == ()
    await rig.hub.close()
    files = SegmentFiles(rig.directory / "a")
    files.load()
    assert files.read(0, 100) == (0, b"during the outage"), "memory was large enough: nothing is missing"


async def test_close_writes_the_rest(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).start()
    rig.hub.on_data("a", b"last words")
    rig.hub.take_pen("a", ANNA, steal=False)
    rig.hub.write("a", 1, b"x")
    await rig.hub.close()
    files = SegmentFiles(tmp_path / "a")
    files.load()
    assert files.read(0, 100) == (0, b"last words")
    assert rig.audit[-1].text == "wrote 1 bytes to the console"


async def test_nodes_without_a_console(rig: Rig) -> None:
    with pytest.raises(ProblemError) as refused:
        await rig.hub.read("ghost", 1, Reader(), 0)
    assert refused.value.problem.id == "no-bmc"
    rig.hub.on_data("ghost", b"x")
    await rig.hub.replace(["b"])
    with pytest.raises(ProblemError):
        rig.hub.state("a")
    assert rig.hub.state("b").status is ConsoleStatus.CLOSED


async def test_a_slow_disk_never_holds_up_the_loop(tmp_path: Path) -> None:
    class Slow(SegmentFiles):
        def write(self, chunk: object) -> object:  # type: ignore[override]
            time.sleep(0.3)
            return super().write(chunk)  # type: ignore[arg-type]

    rig = Rig(tmp_path)
    rig.hub._recorder._make_files = Slow
    await rig.start()
    reader = Reader()
    await rig.hub.read("a", 1, reader, 0)
    rig.hub.on_data("a", b"x")
    await asyncio.sleep(0.05)
    begin = asyncio.get_running_loop().time()
    rig.hub.on_data("a", b"y")
    await until(lambda: reader.text == b"xy")
    assert asyncio.get_running_loop().time() - begin < 0.2
    await rig.hub.close()
