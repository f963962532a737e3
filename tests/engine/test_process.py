"""The engine as a process: started like a person starts it, with the simulated rack where BMCs are needed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmatui.client import EngineClient, EngineUnreachableError, connect_or_start
from plasmatui.engine.faults import handle_faults, write_crash_file
from plasmatui.engine.meter import Meter
from plasmatui.engine.process import (
    EngineLock,
    EngineStartError,
    make_directories,
    notify,
    set_up_log,
    watchdog_interval,
)
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.operation import OperationRecord, PowerOrder
from plasmatui.model.words import BmcStatus, ConsoleStatus, OperationState, Power, PowerAction
from plasmatui.paths import EnginePaths, crash_dir, engine_paths, make_private
from plasmatui.sim.rack import Rack, RackOptions
from tests.engine.conftest import until

SOURCE = Path(__file__).parents[2]

INVENTORY = """\
version: 1
cluster: {name: lab, domain: example.com, environment: test}
networks: {}
nodes:
  node[01-02]: {}
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that a test starts runs this source, wherever it is started."""
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


@pytest.fixture
def inventory(private_directories: Path) -> Path:
    path = private_directories / "inventory.yaml"
    path.write_text(INVENTORY)
    return path


@pytest.fixture
def run(inventory: Path) -> Iterator[Run]:
    made = Run(inventory)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.wait()


class Run:
    """Starts `engine run` processes, which end with the test."""

    def __init__(self, inventory: Path) -> None:
        self.paths = engine_paths(inventory)
        self.processes: list[subprocess.Popen[str]] = []

    def engine(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "plasmatui", "-i", str(self.paths.inventory), "engine", "run", *options]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | environment,
        )  # fmt: skip
        self.processes.append(process)
        return process

    async def client(self) -> EngineClient:
        async with asyncio.timeout(15):
            while True:
                try:
                    return await EngineClient.connect(self.paths.socket, kind="cli")
                except EngineUnreachableError:
                    await asyncio.sleep(0.02)


async def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = await asyncio.to_thread(process.communicate, None, 20)
    return process.returncode, errors


async def test_sigterm_is_an_orderly_end(run: Run) -> None:
    process = run.engine()
    client = await run.client()
    lost: list[str] = []
    client.on_lost = lost.append
    assert run.paths.lock.read_text().strip() == str(process.pid) == str(client.welcome.pid)
    process.send_signal(signal.SIGTERM)
    assert await ended(process) == (0, "")
    await until(lambda: lost)
    assert "SIGTERM" in lost[0]
    assert not run.paths.socket.exists()
    for path in (run.paths.journal, run.paths.log, run.paths.lock):
        assert path.stat().st_mode & 0o077 == 0, path
    assert "stopping: signal SIGTERM" in run.paths.log.read_text()
    await client.close()


async def test_one_engine_at_most(run: Run) -> None:
    first = run.engine()
    async with await run.client():
        code, errors = await ended(run.engine())
        assert code == 75
        assert errors.count(f"process {first.pid}") == 1
        assert "plasmatui engine stop" in errors
    async with await run.client() as client:
        assert client.welcome.pid == first.pid, "the first is not disturbed"


async def test_after_a_kill_the_next_engine_starts(run: Run) -> None:
    first = run.engine()
    await (await run.client()).close()
    first.kill()
    first.wait()
    assert run.paths.socket.exists(), "a dead engine cannot take its socket away"
    second = run.engine()
    async with await run.client() as client:
        assert client.welcome.pid == second.pid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: [1, 2", "inventory.yaml:"),
        ("version: 7\nnodes: {a: {bmc: 999.1.1.1}}\n", "inventory.yaml:"),
        (None, "inventory.yaml"),
    ],
)
async def test_a_wrong_inventory_is_named(run: Run, text: str | None, expected: str) -> None:
    if text is None:
        run.paths.inventory.unlink()
    else:
        run.paths.inventory.write_text(text)
    code, errors = await ended(run.engine())
    assert code == 2
    assert expected in errors
    assert "Traceback" not in errors
    with pytest.raises(EngineUnreachableError, match=r"inventory\.yaml"):
        await connect_or_start(run.paths.inventory, kind="cli")


async def test_sighup_reads_the_inventory_again(run: Run) -> None:
    process = run.engine()
    async with await run.client() as client:
        await client.ask(wire.Watch())
        seen: list[wire.Changes] = []
        client.on_changes = seen.append
        run.paths.inventory.write_text(INVENTORY.replace("01-02", "01-03"))
        process.send_signal(signal.SIGHUP)
        await until(lambda: any(each.nodes is not None for each in seen))
        assert [node.name for each in seen if each.nodes for node in each.nodes] == ["node01", "node02", "node03"]
        run.paths.inventory.write_text("nodes: [")
        process.send_signal(signal.SIGHUP)
        texts = lambda: [line.text for each in seen for line in each.events]  # noqa: E731
        await until(lambda: any("old inventory stays" in text for text in texts()))
        assert any("error:" in text and "\ufffd" not in text for text in texts())
        process.send_signal(signal.SIGUSR1)
        await until(lambda: "task client 1" in run.paths.log.read_text())
        snapshot = await client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        assert len(snapshot.nodes) == 3


async def test_systemd_is_told(run: Run, private_directories: Path) -> None:
    address = private_directories / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        channel.settimeout(15)
        process = run.engine("--idle", "0.1", NOTIFY_SOCKET=str(address), WATCHDOG_USEC="1000000")
        told = [(await asyncio.to_thread(channel.recv, 200)).decode() for _ in range(3)]
        assert told[0] == f"READY=1\nMAINPID={process.pid}"
        assert told[1:] == ["WATCHDOG=1"] * 2, "it lives on although nobody is attached"
        process.send_signal(signal.SIGTERM)
        while told[-1] != "STOPPING=1":
            told.append((await asyncio.to_thread(channel.recv, 200)).decode())
        assert (await ended(process))[0] == 0


async def test_bad_options(run: Run) -> None:
    code, errors = await ended(run.engine("--idle", "-3"))
    assert code == 2
    assert "--idle" in errors


async def test_start_connect_and_leave_when_idle(inventory: Path) -> None:
    """`connect_or_start` from two programs at once: one engine; it leaves when both are gone."""
    one, two = await asyncio.gather(
        connect_or_start(inventory, kind="cli", idle=0.5), connect_or_start(inventory, kind="tui", idle=0.5)
    )
    assert one.welcome.pid == two.welcome.pid
    pid = one.welcome.pid
    assert os.getsid(pid) == pid, "it has a session of its own"
    await one.close()
    await two.close()
    socket_path = engine_paths(inventory).socket
    await until(lambda: not socket_path.exists(), 15)


async def test_a_start_while_the_old_engine_still_ends(inventory: Path) -> None:
    first = await connect_or_start(inventory, kind="cli", idle=20)
    await first.ask(wire.StopEngine())
    second = await connect_or_start(inventory, kind="cli", idle=20)
    while second.welcome.pid == first.welcome.pid:  # it was let in before the old one closed its door
        await second.close()
        await asyncio.sleep(0.02)
        second = await connect_or_start(inventory, kind="cli", idle=20)
    assert (await second.ask(wire.AskEngine())).pid == second.welcome.pid  # type: ignore[union-attr]
    await second.ask(wire.StopEngine())
    for client in (first, second):
        await until(lambda client=client: client.lost is not None, 10)
        await client.close()


async def test_eight_nodes_of_the_simulated_rack(private_directories: Path) -> None:
    """The real engine process, real IPMI and Redfish: power on eight nodes; the client that asked is gone."""
    options = RackOptions(nodes=9, on=1, redfish=2, speed=20, directory=private_directories / "rack")
    async with Rack(options) as rack:
        paths = engine_paths(rack.inventory_path)
        client = await connect_or_start(rack.inventory_path, kind="cli", idle=30)
        pid = client.welcome.pid
        try:
            nodes = tuple(node.name for node in client.welcome.nodes)
            watcher = Watcher(await EngineClient.connect(paths.socket, kind="tui"))
            await watcher.watch()
            await until(lambda: all(state.bmc.status is BmcStatus.UP for state in watcher.states.values()), 20)
            await until(
                lambda: all(state.console.status is ConsoleStatus.OPEN for state in watcher.states.values()), 20
            )
            reply = await client.ask(wire.StartOrder(PowerOrder(PowerAction.ON), nodes[1:]))
            assert isinstance(reply, wire.OperationReply)
            await client.close()
            await until(lambda: watcher.ended(reply.operation.number), 30)
            record = watcher.operations[reply.operation.number]
            assert record.state is OperationState.DONE, record
            assert [(each.before, each.after) for each in record.nodes] == [("off", "on")] * 8
            await until(lambda: all(state.power.value is Power.ON for state in watcher.states.values()), 10)
            assert {watcher.states[node].power.by for node in nodes[1:]} == {record.by}
            await until(lambda: all(watcher.states[node].console.end > 100 for node in nodes[1:]), 20)
            opened = await watcher.client.ask(wire.ConsoleOpen(nodes[1]))
            assert isinstance(opened, wire.ConsoleOpened)
            assert opened.state.recording
            assert len(opened.data) > 100
            audit = await watcher.client.ask(wire.ListAudit())
            assert isinstance(audit, wire.Audit)
            assert sum(line.node in nodes and line.result == "done" and not line.before for line in audit.lines) == 8
            assert not any(rack.password in line.text for line in audit.lines)
            await watcher.client.ask(wire.StopEngine())
            await until(lambda: watcher.client.lost is not None, 15)
            await watcher.client.close()
            await until(lambda: not _exists(pid), 15)
            assert rack.password not in paths.log.read_text()
            assert rack.password.encode() not in paths.journal.read_bytes()
        finally:
            if _exists(pid):
                os.kill(pid, signal.SIGKILL)


class Watcher:
    """A client that follows the state."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.states: dict[str, NodeState] = {}
        self.operations: dict[int, OperationRecord] = {}
        client.on_changes = self._take

    async def watch(self) -> None:
        snapshot = await self.client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        self.states = {state.name: state for state in snapshot.states} | self.states

    def ended(self, number: int) -> bool:
        return number in self.operations and self.operations[number].state.ended

    def _take(self, changes: wire.Changes) -> None:
        self.states.update((state.name, state) for state in changes.states)
        self.operations.update((record.number, record) for record in changes.operations)


