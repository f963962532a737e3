"""Incident bundles: a directory with everything that tells what happened to some nodes, and no secret.

The layout is the one that `plasmatui replay` reads: `bundle.yaml`, logs in their own formats with their original lines,
consoles as raw bytes with a timing file. Beside them stand `events.json`, `timelines.json`, `operations.json` and what
operations printed, for people.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from plasmatui.engine.redact import Redactor
from plasmatui.model.boot import BootTimeline
from plasmatui.model.event import EventLine
from plasmatui.model.node import Node
from plasmatui.model.operation import OperationRecord

MANIFEST = "bundle.yaml"


class BundleLog(msgspec.Struct, frozen=True):
    """Lines of one log source, complete."""

    source: str
    format: str
    lines: tuple[bytes, ...]


class BundleConsole(msgspec.Struct, frozen=True):
    """What a console said. `stamps`: Unix seconds and bytes that came then."""

    node: str
    data: bytes
    stamps: tuple[tuple[float, int], ...]


class BundlePrint(msgspec.Struct, frozen=True):
    """What the steps of an operation printed for a node."""

    operation: int
    node: str
    text: str


class BundleContent(msgspec.Struct, frozen=True):
    """What goes into a bundle."""

    nodes: tuple[Node, ...]
    logs: tuple[BundleLog, ...]
    consoles: tuple[BundleConsole, ...]
    timelines: tuple[BootTimeline, ...]
    events: tuple[EventLine, ...]
    operations: tuple[OperationRecord, ...] = ()
    prints: tuple[BundlePrint, ...] = ()


def write_bundle(directory: Path, content: BundleContent, redactor: Redactor) -> tuple[str, ...]:
    """Write a bundle, mode 0700, files 0600; the names of its files.

    Raises:
        FileExistsError: the directory holds something already.
        OSError: it cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(17, "the directory is not empty", str(directory))
    directory.chmod(0o700)
    writer = _Writer(directory, redactor)
    for index, log in enumerate(content.logs, 1):
        name = writer.file(
            f"{index:02d}-{_plain(redactor.text(log.source))}.log", b"".join(line + b"\n" for line in log.lines)
        )
        writer.files.append({"path": name, "format": log.format})
    for console in content.consoles:
        raw = writer.file(f"console-{_plain(console.node)}.raw", console.data)
        timing = writer.write(f"console-{_plain(console.node)}.timing", _timing(console))
        writer.files.append({"path": raw, "format": "console", "node": console.node, "timing": timing})
    for each in content.prints:
        writer.file(f"operation-{each.operation}-{_plain(each.node)}.log", each.text.encode())
    writer.json("events.json", content.events)
    writer.json("timelines.json", content.timelines)
    if content.operations:
        writer.json("operations.json", content.operations)
    nodes = {node.name: _identity(node) for node in content.nodes}
    manifest = redactor.tree({"version": 1, "nodes": nodes, "files": writer.files})
    writer.write(MANIFEST, yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True).encode())
    return tuple(writer.written)


class _Writer:
    def __init__(self, directory: Path, redactor: Redactor) -> None:
        self.files: list[dict[str, str]] = []
        self.written: list[str] = []
        self._directory = directory
        self._redactor = redactor

    def file(self, name: str, data: bytes) -> str:
        """Write a file without secrets; its name."""
        return self.write(name, self._redactor.clean(data))

    def json(self, name: str, values: Iterable[object]) -> str:
        """Write a JSON file without secrets; its name."""
        return self.write(name, json.dumps(self._redactor.tree(tuple(values)), indent=1).encode() + b"\n")

    def write(self, name: str, data: bytes) -> str:
        """Write what holds no secret; its name."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._directory / name, flags, 0o600), "wb") as file:
            file.write(data)
        self.written.append(name)
        return name


def _identity(node: Node) -> dict[str, object]:
    ips = [ip for ip in (node.provisioning_ip, node.production_ip) if ip]
    return {"mac": _one_or_all(node.macs), "ip": _one_or_all(ips)}


def _one_or_all(values: Iterable[str]) -> object:
    found = list(values)
    return found[0] if len(found) == 1 else found


def _timing(console: BundleConsole) -> bytes:
    """`seconds bytes` lines, in Unix seconds."""
    return "".join(f"{wall:.3f} {count}\n" for wall, count in console.stamps).encode()


def _plain(name: str) -> str:
    """A name of a source as a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name.rsplit("/", 1)[-1].removesuffix(".log")).strip("-.")[:64] or "log"
