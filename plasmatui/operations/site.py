"""Everything that an operation reaches, in one hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.inventory.inventory import Inventory
from plasmatui.operations.pacing import Copies
from plasmatui.operations.ports import Boots, Guard, Ledger, Machines

if TYPE_CHECKING:  # imported when first used: asyncssh and httpx take a fifth of a second each
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.inventory.edit import Editor
    from plasmatui.remote.hosts import Hosts


BUILDS = 2
"""Configurations that are evaluated and built at once on this host."""
Change = Callable[["Editor"], None]
"""A change of the inventory, made with an editor of the file as it is then. Raises `EditError`."""

Amend = Callable[[Change], Awaitable[str]]


@dataclass(frozen=True)
class Site:
    """The outside and the engine, as operations use them.

    Attributes:
        inventory: the one in use now.
        hosts: SSH to nodes. cluster: the APIs of the cluster's services.
        cordoned: nodes that are out of service, or on the way there.
        amend: writes a change of the inventory file and uses the new one from then on; its diff, "" where there was
            nothing to change. Raises `EditError`.
        locked: which nodes others than a Unix user have locked, who and why; "" when none.
        jobs: directory below which local programs that outlive the engine keep their state.
        told: what programs of this host said of themselves, by path and time of change; `asking` is held meanwhile, so
            that each is asked once.
        building: held while a configuration is evaluated and built: each takes a gigabyte of memory and more.
        copies: of closures to nodes: how many at once, and what they may take of the link.
        placing: held while a VM's new place is chosen and asked for, so that two drains do not fill the same room.
    """

    machines: Machines
    ledger: Ledger
    boots: Boots
    guard: Guard
    inventory: Callable[[], Inventory]
    hosts: Callable[[], Hosts]
    cluster: Callable[[], ClusterClients]
    cordoned: Callable[[], frozenset[str]]
    jobs: Path
    amend: Amend
    locked: Callable[[tuple[str, ...], int], str] = lambda _, __: ""
    placing: asyncio.Lock = field(default_factory=asyncio.Lock)
    building: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BUILDS))
    copies: Copies = field(default_factory=Copies)
    told: dict[tuple[str, int], str] = field(default_factory=dict)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
