"""The process that keeps a job: `python -m plasmatui.nix.jobkeeper DIR [--remove PATH]... -- ARGV...`; see `job`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmatui.nix.job import CARD, LOG, RESULT, TIMES, Card, Ending, identify, remove_all, write_whole

LARGEST_LOG: Final = 32 << 20
"""Bytes of output that are kept as they come; of what comes after it, the last `KEPT_END` are."""
KEPT_END: Final = 256 << 10
PATIENCE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL."""
READS: Final = 16
LAST_READS: Final = 1024
"""Pieces of output that are read before signals are looked at, and after the program's end."""
MISSING: Final = 127
"""Exit code of a program that could not be started, as of shells."""


class Log:
    """Output with the times at which it came, of bounded size."""

    def __init__(self, directory: Path, largest: int = LARGEST_LOG) -> None:
        self._log = _private(directory / LOG)
        self._times = _private(directory / TIMES)
        self._largest = largest
        self._written = 0
        self._end = bytearray()
        self._left_out = 0

    def add(self, data: bytes) -> None:
        room = max(0, self._largest - self._written)
        if room:
            self._write(data[:room])
        self._end += data[room:]
        excess = len(self._end) - KEPT_END
        if excess > 0:
            del self._end[:excess]
            self._left_out += excess

    def close(self) -> None:
        if self._left_out:
            self._write(f"\n[{self._left_out} bytes of output are left out]\n".encode())
        if self._end:
            self._write(bytes(self._end))
        os.close(self._log)
        os.close(self._times)

    def _write(self, data: bytes) -> None:
        try:
            _write_all(self._log, data)
            _write_all(self._times, f"{self._written} {len(data)} {time.time():.3f}\n".encode())
        except OSError:
            # A full disk must not end what it was meant to tell of. Nothing more is written, or offsets would lie.
            self._largest = 0
            self._end.clear()
            return
        self._written += len(data)


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def keep(directory: Path, argv: Sequence[str], remove: Sequence[str], began: Callable[[], None]) -> int:
    """Run the program to its end; its exit code. Writes the job's files; calls `began` once the job can be attached."""
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    log = Log(directory)
    card = Card(tuple(argv), time.time(), identify(os.getpid()), remove=tuple(remove))
    write_whole(directory / CARD, msgspec.json.encode(card))
    began()
    try:
        program = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            process_group=0,
        )
    except OSError as error:
        log.add(f"{argv[0]} cannot be started: {error.strerror or error}\n".encode())
        return _finish(directory, log, remove, Ending(MISSING, ended=time.time()))
    with contextlib.suppress(OSError):  # it may have ended already
        card = msgspec.structs.replace(card, program=identify(program.pid))
        write_whole(directory / CARD, msgspec.json.encode(card))
    terminated = _follow(program, log, wake)
    code = program.wait()
    ending = Ending(128 - code if code < 0 else code, ended=time.time(), terminated=terminated)
    return _finish(directory, log, remove, ending)


def _follow(program: subprocess.Popen[bytes], log: Log, wake: int) -> bool:
    """Copy output until the program has ended; whether it was asked to stop.

    The end of its output is not waited for: something that it left in the background may keep it open for ever.
    """
    assert program.stdout is not None
    output = program.stdout.fileno()
    os.set_blocking(output, False)
    watched = [output, wake]
    terminated, kill_at = False, 0.0
    while True:
        patience = max(0.0, kill_at - time.monotonic()) if kill_at else None
        ready, _, _ = select.select(watched, (), (), patience)
        ended = program.poll() is not None  # before the last of its output is read
        if output in watched and not _copy(output, log, LAST_READS if ended else READS):
            watched.remove(output)
        if ended:
            return terminated
        if wake in ready and any(number != signal.SIGCHLD for number in os.read(wake, 64)) and not terminated:
            terminated, kill_at = True, time.monotonic() + PATIENCE
            _signal(program, signal.SIGTERM)
        elif kill_at and time.monotonic() >= kill_at:
            kill_at = 0.0
            _signal(program, signal.SIGKILL)


def _copy(output: int, log: Log, reads: int) -> bool:
    """Take what there is, in so many reads at most; False at the end of the output."""
    for _ in range(reads):
        try:
            data = os.read(output, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        log.add(data)
    return True


def _signal(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, number)


def _finish(directory: Path, log: Log, remove: Sequence[str], ending: Ending) -> int:
    log.close()
    remove_all(remove)
    write_whole(directory / RESULT, msgspec.json.encode(ending))
    return ending.code or 0


def main(arguments: Sequence[str]) -> int:
    """Leave a keeper in a session of its own and end as soon as it has begun; 1 when it has not."""
    split = arguments.index("--")
    head, argv = arguments[:split], arguments[split + 1 :]
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(told, 1) else 1
    os.setsid()
    os.close(told)

    def began() -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        os.write(tell, b"!")
        os.close(tell)

    return keep(Path(head[0]), argv, head[2::2], began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
