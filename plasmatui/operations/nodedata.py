"""Where a node's data lie, how large they are, whether their services run, and how archives of them are made there."""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from plasmatui.inventory.inventory import Inventory, Service
from plasmatui.nix.generations import PROFILE
from plasmatui.operations.endings import NodeFailedError

if TYPE_CHECKING:
    from plasmatui.remote.host import Host

AT_NIXOS: Final = "/etc/nixos"
LIMIT: Final = 60.0
DU_LIMIT: Final = 300.0


def usual_directory(inventory: Inventory) -> str:
    """Where backups lie when nobody says where."""
    return str(inventory.path.absolute().parent / "backups")


class ServiceData(msgspec.Struct, frozen=True):
    """A service's data directory: its real path, the bytes in it, and whether the service runs."""

    service: str
    path: str
    bytes: int
    active: bool


class NodeData(msgspec.Struct, frozen=True):
    """What a backup of a node works on. `codec`: what node and this host both have."""

    codec: str
    generation: str
    data: tuple[ServiceData, ...]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.data)


async def look_at(host: Host, services: Sequence[Service]) -> NodeData:
    """Look at a node.

    Raises:
        NodeFailedError: "data-missing": a service has no data directory there.
        CommandError: it cannot be asked.
    """
    has = await host.run(("sh", "-c", "command -v zstd"), limit=LIMIT)
    codec = "zstd" if has.status == 0 and shutil.which("zstd") else "gzip"
    link = await host.run(("readlink", PROFILE), limit=LIMIT)
    found = [await _service(host, service) for service in services]
    return NodeData(codec, link.out.decode(errors="replace").strip()[:80], tuple(found))


async def _service(host: Host, service: Service) -> ServiceData:
    path = await real_path(host, service.data)
    if path is None:
        text = f"{host.node}: {service.name} has no {service.data}; services.{service.name}.data names another"
        raise NodeFailedError("data-missing", text)
    size = await directory_bytes(host, path)
    return ServiceData(service.name, path, size, await is_active(host, service.unit_name))


async def real_path(host: Host, path: str) -> str | None:
    """A directory's path without links (systemd's DynamicUser makes some); None when it is not there."""
    ran = await host.run(("realpath", "-e", "--", path), limit=LIMIT)
    found = ran.out.decode(errors="replace").strip()
    return found if ran.status == 0 and re.fullmatch(r"(/[^/\0\n]+){2,}", found) else None


async def directory_bytes(host: Host, path: str) -> int:
    """Bytes of what lies in a directory; 0 when du does not say. Raises CommandError."""
    ran = await host.run(("du", "-s", "-B1", "--apparent-size", "--", path), limit=DU_LIMIT)
    word = ran.out.decode(errors="replace").split(None, 1)[:1]
    return int(word[0]) if word and word[0].isdigit() else 0


async def is_active(host: Host, unit: str) -> bool:
    """Whether a unit runs or is on its way. Raises CommandError."""
    ran = await host.run(("systemctl", "is-active", "--", unit), limit=LIMIT)
    return ran.out.strip() in (b"active", b"activating", b"reloading")


def create_argv(path: str, codec: str, exclude: str = "") -> tuple[str, ...]:
    """tar to standard output. It runs the compressor itself, so that its own status is what is seen."""
    parent, name = posixpath.split(path.rstrip("/"))
    excluded = (f"--exclude={exclude}",) if exclude else ()
    codecs = ("--create", "--file=-", "--numeric-owner", f"--{codec}", *excluded)
    return ("tar", *codecs, f"--directory={parent}", "--", name)


def extract_argv(into: str, codec: str) -> tuple[str, ...]:
    """tar from standard input: what lies in the archive's one directory comes into `into`, owners and modes kept."""
    keep = ("--numeric-owner", "--same-owner", "--preserve-permissions", "--strip-components=1")
    return ("tar", "--extract", "--file=-", f"--{codec}", *keep, f"--directory={into}")
