"""An engine without devices that speaks the real protocol on the real socket, in a thread of the test's process.

It knows four nodes: node01 and node02 (off), node03 (on), and node04, whose BMC is dead. What it was asked is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from plasmatui import __version__
from plasmatui.model import wire
from plasmatui.model.bmc import FruField, SelEntry, SensorReading
from plasmatui.model.event import EventLine
from plasmatui.model.node import BmcState, ConsoleState, Finding, Node, NodeState, PenHolder, PowerState
from plasmatui.model.system import Generation
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power, Role, Severity
from plasmatui.paths import engine_paths, make_private
from tests.unit.cli.fake_operations import DEAD, DEAD_MESSAGE, FakeOperations


class FakeEngine(FakeOperations):
    """See the module. Attributes may be set before it is asked; they are read on its own thread.

    Attributes:
        silent: it answers nothing after the handshake.
        role: of every client.
        notices: warnings about the inventory, for every client.
        hostile: put into texts that come from machines.
        console_history, console_live: bytes of every console, before and after it is opened.
        pen: who holds the pen of every console.
        answers: replies to requests that are not named above, by their type.
        pushed: log lines that come once a client follows the logs.
    """

    def __init__(self, inventory: Path) -> None:
        super().__init__()
        self.paths = engine_paths(inventory)
        self.inventory = inventory
        self.silent = False
        self.role = Role.ADMIN
        self.hostile = ""
        self.notices: tuple[str, ...] = ()
        self.console_history = b""
        self.console_live = b""
        self.console_status = ConsoleStatus.OPEN
        self.pen: PenHolder | None = None
        self.answers: dict[type, wire.ReplyBody | wire.Problem] = {}
        self.pushed: tuple[wire.LogLines, ...] = ()
        self.requests: list[wire.RequestBody] = []
        self.hellos: list[wire.Hello] = []
        self.written = bytearray()
        self.stopped = False
        self.nodes = tuple(
            Node(f"node{i:02d}", "worker" if i > 1 else "control-plane", bmc_address=f"10.0.10.5{i}:623",
                 bmc_driver="ipmi", rack="r1", tags=("ssd",) if i == 1 else ())
            for i in range(1, 5)
        )  # fmt: skip
        self.states = {node.name: self._first_state(node.name) for node in self.nodes}
        self._writers: list[asyncio.StreamWriter] = []
        self._watching: list[asyncio.StreamWriter] = []
        self._reading: list[asyncio.StreamWriter] = []
        self._offset = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-engine", daemon=True)
        self._end: asyncio.Future[None] | None = None

    def __enter__(self) -> FakeEngine:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # it was stopped by a request already
            self._loop.call_soon_threadsafe(self._finish)
        self._thread.join(10)

    # --- what tests do to it ----------------------------------------------------------------------------------------

    def release(self) -> None:
        """Let every held operation end well."""
        self._call(self._end_operations)

    def send_console(self, data: bytes) -> None:
        """The machines say something."""
        self._call(lambda: self._push_console(data))

    def send_event(self, node: str, text: str) -> None:
        """Something happens to a node."""
        event = EventLine(1, time.time(), node, "ipmi", "power", text)
        self._call(lambda: self._push(wire.Changes(2, events=(event,))))

    def drop_clients(self) -> None:
        """The engine dies."""
        self._call(lambda: [writer.close() for writer in self._writers])

    def take_pen(self, holder: PenHolder) -> None:
        """Somebody else takes the pen of node01."""

        def take() -> None:
            self.pen = holder
            self._set_state(replace(self.states["node01"], console=self._console_state()))

        self._call(take)

    def wait_for(self, kind: type[object], seconds: float = 10.0) -> object:
        """The first request of `kind`, once it has come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for request in list(self.requests):
                if isinstance(request, kind):
                    return request
            time.sleep(0.005)
        raise AssertionError(f"no {kind.__name__} came, only {[type(r).__name__ for r in self.requests]}")

    def asked(self, kind: type[object]) -> list[Any]:
        return [request for request in self.requests if isinstance(request, kind)]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _call(self, function: Callable[[], object]) -> None:
        async def run() -> None:
            function()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        main: Coroutine[Any, Any, None] = self._serve()
        self._loop.run_until_complete(main)
        self._loop.close()

    async def _serve(self) -> None:
        make_private(self.paths.socket.parent)
        with contextlib.suppress(FileNotFoundError):
            self.paths.socket.unlink()
        self._end = self._loop.create_future()
        server = await asyncio.start_unix_server(self._client, str(self.paths.socket))
        self._ready.set()
        await self._end
        server.close()
        for writer in self._writers:
            writer.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        self.paths.socket.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            hello = wire.HELLO.decode(await _frame(reader))
            self.hellos.append(hello)
            writer.write(
                wire.encode(
                    wire.Welcome(
                        wire.PROTOCOL, __version__, os.getpid(), 1, str(self.inventory), "lab", "test",
                        hello.read_only, self.nodes, self.notices, self.role,
                    )
                )
            )  # fmt: skip
            while True:
                message = wire.CLIENT_MESSAGE.decode(await _frame(reader))
                if isinstance(message, wire.Request):
                    self.requests.append(message.body)
                    if not self.silent:
                        self._answer(message, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for group in (self._watching, self._reading):
                if writer in group:
                    group.remove(writer)
            writer.close()

    def _answer(self, request: wire.Request, writer: asyncio.StreamWriter) -> None:
        answer = self._reply(request, writer)
        if isinstance(answer, wire.Problem):
            writer.write(wire.encode(wire.Reply(request.id, problem=answer)))
        else:
            writer.write(wire.encode(wire.Reply(request.id, answer)))
        self._after(request.body, writer)

    def _reply(self, request: wire.Request, writer: asyncio.StreamWriter) -> wire.ReplyBody | wire.Problem:
        body = request.body
        if type(body) in self.answers:
            return self.answers[type(body)]
        if isinstance(body, wire.Watch):
            self._watching.append(writer)
            self.states["node01"] = replace(self.states["node01"], console=self._console_state())
            return wire.Snapshot(1, self.nodes, tuple(self.states.values()), tuple(self.operations.values()), ())
        if isinstance(body, wire.Query):
            for name in body.nodes:
                writer.write(wire.encode(wire.Item(request.id, self._node_answer(body.what, name))))
            return wire.Done()
        answer = self._operation_reply(body)
        if answer is not None:
            return answer
        if isinstance(body, wire.AskEngine):
            return self._status()
        if isinstance(body, wire.Reload):
            return wire.Snapshot(1, self.nodes, (), (), ())
        if isinstance(body, wire.StopEngine):
            if any(not o.state.ended for o in self.operations.values()) and not body.force:
                return wire.Problem("busy", "operation 1 is running; stop it with --force, or wait")
            self.stopped = True
            return wire.Done()
        return self._console_reply(body)

    def _after(self, body: wire.RequestBody, writer: asyncio.StreamWriter) -> None:
        if isinstance(body, wire.StartOrder | wire.RetryOperation | wire.ReleaseOperation) and not self.hold:
            self._end_operations()
        elif isinstance(body, wire.StopEngine) and self.stopped:
            writer.write(wire.encode(wire.Goodbye("stopping", "the engine stops")))
            self._finish()
        elif isinstance(body, wire.FollowLogs):
            for lines in self.pushed:
                writer.write(wire.encode(lines))
        elif isinstance(body, wire.ConsoleOpen):
            self._reading.append(writer)
            if self.console_live:
                self._push_console(self.console_live)

    def _first_state(self, name: str) -> NodeState:
        now = time.time()
        if name == DEAD:
            finding = Finding("bmc-unreachable", Severity.ERROR, "The BMC does not answer.", "Check it.", now)
            return NodeState(
                name,
                bmc=BmcState(BmcStatus.WAITING, now, "bmc-unreachable", DEAD_MESSAGE, now + 60, 3),
                findings=(finding,),
            )
        power = Power.ON if name == "node03" else Power.OFF
        return NodeState(name, PowerState(power, now, "ipmi"), BmcState(BmcStatus.UP, now, sessions=True))

    def _node_answer(self, what: str, name: str) -> wire.NodeAnswer:
        if name == DEAD:
            return wire.NodeAnswer(name, wire.Problem("bmc-unreachable", DEAD_MESSAGE))
        if what == "power":
            return wire.NodeAnswer(name, power=self.states[name].power.value)
        if what == "sensors":
            reading = SensorReading(f"Inlet{self.hostile}", "temperature", 21.5, "C", "ok")
            return wire.NodeAnswer(name, sensors=(reading,))
        if what == "sel":
            entries = (
                SelEntry(1, 1700000000.0, "PSU 1", f"power lost{self.hostile}", "critical"),
                SelEntry(2, None, "PSU 1", "power back", "ok"),
            )
            return wire.NodeAnswer(name, sel=entries)
        if what == "generations":
            found = (
                Generation(2, "2025-12-10 12:45", f"25.11{self.hostile}", "6.12.1", "abc", (), True, True, True),
                Generation(1, "2025-12-10 10:30", "25.11", "6.12.1"),
            )
            return wire.NodeAnswer(name, generations=found)
        return wire.NodeAnswer(name, inventory=(FruField("System", "Serial", f"S123{self.hostile}"),))

    def _status(self) -> wire.EngineStatus:
        return wire.EngineStatus(
            version=__version__, pid=os.getpid(), started=time.time() - 3600, inventory=str(self.inventory),
            clients=(wire.ClientInfo(1, "cli", "anna", "pts/3", time.time(), True),), running=(), consoles_open=4,
            counts={"up": 3, "waiting": 1}, paths={"log": "engine.log"}, lag_p99_ms=1.2, cpu_percent=3.0,
        )  # fmt: skip

    # --- consoles ---------------------------------------------------------------------------------------------------

    def _console_state(self) -> ConsoleState:
        return ConsoleState(self.console_status, time.time(), recording=True, readers=1, pen=self.pen, end=self._offset)

    def _console_reply(self, body: wire.RequestBody) -> wire.ReplyBody | wire.Problem:
        if isinstance(body, wire.ConsoleOpen):
            self._offset = len(self.console_history)
            return wire.ConsoleOpened(self._console_state(), 0, self.console_history)
        if isinstance(body, wire.ConsolePen):
            if self.pen is not None and not body.steal:
                return wire.Problem("pen-held", f"{self.pen.user} on {self.pen.terminal} writes to {body.node}")
            self.pen = PenHolder(1, "me", "pts/0", time.time())
            return wire.ConsoleReply(self._console_state())
        if isinstance(body, wire.ConsoleWrite):
            self.written += body.data
            self._push_console(body.data)
            return wire.Done()
        if isinstance(body, wire.ConsoleReopen):
            self.console_status = ConsoleStatus.OPEN
            return wire.ConsoleReply(self._console_state())
        if isinstance(body, wire.ConsoleHistory):
            return wire.ConsoleChunk(body.offset, b"h" * body.length)
        return wire.Done()

    def _push_console(self, data: bytes) -> None:
        for writer in self._reading:
            for start in range(0, len(data), 30_000):
                piece = data[start : start + 30_000]
                writer.write(wire.encode(wire.ConsoleData("node01", self._offset + start, piece)))
        self._offset += len(data)

    def _set_state(self, state: NodeState) -> None:
        self.states[state.name] = state
        self._push(wire.Changes(3, (state,)))

    def _push(self, changes: wire.Changes) -> None:
        for writer in self._watching:
            writer.write(wire.encode(changes))


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    return await reader.readexactly(size)
