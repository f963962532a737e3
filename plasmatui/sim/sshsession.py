"""What happens inside an SSH connection to a simulated machine: log-in, commands, a small shell, file transfer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import asyncssh

from plasmatui.sim.commands import find_command
from plasmatui.sim.host import Host
from plasmatui.sim.nodesftp import NodeSftp
from plasmatui.sim.nodeshell import Shell, Write

USERS = ("root", "nixos", "admin")


def make_options(host_key: bytes) -> asyncssh.SSHServerConnectionOptions:
    """What all connections to one host key have in common.

    Raises:
        asyncssh.KeyImportError: the key file that was installed holds no key.
    """
    return asyncssh.SSHServerConnectionOptions(
        server_host_keys=[asyncssh.import_private_key(host_key)],
        encoding=None,
        server_version="OpenSSH_10.0",
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
        line_editor=False,
        x11_forwarding=False,
        agent_forwarding=False,
        login_timeout=30,
    )


def lets_in(line: str, key: list[str]) -> bool:
    """Whether a line of authorized_keys (sshd(8)) is of a key, whatever its options and comment say."""
    words = line.split()
    return not line.startswith("#") and key in (words[place : place + 2] for place in range(len(words) - 1))


class NodeServer(asyncssh.SSHServer):
    """One connection. It counts as open from the log-in on."""

    def __init__(self, host: Host, keys: Callable[[], str], connections: set[asyncssh.SSHServerConnection]) -> None:
        self._host = host
        self._keys = keys
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None
        self._user = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if username not in USERS or "ssh-denied" in self._host.faults:
            return False
        offered = key.export_public_key().decode().split()[:2]
        lines = self._host.authorized_keys(username, self._keys)
        return any(lets_in(line, offered) for line in lines)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._host, self._user)


class _Session(asyncssh.SSHServerProcess[bytes]):
    """A command, the shell, or SFTP."""

    def __init__(self, host: Host, user: str) -> None:
        super().__init__(
            self._serve, lambda chan: NodeSftp(cast("asyncssh.SSHServerChannel[bytes]", chan), host), 3, False
        )
        self._host = host
        self._user = user
        self._running: asyncio.Task[int] | None = None
        self._killed = ""
        self._over = asyncio.Event()

    def signal_received(self, signal: str) -> None:
        self._killed = signal
        if self._running is not None:
            self._running.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set()
        super().connection_lost(exc)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self._host.used = True
        work = self._typed(process) if process.command is None else self._command(process, process.command)
        # A command without a terminal goes on when its connection breaks.
        self._running = self._host.spawn(work, "ssh")
        await asyncio.wait([self._running])
        if self._running.cancelled():
            process.exit_with_signal(self._killed or "TERM")
        elif (error := self._running.exception()) is not None:
            raise error
        else:
            process.exit(self._running.result())

    async def _command(self, process: asyncssh.SSHServerProcess[bytes], line: str) -> int:
        shell = Shell(self._host, find_command, self._over, self._user)
        return await shell.run(line, self._read, self._writer(process.stdout), self._writer(process.stderr))

    async def _read(self) -> bytes:
        try:
            return await self.stdin.read(65536)
        except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
            return b"\n"
        except (asyncssh.Error, OSError):
            return b""

    def _writer(self, stream: asyncssh.SSHWriter[bytes]) -> Write:
        def write(data: bytes) -> None:
            if not self._over.is_set():
                stream.write(data)

        return write

    async def _typed(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        """Lines from a terminal, or a script from a pipe."""
        shell = Shell(self._host, find_command, self._over, self._user)
        terminal = process.term_type is not None
        write, complain = self._writer(process.stdout), self._writer(process.stderr)
        if not terminal:
            script = bytearray()
            while data := await self._read():
                script += data
            return await shell.run(script.decode(errors="replace"), self._read, write, complain)
        prompt = f"\r\n[{self._user}@{self._host.hostname}:~]$ ".encode()
        line = bytearray()
        write(prompt)
        while data := await self._read():
            for byte in data:
                if byte in b"\r\n":
                    write(b"\r\n")
                    text = line.decode(errors="replace").strip()
                    line.clear()
                    if text in ("exit", "logout"):
                        return 0
                    await shell.run(text, self._read, _cooked(write), _cooked(complain))
                    write(prompt)
                elif byte in b"\x7f\x08" and line:
                    line.pop()
                    write(b"\x08 \x08")
                elif byte == 0x04 and not line:
                    return 0
                elif byte >= 0x20 and len(line) < 4096:
                    line.append(byte)
                    write(bytes([byte]))
        return 0


def _cooked(write: Write) -> Write:
    """A terminal's newlines."""
    return lambda data: write(data.replace(b"\n", b"\r\n"))
