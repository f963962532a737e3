"""The inventory as a source: each node boots the netboot image of its profile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any, Final

from plasmatui.inventory.inventory import Inventory, InventoryError
from plasmatui.inventory.loader import load
from plasmatui.model.node import Node
from plasmatui.pxe.ipxe import CONSOLES, RESCUE, boot_script
from plasmatui.pxe.netboot import Netboot, NetbootError, parse_netboot
from plasmatui.pxe.service.answers import Answer, Boot, Choice, Problem, Terms
from plasmatui.pxe.service.notices import DirectoryNotices
from plasmatui.pxe.service.payloads import environment
from plasmatui.pxe.service.query import Query
from plasmatui.pxe.service.scripts import plain_script
from plasmatui.pxe.site import IMAGES, Machine, Site, SiteError, make_site

_FILES: Final = ("bzImage", "initrd", "netboot.ipxe")


@dataclass(frozen=True)
class _State:
    """An inventory, indexed."""

    inventory: Inventory | None = None
    by_mac: Mapping[str, Node] = field(default_factory=dict)
    problem: Problem | None = None
    warnings: tuple[Problem, ...] = ()
    images: Mapping[str, Netboot] = field(default_factory=dict)
    site: Site | None = None


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
        image = self._state.images.get(node.profile)
        published = image.directory if image is not None else ""
        base = f"/boot/{published or f'{IMAGES}/{node.profile}'}"
        args = (
            *((f"init={image.init}",) if image is not None else ()),
            "initrd=initrd",
            *(each for each in (image.parameters if image is not None else ()) if each not in CONSOLES),
            f"plasma.profile={node.profile}",
            f"plasma.hostname={node.name}",
            *CONSOLES,
        )
        return Boot(f"{base}/bzImage", (f"{base}/initrd",), args, " ".join(args))

    def script(self, query: Query, terms: Terms) -> str | None:
        """See `Source`: the script that is rendered for DHCP servers as well, of this machine alone.

        An installed machine gets its menu, which goes on to the disk.
        """
        node = self.node(query)
        if node is None or not node.profile:
            return None
        site = self._state.site
        if site is None:
            return plain_script(self.boot(query), query, terms)
        machine = Machine(node.name, node.profile, node.macs, None)
        own = replace(_as_seen_from(site, terms.host), machines=(machine,))
        return boot_script(own, self._state.images, () if terms.installed else (node.name,), terms.arguments)

    def macs(self, mac: str) -> tuple[str, ...]:
        node = self._state.by_mac.get(mac)
        return node.macs if node is not None else (mac,)

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
        known = node.profile in self._state.images
        steps.append(f"{image / 'netboot.ipxe'}: " + ("tells init=" if known else "does not tell init="))
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
        return replace(self._state, problem=problem)

    def _read(self, inventory: Inventory) -> _State:
        by_mac = {mac: node for node in inventory.nodes.values() for mac in node.macs}
        profiles = sorted({node.profile for node in by_mac.values() if node.profile})
        folders = {profile: self._images / IMAGES / profile for profile in dict.fromkeys((*profiles, RESCUE))}
        self._notices.watch([self._path.parent, self._images, self._images / IMAGES, *folders.values()])
        images: dict[str, Netboot] = {}
        warnings = []
        for profile, folder in folders.items():
            missing = [name for name in _FILES if not (folder / name).is_file()]
            if profile in profiles:
                warnings += [Problem(str(folder / name), 0, "is missing", warning=True) for name in missing]
            try:
                images[profile] = parse_netboot((folder / "netboot.ipxe").read_text("utf-8", "replace"))
            except NetbootError as error:
                warnings.append(Problem(str(folder / "netboot.ipxe"), 0, str(error)))
            except OSError:
                pass
        try:
            site = make_site(inventory)
        except SiteError as error:
            site = None
            warnings.append(Problem(str(self._path), 0, f"{error}; scripts have no menu", warning=True))
        return _State(inventory, by_mac, None, tuple(warnings), images, site)


def _as_seen_from(site: Site, host: str) -> Site:
    """The site with the address at which a machine reached us, where that is one."""
    name, _, port = host.partition(":")
    try:
        return replace(site, server=IPv4Address(name), http_port=int(port or 80))
    except (AddressValueError, ValueError):
        return site
