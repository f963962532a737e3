"""A real OpenSSH server of the test's own on loopback, run by whoever runs the tests."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import asyncssh

SSHD = "/usr/sbin/sshd"  # it wants its absolute path, and is not on every user's PATH


class OpenSshd:
    """`sshd -D` with a host key and one accepted user key. `options` are lines of its configuration."""

    def __init__(self, directory: Path, options: Sequence[str] = (), address: str = "127.0.0.1") -> None:
        self.directory = directory
        self.port = free_port()
        self.user = getpass.getuser()
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self._options = tuple(options)
        self._address = address
        self._process: asyncio.subprocess.Process | None = None

    @property
    def key_file(self) -> Path:
        return self.directory / "user_key"

    @property
    def log(self) -> Path:
        return self.directory / "sshd.log"

    @property
    def public_key(self) -> str:
        return self.host_key.export_public_key().decode().strip()

    def _prepare(self) -> Path:
        for path, key in ((self.directory / "host_key", self.host_key), (self.key_file, self.user_key)):
            if not path.exists():
                path.touch(0o600)
            path.write_bytes(key.export_private_key())
        authorized = self.directory / "authorized_keys"
        authorized.write_bytes(self.user_key.export_public_key())
        config = self.directory / "sshd_config"
        config.write_text(
            "\n".join(
                [
                    *self._options,
                    f"Port {self.port}",
                    f"ListenAddress {self._address}",
                    f"HostKey {self.directory}/host_key",
                    f"AuthorizedKeysFile {authorized}",
                    "PidFile none",
                    "StrictModes no",
                    "SetEnv SHLVL=9",  # else Debian's bash reads ~/.bashrc for each command, whatever stands there
                    "UsePAM no",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "",
                ]
            )
        )
        self.log.unlink(missing_ok=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it separates privileges
        return config

    async def start(self) -> None:
        config = self._prepare()
        self._process = await asyncio.create_subprocess_exec(
            *(SSHD, "-D", "-E", str(self.log), "-f", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        while not self.log.exists() or "Server listening" not in self.log.read_text():
            assert self._process.returncode is None, "sshd ended before it listened"
            await asyncio.sleep(0.01)

    @property
    def connections(self) -> int:
        """Logins so far."""
        return self.log.read_text().count("Accepted publickey")

    def drop(self) -> None:
        """Cut every connection: end the processes that serve them."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        for child in children.split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def terminate(self) -> None:
        """Tell the server that listens to end."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self.drop()
            self.terminate()
            await self._process.wait()


def free_port() -> int:
    """A port of loopback on which nothing listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
