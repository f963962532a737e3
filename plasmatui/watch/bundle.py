"""Bundles: a directory with `bundle.yaml` and the logs and console recordings that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import msgspec

from plasmatui.inventory.plain import PlainError, read_plain
from plasmatui.text import clean_text
from plasmatui.watch.identity import NodeIdentity

MANIFEST = "bundle.yaml"
MANIFEST_LIMIT = 4 * 1024 * 1024
FORMATS = (
    "dhcpd",
    "kea",
    "dnsmasq",
    "atftpd",
    "tftpd-hpa",
    "nginx-access",
    "nginx-error",
    "plasmatui-serve",
    "console",
    "nixos-anywhere",
    "journal",
)
_MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")


class BundleError(Exception):
    """A bundle cannot be read. The message names every problem with its place, one per line; it is clean."""

    def __init__(self, message: str) -> None:
        super().__init__(clean_text(message))


class BundleFile(msgspec.Struct, frozen=True):
    """One file of a bundle. `name` is its path as the bundle writes it; `node` says whose console it is."""

    name: str
    path: Path
    format: str
    node: str = ""
    timing: Path | None = None


class Bundle(msgspec.Struct, frozen=True):
    nodes: tuple[NodeIdentity, ...]
    files: tuple[BundleFile, ...]


def read_bundle(directory: Path) -> Bundle:
    """Read and check `bundle.yaml` (version 1) and that its files are there, inside of the directory.

    Raises:
        BundleError: with everything that is wrong.
    """
    manifest = directory / MANIFEST
    try:
        size = manifest.stat().st_size
        if size > MANIFEST_LIMIT:
            raise BundleError(f"{manifest}: {size} bytes; a manifest has at most {MANIFEST_LIMIT}")
        content: object = read_plain(manifest.read_bytes().decode().removeprefix("\ufeff"))
    except FileNotFoundError as error:
        raise BundleError(f"{manifest}: there is no such file; a bundle is a directory with {MANIFEST}") from error
    except NotADirectoryError as error:
        raise BundleError(f"{directory}: not a directory; a bundle is a directory with {MANIFEST}") from error
    except OSError as error:
        raise BundleError(f"{manifest}: {error.strerror}") from error
    except PlainError as error:
        raise BundleError(f"{manifest}:{error.line}:{error.column}: not valid YAML: {error}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{manifest}: not valid YAML: it is not UTF-8 text") from error
    return _Reader(directory, manifest).read(content)


class _Reader:
    """Collects every problem before it gives up."""

    def __init__(self, directory: Path, manifest: Path) -> None:
        self._root = directory.resolve()
        self._manifest = manifest
        self._problems: list[str] = []

    def read(self, content: object) -> Bundle:
        if not isinstance(content, Mapping):
            raise BundleError(f"{self._manifest}: expected keys version, nodes and files, found {_kind(content)}")
        if content.get("version") != 1:
            self._wrong("version", "1", content.get("version"))
        nodes = self._nodes(content.get("nodes"))
        files = self._files(content.get("files"), {node.name for node in nodes})
        if self._problems:
            raise BundleError("\n".join(self._problems))
        return Bundle(nodes, files)

    def _wrong(self, place: str, expected: str, found: object) -> None:
        self._problems.append(f"{self._manifest}: {place}: expected {expected}, found {_kind(found)}")

    def _nodes(self, value: object) -> tuple[NodeIdentity, ...]:
        if not isinstance(value, Mapping) or not value:
            self._wrong("nodes", "a mapping of names to {mac, ip}", value)
            return ()
        nodes = []
        for name, entry in value.items():
            place = f"nodes.{name}"
            if not isinstance(entry, Mapping):
                self._wrong(place, "{mac, ip}", entry)
                continue
            macs = [mac.lower().replace("-", ":") for mac in self._texts(f"{place}.mac", entry.get("mac"))]
            for mac in macs:
                if not _MAC.match(mac):
                    self._wrong(f"{place}.mac", "a MAC such as 52:54:00:12:34:56", mac)
            ips = self._texts(f"{place}.ip", entry.get("ip"))
            for ip in ips:
                if not _is_address(ip):
                    self._wrong(f"{place}.ip", "an address such as 10.0.100.50", ip)
            uuids = self._texts(f"{place}.uuid", entry.get("uuid"))
            nodes.append(NodeIdentity(str(name), tuple(macs), tuple(ips), tuple(uuids)))
        return tuple(nodes)

    def _texts(self, place: str, value: object) -> list[str]:
        values = value if isinstance(value, list) else [] if value is None else [value]
        for item in values:
            if not isinstance(item, str):
                self._wrong(place, "text in quotes, or a list of it", item)
        return [item for item in values if isinstance(item, str)]

    def _files(self, value: object, nodes: set[str]) -> tuple[BundleFile, ...]:
        if not isinstance(value, list):
            self._wrong("files", "a list of {path, format}", value)
            return ()
        found = [self._file(f"files[{index}]", entry, nodes) for index, entry in enumerate(value)]
        return tuple(file for file in found if file is not None)

    def _file(self, place: str, entry: object, nodes: set[str]) -> BundleFile | None:
        if not isinstance(entry, Mapping):
            self._wrong(place, "{path, format}", entry)
            return None
        name, kind = entry.get("path"), entry.get("format")
        node, timing = entry.get("node", "") or "", entry.get("timing")
        if not isinstance(name, str):
            self._wrong(f"{place}.path", "a path", name)
            return None
        if kind not in FORMATS:
            self._wrong(f"{place}.format", f"one of {', '.join(FORMATS)}", kind)
            return None
        if not isinstance(node, str) or (node and node not in nodes):
            self._wrong(f"{place}.node", f"one of {', '.join(sorted(nodes)) or 'nodes'}", node)
        if kind == "console" and not node:
            self._wrong(f"{place}.node", "the node whose console it is", node or None)
        path = self._confined(f"{place}.path", name)
        clock = self._confined(f"{place}.timing", timing) if isinstance(timing, str) else None
        if timing is not None and not isinstance(timing, str):
            self._wrong(f"{place}.timing", "a path", timing)
        return None if path is None else BundleFile(name, path, str(kind), str(node), clock)

    def _confined(self, place: str, name: str) -> Path | None:
        """A path inside of the bundle that is a file, links followed."""
        try:
            path = (self._root / name).resolve()
            inside = path.is_relative_to(self._root)
            there = inside and path.is_file()
        except (OSError, ValueError, RuntimeError):
            inside, there, path = True, False, self._root
        if not inside:
            self._problems.append(f"{self._manifest}: {place}: {name!r} leads out of the bundle")
        elif not there:
            self._problems.append(f"{self._manifest}: {place}: there is no file {name!r} in the bundle")
        return path if there else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value)[:60]
