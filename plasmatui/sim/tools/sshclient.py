"""SSH as the stand-ins use it: through the library, with the words and exit codes of OpenSSH's client.

The real tools start the `ssh` that is first in PATH. If that is a script with options of its own, such as pinned host
keys, these count here too.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh

from plasmatui.sim.tools.site import ToolError, complain

LOST = 255
_CONNECT_LIMIT = 10.0
_OPTION = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)")


@dataclass(frozen=True)
class Login:
    """Whom to log in as, where, and the options as of ssh_config(5), names in lower case, the first one counting."""

    user: str
    host: str
    port: int = 22
    key: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, target: str, arguments: Sequence[str] = ()) -> Login:
        """From `user@host` and arguments of ssh: `-p`, `-i`, `-o`, `-l`; those of a script `ssh` in PATH come first.

        Raises:
            ToolError: a port that is none.
        """
        user, _, host = target.rpartition("@")
        login = cls(user or "root", host.strip("[]"))
        todo = [*front_arguments(), *arguments]
        options: dict[str, str] = {}
        while todo:
            word = todo.pop(0)
            letter, value = word[:2], word[2:]
            if letter in ("-p", "-i", "-o", "-l") and not value and todo:
                value = todo.pop(0)
            if letter == "-p":
                options.setdefault("port", value)
            elif letter == "-i":
                options.setdefault("identityfile", value)
            elif letter == "-l":
                options.setdefault("user", value)
            elif letter == "-o" and (found := _OPTION.fullmatch(value)):
                options.setdefault(found[1].lower(), found[2].strip())
        port = options.get("port", "22")
        if not port.isdigit():
            raise ToolError(f"Bad port '{port}'", LOST)
        return replace(login, user=user or options.get("user", "root"), port=int(port),
                       key=options.get("identityfile", ""), options=options)  # fmt: skip

    @property
    def place(self) -> str:
        """As known_hosts writes it."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    @property
    def strict(self) -> bool:
        return self.options.get("stricthostkeychecking", "no") in ("yes", "true", "ask")

    @property
    def known_hosts(self) -> str:
        """The file of host keys; "" for none."""
        path = self.options.get("userknownhostsfile", "/dev/null").split()[0]
        return "" if path in ("/dev/null", "none") else path


def front_arguments() -> list[str]:
    """Options that a script `ssh`, first in PATH, puts before those of its caller."""
    found = shutil.which("ssh")
    try:
        text = Path(found).read_bytes()[:8192] if found is not None else b""
    except OSError:
        return []
    if not text.startswith(b"#!"):
        return []
    line = next((line for line in text.decode(errors="replace").splitlines() if line.startswith("exec ")), "")
    words = shlex.split(line)[2:] if line else []
    return [word for word in words if word != "$@"] if "UserKnownHostsFile" in line else []


async def log_in(login: Login, *, quiet: bool = False) -> asyncssh.SSHClientConnection:
    """A connection.

    Raises:
        ToolError: none; text and code as ssh's.
    """
    try:
        known = asyncssh.read_known_hosts(login.known_hosts) if login.strict and login.known_hosts else None
        if login.strict and known is None:
            raise ToolError("Host key verification failed.\r", LOST)
        connection = await asyncio.wait_for(
            asyncssh.connect(
                login.host, login.port, username=login.user, known_hosts=known, config=None, agent_path=None,
                client_keys=[login.key] if login.key else [], preferred_auth="publickey",
            ),
            _CONNECT_LIMIT,
        )  # fmt: skip
    except (TimeoutError, OSError, asyncssh.Error, ValueError) as error:
        raise ToolError(_explain(login, error), LOST) from None
    if not login.strict and not quiet:
        complain(f"Warning: Permanently added '{login.place}' (ED25519) to the list of known hosts.\r")
    return connection


def _explain(login: Login, error: Exception) -> str:
    place = f"{login.user}@{login.host}"
    if isinstance(error, asyncssh.HostKeyNotVerifiable) or "host key" in str(error).lower():
        return (
            "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n"
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
            "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\nHost key verification failed.\r"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return f"{place}: Permission denied (publickey,password,keyboard-interactive).\r"
    if isinstance(error, socket.gaierror):
        return f"ssh: Could not resolve hostname {login.host}: Name or service not known\r"
    if isinstance(error, TimeoutError):
        return f"ssh: connect to host {login.host} port {login.port}: Connection timed out\r"
    if isinstance(error, OSError) and not isinstance(error, asyncssh.Error):
        why = {111: "Connection refused", 113: "No route to host", 101: "Network is unreachable"}
        if isinstance(error, FileNotFoundError):
            missing = f"Warning: Identity file {login.key} not accessible: No such file or directory."
            return f"{missing}\n{place}: Permission denied (publickey).\r"
        return f"ssh: connect to host {login.host} port {login.port}: {why.get(error.errno or 0, error.strerror)}\r"
    return f"Connection closed by {login.host} port {login.port}\r"


async def answers(login: Login) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(login.host, login.port), _CONNECT_LIMIT)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def remote(
    connection: asyncssh.SSHClientConnection, login: Login, line: str, *, data: bytes | None = None, show: bool = True
) -> tuple[int, bytes]:
    """Run a command line; its exit code and what it printed. Its output is shown while it comes.

    Raises:
        ToolError: the connection broke: code 255.
    """
    import sys

    collected = bytearray()
    try:
        async with connection.create_process(line, encoding=None) as process:
            if data is not None:
                process.stdin.write(data)
            process.stdin.write_eof()

            async def pump(source: asyncssh.SSHReader[bytes], *, errors: bool) -> None:
                while part := await source.read(65536):
                    if not errors:
                        collected.extend(part)
                    if show or errors:
                        target = sys.stderr if errors else sys.stdout
                        target.buffer.write(part)
                        target.flush()

            await asyncio.gather(pump(process.stdout, errors=False), pump(process.stderr, errors=True))
            await process.wait_closed()
            status = process.exit_status
    except (asyncssh.Error, OSError):
        status = None
    if status is None or status < 0:
        raise ToolError(f"Connection to {login.host} closed by remote host.\r", LOST)
    return status, bytes(collected)
