"""A program in a real pseudo-terminal: what it writes, when it answers a key, what it costs.

Plays the terminal as far as programs need one: answers the synchronised-output query (mode 2026) and can read slowly.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SYNC_QUERY = b"\x1b[?2026$p"
SYNC_ANSWER = b"\x1b[?2026;2$y"


def set_window_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, from the scheduler's own nanosecond count."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total / 1e9


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


class Terminal:
    """A child process on a pseudo-terminal of its own.

    Args:
        rate: bytes per second at which the terminal reads; None reads as fast as it can.
        delay: seconds after which answers to queries and key presses reach the program (half of it each way is not
            modelled; it is the whole round trip).
        answer: whether the terminal answers the synchronised-output query.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        rows: int = 24,
        columns: int = 80,
        environment: Mapping[str, str] | None = None,
        rate: float | None = None,
        delay: float = 0.0,
        answer: bool = True,
    ) -> None:
        env = {k: v for k, v in os.environ.items() if k not in ("LINES", "COLUMNS", "NO_COLOR")}
        env.update(TERM="xterm-256color", COLORTERM="truecolor", **(environment or {}))
        self.started = time.perf_counter()
        master, slave = pty.openpty()
        set_window_size(slave, rows, columns)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
            close_fds=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        os.set_blocking(master, False)
        self.fd = master
        self.pid = self.process.pid
        self.output = bytearray()
        self.received = 0
        self.alive = True
        self.keep = True
        self._rate, self._delay, self._answer = rate, delay, answer
        self._tokens, self._refilled = 0.0, time.perf_counter()
        self._late: list[tuple[float, bytes]] = []
        self._tail = b""
        self._interrupted = False

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, seconds: float, until: bytes | None = None) -> bool:
        """Read for `seconds`, or until `until` appears in what is new. Returns whether it appeared."""
        end = time.perf_counter() + seconds
        window = b""
        self._interrupted = False
        while self.alive:
            now = time.perf_counter()
            if now >= end or self._interrupted:
                return False
            self._send_late(now)
            data = self._read_some(end - now)
            if not data:
                continue
            if until is not None:
                window = window[-len(until) :] + data
                if until in window:
                    return True
        return False

    def interrupt(self) -> None:
        """End a `read` of another thread soon."""
        self._interrupted = True

    def send(self, data: bytes) -> None:
        """Type. With a delay, the bytes arrive later."""
        if self._delay:
            self._late.append((time.perf_counter() + self._delay / 2, data))
        else:
            self._write(data)

    def resize(self, rows: int, columns: int) -> None:
        set_window_size(self.fd, rows, columns)
        os.kill(self.pid, signal.SIGWINCH)

    def wait(self, seconds: float = 10.0) -> int | None:
        """Read until the program ends; its exit code, or None when it does not end in time."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if self.alive:
                self.read(0.05)
            code = self.process.poll()
            if code is not None:
                if self.alive:
                    self.read(0.05)
                return code
            if not self.alive:
                time.sleep(0.01)
        return None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def _read_some(self, limit: float) -> bytes:
        now = time.perf_counter()
        size = 65536
        if self._rate is not None:
            self._tokens = min(self._tokens + (now - self._refilled) * self._rate, max(4096.0, self._rate * 0.05))
            self._refilled = now
            if self._tokens < 512:
                time.sleep(min(0.002, limit))
                return b""
            size = int(min(size, self._tokens))
        ready, _, _ = select.select([self.fd], [], [], min(limit, 0.005 if self._late else 0.5))
        if not ready:
            return b""
        try:
            data = os.read(self.fd, size)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.alive = False
            return b""
        self._tokens -= len(data)
        self.received += len(data)
        if self.keep:
            self.output += data
        self._answer_queries(data)
        return data

    def _answer_queries(self, data: bytes) -> None:
        if not self._answer:
            return
        seen = self._tail + data
        self._tail = seen[-(len(SYNC_QUERY) - 1) :]
        for _ in range(seen.count(SYNC_QUERY)):
            if self._delay:
                self._late.append((time.perf_counter() + self._delay, SYNC_ANSWER))
            else:
                self._write(SYNC_ANSWER)

    def _send_late(self, now: float) -> None:
        while self._late and self._late[0][0] <= now:
            self._write(self._late.pop(0)[1])

    def _write(self, data: bytes) -> None:
        while data and self.alive:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                self.read(0.005)
            except OSError:
                self.alive = False


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
