"""A bundle's files as timelines: what the live watch would have said, at the end of the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import TextIO

import msgspec

from plasmatui.model.boot import BootTimeline, Signal, SignalKind
from plasmatui.watch.bundle import MANIFEST, Bundle, BundleError, BundleFile, read_bundle
from plasmatui.watch.console import ConsoleReader
from plasmatui.watch.names import path_of
from plasmatui.watch.ownership import Owners
from plasmatui.watch.parsers import FORMATS, make_parser
from plasmatui.watch.timeline import Correlator
from plasmatui.watch.weave import merge
from plasmatui.watch.zones import is_zoneless, moved, zone_of

_CLOCK = 1e9
"""Seconds of a timing file from which on they are the time of day: 2001, or a recording of thirty years."""

_CHUNK = 65_536
_ACCESS = ("nginx-access", "plasmatui-serve")
_OWN_DATES = (*_ACCESS, "nginx-error", "kea", "journal")
"""Formats whose times have a year: the others are read by their light."""


_TALKATIVE = frozenset(FORMATS) - {"nginx-error", "journal"}
"""Formats whose logs say something as soon as their daemon does."""
_LINE_LIMIT = 1 << 20
"""Characters of a line that are read."""

Warn = Callable[[str], None]


def _nobody(_: str) -> None:
    """Warnings that nobody wants to hear."""


class _Recording(msgspec.Struct):
    """What one file gave. `seconds`: of a console with timing, when each signal was seen, from its start."""

    file: BundleFile
    signals: list[Signal]
    seconds: list[float] = []


def replay(directory: Path) -> dict[str, BootTimeline]:
    """The last boot of each node of a bundle that anything was seen of.

    Raises:
        BundleError: the bundle cannot be read.
    """
    return {name: boots[-1] for name, boots in replay_all(directory).items()}


def replay_all(directory: Path, warn: Warn = _nobody) -> dict[str, tuple[BootTimeline, ...]]:
    """All boots of each node, the latest last, in the order of the bundle's nodes. `warn` is told what is odd about a
    file, with its place, and does not keep the rest from being read.

    Raises:
        BundleError: the bundle cannot be read.
    """
    bundle = read_bundle(directory)
    recordings = _load(bundle, warn)
    by_node = _by_node(bundle, recordings)
    correlator = Correlator(bundle.nodes)
    for recording in recordings:
        for signal in recording.signals:
            correlator.note_size(signal)
    found: dict[str, tuple[BootTimeline, ...]] = {}
    for sequences in by_node.values():
        for signal in merge(sequences):
            correlator.feed(signal, signal.wall or 0.0)
    for node in by_node:
        timeline = correlator.timeline(node, at_end=True)
        if timeline is not None:
            found[node] = (*correlator.history(node), timeline)
    return found


def _load(bundle: Bundle, warn: Warn) -> list[_Recording]:
    """Every file's signals, those with whole dates first."""
    order = _OWN_DATES
    places = sorted(
        range(len(bundle.files)),
        key=lambda place: order.index(name) if (name := bundle.files[place].format) in order else len(order),
    )
    recordings: dict[int, _Recording] = {}
    reference: float | None = None
    zone = _zone(bundle)
    served: list[float] = []
    for place in places:
        file = bundle.files[place]
        try:
            recording = _console(file, warn) if file.format == "console" else _log(file, reference, warn)
            if zone is not None and file.format in FORMATS and is_zoneless(file.path):
                recording.signals = moved(recording.signals, zone, served)
        except OSError as error:
            raise BundleError(f"{file.name}: {error.strerror}") from error
        recordings[place] = recording
        walls = [signal.wall for signal in recording.signals if signal.wall is not None]
        if file.format in _ACCESS:
            served += walls
        if walls and file.format in _OWN_DATES:
            reference = max(walls[-1], reference or walls[-1])
    return [recordings[place] for place in range(len(bundle.files))]


def _zone(bundle: Bundle) -> int | None:
    try:
        return zone_of(file.path for file in bundle.files if file.format in _ACCESS)
    except OSError:
        return None  # it is said when the file is read


def _log(file: BundleFile, reference: float | None, warn: Warn) -> _Recording:
    signals: list[Signal] = []
    if file.format not in FORMATS:
        return _Recording(file, signals)
    parser = make_parser(file.format, file.name, reference=reference)
    number, binary = 0, 0
    with file.path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, line in enumerate(_bounded(lines), 1):
            binary = binary or (number if "\0" in line else 0)
            signals += parser.feed(line.rstrip("\r\n"), number)
    if binary:
        warn(f"{file.name}:{binary}: this is no text; what cannot be read as {file.format} is left out")
    elif number and not signals and file.format in _TALKATIVE:
        warn(f"{file.name}: none of its {number} lines says anything as {file.format}; check its format in {MANIFEST}")
    return _Recording(file, signals)


def _bounded(lines: TextIO) -> Iterator[str]:
    """The lines of a file, of an endless one its beginning."""
    while line := lines.readline(_LINE_LIMIT):
        whole = line
        while len(line) == _LINE_LIMIT and not line.endswith("\n"):
            line = lines.readline(_LINE_LIMIT)
        yield whole


