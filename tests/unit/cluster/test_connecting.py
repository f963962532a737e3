"""Connections are made few at a time, and one that only waits holds nobody up."""

from __future__ import annotations

import asyncio

import pytest

from plasmatui.cluster import connecting
from plasmatui.cluster.connecting import AT_ONCE, Connecting

BEGIN, END = "connection.connect_tcp.started", "connection.start_tls.complete"


async def begun(gate: Connecting, count: int) -> tuple[list[connecting.Trace], list[asyncio.Task[None]]]:
    traces = [gate.trace() for _ in range(count)]
    tasks = [asyncio.create_task(trace(BEGIN, {})) for trace in traces]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return traces, tasks


async def test_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "PATIENCE", 3600.0)
    monkeypatch.setattr(connecting, "LONGEST_WAIT", 3600.0)
    traces, tasks = await begun(Connecting(), AT_ONCE + 2)
    assert sum(task.done() for task in tasks) == AT_ONCE
    await traces[0](END, {})
    await traces[0](END, {})  # gives its place back once only
    await asyncio.wait(tasks[: AT_ONCE + 1])
    assert not tasks[-1].done()
    await traces[1]("connection.connect_tcp.failed", {})
    await tasks[-1]


async def test_one_that_only_waits_gives_its_place_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "PATIENCE", 0.0)
    monkeypatch.setattr(connecting, "LONGEST_WAIT", 3600.0)
    _, tasks = await begun(Connecting(), 3 * AT_ONCE)
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "PATIENCE", 3600.0)
    monkeypatch.setattr(connecting, "LONGEST_WAIT", 0.0)
    traces, tasks = await begun(Connecting(), AT_ONCE + 1)
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)
    await traces[-1](END, {})  # it had no place to give back
    assert sum(task.done() for task in (await begun(Connecting(), AT_ONCE))[1]) == AT_ONCE
