"""Opens connections to nodes: few handshakes at a time, keys read once, host keys judged by the caller's trust."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncssh

from plasmatui.inventory.catalogue import DEFAULT_SSH_PORT
from plasmatui.inventory.inventory import Ssh
from plasmatui.model.command import CommandError
from plasmatui.remote.connections import Connections
from plasmatui.remote.failures import ConnectError, Why, explained
from plasmatui.remote.hostkeys import Fingerprint
from plasmatui.remote.judge import Judge, is_about_host_key
from plasmatui.remote.knownhosts import HostKeyFile, KnownHosts, default_known_hosts
from plasmatui.remote.target import Target
from plasmatui.remote.trust import Strict, Trust
from plasmatui.text import clean_line

CONNECT_LIMIT: Final = 15.0
"""Seconds that making a connection may take, without the wait for its turn."""
KEEPALIVE: Final = 15.0
"""Seconds between two signs of life; a host that misses three is lost."""
AT_ONCE: Final = 16
"""Handshakes at the same time: more cost the event loop its turns and are no faster."""
THROUGH_JUMP: Final = 32
"""The same for hosts behind a jump host, where a host that says nothing cannot be told before its turn."""


@dataclass(frozen=True)
class Opened:
    """A connection, and the host key that was accepted for it (`TYPE BASE64`)."""

    connection: asyncssh.SSHClientConnection
    host_key: str


class Opener:
    """Makes connections for a whole engine. `ssh` gives the login on jump hosts, whose keys must be known."""

    def __init__(
        self,
        ssh: Ssh,
        host_keys: HostKeyFile,
        *,
        known_hosts: Sequence[Path] | None = None,
        connect_limit: float = CONNECT_LIMIT,
    ) -> None:
        self.host_keys = host_keys
        self._ssh = ssh
        self._files = known_hosts
        self._known_hosts = KnownHosts(default_known_hosts(ssh) if known_hosts is None else known_hosts)
        self._jumps = [Connections(ssh, known_hosts=known_hosts, connect_limit=connect_limit)]
        self._limit = connect_limit
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._jump_turns = asyncio.Semaphore(THROUGH_JUMP)
        self._logins = _Logins()

    async def open(self, target: Target, trust: Trust, remembered: str) -> Opened:
        """Connect and log in. `remembered`: the key that `AcceptNew` accepted before, "" for none.

        Raises:
            ConnectError: ids "ssh-refused", "ssh-hostkey-changed".
            CommandError: id "ssh-refused": a file of keys cannot be read.
        """
        login = self._logins.of(target)
        if target.jump:
            jump = await self._jump(target)
            try:
                return await self._log_in_through(jump, target, trust, remembered, login)
            except ConnectError:
                if not await is_gone(jump):
                    raise
            # The connection to the jump host broke before anybody could know.
            return await self._log_in_through(await self._jump(target), target, trust, remembered, login)
        sock, peer = await self._reach(target)
        try:
            async with self._turns:
                return await self._log_in(target, trust, remembered, login, peer, {"sock": sock})
        except BaseException:
            sock.close()
            raise

    async def offered(self, target: Target) -> Fingerprint:
        """The host key that answers at a place, believed by nobody yet: for a person to compare.

        Raises:
            CommandError: "ssh-refused": nothing answers.
        """
        try:
            tunnel = await self._jump(target) if target.jump else ()
            async with asyncio.timeout(self._limit):
                key = await asyncssh.get_server_host_key(target.address, target.port, tunnel=tunnel)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            why = clean_line(str(error) or "no answer", 200)
            raise CommandError("ssh-refused", f"ssh to {target}: it shows no host key: {why}") from error
        if key is None:
            raise CommandError("ssh-refused", f"ssh to {target}: it shows no host key")
        return Fingerprint(key.get_fingerprint("sha256"), key.get_algorithm())

    async def close(self) -> None:
        """End the connections to jump hosts."""
        for jumps in self._jumps:
            await jumps.close()

    def log_in_by(self, ssh: Ssh) -> None:
        """Use another login on jump hosts, and other files of keys, from now on; what runs goes on."""
        if ssh != self._ssh:
            self._ssh = ssh
            self._known_hosts = KnownHosts(default_known_hosts(ssh) if self._files is None else self._files)
            self._jumps.append(Connections(ssh, known_hosts=self._files, connect_limit=self._limit))

    async def _jump(self, target: Target) -> asyncssh.SSHClientConnection:
        try:
            return await self._jumps[-1].connection(target.jump)
        except CommandError as error:
            raise ConnectError(error.id, f"{target}: {error.message}", Why.JUMP, lasting=error.lasting) from error

    async def _log_in_through(
        self, jump: asyncssh.SSHClientConnection, target: Target, trust: Trust, remembered: str, login: _Login
    ) -> Opened:
        async with self._jump_turns:
            return await self._log_in(target, trust, remembered, login, "", {"tunnel": jump})

    async def _reach(self, target: Target) -> tuple[socket.socket, str]:
        """A socket on which the host has begun to speak, so that a dead host never takes a living one's turn."""
        try:
            async with asyncio.timeout(self._limit):
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM)
                failure: OSError | None = None
                for family, kind, protocol, _, address in found:
                    sock = socket.socket(family, kind, protocol)
                    try:
                        sock.setblocking(False)
                        await loop.sock_connect(sock, address)
                        await _readable(sock)
                    except BaseException as error:
                        sock.close()
                        if not isinstance(error, OSError):
                            raise
                        failure = error
                    else:
                        return sock, str(address[0])
                raise failure or OSError("its name has no address")
        except (OSError, TimeoutError) as error:
            raise explained(error, str(target), "", self._limit) from error

    async def _log_in(
        self, target: Target, trust: Trust, remembered: str, login: _Login, peer: str, way: dict[str, object]
    ) -> Opened:
        judge = self._judge(target, trust, remembered, peer)
        more = dict(way)
        if judge.algorithms:
            more["server_host_key_algs"] = judge.algorithms
        if login.keys:
            more["client_keys"] = list(login.keys)
        try:
            async with asyncio.timeout(self._limit):
                connection = await asyncssh.connect(
                    target.address,
                    target.port,
                    config=None,  # the inventory says how nodes are reached, not the user's ssh_config
                    client_factory=lambda: judge,
                    username=target.user,
                    known_hosts=judge.known,
                    x509_trusted_certs=None,
                    preferred_auth="publickey",
                    keepalive_interval=KEEPALIVE,
                    keepalive_count_max=3,
                    **more,
                )
        except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
            if is_about_host_key(error):
                raise judge.refusal(error) from error
            raise explained(error, str(target), f"{login.name} for user {target.user}", self._limit) from error
        key = connection.get_server_host_key()
        return Opened(connection, _written(key) if key is not None else "")

    def _judge(self, target: Target, trust: Trust, remembered: str, peer: str) -> Judge:
        if not isinstance(trust, Strict):
            return Judge(target, trust, (asyncssh.import_public_key(remembered),) if remembered else ())
        own = [asyncssh.import_public_key(key) for key in self.host_keys.keys(target.known_as)]
        port = None if target.port == DEFAULT_SSH_PORT else target.port
        system = self._known_hosts.read().match(target.address, peer, port)
        # What we installed we know better than a file that may still hold the key of the system before.
        return Judge(target, trust, own or system[0], system[1:])


