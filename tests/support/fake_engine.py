"""An engine without devices: serves the real protocol with invented nodes, for screens under load.

    python -m tests.support.fake_engine INVENTORY NODES UPDATES_PER_SECOND [CONSOLE_BYTES_PER_SECOND [LOG_LINES]]

It listens where the engine of INVENTORY would, prints "ready", and goes on until its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from pathlib import Path

import msgspec

from plasmatui import __version__
from plasmatui.engine.followers import PAGE
from plasmatui.model import wire
from plasmatui.model.boot import LogLine
from plasmatui.model.node import BmcState, ConsoleState, Node, NodeState, PowerState
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power
from plasmatui.paths import engine_paths, make_private

CONSOLE_LINE = "[{:12.6f}] systemd[1]: Started unit {:06d} of a long boot that says a lot about itself.\r\n"
LOG_LINE = (
    "INFO  [kea-dhcp4.leases/31833.140505323282944] DHCP4_LEASE_ALLOC [hwtype=1 {}], cid=[no info], tid=0x{:x}: "
    "lease 10.100.{}.{} has been allocated for 600 seconds"
)


class FakeEngine:
    """Nodes that change their power and last event at a given rate, spread over all of them, and a log that grows."""

    def __init__(
        self, inventory: Path, count: int, updates: float, console_rate: float = 0.0, log_rate: float = 0.0
    ) -> None:
        self.paths = engine_paths(inventory)
        self.updates = updates
        self.console_rate = console_rate
        self.log_rate = log_rate
        self.nodes = tuple(
            Node(f"node{i:04d}", "worker", (f"52:54:00:00:{i >> 8:02x}:{i & 255:02x}",), f"10.0.{i >> 8}.{i & 255}:623",
                 "ipmi", rack=f"r{i // 40}", unit=i % 40)
            for i in range(1, count + 1)
        )  # fmt: skip
        now = time.time()
        self.states = {
            node.name: NodeState(
                node.name,
                PowerState(Power.ON, now, "ipmi"),
                BmcState(BmcStatus.UP, now, sessions=True, latency_ms=1.0),
                ConsoleState(ConsoleStatus.OPEN, now, recording=True),
            )
            for node in self.nodes
        }
        self.random = random.Random(1)
        self.seq = 0
        self.changed = 0

    async def serve(self) -> None:
        make_private(self.paths.socket.parent)
        with contextlib.suppress(FileNotFoundError):
            self.paths.socket.unlink()
        server = await asyncio.start_unix_server(self._client, str(self.paths.socket))
        async with server:
            print("ready", flush=True)  # noqa: T201 - the protocol with the parent process
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks: list[asyncio.Task[None]] = []
        try:
            await _frame(reader)
            writer.write(
                wire.encode(
                    wire.Welcome(
                        wire.PROTOCOL, __version__, os.getpid(), 1, str(self.paths.inventory), "bench", "lab", False,
                        self.nodes,
                    )
                )
            )  # fmt: skip
            while True:
                message = wire.CLIENT_MESSAGE.decode(await _frame(reader))
                if isinstance(message, wire.Request):
                    self._answer(message, writer, tasks)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            writer.close()

    def _answer(self, request: wire.Request, writer: asyncio.StreamWriter, tasks: list[asyncio.Task[None]]) -> None:
        body = request.body
        reply: wire.ReplyBody = wire.Done()
        if isinstance(body, wire.Watch):
            reply = wire.Snapshot(self.seq, self.nodes, tuple(self.states.values()), (), ())
            if self.updates:
                tasks.append(asyncio.create_task(self._push(writer), name="changes"))
        elif isinstance(body, wire.ConsoleOpen):
            reply = wire.ConsoleOpened(self.states[body.node].console, 0, b"")
            if self.console_rate:
                tasks.append(asyncio.create_task(self._console(writer, body.node), name="console"))
        elif isinstance(body, wire.ListLogs):
            reply = wire.LogPage((), more=False)
        elif isinstance(body, wire.FollowLogs):
            if self.log_rate and body.filter is not None:
                tasks.append(asyncio.create_task(self._logs(writer), name="logs"))
        elif isinstance(body, wire.ListOperations):
            reply = wire.Operations(())
        elif isinstance(body, wire.ListEvents):
            reply = wire.Events(())
        elif isinstance(body, wire.AskPxeServices):
            reply = wire.PxeServices((), time.time())
        elif isinstance(body, wire.AskImages):
            reply = wire.Images("/srv/pxe", time.time())
        elif isinstance(body, wire.AskDrift):
            reply = wire.Drift("/etc/pxe", time.time())
        elif isinstance(body, wire.ListAudit):
            reply = wire.Audit(())
        writer.write(wire.encode(wire.Reply(request.id, reply)))

    async def _push(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(0.1)
            picked = {self.random.choice(self.nodes).name for _ in range(max(1, int(self.updates / 10)))}
            for name in picked:
                self.states[name] = self._change(self.states[name])
            self.seq += 1
            writer.write(wire.encode(wire.Changes(self.seq, tuple(self.states[name] for name in picked))))
            await writer.drain()

    def _change(self, state: NodeState) -> NodeState:
        self.changed += 1
        now = time.time()
        power = Power.OFF if state.power.value is Power.ON else Power.ON
        return msgspec.structs.replace(
            state,
            power=PowerState(power, now, "ipmi"),
            last_event=f"power {power} (change {self.changed})",
            last_event_at=now,
        )

    async def _console(self, writer: asyncio.StreamWriter, node: str) -> None:
        sent, line, begin = 0, 0, time.monotonic()
        while True:
            data = bytearray()
            while sent + len(data) < (time.monotonic() - begin) * self.console_rate:
                data += CONSOLE_LINE.format(time.monotonic(), line).encode()
                line += 1
            if data:
                writer.write(wire.encode(wire.ConsoleData(node, sent, bytes(data))))
                sent += len(data)
                await writer.drain()
            await asyncio.sleep(0.02)

    async def _logs(self, writer: asyncio.StreamWriter) -> None:
        """As the engine pushes them: ten times a second, in pages."""
        sent, begin = 0, time.monotonic()
        while True:
            due = int((time.monotonic() - begin) * self.log_rate) - sent
            while due > 0:
                count = min(due, PAGE)
                lines = tuple(self._log_line(sent + place) for place in range(1, count + 1))
                writer.write(wire.encode(wire.LogLines(lines, 0)))
                sent, due = sent + count, due - count
            await writer.drain()
            await asyncio.sleep(0.1)

    def _log_line(self, seq: int) -> LogLine:
        node = self.nodes[seq % len(self.nodes)]
        text = LOG_LINE.format(node.macs[0], seq, seq >> 8 & 255, seq & 255)
        return LogLine(seq, time.time(), "kea", "dhcp", node.name, text, "error" if seq % 500 == 0 else "")


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    return await reader.readexactly(size)


def main() -> None:
    inventory, count, updates, *rest = sys.argv[1:]
    asyncio.run(FakeEngine(Path(inventory), int(count), float(updates), *map(float, rest)).serve())


if __name__ == "__main__":
    main()
