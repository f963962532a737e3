"""One system of one node over SSH: programs, files, whether it is up, and which boot it is in."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import asyncssh

from plasmatui.model.command import CommandError, CommandFailedError, Completed, shown
from plasmatui.remote import files
from plasmatui.remote.channel import CLOSE_LIMIT, Collected, Output, Running, last_lines
from plasmatui.remote.opener import Opened, Opener, is_gone
from plasmatui.remote.taker import Sink, Taker
from plasmatui.remote.target import Target
from plasmatui.remote.trust import AcceptNew, Trust
from plasmatui.remote.waiting import OnTry, wait_down, wait_up
from plasmatui.text import clean_line, decode

MOST_OUTPUT: Final = 16 * 1024 * 1024
"""Bytes of standard output that `Host.run` keeps."""

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
"""A UUID that the kernel makes anew at each boot (Linux, Documentation/admin-guide/sysctl/kernel.rst)."""

CHANNELS: Final = 8
"""Programs at once over one connection: OpenSSH allows ten (MaxSessions), and ending one takes one more."""

SHORT: Final = 15.0
"""Seconds for a command that answers at once."""

MARK: Final = "PLASMATUI_RUN"
"""Variable in the environment of every program that is started, by which it and its children are found again."""

_CROWDED: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries to open a session which the server refuses: nothing was started, so each try is harmless."""

_END: Final = (
    'found() { grep -la "$1" /proc/[0-9]*/environ 2>/dev/null; }; '
    'for signal in TERM KILL; do n=0; while [ "$n" -lt "$2" ]; do all=$(found "$1"); [ -n "$all" ] || exit 0; '
    'if [ "$n" -eq 0 ]; then for e in $all; do p=${e#/proc/}; kill -s "$signal" "${p%/environ}" 2>/dev/null; done; fi; '
    "sleep 0.2 || sleep 1; n=$((n + 1)); done; done; exit 1"
)
_END_TRIES: Final = 15  # of 0.2 s, for each of the two signals
_END_LIMIT: Final = 10.0


