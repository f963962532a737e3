"""Incident bundles: a directory with everything that tells what happened to some nodes, and no secret.

The layout is the one that `plasmatui replay` reads: `bundle.yaml`, logs in their own formats with their original lines,
consoles as raw bytes with a timing file. Beside them stand `events.json` and `timelines.json`, for people.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.secrets import SecretError
from plasmatui.model.boot import BootTimeline
from plasmatui.model.event import EventLine
from plasmatui.model.node import Node

MANIFEST = "bundle.yaml"

_WORDED = re.compile(
    rb"(?i)((?:password|passwd|passphrase|secret|token|api[_-]?key|authorization)[\"']?\s*[:=]\s*[\"']?"
    rb"(?:bearer |basic )?)"
    rb"([^\s\"',;&]{3,})"
)
_URL_USER = re.compile(rb"(://[^\s/:@]+:)([^\s/@]+)(?=@)")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_SHORTEST = 4
"""Characters of a secret below which its value would be found in ordinary words."""


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


class BundleContent(msgspec.Struct, frozen=True):
    """What goes into a bundle."""

    nodes: tuple[Node, ...]
    logs: tuple[BundleLog, ...]
    consoles: tuple[BundleConsole, ...]
    timelines: tuple[BootTimeline, ...]
    events: tuple[EventLine, ...]


class Redactor:
    """Takes the values of an inventory's secrets, and what is written like one, out of bytes without changing their
    length, so that timing files and columns stay true. Making one may block (a secret may come from a command)."""

    def __init__(self, inventory: Inventory) -> None:
        values = set()
        for entry in inventory.bmcs.values():
            try:
                values.add(entry.password.reveal())
            except SecretError:
                continue  # what cannot be read here was never used either
        self._values = sorted((v.encode() for v in values if len(v) >= _SHORTEST), key=len, reverse=True)

    def clean(self, data: bytes) -> bytes:
        for value in self._values:
            data = data.replace(value, b"*" * len(value))
        data = _KEY.sub(lambda found: re.sub(rb"[^\r\n]", b"*", found[0]), data)
        data = _WORDED.sub(_stars, data)
        return _URL_USER.sub(_stars, data)


def _stars(found: re.Match[bytes]) -> bytes:
    return found[1] + b"*" * len(found[2])


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
        name = writer.file(f"{index:02d}-{_plain(log.source)}.log", b"".join(line + b"\n" for line in log.lines))
        writer.files.append({"path": name, "format": log.format})
    for console in content.consoles:
        raw = writer.file(f"console-{_plain(console.node)}.raw", console.data)
        timing = writer.file(f"console-{_plain(console.node)}.timing", _timing(console))
        writer.files.append({"path": raw, "format": "console", "node": console.node, "timing": timing})
    writer.file("events.json", _json(content.events))
    writer.file("timelines.json", _json(content.timelines))
    nodes = {node.name: _identity(node) for node in content.nodes}
    manifest = {"version": 1, "nodes": nodes, "files": writer.files}
    writer.file(MANIFEST, yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True).encode())
    return tuple(writer.written)


class _Writer:
    def __init__(self, directory: Path, redactor: Redactor) -> None:
        self.files: list[dict[str, str]] = []
        self.written: list[str] = []
        self._directory = directory
        self._redactor = redactor

    def file(self, name: str, data: bytes) -> str:
        """Write one file, redacted; its name."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._directory / name, flags, 0o600), "wb") as file:
            file.write(self._redactor.clean(data))
        self.written.append(name)
        return name


def _identity(node: Node) -> dict[str, object]:
    ips = [ip for ip in (node.provisioning_ip, node.production_ip) if ip]
    return {"mac": _one_or_all(node.macs), "ip": _one_or_all(ips)}


def _one_or_all(values: Iterable[str]) -> object:
    found = list(values)
    return found[0] if len(found) == 1 else found


def _timing(console: BundleConsole) -> bytes:
    """`seconds bytes` lines, seconds from the first of them."""
    begin = console.stamps[0][0] if console.stamps else time.time()
    return "".join(f"{max(0.0, wall - begin):.3f} {count}\n" for wall, count in console.stamps).encode()


def _plain(name: str) -> str:
    """A name of a source as a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name.rsplit("/", 1)[-1].removesuffix(".log")).strip("-.")[:64] or "log"


def _json(values: Iterable[object]) -> bytes:
    return json.dumps(msgspec.to_builtins(tuple(values)), indent=1).encode() + b"\n"