def _exists(pid: int) -> bool:
    """Whether a process of ours that nobody waits for still runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


# --- pieces ----------------------------------------------------------------------------------------------------------


def paths_of(base: Path) -> EnginePaths:
    return engine_paths(base / "inventory.yaml")


def test_a_crash_file_has_no_locals_and_no_text(private_directories: Path) -> None:
    def fail() -> None:
        password = "hunter2"  # noqa: F841 - what must not be written down
        raise ValueError("hunter2 is wrong")

    try:
        fail()
    except ValueError as error:
        path = write_crash_file(error, "a test")
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "ValueError" in text
    assert "in fail" in text
    assert "hunter2" not in text.replace('password = "hunter2"', "").replace('ValueError("hunter2 is wrong")', "")


async def test_faults_of_tasks_are_written_down(private_directories: Path) -> None:
    make_private(crash_dir().parent)
    handle_faults(asyncio.get_running_loop())
    asyncio.get_running_loop().call_soon(lambda: {}["missing"])
    await until(lambda: list(crash_dir().glob("engine-*.txt")))


def test_the_lock_names_its_holder(private_directories: Path) -> None:
    paths = paths_of(private_directories)
    make_directories(paths)
    lock = EngineLock(paths.lock)
    with pytest.raises(EngineStartError, match=f"process {os.getpid()}"):
        EngineLock(paths.lock)
    lock.release()
    EngineLock(paths.lock).release()


def test_directories_that_others_may_enter_are_refused(private_directories: Path) -> None:
    paths = paths_of(private_directories)
    make_directories(paths)
    paths.state.chmod(0o755)
    with pytest.raises(EngineStartError, match="mode 0700"):
        make_directories(paths)


def test_the_log_rotates_and_stays_private(private_directories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmatui.engine.process.LOG_SIZE", 2000)
    root = logging.getLogger()
    before = root.handlers[:]
    path = private_directories / "engine.log"
    try:
        set_up_log(path)
        for number in range(100):
            logging.getLogger("test").warning("line %d of some length, to fill a file", number)
    finally:
        for handler in root.handlers[:]:
            if handler not in before:
                root.removeHandler(handler)
                handler.close()
    files = sorted(private_directories.glob("engine.log*"))
    assert len(files) == 4
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert "line 99" in path.read_text()


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_interval() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_interval() == 0.0


async def test_the_meter_sees_a_blocked_loop() -> None:
    import time

    beats: list[int] = []
    meter = Meter(lambda: beats.append(1))
    task = asyncio.create_task(meter.run(), name="meter")
    await asyncio.sleep(0.3)
    time.sleep(0.4)  # noqa: ASYNC251 - the fault that is to be seen
    await until(lambda: beats)
    assert meter.lag_p99_ms > 100
    assert 0 < meter.cpu_percent < 200
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