class Host:
    """A system of a node. One connection, opened when first needed and again when it is lost, carries everything.

    Programs get their arguments as they are: the vector is quoted for the login shell, which sshd hands it to. No
    secret belongs in arguments, which every user of the node can read: hand it over as `input`.

    Attributes:
        trust: whom it takes for the node.
    """

    def __init__(self, target: Target, trust: Trust, opener: Opener) -> None:
        self.trust = trust
        self._target = target
        self._opener = opener
        self._opening = asyncio.Lock()
        self._link: _Link | None = None
        self._remembered = ""
        self._gone = ""

    @property
    def target(self) -> Target:
        """Where it is reached."""
        return self._target

    @property
    def node(self) -> str:
        return self._target.node

    @property
    def host_key(self) -> str:
        """The host key (`TYPE BASE64`) that was accepted last; "" before the first connection."""
        return self._remembered

    @property
    def connected(self) -> bool:
        return self._link is not None and not self._link.connection.is_closed()

    async def run(
        self,
        argv: Sequence[str],
        *,
        limit: float,
        input: bytes = b"",  # noqa: A002 - as subprocess calls it
        sudo: bool | None = None,
        check: bool = False,
        most: int = MOST_OUTPUT,
    ) -> Completed:
        """Run a program and wait for its end.

        A status other than 0 is an answer like any other, unless `check`. Cancelled or late, the program is ended there
        as well as can be.

        Args:
            limit: seconds from the start of the program to its end; making a connection has a limit of its own.
            sudo: run it by sudo; None: as the inventory says. Never when the user is root.
            most: bytes of standard output that are kept, from its beginning; of standard error the last 64 KiB are.

        Raises:
            CommandFailedError: with `check`, the status was not 0.
            CommandError: "ssh-refused" or "ssh-hostkey-changed": there is no connection; "ssh-lost": it broke, the
                program may still run; "ssh-timeout": the limit was reached; "sudo-refused".
        """
        kept = Collected(most)
        running, status = await self._run(argv, kept, limit, input, sudo)
        if self._sudo(sudo):
            self._refuse_sudo(argv, status, kept)
        if check and status != 0:
            raise CommandFailedError(self.node, argv, status, last_lines(running.tail()))
        return Completed(status, kept.out, kept.err, kept.left_out)

    async def stream(
        self,
        argv: Sequence[str],
        output: Output,
        *,
        limit: float,
        input: bytes = b"",  # noqa: A002
        sudo: bool | None = None,
        check: bool = False,
    ) -> Completed:
        """As `run`, with what the program writes handed to `output` as it comes: bytes, and whether they are standard
        error. What the result holds as `err` is the last 8 KiB of both.
        """
        kept = Collected(0)

        def both(data: bytes, error: bool) -> None:
            kept(data, error)
            output(data, error)

        running, status = await self._run(argv, both, limit, input, sudo)
        if self._sudo(sudo):
            self._refuse_sudo(argv, status, kept)
        if check and status != 0:
            raise CommandFailedError(self.node, argv, status, last_lines(running.tail()))
        return Completed(status, err=running.tail())

    async def receive(self, argv: Sequence[str], sink: Sink, *, limit: float, sudo: bool | None = None) -> Completed:
        """As `run`, with standard output handed to `sink`, which is awaited: a slow one slows the program down.

        Raises: as `run`, and what `sink` raises; the program is ended there then.
        """
        taker = Taker(sink)
        work = asyncio.create_task(taker.work(), name=f"take output of {self.node}")
        try:
            _, status = await self._run(argv, taker, limit, b"", sudo)
            taker.close()
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return Completed(status, err=taker.err)

    async def send(
        self, argv: Sequence[str], source: AsyncIterator[bytes], *, limit: float, sudo: bool | None = None
    ) -> Completed:
        """As `run`, with the input taken from `source` as fast as the program takes it.

        Raises: as `run`, and what `source` raises; the program is ended there then.
        """
        kept = Collected(MOST_OUTPUT)
        _, status = await self._run(argv, kept, limit, source, sudo)
        return Completed(status, kept.out, kept.err, kept.left_out)

    async def put(self, data: bytes | Path, path: str, *, mode: int, limit: float, sudo: bool | None = None) -> None:
        """Write a file there, whole or not at all, readable by nobody else before it has its mode.

        Args:
            data: the content, or a file of this machine. mode: such as 0o600.

        Raises:
            CommandFailedError: it cannot be written there (no space, no directory).
            OSError: the local file cannot be read.
            CommandError: as `run`.
        """
        content = data if isinstance(data, bytes) else await asyncio.to_thread(data.read_bytes)
        argv = files.put_argv(path, mode, len(content), secrets.token_hex(4))
        done = await self.run(argv, limit=limit, input=content, sudo=sudo)
        if done.status != 0:
            lines = last_lines(done.err) or ("not all of it arrived",)
            raise CommandFailedError(self.node, ["write", path], done.status, lines)

    async def get(self, path: str, *, limit: float, sudo: bool | None = None, most: int = MOST_OUTPUT) -> bytes:
        """The content of a file there.

        Raises:
            CommandFailedError: it cannot be read.
            CommandError: as `run`; id "command-failed" when it has more than `most` bytes.
        """
        done = await self.run(files.get_argv(path), limit=limit, sudo=sudo, check=True, most=most)
        if done.left_out and len(done.out) >= most:
            raise CommandError("command-failed", f"{self.node}: {clean_line(path, 200)} has more than {most} bytes")
        return done.out

    async def boot_id(self, *, limit: float = SHORT) -> str:
        """The kernel's id of this boot: another one proves that the machine was booted again.

        Raises:
            CommandError: as `run`.
        """
        done = await self.run(["cat", BOOT_ID], limit=limit, sudo=False, check=True)
        found = decode(done.out).strip()
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found):
            raise CommandError("command-failed", f"{self.node}: found {clean_line(found, 60)!r} in {BOOT_ID}")
        return found

    async def wait_up(self, limit: float, *, other_than: str = "", on_try: OnTry | None = None) -> str:
        """Wait until a command answers, and give the boot id. See `waiting.wait_up`."""
        return await wait_up(self, limit, other_than, on_try)

    async def wait_down(self, limit: float, *, on_try: OnTry | None = None) -> str:
        """Wait until nothing answers any more, and say what shows that. See `waiting.wait_down`."""
        return await wait_down(self, limit, on_try)

    async def drop(self) -> None:
        """End the connection at once, with all that runs over it. The next program opens another."""
        link, self._link = self._link, None
        if link is not None:
            link.connection.abort()
            await link.closed()

    def move(self, target: Target) -> None:
        """Connect to another place from now on. What runs goes on over the old connection, which ends with it."""
        if target != self._target:
            self._target = target
            self._retire()

    async def shut(self, why: str) -> None:
        """End the connection at once and make no other, for this reason."""
        self._gone = why
        await self.drop()

    def leave(self, why: str) -> None:
        """Make no connection any more, for this reason. What runs goes on."""
        self._gone = why
        self._retire()

    def _retire(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.retire()

    def _sudo(self, sudo: bool | None) -> bool:
        return self._target.user != "root" and (self._target.sudo if sudo is None else sudo)

    async def _run(
        self,
        argv: Sequence[str],
        output: Output,
        limit: float,
        data: bytes | AsyncIterator[bytes],
        sudo: bool | None,
    ) -> tuple[Running, int]:
        try:
            return await self._run_once(argv, output, limit, data, sudo)
        except _NotStartedError as error:
            if not error.connection_gone:
                raise
            return await self._run_once(argv, output, limit, data, sudo)  # it broke before anybody could know

    async def _run_once(
        self,
        argv: Sequence[str],
        output: Output,
        limit: float,
        data: bytes | AsyncIterator[bytes],
        sudo: bool | None,
    ) -> tuple[Running, int]:
        mark = f"{MARK}={secrets.token_hex(8)}"
        prefix = ("sudo", "-n", "--") if self._sudo(sudo) else ()
        link = await self._connected()
        with link.held():
            running = Running(str(self._target), output)
            if isinstance(output, Taker):
                output.begin(running)
            try:
                async with asyncio.timeout(limit), link.channels:
                    await self._start(link, running, shlex.join([*prefix, "env", mark, *argv]))
                    if isinstance(data, bytes):
                        running.feed(data)
                    else:
                        await running.pour(data)
                    status = await running.ended()
            except TimeoutError as error:
                over = await self._end(link, running, prefix, mark)
                raise CommandError(
                    "ssh-timeout",
                    f"{self.node}: {shown(argv)} did not end within {limit:g} s; {over}",
                ) from error
            except asyncio.CancelledError as cancelled:
                over = await self._ended_despite_cancel(link, running, prefix, mark)
                raise asyncio.CancelledError(f"{self.node}: {shown(argv)}: {over}") from cancelled
            except CommandError:
                await running.close()
                raise
            except Exception:  # of who takes the output or gives the input
                await self._end(link, running, prefix, mark)
                raise
            return running, status

    async def _start(self, link: _Link, running: Running, command: str) -> None:
        try:
            for pause in _CROWDED:
                try:
                    await link.connection.create_session(lambda: running, command, encoding=None)
                    return
                except asyncssh.ChannelOpenError:
                    if running.channel is not None or link.connection.is_closed():
                        raise
                    await asyncio.sleep(pause)  # the server still counts sessions that have ended here
            await link.connection.create_session(lambda: running, command, encoding=None)
        except (asyncssh.Error, OSError) as error:
            why = f"ssh to {self._target}: {clean_line(str(error), 200)}"
            if running.channel is None:
                raise _NotStartedError(f"{why}; nothing was started there", await is_gone(link.connection)) from error
            raise CommandError("ssh-lost", f"{why}; whether the program was started there is not known") from error

    async def _end(self, link: _Link, running: Running, prefix: Sequence[str], mark: str) -> str:
        """End a program and all that it started, and say whether that can be told."""
        running.terminate()
        killer = Running(str(self._target), lambda data, error: None)
        argv = [*prefix, "sh", "-c", _END, "sh", mark, str(_END_TRIES)]
        try:
            async with asyncio.timeout(_END_LIMIT):
                await link.connection.create_session(lambda: killer, shlex.join(argv), encoding=None)
                if await killer.ended() == 0:
                    return "it was ended there"
        except (CommandError, asyncssh.Error, OSError):  # TimeoutError is an OSError
            pass
        finally:
            await asyncio.gather(killer.close(), running.close())
        return "it was told to end and may still run there"

    async def _ended_despite_cancel(self, link: _Link, running: Running, prefix: Sequence[str], mark: str) -> str:
        ending = asyncio.create_task(
            self._end(link, running, prefix, mark), name=f"end a program on {self._target.node}"
        )
        while not ending.done():
            with contextlib.suppress(asyncio.CancelledError):  # a second cancel does not stop the end of what runs
                await asyncio.shield(ending)
        return ending.result()

    async def _connected(self) -> _Link:
        async with self._opening:
            if self._link is not None and not self._link.connection.is_closed():
                return self._link
            if self._gone:
                raise CommandError("ssh-refused", f"ssh to {self._target}: {self._gone}", lasting=True)
            target = self._target
            remembered = self._remembered if isinstance(self.trust, AcceptNew) else ""
            opened = await self._opener.open(target, self.trust, remembered)
            self._remembered = opened.host_key
            self._link = _Link(opened)
            if target != self._target or self._gone:  # moved meanwhile
                link, self._link = self._link, None
                link.retire()
                raise CommandError("ssh-lost", f"ssh to {target}: the inventory changed meanwhile; try again")
            return self._link

    def _refuse_sudo(self, argv: Sequence[str], status: int, kept: Collected) -> None:
        """Tell a sudo that does not let us from a program that fails."""
        said = clean_line(decode(kept.err).strip(), 200)
        if (status == 127 and "sudo" in said and "env:" not in said) or (status == 1 and said.startswith("sudo: ")):
            raise CommandError(
                "sudo-refused",
                f"{self.node}: {shown(argv)} did not run: {said}; let {self._target.user} run everything by "
                "sudo without a password (NOPASSWD: ALL) there, or log in as root: `ssh.user`",
                lasting=True,
            )


class _NotStartedError(CommandError):
    """No channel was opened, so nothing can have been started."""

    def __init__(self, message: str, connection_gone: bool) -> None:
        super().__init__("ssh-lost", message)
        self.connection_gone = connection_gone


class _Link:
    """A connection and how many programs run over it."""

    def __init__(self, opened: Opened) -> None:
        self.connection = opened.connection
        self.channels = asyncio.Semaphore(CHANNELS)
        self._users = 0
        self._retired = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._close_if_idle()

    def retire(self) -> None:
        """Close it when nothing runs over it any more."""
        self._retired = True
        self._close_if_idle()

    async def closed(self) -> None:
        waiter = asyncio.create_task(self.connection.wait_closed(), name="close ssh connection")
        _, late = await asyncio.wait({waiter}, timeout=CLOSE_LIMIT)
        for task in late:
            task.cancel()

    def _close_if_idle(self) -> None:
        if self._retired and not self._users:
            self.connection.close()
