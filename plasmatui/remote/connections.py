"""One SSH connection per host, shared by everything that runs there; opened when first needed, and again when lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncssh

from plasmatui.inventory.inventory import Ssh
from plasmatui.model.command import CommandError, CommandStream
from plasmatui.remote.failures import explained
from plasmatui.remote.judge import algorithms, is_about_host_key
from plasmatui.remote.knownhosts import KnownHosts, default_known_hosts
from plasmatui.text import clean_line, decode

CONNECT_LIMIT: Final = 15.0
KEEPALIVE: Final = 15.0
"""Seconds between two signs of life; a host that misses three is lost."""
AT_ONCE: Final = 16
"""Connections being opened at the same time: more only delay everything else."""
_FULL: Final = 1 << 20
_ERRORS: Final = 4096
_CLOSE_LIMIT: Final = 2.0


def split_host(host: str, user: str) -> tuple[str, str, int | None]:
    """`[user@]host[:port]` or `[user@][ipv6]:port` as user, host, port (None: what ssh_config says, or 22)."""
    name, _, rest = host.rpartition("@")
    user, port = name or user, ""
    if rest.startswith("["):
        rest, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") == 1:
        rest, port = rest.split(":")
    return user, rest, int(port) if port.isdigit() else None


class Connections:
    """Connections by host. `ssh` gives user and key; hosts are `[user@]host[:port]`, aliases of ssh_config too."""

    def __init__(
        self, ssh: Ssh, *, known_hosts: Sequence[Path] | None = None, connect_limit: float = CONNECT_LIMIT
    ) -> None:
        self._ssh = ssh
        self._key = str(Path(os.path.expanduser(ssh.key))) if ssh.key else ""
        self._known_hosts = KnownHosts(default_known_hosts(ssh) if known_hosts is None else known_hosts)
        self._limit = connect_limit
        self._open: dict[str, asyncssh.SSHClientConnection] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def commands(self, host: str) -> HostCommands:
        """Programs on one host; connects when the first is started."""
        return HostCommands(self, host)

    async def connection(self, host: str) -> asyncssh.SSHClientConnection:
        """The connection to a host, opened when there is none.

        Raises:
            CommandError: ids "ssh-refused", "ssh-hostkey-changed".
        """
        async with self._locks.setdefault(host, asyncio.Lock()):
            known = self._open.get(host)
            if known is not None and not known.is_closed():
                return known
            async with self._gate:
                self._open[host] = await self._connect(host)
            return self._open[host]

    async def close(self) -> None:
        """End every connection."""
        connections = list(self._open.values())
        self._open.clear()
        for connection in connections:
            connection.close()
        if connections:
            waits = [
                asyncio.create_task(connection.wait_closed(), name="close ssh connection") for connection in connections
            ]
            _, late = await asyncio.wait(waits, timeout=_CLOSE_LIMIT)
            for task in late:
                task.cancel()

    async def _connect(self, host: str) -> asyncssh.SSHClientConnection:
        user, name, port = split_host(host, self._ssh.user)
        known = self._known_hosts.read()
        more: dict[str, object] = {} if port is None else {"port": port}
        keys, authorities, *_ = known.match(name, "", None if port == 22 else port)
        if keys and not authorities:
            more["server_host_key_algs"] = algorithms({key.get_algorithm() for key in keys})
        if self._key:
            more["client_keys"] = [self._key]
        try:
            async with asyncio.timeout(self._limit):
                return await asyncssh.connect(
                    name,
                    username=user,
                    known_hosts=known,
                    keepalive_interval=KEEPALIVE,
                    keepalive_count_max=3,
                    password=None,
                    **more,
                )
        except (asyncssh.Error, OSError, ValueError) as error:
            raise self._explain(host, name, port or 22, known, error) from error

    def _explain(
        self, host: str, name: str, port: int, known: asyncssh.SSHKnownHosts, error: Exception
    ) -> CommandError:
        if is_about_host_key(error):
            shown = name if port == 22 else f"[{name}]:{port}"
            if any(known.match(name, "", port)[0]):
                return CommandError(
                    "ssh-hostkey-changed",
                    f"ssh to {host}: its host key is not the one in known_hosts; it was installed anew, or somebody is "
                    f"in between. Compare the fingerprint on its console, then: ssh-keygen -R '{shown}'",
                    lasting=True,
                )
            return CommandError(
                "ssh-refused",
                f"ssh to {host}: its host key is not known; compare its fingerprint once with: ssh {host}",
                lasting=True,
            )
        if isinstance(error, ValueError | FileNotFoundError | PermissionError):
            return CommandError(
                "ssh-refused",
                f"ssh to {host}: key {self._ssh.key} cannot be used: {clean_line(str(error), 200)}; see `ssh` in the "
                "inventory",
                lasting=True,
            )
        login = f"key {self._ssh.key}" if self._ssh.key else "no key of the user's"
        return explained(error, host, login, self._limit)


class HostCommands:
    """Programs on one host, as `model.command.Commands`."""

    def __init__(self, connections: Connections, host: str) -> None:
        self._connections = connections
        self.name = host

    async def run(self, argv: Sequence[str]) -> CommandStream:
        """As the protocol; the vector is quoted, since sshd hands it to the user's shell."""
        connection = await self._connections.connection(self.name)
        stream = _Stream(self.name)
        try:
            channel, _ = await connection.create_session(lambda: stream, shlex.join(argv), encoding=None)
        except (asyncssh.Error, OSError) as error:
            raise CommandError(
                "ssh-lost", f"ssh to {self.name}: {clean_line(str(error), 200)}; it is opened again"
            ) from error
        stream.channel = channel
        return stream


class _Stream(asyncssh.SSHClientSession[bytes]):
    """Takes bytes by callback, twelve times cheaper than asyncssh's streams; asks for no more while many wait."""

    def __init__(self, host: str) -> None:
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._host = host
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._said = b""
        self._status: int | None = None
        self._lost: Exception | None = None
        self._over = False
        self._news = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._said = (self._said + data)[-_ERRORS:]
            return
        self._chunks.append(data)
        self._waiting += len(data)
        self._news.set()
        if self._waiting > _FULL and not self._paused and self.channel is not None:
            self._paused = True
            self.channel.pause_reading()

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost, self._over = exc, True
        self._news.set()

    async def read(self) -> bytes:
        await self._news.wait()
        if not self._chunks:
            if self._lost is not None:
                why = clean_line(str(self._lost), 200) or "the connection was lost"
                raise CommandError("ssh-lost", f"ssh to {self._host}: {why}; it is opened again")
            return b""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._waiting = 0
        if not self._over:
            self._news.clear()
            if self._paused and self.channel is not None:
                self._paused = False
                self.channel.resume_reading()
        return data

    @property
    def errors(self) -> str:
        return decode(self._said)

    @property
    def status(self) -> int | None:
        return self._status

    async def close(self) -> None:
        if self.channel is None or self._over:
            return
        with contextlib.suppress(OSError):
            self.channel.terminate()  # sshd does not end a program whose channel is closed
        self.channel.close()
        waiter = asyncio.create_task(self.channel.wait_closed(), name=f"close ssh channel to {self._host}")
        _, late = await asyncio.wait({waiter}, timeout=_CLOSE_LIMIT)
        for task in late:
            task.cancel()
