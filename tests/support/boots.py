"""Boots of a simulated rack, recorded: what the consoles said, when, and what the boot server logged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from plasmatui.model.words import PowerAction
from plasmatui.sim.machine import Machine
from plasmatui.sim.rack import Rack


@dataclass(eq=False)
class Recording:
    """What one machine writes to its console."""

    machine: Machine
    output: bytearray = field(default_factory=bytearray)
    timing: list[tuple[float, int]] = field(default_factory=list)
    _last: float = field(default_factory=time.monotonic)

    def __call__(self, data: bytes) -> None:
        now = time.monotonic()
        self.timing.append((now - self._last, len(data)))
        self._last = now
        self.output += data

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")


def record(rack: Rack, names: Iterable[str] | None = None) -> dict[str, Recording]:
    """Listen to consoles from now on; all of them by default."""
    recordings = {}
    for name in rack.machines if names is None else names:
        recordings[name] = Recording(rack.machines[name])
        rack.machines[name].line.attach(recordings[name])
    return recordings


Done = Callable[[Recording], bool]


async def boot(rack: Rack, done: dict[str, Done], limit: float = 20.0) -> dict[str, Recording]:
    """Switch machines on and wait until each is done, by its condition."""
    recordings = record(rack, done)
    for name in done:
        rack.machines[name].order(PowerAction.ON)
    waiting = set(done)
    deadline = time.monotonic() + limit
    while waiting := {name for name in waiting if not done[name](recordings[name])}:
        assert time.monotonic() < deadline, {name: recordings[name].text[-300:] for name in waiting}
        await asyncio.sleep(0.02)
    return recordings


def ended(recording: Recording) -> bool:
    """Whether a machine's boot came to its end, good or bad."""
    return recording.machine.phase in ("up", "stuck")


def lines_about(rack: Rack, log: str, machine: Machine) -> list[str]:
    """The lines of a log, by its file's stem, that name a machine's MAC or address."""
    identity = machine.identity
    names = (*identity.macs, identity.stranger_mac)
    address = str(identity.provisioning)
    lines = (rack.services.directory / f"{log}.log").read_text().splitlines()
    return [line for line in lines if any(name in line for name in names) or address in _words(line)]


def _words(line: str) -> list[str]:
    return line.replace(":", " ").replace(",", " ").replace("(", " ").split()


def write_bundle(rack: Rack, recording: Recording, directory: Path) -> None:
    """A bundle of one node: the rack's logs and the node's console."""
    directory.mkdir(parents=True, exist_ok=True)
    name = recording.machine.name
    files: list[dict[str, str]] = []
    for _, form, path in rack.services.logs:
        (directory / path.name).write_bytes(path.read_bytes())
        files.append({"path": path.name, "format": form})
    (directory / "serial.raw").write_bytes(recording.output)
    timing = "".join(f"{seconds:.3f} {count}\n" for seconds, count in recording.timing)
    (directory / "serial.timing").write_text(timing)
    files.append({"path": "serial.raw", "format": "console", "node": name, "timing": "serial.timing"})
    identity = recording.machine.identity
    nodes = {name: {"mac": identity.macs[0], "ip": str(identity.provisioning)}}
    text = yaml.safe_dump({"version": 1, "nodes": nodes, "files": files}, sort_keys=False)
    (directory / "bundle.yaml").write_text(text)
