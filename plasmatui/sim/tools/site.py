"""What the stand-ins know of their rack: where it is, how fast time runs, and the provisioning host's Nix store."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from plasmatui.sim.builds import STORE, Build, decode_builds

PROGRAMS = ("nix", "nixos-anywhere", "nixos-rebuild", "ssh")
_SHORTEST = 0.02  # real seconds; shorter waits are not worth a switch of processes


class ToolError(Exception):
    """The program ends: its text for standard error ("" for nothing more), and its exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Settings(msgspec.Struct):
    """What the rack tells its tools."""

    speed: float = 1.0


class Site:
    """See the module. `directory` is the rack's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._debt = 0.0
        try:
            self.speed = msgspec.json.decode(self._file("settings.json").read_bytes(), type=Settings).speed
        except (OSError, msgspec.MsgspecError):
            self.speed = 1.0

    def _file(self, name: str) -> Path:
        return self.directory / "nix" / name

    async def sleep(self, seconds: float) -> None:
        """Wait machine seconds."""
        self._debt += seconds / self.speed
        if self._debt >= _SHORTEST:
            begin = time.monotonic()
            await asyncio.sleep(self._debt)
            self._debt -= time.monotonic() - begin

    def builds(self) -> dict[str, Build]:
        """What is in this host's store, by path."""
        try:
            found = decode_builds(self._file("store.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return {}
        return {build.path: build for build in found}

    def local(self, path: str) -> Path:
        """Where a store path of this host lies: nothing is written to the machine's own store."""
        return self._file("store") / path.removeprefix(f"{STORE}/")

    def add(self, *builds: Build) -> None:
        """Put builds into the store."""
        with self._locked():
            known = self.builds()
            known |= {build.path: build for build in builds}
            temporary = self._file(f".store.{os.getpid()}")
            temporary.write_bytes(msgspec.json.encode(list(known.values())))
            temporary.replace(self._file("store.json"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._file("lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def create(directory: Path, speed: float) -> None:
    """Write what the tools need, and the scripts that start them, into a rack's directory."""
    (directory / "nix").mkdir(mode=0o700, exist_ok=True)
    (directory / "nix" / "settings.json").write_bytes(msgspec.json.encode(Settings(speed)))
    programs = directory / "bin"
    programs.mkdir(mode=0o700, exist_ok=True)
    path = f"PYTHONPATH={_quoted(str(Path(__file__).resolve().parents[3]))}${{PYTHONPATH:+:$PYTHONPATH}}"
    for name in PROGRAMS:
        script = programs / name
        command = f"{_quoted(sys.executable)} -m plasmatui.sim.tools {_quoted(str(directory))} {name}"
        script.write_text(f'#!/bin/sh\n{path} exec {command} "$@"\n')
        script.chmod(0o700)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def link_result(name: str, path: Path) -> None:
    """The link to what was built."""
    Path(name).unlink(missing_ok=True)
    Path(name).symlink_to(path)


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """A line on standard error, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
