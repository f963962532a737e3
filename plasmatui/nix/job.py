"""Programs on this host that outlive the engine: started detached, attached again by whoever comes later.

A job is a private directory. A small process of its own session, the keeper (`jobkeeper`), runs the program and writes

- `job.json`: who it is (`_Card`); written once, before the program is started, and once more with the program's id;
- `log`: what the program prints on both its outputs, as it came; `times`: a line `OFFSET LENGTH UNIX-TIME` per piece;
- `result`: how it ended; appears at once and whole.

The environment is handed on and never written. A process is told by its id, its start time and the boot of this
machine (proc_pid_stat(5), field 22), so that another process with the same id is never taken for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmatui.model.command import CommandError
from plasmatui.text import clean_line, decode

CARD: Final = "job.json"
LOG: Final = "log"
TIMES: Final = "times"
RESULT: Final = "result"
START_LIMIT: Final = 20.0
"""Seconds that the keeper may take to begin."""
TICK: Final = 0.1
"""Seconds between two looks at the files of a job."""
_PIECE: Final = 1 << 16


class Process(msgspec.Struct, frozen=True):
    """A process for ever: `start` in clock ticks since boot, `boot` the kernel's boot id."""

    pid: int
    start: int
    boot: str


class Card(msgspec.Struct, frozen=True):
    """What a job's directory says of it. `began`: Unix seconds. `remove`: paths that go when it has ended."""

    argv: tuple[str, ...]
    began: float
    keeper: Process
    program: Process | None = None
    remove: tuple[str, ...] = ()


class Ending(msgspec.Struct, frozen=True):
    """How a job ended.

    Attributes:
        code: exit code, 128 + n for signal n; None when not known.
        uncertain: it vanished without a word (killed, machine rebooted): what it did may or may not have happened.
        ended: Unix seconds; 0 when not known.
        terminated: somebody asked it to stop.
    """

    code: int | None
    uncertain: bool = False
    ended: float = 0.0
    terminated: bool = False


class Chunk(msgspec.Struct, frozen=True):
    """A piece of output: where it begins in the log, when it came (Unix seconds), its bytes."""

    offset: int
    wall: float
    data: bytes


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process:
    """The process that has this id now. Raises OSError when there is none, or it is a zombie."""
    # The name may hold blanks and parentheses: fields are counted from its end.
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        raise ProcessLookupError(f"process {pid} has ended")
    return Process(pid, int(fields[19]), boot_id())


def is_alive(process: Process) -> bool:
    """Whether that very process runs."""
    try:
        return identify(process.pid) == process
    except OSError:
        return False


