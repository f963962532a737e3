"""The SSH server of a simulated machine: listens while an operating system is up, and runs commands on its model.

The SSH library is loaded with the first connection, so that large racks start fast.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.host import Host

if TYPE_CHECKING:
    import asyncssh

_log = logging.getLogger(__name__)
_BACKLOG = 64
DEFAULT_PORT = 2222


def free_port(address: str) -> int:
    """The port for SSH servers: the usual one, or another that is free on this address.

    Raises:
        OSError: there is none.
    """
    for port in (DEFAULT_PORT, *range(DEFAULT_PORT + 20_000, DEFAULT_PORT + 20_064), 0):
        try:
            with _listen(address, port) as bound:
                return int(bound.getsockname()[1])
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no free port for SSH on {address}")


def _listen(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


class Sshd:
    """One machine's server.

    Args:
        keys: reads the lines of authorized_keys that images and configurations bring.

    Attributes:
        connections: those that are open.
    """

    def __init__(self, address: str, port: int, keys: Callable[[], str], faults: NodeFaults) -> None:
        self.address = address
        self.port = port
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._keys = keys
        self._faults = faults
        self._host: Host | None = None
        self._socket: socket.socket | None = None
        self._greeting: set[asyncio.Task[None]] = set()
        self._options: dict[bytes, asyncssh.SSHServerConnectionOptions] = {}

    def host_changed(self, host: Host | None) -> None:
        """An operating system is up, or the one that was has ended: connections end with it."""
        if host is not self._host:
            self._hang_up()
        self._host = host
        if host is not None:
            host.cut, host.network_changed = self.drop, self.faults_changed
        self.faults_changed()

    def faults_changed(self) -> None:
        """Listen, or cease to."""
        wanted = self._host is not None and not self._host.isolated and "ssh-refused" not in self._faults
        if wanted and self._socket is None:
            try:
                self._socket = _listen(self.address, self.port)
            except OSError as error:  # the machine goes on, as one whose sshd has failed
                _log.warning("sshd cannot listen on %s port %d: %s", self.address, self.port, error.strerror)
                return
            asyncio.get_running_loop().add_reader(self._socket, self._accept)
        elif not wanted:
            self._hang_up()

    def drop(self) -> None:
        """Break every connection, as when a cable is pulled; the server stays."""
        for connection in tuple(self.connections):
            connection.abort()
        self.connections.clear()

    def close(self) -> None:
        self.host_changed(None)

    def _hang_up(self) -> None:
        bound, self._socket = self._socket, None
        if bound is not None:
            asyncio.get_running_loop().remove_reader(bound)
            bound.close()
        for task in tuple(self._greeting):
            task.cancel()
        self.drop()

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            accepted, _ = self._socket.accept()
        except OSError:  # gone again, or no descriptor is left: the client waits
            return
        assert self._host is not None
        task = asyncio.create_task(self._greet(accepted, self._host), name=f"sim-ssh-{self._host.identity.name}")
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)

    async def _greet(self, accepted: socket.socket, host: Host) -> None:
        import asyncssh

        from plasmatui.sim.sshsession import NodeServer, make_options

        accepted.setblocking(False)
        key = host.shown_key()
        if key not in self._options:
            self._options = {key: make_options(key)}
        server = partial(NodeServer, host, self._keys, self.connections)
        try:
            await asyncssh.run_server(accepted, options=self._options[key], server_factory=server)
        except (asyncssh.Error, OSError):  # it was a scan, or somebody without the key
            accepted.close()
