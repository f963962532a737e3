"""What a backup's directory says of itself.

    NAME/backup.json              written first: what was to be backed up
    NAME/inventory.yaml           the inventory as it was
    NAME/NODE/SERVICE.tar.zst     a data directory; .part while it is written
    NAME/NODE/SERVICE.json        that it is whole: written after it
    NAME/NODE/manifest.json       written last: the node's part is whole

A node without `manifest.json` is no backup of that node, whatever else lies there. Directories have mode 0700,
files 0600.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from plasmatui.text import clean_line, clean_text

VERSION: Final = 1
HEAD: Final = "backup.json"
MANIFEST: Final = "manifest.json"
INVENTORY: Final = "inventory.yaml"
CONFIGURATION: Final = "_configuration"
"""In the place of a service's name: /etc/nixos of the node. No service can have it."""

SUFFIXES: Final = {"zstd": ".tar.zst", "gzip": ".tar.gz"}
MOST_JSON: Final = 4 * 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


class BackupError(Exception):
    """A backup is not whole, cannot be read, or is not one; the message says which file and why, and is clean."""

    def __init__(self, message: str) -> None:
        super().__init__(clean_text(message))


class RaftSeen(msgspec.Struct, frozen=True):
    """A raft group before the member was stopped, as its members told it; empty where they told nothing.

    Attributes:
        member: id of this node's member. leader: member id. voters: nodes.
        witness: SHA-256 of the value that this member had of the key that a backup leaves; of Chainfire only.
    """

    member: str = ""
    role: str = ""
    leader: str = ""
    voters: tuple[str, ...] = ()
    witness: str = ""


class Part(msgspec.Struct, frozen=True):
    """One archive.

    Attributes:
        service: or `CONFIGURATION`.
        path: of the directory on the node; the archive holds it under its last name.
        file: beside the manifest. bytes, sha256: of that file. content: bytes of the directory before, 0: not known.
        quiesced: the service was stopped while it was read; else it is as after a power failure.
        begin, end: UTC.
    """

    service: str
    path: str
    unit: str
    file: str
    bytes: int
    sha256: str
    content: int
    quiesced: bool
    begin: str
    end: str
    raft: RaftSeen | None = None
    version: int = VERSION

    @property
    def codec(self) -> str:
        return next((codec for codec, suffix in SUFFIXES.items() if self.file.endswith(suffix)), "")


class NodeManifest(msgspec.Struct, frozen=True):
    """One node of a backup.

    Attributes:
        role: the profile. generation: of the system, as the profile's link names it.
        secrets: /etc/nixos/secrets is in the archive of the configuration.
    """

    cluster: str
    node: str
    role: str
    voter: bool
    generation: str
    operation: int
    begin: str
    end: str
    secrets: bool
    parts: tuple[Part, ...]
    version: int = VERSION

    def part(self, service: str) -> Part | None:
        return next((part for part in self.parts if part.service == service), None)


class Head(msgspec.Struct, frozen=True):
    """What was to be backed up."""

    cluster: str
    name: str
    begin: str
    nodes: tuple[str, ...]
    live: bool
    secrets: bool
    version: int = VERSION


class Backup(msgspec.Struct, frozen=True):
    """A backup as it lies there. `missing`: nodes of it that are not whole."""

    directory: str
    head: Head
    nodes: dict[str, NodeManifest]
    missing: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.missing

    @property
    def bytes(self) -> int:
        return sum(part.bytes for node in self.nodes.values() for part in node.parts)


def moment(seconds: float) -> str:
    """A time as the manifests write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def write_json(path: Path, value: msgspec.Struct) -> None:
    """Write a struct, whole or not at all, for its owner alone. Raises OSError."""
    write_file(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def write_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, for its owner alone. Raises OSError."""
    beside = path.with_name(f"{path.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    synchronise(path.parent)


def synchronise(directory: Path) -> None:
    """Let a directory's entries reach the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, kind: type[T]) -> T:
    """Read a struct.

    Raises:
        BackupError: it is not there, or is not what it should be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_JSON)
        return msgspec.json.decode(data, type=kind)
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BackupError(f"{path}: {clean_line(str(error), 200)}") from None


def read_backup(directory: Path) -> Backup:
    """What a backup holds. Its archives are not read.

    Raises:
        BackupError: it is none, or what it says of itself does not fit together.
    """
    head = read_json(directory / HEAD, Head)
    _check(directory / HEAD, head.version, *head.nodes)
    found: dict[str, NodeManifest] = {}
    for node in head.nodes:
        path = directory / node / MANIFEST
        if path.exists():
            found[node] = read_manifest(path, head.cluster, node)
    missing = tuple(node for node in head.nodes if node not in found)
    return Backup(str(directory), head, found, missing)


def read_manifest(path: Path, cluster: str, node: str) -> NodeManifest:
    """One node's manifest. Raises BackupError as `read_backup`."""
    manifest = read_json(path, NodeManifest)
    _check(path, manifest.version, *(part.service for part in manifest.parts))
    if (manifest.cluster, manifest.node) != (cluster, node):
        raise BackupError(f"{path}: it is of {clean_line(manifest.node, 60)} of {clean_line(manifest.cluster, 60)}")
    for part in manifest.parts:
        if part.file != f"{part.service}{SUFFIXES.get(part.codec, '?')}" or not _DIGEST.fullmatch(part.sha256):
            raise BackupError(f"{path}: {clean_line(part.service, 60)}: no archive of it is named that this can read")
        if not part.path.startswith("/") or ".." in part.path.split("/") or part.path.rstrip("/") == "":
            raise BackupError(f"{path}: {clean_line(part.path, 100)!r} is no directory of a node")
    return manifest


def _check(path: Path, version: int, *names: str) -> None:
    if version != VERSION:
        raise BackupError(f"{path}: version {version}; this program knows {VERSION}: use the one that wrote it")
    for name in names:
        if not _NAME.fullmatch(name):
            raise BackupError(f"{path}: {clean_line(name, 60)!r} is no name")


def find_backups(directory: Path) -> tuple[Path, ...]:
    """The backup that a directory is, or those in it, oldest first.

    Raises:
        BackupError: it cannot be read.
    """
    if (directory / HEAD).exists():
        return (directory,)
    try:
        return tuple(sorted(path for path in directory.iterdir() if (path / HEAD).exists()))
    except OSError as error:
        raise BackupError(f"{directory}: {error.strerror}") from None