class Job:
    """A job in a directory. Holds nothing open: it may be forgotten and attached at any time, by many."""

    def __init__(self, directory: Path, card: Card) -> None:
        self.directory = directory
        self.card = card

    @property
    def argv(self) -> tuple[str, ...]:
        return self.card.argv

    @classmethod
    def attach(cls, directory: Path) -> Job:
        """A job that was started before, by this process or another.

        Raises:
            CommandError: id "job-missing": no job was started there, or its card cannot be read.
        """
        try:
            return cls(directory, _read_card(directory))
        except (OSError, msgspec.DecodeError) as error:
            raise CommandError("job-missing", f"{directory} holds no job: {error}", lasting=True) from error

    def alive(self) -> bool:
        """Whether the job runs: its keeper, or a program that lost its keeper."""
        if self.ending_written():
            return False
        self._look()
        return is_alive(self.card.keeper) or (self.card.program is not None and is_alive(self.card.program))

    def ending_written(self) -> bool:
        return (self.directory / RESULT).exists()

    def ending(self) -> Ending | None:
        """How it ended; None while it runs."""
        alive = self.alive()  # first: it may write its result and end between two looks
        try:
            return msgspec.json.decode((self.directory / RESULT).read_bytes(), type=Ending)
        except (OSError, ValueError, RecursionError):
            return None if alive else Ending(None, uncertain=True)

    async def wait(self) -> Ending:
        """Wait for its end; an end that nobody wrote down is `uncertain`. What it should remove is removed then."""
        while (ending := self.ending()) is None:
            orphan = self.card.program is not None and not is_alive(self.card.keeper)
            await until_ended(self.card.program if orphan and self.card.program else self.card.keeper)
        if ending.uncertain:
            await asyncio.to_thread(remove_all, self.card.remove)
        return ending

    async def output(self, offset: int = 0) -> AsyncIterator[Chunk]:
        """What it prints, from a byte of its log on, to its end; ends when the job has ended and all was read."""
        times_at, pending, reached = 0, b"", offset
        while True:
            over = self.ending() is not None  # before reading: what comes after it belongs to the next round
            news, times_at = await asyncio.to_thread(_read_from, self.directory / TIMES, times_at)
            lines = (pending + news).split(b"\n")
            pending = lines.pop()
            for line in lines:
                begin, length, wall = line.split()
                first, last = int(begin), int(begin) + int(length)
                if last > reached:
                    reached = max(first, reached)
                    data = await asyncio.to_thread(_read_part, self.directory / LOG, reached, last)
                    yield Chunk(reached, float(wall), data)
                    reached = last
            if news:
                continue
            if over:
                break
            await asyncio.sleep(TICK)
        rest, _ = await asyncio.to_thread(_read_from, self.directory / LOG, reached)
        if rest:  # its keeper was killed before it could write the time
            yield Chunk(reached, time.time(), rest)

    def terminate(self) -> None:
        """Ask it to stop: its keeper sends SIGTERM to the program's process group, and SIGKILL ten seconds later.

        Returns at once; `wait` for the end. What the program started on a node may go on there.
        """
        self._look()
        if self.ending_written():
            return
        with contextlib.suppress(ProcessLookupError):
            if is_alive(self.card.keeper):
                os.kill(self.card.keeper.pid, signal.SIGTERM)
            elif self.card.program is not None and is_alive(self.card.program):
                os.killpg(self.card.program.pid, signal.SIGKILL)  # nobody is left who could do it later

    def tail(self, size: int = 16384) -> bytes:
        """The last of what it printed, for an explanation of how it ended."""
        try:
            with (self.directory / LOG).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                return file.read(size)
        except FileNotFoundError:
            return b""

    def _look(self) -> None:
        if self.card.program is None:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                self.card = _read_card(self.directory)


async def start(
    directory: Path,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path | None = None,
    remove: Sequence[Path] = (),
) -> Job:
    """Start a program as a job.

    Args:
        directory: of this job alone; made with mode 0700.
        env: the whole environment of the program; not written anywhere.
        remove: files and trees that are removed when the job ends, even when nobody is attached (secrets).

    Raises:
        CommandError: ids "job-exists": the directory holds a job already; "job-failed": it did not start.
    """
    return await asyncio.to_thread(_start, directory, tuple(argv), dict(env), cwd, tuple(remove))


def _start(
    directory: Path, argv: tuple[str, ...], env: dict[str, str], cwd: Path | None, remove: tuple[Path, ...]
) -> Job:
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / CARD).exists():
        raise CommandError("job-exists", f"{directory} holds a job already; attach to it", lasting=True)
    removed = [part for path in remove for part in ("--remove", str(path.absolute()))]
    try:
        # It ends as soon as its child, the keeper, has begun: the keeper is no child of ours.
        done = subprocess.run(
            (sys.executable, "-P", "-m", "plasmatui.nix.jobkeeper", str(directory), *removed, "--", *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            timeout=START_LIMIT,
            check=False,
        )
        if done.returncode == 0:
            return Job(directory, _read_card(directory))
        why = clean_line(decode(done.stderr).strip().rpartition("\n")[2], 200)
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
        why = str(error)
    raise CommandError("job-failed", f"{argv[0]} could not be started in {directory}: {why}")


def remove_all(paths: Sequence[str]) -> None:
    """Remove files and trees; what is gone already is fine."""
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)


def write_whole(path: Path, data: bytes) -> None:
    """A file of mode 0600 that is there with all of its bytes, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


async def until_ended(process: Process) -> None:
    """Wait for a process's end without asking again and again, or a moment when it is no more."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        await asyncio.sleep(TICK)
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    try:
        if is_alive(process):  # after it was opened: now the handle means this process or one that has ended
            loop.add_reader(handle, ended.cancel)
            await asyncio.wait({ended})
        else:
            await asyncio.sleep(TICK)
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _read_card(directory: Path) -> Card:
    """Raises OSError, and msgspec.DecodeError for whatever is wrong with what it holds."""
    try:
        return msgspec.json.decode((directory / CARD).read_bytes(), type=Card)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def _read_from(path: Path, offset: int) -> tuple[bytes, int]:
    data = _read_part(path, offset, offset + _PIECE)
    return data, offset + len(data)


def _read_part(path: Path, begin: int, end: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)
    except FileNotFoundError:
        return b""
