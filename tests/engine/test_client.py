"""The client's side of the socket: what it promises to screens and commands when things go wrong."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plasmatui import client as client_module
from plasmatui.client import EngineClient, EngineError, EngineUnreachableError
from plasmatui.model import wire
from tests.engine.conftest import Start, until


async def test_a_lost_engine_fails_what_waits_and_is_told_once(start: Start) -> None:
    running = await start(1)
    running.backend.machines["n1"].delay = 60
    client = await running.client()
    lost: list[str] = []
    client.on_lost = lost.append
    waiting = asyncio.create_task(client.ask(wire.Query("power", ("n1",))), name="waiting")
    await until(lambda: running.backend.machines["n1"].calls)
    await running.close()
    with pytest.raises(EngineUnreachableError, match="stopped"):
        await waiting
    assert len(lost) == 1
    assert client.lost == lost[0]
    with pytest.raises(EngineUnreachableError):
        await client.ask(wire.AskEngine())
    await client.close()
    assert len(lost) == 1


async def test_an_engine_that_hangs_is_named_with_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "HANDSHAKE_LIMIT", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(EngineUnreachableError, match=rf"process {os.getpid()}\).*did not answer within 0.1 s"):
            await EngineClient.connect(tmp_path / "s", kind="test")


async def test_close_is_not_lost(start: Start) -> None:
    running = await start(1)
    client = await running.client()
    lost: list[str] = []
    client.on_lost = lost.append
    await client.close()
    await client.close()
    assert lost == []
    await until(lambda: not running.engine._server.clients)


async def test_a_stream_that_is_left_early_is_cancelled(start: Start) -> None:
    running = await start(3)
    for name in ("n2", "n3"):
        running.backend.machines[name].delay = 60
    async with await running.client() as client:
        answers = client.stream(wire.Query("power", ("n1", "n2", "n3")))
        assert (await anext(answers)).node == "n1"
        await answers.aclose()  # type: ignore[attr-defined]
        await until(lambda: not [each for each in asyncio.all_tasks() if "query" in each.get_name()])


async def test_a_stream_ends_with_the_problem(start: Start) -> None:
    running = await start(1)
    async with await running.client() as client:
        with pytest.raises(EngineError) as refused:
            await anext(client.stream(wire.Query("weather", ("n1",))))
        assert refused.value.problem.id == "unsupported"


async def test_a_failing_callback_does_not_leave_anybody_waiting(start: Start) -> None:
    running = await start(1)
    client = await running.client()

    def fail(_: wire.Changes) -> None:
        raise ZeroDivisionError

    lost: list[str] = []
    client.on_changes, client.on_lost = fail, lost.append
    await client.ask(wire.Watch())
    running.engine._store.note("something")
    running.engine._store.flush()
    await until(lambda: lost)
    assert client.lost == lost[0]
    with pytest.raises(EngineUnreachableError):
        await client.ask(wire.AskEngine())
    with pytest.raises(ZeroDivisionError):
        await client.close()


async def test_nobody_listens(start: Start) -> None:
    running = await start(1)
    await running.close()
    with pytest.raises(EngineUnreachableError, match="no engine answers"):
        await running.client()


def test_a_client_starts_without_the_engines_libraries() -> None:
    heavy = "{'pyghmi', 'httpx', 'asyncssh', 'yaml', 'cryptography', 'textual', 'sqlite3'}"
    code = f"import sys, plasmatui.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_engine_starts_without_the_drivers() -> None:
    heavy = "{'pyghmi', 'httpx', 'asyncssh', 'cryptography', 'textual', 'click'}"
    code = f"import sys, plasmatui.engine.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