def _console(file: BundleFile, warn: Warn) -> _Recording:
    reader = ConsoleReader(file.node, file.name)
    recording = _Recording(file, [], [])
    data = file.path.read_bytes()
    at = 0
    for seconds, size in _chunks(file, len(data), warn):
        recording.signals += reader.feed(data[at : at + size], None)
        at += size
        recording.seconds += [seconds] * (len(recording.signals) - len(recording.seconds))
    timed = bool(recording.seconds)
    for start in range(at, len(data), _CHUNK):
        recording.signals += reader.feed(data[start : start + _CHUNK], None)
    recording.signals += reader.flush()
    if not recording.signals and _is_noise(data):
        warn(f"{file.name}: this is no text; the serial line's speed is not the console's (most have 115200n8)")
    if timed:
        last = recording.seconds[-1]
        recording.seconds += [last] * (len(recording.signals) - len(recording.seconds))
    return recording


def _is_noise(data: bytes) -> bool:
    text = data[:_CHUNK].decode("utf-8", "replace")
    return text.count("\ufffd") * 3 > len(text)


def _chunks(file: BundleFile, size: int, warn: Warn) -> list[tuple[float, int]]:
    """What a timing file says of the recording's chunks: seconds from its start, and bytes. Nothing where the two do
    not fit together. `script --timing` writes the seconds since the chunk before; those go up and down. An engine's own
    recordings have Unix seconds."""
    chunks = list(_timing(file))
    told = sum(count for _, count in chunks)
    if file.timing is None or told == size:
        seconds = [at for at, _ in chunks]
        if seconds != sorted(seconds) and min(seconds) < _CLOCK:
            seconds = list(accumulate(seconds))
        return list(zip(seconds, (count for _, count in chunks), strict=True))
    warn(f"{file.timing.name}: tells of {told} bytes, but {file.name} has {size}; its times are left out")
    return []


def _timing(file: BundleFile) -> Iterator[tuple[float, int]]:
    """The `seconds bytes` lines of a timing file; raises BundleError naming the line that is none."""
    if file.timing is None:
        return
    with file.timing.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words:
                continue
            try:
                seconds, size = float(words[0]), int(words[1])
            except (ValueError, IndexError) as error:
                raise BundleError(
                    f"{file.timing.name}:{number}: expected `seconds bytes`, found {line[:60]!r}"
                ) from error
            if size < 0 or not 0 <= seconds < float("inf"):
                raise BundleError(f"{file.timing.name}:{number}: seconds and bytes must not be negative")
            yield seconds, size


def _by_node(bundle: Bundle, recordings: list[_Recording]) -> dict[str, list[list[Signal]]]:
    """Each node's signals, recording by recording, in the order of the files."""
    owners = Owners(bundle.nodes, [(recording.file.node, recording.signals) for recording in recordings])
    split: dict[str, list[list[Signal]]] = {node.name: [] for node in bundle.nodes}
    consoles: list[_Recording] = []
    for recording in recordings:
        if recording.file.format == "console":
            consoles.append(recording)
            continue
        parts: dict[str, list[Signal]] = {}
        for signal in recording.signals:
            owner = owners.of(signal)
            if owner in split:
                parts.setdefault(owner, []).append(msgspec.structs.replace(signal, node=owner))
        for owner, part in parts.items():
            split[owner].append(part)
    for recording in consoles:
        split[recording.file.node].append(_clocked(recording, split[recording.file.node]))
    return split


def _offset(seconds: list[float], whole: bool) -> float:
    """How far two clocks are apart, of which one may tell whole seconds only: then it is up to one later than it says,
    and where all that is known agrees, the middle of what is left is it."""
    if not whole:
        return median(seconds)
    low, high = max(seconds), min(seconds) + 1.0
    return (low + high) / 2 if low <= high else median(seconds) + 0.5


def _clocked(recording: _Recording, logs: list[list[Signal]]) -> list[Signal]:
    """A console's signals with the time of day, where its recording has seconds and a server's log shows when one of
    its fetches was: only then can the two be laid beside each other."""
    if not recording.seconds:
        return recording.signals
    if min(recording.seconds) >= _CLOCK:
        timed = zip(recording.signals, recording.seconds, strict=True)
        return [msgspec.structs.replace(signal, wall=seconds) for signal, seconds in timed]
    served: dict[str, list[float]] = {}
    for signal in (s for part in logs for s in part):
        if signal.kind is SignalKind.HTTP_REQUEST and signal.wall is not None:
            served.setdefault(path_of(signal.file), []).append(signal.wall)
    offsets = []
    seen: dict[str, int] = {}
    for signal, seconds in zip(recording.signals, recording.seconds, strict=True):
        if signal.kind in (SignalKind.IPXE_FETCHED, SignalKind.IPXE_ERROR) and signal.file:
            path = path_of(signal.file)
            turn = seen[path] = seen.get(path, -1) + 1
            walls = served.get(path, [])
            if turn < len(walls):
                offsets.append(walls[turn] - seconds)
    if not offsets:
        return recording.signals
    offset = _offset(offsets, all(wall == int(wall) for walls in served.values() for wall in walls))
    return [
        msgspec.structs.replace(signal, wall=round(offset + seconds, 3))
        for signal, seconds in zip(recording.signals, recording.seconds, strict=True)
    ]