@dataclass(frozen=True)
class _Login:
    """Keys to log in with, none for the agent's and the user's own, and what to call them."""

    name: str
    keys: tuple[object, ...] = ()


class _Logins:
    """Private keys by their files, read again only when the file has changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, _Login]] = {}

    def of(self, target: Target) -> _Login:
        if not target.key:
            return _Login("no key of the agent's or the user's own")
        path = Path(os.path.expanduser(target.key))
        try:
            stamp = path.stat().st_mtime_ns
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                key = asyncssh.read_private_key(path)
                certificate = path.with_name(f"{path.name}-cert.pub")
                pair = (key, asyncssh.read_certificate(certificate)) if certificate.exists() else key
                known = stamp, _Login(f"key {target.key}", (pair,))
                self._read[path] = known
        except (OSError, ValueError) as error:
            why = clean_line(str(error), 200)
            raise ConnectError(
                "ssh-refused",
                f"ssh to {target}: key {target.key} cannot be used: {why}; see `ssh` in the inventory, and leave "
                "`ssh.key` out where an agent holds the key",
                Why.OWN_KEY,
                lasting=True,
            ) from error
        return known[1]


async def is_gone(connection: asyncssh.SSHClientConnection) -> bool:
    """Whether a connection on which something failed is broken: asyncssh says so a turn of the loop later."""
    await asyncio.sleep(0)
    return connection.is_closed()


async def _readable(sock: socket.socket) -> None:
    """Wait until the other side has said something: a server sends its version first (RFC 4253, section 4.2)."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, lambda: None if heard.done() else heard.set_result(None))
    try:
        await heard
    finally:
        loop.remove_reader(sock)


def _written(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
