"""The inventory as a source: each node boots the netboot image of its profile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plasmatui.inventory.inventory import Inventory, InventoryError
from plasmatui.inventory.loader import load
from plasmatui.model.node import Node
from plasmatui.pxe.service.answers import Answer, Boot, Choice, Problem
from plasmatui.pxe.service.notices import DirectoryNotices
from plasmatui.pxe.service.payloads import environment
from plasmatui.pxe.service.query import Query

IMAGES: Final = "nixos"
"""Directory below the assets with one directory per profile: bzImage, initrd, netboot.ipxe."""
_KERNEL: Final = re.compile(r"^\s*kernel\s+(?:--?\S+\s+)*\S+\s+(.+?)\s*$", re.MULTILINE)
_LARGEST_SCRIPT: Final = 65_536
_CONSOLE: Final = ("console=tty0", "console=ttyS0,115200n8")


@dataclass(frozen=True)
class _State:
    """An inventory, indexed."""

    inventory: Inventory | None = None
    by_mac: Mapping[str, Node] = field(default_factory=dict)
    problem: Problem | None = None
    warnings: tuple[Problem, ...] = ()
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class InventorySource:
    """Nodes by MAC. A machine that no inventory names gets nothing."""

    kind = "inventory"

    def __init__(self, path: Path, images: Path) -> None:
        """Raises InventoryError, OSError: the inventory cannot be used."""
        self._path = path
        self._images = images
        self._notices = DirectoryNotices()
        self._lock = asyncio.Lock()
        self._due = False
        self._state = self._read(load(path))

    @property
    def problems(self) -> Sequence[Problem]:
        state = self._state
        return (*((state.problem,) if state.problem is not None else ()), *state.warnings)

    @property
    def rules(self) -> int:
        return len(self._state.by_mac)

    async def refresh(self) -> bool:
        if self._notices.changed():
            self._due = True
        return await self.look() if self._due or self._lock.locked() else False

    async def look(self) -> bool:
        async with self._lock:
            self._due = False
            state = await asyncio.to_thread(self._reread)
            changed = state != self._state
            self._state = state
            return changed

    def close(self) -> None:
        self._notices.close()

    def node(self, query: Query) -> Node | None:
        """The node that asks."""
        return self._state.by_mac.get(query.mac or "")

    def boot(self, query: Query) -> Boot | None:
        node = self.node(query)
        if node is None or not node.profile:
            return None
        base = f"/boot/{IMAGES}/{node.profile}"
        image = self._state.arguments.get(node.profile)
        args = (
            "initrd=initrd",
            *(image if image is not None else _CONSOLE),
            f"plasma.profile={node.profile}",
            f"plasma.hostname={node.name}",
        )
        return Boot(f"{base}/bzImage", (f"{base}/initrd",), args, " ".join(args))

    def choice(self, query: Query) -> Choice:
        if query.mac is None:
            return Choice(("the request names no MAC that can be read: no node is known by anything else",))
        node = self.node(query)
        if node is None:
            return Choice((f"no node of {self._path} has the MAC {query.mac}: nothing is served",))
        steps = [f"{query.mac} is a MAC of node {node.name}"]
        if not node.profile:
            return Choice((*steps, f"{node.name} has no profile: nothing is served"), f"node {node.name}")
        image = self._images / IMAGES / node.profile
        steps.append(f"profile {node.profile}: images in {image}")
        known = node.profile in self._state.arguments
        steps.append(f"kernel arguments: {'of ' if known else 'usual ones, there is no '}{image / 'netboot.ipxe'}")
        return Choice(tuple(steps), f"node {node.name}, profile {node.profile}", self.boot(query))

    def answer(self, endpoint: str, query: Query) -> Answer | None:
        """See `Source`; there is metadata only."""
        node = self.node(query)
        if endpoint != "metadata" or node is None:
            return None
        return Answer(environment(self._metadata(node)).encode(), "plain/text")

    def _metadata(self, node: Node) -> dict[str, Any]:
        inventory = self._state.inventory
        assert inventory is not None
        return {
            "node": node.name,
            "profile": node.profile,
            "mac": node.macs[0] if node.macs else "",
            "provisioning_ip": node.provisioning_ip or "",
            "production_ip": node.production_ip or "",
            "rack": node.rack or "",
            "cluster": {"name": inventory.cluster, "domain": inventory.domain, "environment": inventory.environment},
        }

    def _reread(self) -> _State:
        try:
            return self._read(load(self._path))
        except InventoryError as error:
            first = error.diagnostics[0]
            message = f"{first.message}; {len(error.diagnostics)} in all: plasmatui check"
            problem = Problem(first.place.file, first.place.line, message, kept=True)
        except OSError as error:
            problem = Problem(str(self._path), 0, f"cannot be read: {error.strerror or error}", kept=True)
        old = self._state
        return _State(old.inventory, old.by_mac, problem, old.warnings, old.arguments)

    def _read(self, inventory: Inventory) -> _State:
        by_mac = {mac: node for node in inventory.nodes.values() for mac in node.macs}
        profiles = sorted({node.profile for node in by_mac.values() if node.profile})
        folders = [self._images / IMAGES / profile for profile in profiles]
        self._notices.watch([self._path.parent, self._images, self._images / IMAGES, *folders])
        arguments: dict[str, tuple[str, ...]] = {}
        warnings = []
        for profile, folder in zip(profiles, folders, strict=True):
            found = _image_arguments(folder / "netboot.ipxe")
            if found is not None:
                arguments[profile] = found
            for name in ("bzImage", "initrd", "netboot.ipxe"):
                if not (folder / name).is_file():
                    warnings.append(Problem(str(folder / name), 0, "is missing", warning=True))
        return _State(inventory, by_mac, None, tuple(warnings), arguments)


def _image_arguments(path: Path) -> tuple[str, ...] | None:
    """The kernel's arguments as the image's own script has them: only it knows the path of init.

    Form: nixpkgs' `netbootIpxeScript`. What iPXE would fill in is left out, and `initrd=` is ours.
    """
    try:
        text = path.read_text("utf-8", "replace")[:_LARGEST_SCRIPT]
    except OSError:
        return None
    match = _KERNEL.search(text)
    if match is None:
        return None
    words = match[1].split()
    return tuple(word for word in words if "${" not in word and not word.startswith("initrd="))
