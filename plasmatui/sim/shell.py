"""The interactive end of a booted machine's console: a login prompt and a tiny shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SYSRQ_HELP = (
    "sysrq: HELP : loglevel(0-9) reboot(b) crash(c) terminate-all-tasks(e) memory-full-oom-kill(f) "
    "kill-all-tasks(i) sync(s) show-task-states(t) unmount(u) show-blocked-tasks(w)"
)


@dataclass(frozen=True)
class System:
    """What the shell knows of its machine and what it can do to it.

    Attributes:
        uptime: seconds since the boot.
        dmesg: the last kernel lines.
        leave: called with "reboot" or "poweroff".
    """

    host: str
    kernel: str
    write: Callable[[bytes], None]
    uptime: Callable[[], float]
    dmesg: Callable[[], str]
    leave: Callable[[str], None]


class Shell:
    """Takes what an operator types and echoes it, as a terminal line discipline and a shell do."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._line = bytearray()
        self._user = ""
        self._state = "login"  # "login", "password", "shell"

    def feed(self, data: bytes) -> None:
        for byte in data:
            self._key(byte)

    def interrupt_line(self, text: str) -> None:
        """A line that the system logs: the prompt and what was typed so far are drawn again below it."""
        self._system.write(b"\r\n" + text.encode() + b"\r\n" + self._prompt() + self._echo())

    def _echo(self) -> bytes:
        return b"" if self._state == "password" else bytes(self._line)

    def _prompt(self) -> bytes:
        if self._state == "login":
            return f"{self._system.host} login: ".encode()
        if self._state == "password":
            return b"Password: "
        return f"\x1b[1;32m[{self._user}@{self._system.host}:~]$\x1b[0m ".encode()

    def _key(self, byte: int) -> None:
        if byte in b"\r\n":
            line = self._line.decode(errors="replace").strip()
            self._line.clear()
            self._system.write(b"\r\n")
            self._enter(line)
        elif byte in b"\x7f\x08":
            if self._line:
                self._line.pop()
                self._system.write(b"\x08 \x08" if self._state != "password" else b"")
        elif byte in (0x03, 0x15):
            self._line.clear()
            self._system.write((b"^C" if byte == 0x03 else b"^U") + b"\r\n" + self._prompt())
        elif byte == 0x04 and self._state == "shell" and not self._line:
            self._enter("exit")
        elif byte >= 0x20 and len(self._line) < 1024:
            self._line.append(byte)
            if self._state != "password":
                self._system.write(bytes([byte]))

    def _enter(self, line: str) -> None:
        if self._state == "login":
            if line:
                self._user, self._state = line.split()[0][:32], "password"
        elif self._state == "password":
            self._state = "shell"
            self._system.write(b"Last login: Mon Aug  4 10:12:33 UTC 2025 on ttyS0\r\n")
        elif not self._run(line):
            return
        self._system.write(self._prompt())

    def _run(self, line: str) -> bool:
        """Run a command; False when there is no prompt after it."""
        name, _, rest = line.partition(" ")
        if name in ("exit", "logout"):
            self._state = "login"
            self._system.write(b"logout\r\n\r\n")
        elif name in ("reboot", "poweroff"):
            self._system.leave(name)
            return False
        elif name:
            text = self._output(name, rest.strip())
            self._system.write(text.replace("\n", "\r\n").encode() + b"\r\n" if text else b"")
        return True

    def _output(self, name: str, rest: str) -> str:
        system = self._system
        if name == "echo":
            return rest or " "
        if name == "hostname":
            return system.host
        if name == "uname":
            return f"Linux {system.host} {system.kernel} #1-NixOS SMP x86_64 GNU/Linux" if rest == "-a" else "Linux"
        if name == "dmesg":
            return system.dmesg()
        if name in ("whoami", "id"):
            return self._user
        if name == "uptime":
            minutes = int(system.uptime()) // 60
            return f" up {minutes // 60}:{minutes % 60:02d},  1 user,  load average: 0.08, 0.03, 0.01"
        if name == "help":
            return "dmesg echo exit help hostname poweroff reboot uname uptime whoami"
        return f"-bash: {name}: command not found"
