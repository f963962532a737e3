"""The past through a real engine and a rack that boots: what is told of a moment is what was told then."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from plasmatui.client import EngineClient
from plasmatui.engine.state import lasting
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from tests.support.site import Site, site, wait_for

LIMIT = 60.0


async def _seen(client: EngineClient) -> wire.Snapshot:
    reply = await client.ask(wire.Watch())
    assert isinstance(reply, wire.Snapshot)
    return reply


async def _lived(lab: Site) -> list[tuple[float, tuple[NodeState, ...]]]:
    """Boot a machine, and note at quiet moments what is known, until its installer is up."""
    moments: list[tuple[float, tuple[NodeState, ...]]] = []
    deadline = time.monotonic() + LIMIT
    async with await EngineClient.connect(lab.socket, kind="cli") as client:
        while True:
            before, at, after = await _seen(client), time.time(), await _seen(client)
            if before.states == after.states and before.seq == after.seq:
                moments.append((at, before.states))
            stage = next(state.stage for state in after.states if state.name == "node01")
            if stage is not None and stage.outcome == "installer-up":
                return moments
            assert time.monotonic() < deadline, f"the boot stands at {stage}"
            await asyncio.sleep(0.05)


async def _told(lab: Site, at: float) -> wire.Past:
    async with await EngineClient.connect(lab.socket, kind="cli", read_only=True) as client:
        reply = await client.ask(wire.AskPast(at))
    assert isinstance(reply, wire.Past)
    return reply


def _kept(states: tuple[NodeState, ...]) -> dict[str, Any]:
    return {state.name: lasting(state) for state in states}


def test_a_boot_is_told_as_it_was_seen_also_by_the_next_engine() -> None:
    with site(nodes=2, on=0, speed=30.0) as lab:
        lab.engine()
        started = lab.cli("boot", "node01", "--yes", "--detach")
        assert started.code == 0, started.err
        moments = asyncio.run(_lived(lab))
        assert len({repr(_kept(states)) for _, states in moments}) > 3, "there is something to tell apart"
        for at, states in moments:
            assert _kept(asyncio.run(_told(lab, at)).states) == _kept(states)
        second = int(moments[-1][0]) + 1
        wait_for("that second to be over", lambda: time.time() > second)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        shown = lab.cli("nodes", "node01", "--at", stamp, "--json")
        assert shown.code == 0, shown.err
        assert shown.json()["nodes"]["node01"]["power"] == "on"
        boots = lab.cli("timeline", "node01", "--at", stamp, "--json").json()["nodes"]["node01"]["boots"]
        assert [boot["number"] for boot in boots] == [1]
        assert "powering-on" in [stage["stage"] for stage in boots[0]["stages"]]  # the rack's clock runs ahead of ours
        lab.stop_engine()
        lab.engine()
        at, states = moments[len(moments) // 2]
        assert _kept(asyncio.run(_told(lab, at)).states) == _kept(states)
