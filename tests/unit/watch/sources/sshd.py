"""An SSH server on loopback that runs what it is asked to, for sources and connections."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import asyncssh

from plasmatui.inventory.inventory import Ssh
from plasmatui.remote.connections import Connections


class Sshd:
    """Commands run in `sh` with `path` as their PATH's first part; `drop` cuts every connection."""

    def __init__(self, directory: Path, path: str = "") -> None:
        self.directory = directory
        self.path = path
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self.connections = 0
        self._open: list[asyncssh.SSHServerConnection] = []
        self._running: list[asyncio.subprocess.Process] = []
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def start(self) -> None:
        (self.directory / "id").write_bytes(self.user_key.export_private_key())
        (self.directory / "id").chmod(0o600)
        (self.directory / "authorized").write_bytes(self.user_key.export_public_key())
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            reuse_address=True,
            server_host_keys=[self.host_key],
            authorized_client_keys=str(self.directory / "authorized"),
            process_factory=self._run,
            server_factory=lambda: _Server(self),
            encoding=None,
        )
        self.port = self._acceptor.get_port()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def known_hosts(self, key: asyncssh.SSHKey | None = None) -> Path:
        """A file that knows this server's key, or another."""
        path = self.directory / "known_hosts"
        public = (key or self.host_key).export_public_key().decode()
        path.write_text(f"[127.0.0.1]:{self.port} {public}")
        return path

    def connections_to(self, key: str = "id") -> Connections:
        return Connections(Ssh("root", str(self.directory / key)), known_hosts=[self.known_hosts()])

    def joined(self, connection: asyncssh.SSHServerConnection) -> None:
        self.connections += 1
        self._open.append(connection)

    def drop(self) -> None:
        for connection in self._open:
            connection.abort()
        self._open.clear()

    async def close(self) -> None:
        self.drop()
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        for process in self._running:
            _kill(process)
            await process.wait()

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            process.command or "",
            env={"PATH": f"{self.path}:/usr/local/bin:/usr/bin:/bin"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._running.append(child)
        feeding = asyncio.create_task(_feed(process.stdin, child.stdin), name="feed a program")
        try:
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            process.exit(await child.wait())
        except (asyncssh.Error, OSError):
            pass
        finally:
            feeding.cancel()
            _kill(child)


async def _pump(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    assert source is not None
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter | None) -> None:
    assert target is not None
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
        target.close()


def _kill(process: asyncio.subprocess.Process) -> None:
    """End a command with all that it has started; its group is its own."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class _Server(asyncssh.SSHServer):
    def __init__(self, owner: Sshd) -> None:
        self._owner = owner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._owner.joined(conn)
