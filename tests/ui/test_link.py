"""Losing the engine and finding it again."""

from __future__ import annotations

from plasmatui.client import EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.node import PowerState
from plasmatui.model.words import Power
from plasmatui.ui import link
from tests.ui.fake import NOW, FakeWorld


async def test_losing_the_engine_is_shown_and_everything_comes_back(cockpit, monkeypatch) -> None:
    monkeypatch.setattr(link, "FIRST_DELAY", 0.01)
    world = FakeWorld()
    world.recording = {"node01": b"before\r\n"}
    async with cockpit(world) as ui:
        await ui.press("c")
        await ui.settle(lambda: "before" in ui.text())
        world.lose("the engine stops")
        await ui.settle(lambda: "STALE" in ui.text() and "engine not connected" in ui.text())
        assert ui.main.has_class("stale")
        await ui.press("P")
        assert ui.dialog is ui.main, "no order without an engine"
        assert any("the engine is not connected" in toast for toast in ui.toasts())
        world.recording["node01"] += b"meanwhile\r\n"
        world.states["node02"] = world.states["node02"].__class__("node02", power=PowerState(Power.ON, NOW, "ipmi"))
        world.down = False
        await ui.settle(lambda: "link ok" in ui.text())
        world.say("node01", b"after\r\n")
        await ui.settle(lambda: "after" in ui.text())
        for word in ("before", "meanwhile", "after"):
            assert ui.text().count(word) == 1, word
        assert "● 5 on" in ui.text()
        assert not ui.main.has_class("stale")


async def test_back_off_and_retry_by_key(cockpit, monkeypatch) -> None:
    monkeypatch.setattr(link, "FIRST_DELAY", 3600.0)
    async with cockpit() as ui:
        ui.world.lose("gone")
        await ui.settle(lambda: "next try in 3600s" in ui.text())
        assert ui.world.starts == [True]
        ui.world.down = False
        await ui.press("ctrl+r")
        await ui.settle(lambda: "link ok" in ui.text())
        assert ui.world.starts == [True, True], "the key may start an engine, the clock may not"


async def test_an_engine_that_never_was_there(cockpit, monkeypatch) -> None:
    monkeypatch.setattr(link, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(link, "LONGEST_DELAY", 0.01)
    world = FakeWorld()
    world.down = True
    async with cockpit(world) as ui:
        await ui.settle(lambda: "no engine answers" in ui.text())
        await ui.settle(lambda: len(world.starts) > 2)
        assert world.starts[:3] == [True, False, False]


async def test_why_no_engine_started_stands_in_place_of_the_nodes(cockpit, monkeypatch) -> None:
    """And goes on standing there while it is only looked for; the nodes come when it answers."""
    monkeypatch.setattr(link, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(link, "LONGEST_DELAY", 0.01)
    world = FakeWorld()
    world.down = True
    connect = world.connect

    async def fails(start: bool) -> object:
        try:
            return await connect(start)
        except EngineUnreachableError:
            raise EngineUnreachableError("the disk is full" if start else "no socket") from None

    monkeypatch.setattr(world, "connect", fails)
    async with cockpit(world, size=(80, 24)) as ui:
        await ui.settle(lambda: len(world.starts) > 3)
        await ui.settle(lambda: "nothing is known of any node" in ui.text())
        assert "the disk is full" in ui.text()
        assert "engine log" in ui.text()
        world.down = False
        await ui.press("ctrl+r")
        await ui.settle(lambda: "node01" in ui.text() and "nothing is known" not in ui.text())


async def test_the_order_of_delays_doubles_up_to_a_limit(monkeypatch) -> None:
    import asyncio
    import contextlib

    from plasmatui.client import EngineUnreachableError
    from plasmatui.ui.store import Store

    tries: list[float] = []
    enough = asyncio.Event()
    monkeypatch.setattr(link, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(link, "LONGEST_DELAY", 0.04)
    store = Store(lambda: NOW)

    async def connect(start: bool):
        raise EngineUnreachableError("no\x1b[2J")

    real = store.offline

    def offline(reason: str, retry_at: float = 0.0) -> None:
        if retry_at:
            tries.append(round(retry_at - NOW, 3))
            if len(tries) == 5:
                enough.set()
        real(reason, retry_at)

    store.offline = offline  # type: ignore[method-assign]
    task = asyncio.create_task(link.Link(store, connect).run())
    async with asyncio.timeout(10):
        await enough.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert tries[:5] == [0.01, 0.02, 0.04, 0.04, 0.04]
    assert "\x1b" not in store.link.reason


async def test_a_slow_client_is_told_and_connects_again(cockpit, monkeypatch) -> None:
    monkeypatch.setattr(link, "FIRST_DELAY", 0.01)
    async with cockpit() as ui:
        assert ui.world.of(wire.Watch) == [wire.Watch()]
        ui.world.engine.on_lost("this client reads too slowly")
        await ui.settle(lambda: len(ui.world.of(wire.Watch)) == 2)
        await ui.settle(lambda: "link ok" in ui.text())


async def test_writing_ends_with_the_connection(cockpit, monkeypatch) -> None:
    monkeypatch.setattr(link, "FIRST_DELAY", 3600.0)
    async with cockpit() as ui:
        await ui.press("c", "i")
        await ui.settle(lambda: ui.main.view.tile.console.writing)
        ui.world.lose()
        await ui.settle(lambda: not ui.main.view.tile.console.writing)
        assert "WRITE" not in ui.text()


async def test_notices_are_told_once_and_kept(cockpit) -> None:
    async with cockpit() as ui:
        ui.world.push(notices=("inventory.yaml:3:1: warning: a literal password [/]",))
        await ui.settle(lambda: len(ui.toasts()) == 1)
        ui.world.push(notices=("inventory.yaml:3:1: warning: a literal password [/]",))
        await ui.press("exclamation_mark")
        await ui.settle(lambda: "notice" in ui.text())
        assert len(ui.toasts()) == 1


async def test_a_long_reason_is_shown_in_full(cockpit, monkeypatch) -> None:
    monkeypatch.setattr(link, "FIRST_DELAY", 3600.0)
    reason = "\n".join(f"inventory.yaml:{line}:1: error: expected a name, found [/]" for line in range(1, 8))
    async with cockpit() as ui:
        ui.world.lose(reason)
        await ui.settle(lambda: "engine not connected, next try in 3600s" in ui.text())
        await ui.press("exclamation_mark")
        await ui.settle(lambda: "inventory.yaml:7:1:" in ui.text())
        assert "inventory.yaml:4:1:" in ui.text()


async def test_a_directory_that_is_not_ours_is_said(cockpit, monkeypatch) -> None:
    from plasmatui.paths import UnsafeDirectoryError

    monkeypatch.setattr(link, "FIRST_DELAY", 3600.0)
    world = FakeWorld()
    world.down = True

    async def connect(start: bool):
        raise UnsafeDirectoryError("/run/x belongs to user 7")

    world.connect = connect  # type: ignore[method-assign]
    async with cockpit(world) as ui:
        await ui.settle(lambda: "/run/x belongs to user 7" in ui.text())
