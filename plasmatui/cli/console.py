"""`plasmatui console NODE`: a machine's serial console in this terminal, filtered; the pen; the escape prefix."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from collections import deque

import click

from plasmatui.cli.completion import complete_node
from plasmatui.cli.console_keys import HELP, Command, PrefixParser
from plasmatui.cli.console_terminal import Input, Output, raw_terminal
from plasmatui.cli.engine_link import Watcher, engine, expect, run_async
from plasmatui.cli.failure import DONE, INTERRUPTED, USAGE, Failure
from plasmatui.cli.output import clean, clock, note
from plasmatui.cli.passthrough import ConsoleFilter
from plasmatui.cli.sets import pick_one
from plasmatui.cli.settings import Settings
from plasmatui.client import EngineClient, EngineError
from plasmatui.model import wire
from plasmatui.model.node import ConsoleState, PenHolder
from plasmatui.model.words import ConsoleStatus

TAIL = 8192
"""Bytes of the past that are shown first."""

BACKLOG = 1024 * 1024
"""Bytes that may wait for a slow terminal; what is older is fetched from the recording when its turn comes."""

LONGEST_GAP = 256 * 1024
"""Bytes that are fetched after a stall; of a longer one only the end is shown, and that is said."""

PIECE = 64 * 1024

LEAVE_LIMIT = 1.0
"""Seconds that keys typed before leaving may take to reach the engine."""

_CTRL_C = b"\x03"


@click.command()
@click.argument("node", metavar="NODE", shell_complete=complete_node)
@click.option("--read-only", "look_only", is_flag=True, help="Look; do not take the pen.")
@click.option("--steal", is_flag=True, help="Take the pen from whoever holds it, and the BMC's console session too.")
@click.pass_obj
def console(settings: Settings, node: str, look_only: bool, steal: bool) -> int:
    """Open a serial console in this terminal.

    The keys ctrl-e c . leave it, ctrl-e c ? lists the others.
    """
    look_only = look_only or settings.read_only
    if look_only and steal:
        raise Failure(USAGE, "--steal takes the pen, --read-only does not: give one of them")
    return run_async(_console(settings, node, look_only, steal))


async def _console(settings: Settings, name: str, look_only: bool, steal: bool) -> int:
    interactive = sys.stdin.isatty()
    async with engine(settings, read_only=look_only or not interactive) as client:
        session = _Session(client, pick_one(name, client.welcome.nodes), interactive)
        with raw_terminal(sys.stdin.fileno()):
            try:
                return await session.run(writing=interactive and not look_only, steal=steal)
            finally:
                session.output.finish()


class _Session:
    """One console on one terminal. Three tasks: bytes to the terminal, typed bytes to the engine, changes of state."""

    def __init__(self, client: EngineClient, node: str, interactive: bool) -> None:
        self.client = client
        self.node = node
        self.output = Output()
        self._interactive = interactive
        self._filter = ConsoleFilter(sys.stdout.encoding)
        self._keys = PrefixParser()
        self._writing = False
        self._pen_since = 0.0
        self._told_read_only = False
        self._at = 0
        self._waiting: deque[wire.ConsoleData] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._typed: asyncio.Queue[bytes | Command] = asyncio.Queue()
        self._left: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self, *, writing: bool, steal: bool) -> int:
        """Show the console until the operator leaves, stdin or the engine ends, or a signal says so."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self._leave, INTERRUPTED)
        tasks: list[asyncio.Task[None]] = []
        keyboard = Input(self._on_typed, lambda: self._leave_when_shown(tasks))
        try:
            session = asyncio.create_task(self._open(writing, steal), name=f"console-open-{self.node}")
            tasks.append(session)
            await self._until_left_or(session)
            if not self._left.done():
                tasks += [
                    asyncio.create_task(self._show(), name=f"console-show-{self.node}"),
                    asyncio.create_task(self._send(), name=f"console-send-{self.node}"),
                    asyncio.create_task(self._tell_changes(), name=f"console-changes-{self.node}"),
                ]
                keyboard.start()
                await self._until_left_or(*tasks[1:])
            return self._left.result()
        finally:
            keyboard.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _until_left_or(self, *tasks: asyncio.Task[None]) -> None:
        """Wait until the operator leaves or the first task ends; a task's failure is raised here."""
        waits: list[asyncio.Future[int] | asyncio.Task[None]] = [self._left, *tasks]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not self._left.done():
                try:
                    task.result()
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    self._leave(INTERRUPTED)  # the terminal is gone; its SIGHUP is on the way

    def _leave(self, code: int) -> None:
        if not self._left.done():
            self._left.set_result(code)

    def _leave_when_shown(self, tasks: list[asyncio.Task[None]]) -> None:
        """Stdin is at its end: what has arrived is still shown."""

        async def drain() -> None:
            await self._drained.wait()
            self._leave(DONE)

        tasks.append(asyncio.create_task(drain(), name=f"console-drain-{self.node}"))

    # --- opening -----------------------------------------------------------------------------------------------------

    async def _open(self, writing: bool, steal: bool) -> None:
        self.client.on_console = self._on_data
        watcher = Watcher(self.client)
        self._watcher = watcher
        await watcher.begin()
        if writing:
            await self._take_pen(steal)
        await self.client.ask(wire.Here(f"console {self.node}"))
        opened = expect(await self.client.ask(wire.ConsoleOpen(self.node, TAIL)), wire.ConsoleOpened)
        if steal and opened.state.status is ConsoleStatus.HELD:
            await self._reopen(takeover=True)
        self._at = opened.offset + len(opened.data)
        await self.output.write(self._filter.feed(opened.data))
        mode = "writing" if self._writing else "read-only"
        keys = "; ctrl-e c . leaves, ctrl-e c ? lists keys" if self._interactive else ""
        await self._say(f"console of {self.node}: {_standing(opened.state)}, {mode}{keys}")

    async def _take_pen(self, steal: bool) -> None:
        try:
            reply = await self.client.ask(wire.ConsolePen(self.node, take=True, steal=steal))
        except EngineError as error:
            if error.problem.id not in ("pen-held", "read-only", "role", "locked"):
                raise
            way = " (--steal takes the pen)" if error.problem.id == "pen-held" else ""
            await self._say(f"{error.problem.message}; going on read-only{way}")
        else:
            self._writing = True
            pen = expect(reply, wire.ConsoleReply).state.pen
            self._pen_since = pen.since if pen is not None else 0.0

    async def _reopen(self, *, takeover: bool) -> None:
        try:
            reply = await self.client.ask(wire.ConsoleReopen(self.node, takeover))
        except EngineError as error:
            await self._say(error.problem.message)
        else:
            await self._say(f"console {_standing(expect(reply, wire.ConsoleReply).state)}")

    # --- from the machine to the terminal ----------------------------------------------------------------------------

    def _on_data(self, data: wire.ConsoleData) -> None:
        if data.node != self.node:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data.data)
        while self._waiting_bytes > BACKLOG and len(self._waiting) > 1:
            self._waiting_bytes -= len(self._waiting.popleft().data)
        self._arrived.set()
        self._drained.clear()

    async def _show(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                data = self._waiting[0]
                if data.offset > self._at:
                    await self._fetch_gap(data.offset)
                fresh = data.data[max(0, self._at - data.offset) :]
                await self.output.write(self._filter.feed(fresh))
                self._at = max(self._at, data.offset + len(data.data))
                if self._waiting and self._waiting[0] is data:
                    self._waiting.popleft()
                    self._waiting_bytes -= len(data.data)
            self._drained.set()

    async def _fetch_gap(self, end: int) -> None:
        """What was dropped because this terminal is slow, from the recording."""
        if end - self._at > LONGEST_GAP:
            await self._say(f"{end - self._at - LONGEST_GAP} bytes are not shown here; the recording has them")
            self._at = end - LONGEST_GAP
        while self._at < end:
            try:
                reply = await self.client.ask(wire.ConsoleHistory(self.node, self._at, min(PIECE, end - self._at)))
            except EngineError as error:
                await self._say(f"{end - self._at} bytes cannot be shown: {error.problem.message}")
                self._at = end
                return
            chunk = expect(reply, wire.ConsoleChunk)
            if not chunk.data or chunk.offset >= end:
                self._at = end
                return
            await self.output.write(self._filter.feed(chunk.data))
            self._at = chunk.offset + len(chunk.data)

    async def _tell_changes(self) -> None:
        """Say when the console's standing or the pen changes: the machine itself cannot."""
        shown = self._standing()
        while True:
            await self._tell_lost_pen()  # also before the first wait: it may have gone while the console opened
            now = self._standing()
            if now != shown:
                await self._say(f"console {now}")
                shown = now
            await self._watcher.wait()

    async def _tell_lost_pen(self) -> None:
        pen = self._state().pen
        # Changes come in batches: what is older than our own pen is the holder from whom it was taken.
        newer = pen is not None and pen.since > self._pen_since
        if self._writing and pen is not None and newer and pen.client != self.client.welcome.client:
            self._writing = False
            await self._say(f"{_holder(pen)} took the pen; going on read-only")

    def _standing(self) -> str:
        return _standing(self._state())

    def _state(self) -> ConsoleState:
        state = self._watcher.states.get(self.node)
        return state.console if state is not None else ConsoleState()

    # --- from the keyboard to the machine ----------------------------------------------------------------------------

    def _on_typed(self, data: bytes) -> None:
        if not self._interactive:
            return  # a pipe is read to its end only
        for item in self._keys.feed(data):
            if item is Command.LEAVE:
                # What was typed before it is sent first, unless the engine takes too long.
                asyncio.get_running_loop().call_later(LEAVE_LIMIT, self._leave, DONE)
                self._typed.put_nowait(item)
            elif not self._writing and item == _CTRL_C:
                self._leave(INTERRUPTED)
            else:
                self._typed.put_nowait(item)

    async def _send(self) -> None:
        while True:
            item = await self._typed.get()
            try:
                if isinstance(item, Command):
                    await self._obey(item)
                elif self._writing:
                    await self.client.ask(wire.ConsoleWrite(self.node, item))
                elif not self._told_read_only:
                    self._told_read_only = True
                    await self._say("read-only: keys are not sent; ctrl-e c . or ctrl-c leaves")
            except EngineError as error:
                if error.problem.id in ("pen-held", "read-only"):
                    self._writing = False
                await self._say(error.problem.message)

    async def _obey(self, command: Command) -> None:
        if command is Command.LEAVE:
            self._leave(DONE)
        elif command is Command.HELP:
            for line in HELP:
                await self._say(line)
        elif command is Command.BREAK:
            await self.client.ask(wire.ConsoleBreak(self.node))
            await self._say("break sent")
        elif command is Command.REOPEN:
            await self._reopen(takeover=False)

    async def _say(self, text: str) -> None:
        """A line of our own, marked as such: in the terminal's stream when there is one, else on stderr."""
        line = f"[plasmatui: {clean(text)}]"
        if self.output.terminal and self._interactive:
            await self.output.write(b"\x1b[0m\r\n" + line.encode(errors="replace") + b"\r\n")
        else:
            note(line)


def _standing(state: ConsoleState) -> str:
    return f"{state.status}: {state.message}" if state.message else str(state.status)


def _holder(pen: PenHolder) -> str:
    return f"{pen.user} on {pen.terminal} (since {clock(pen.since)})"
