"""Everything that an operation reaches, in one hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.inventory.inventory import Inventory
from plasmatui.operations.ports import Boots, Guard, Ledger, Machines

if TYPE_CHECKING:  # imported when first used: asyncssh and httpx take a fifth of a second each
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.remote.hosts import Hosts


@dataclass(frozen=True)
class Site:
    """The outside and the engine, as operations use them.

    Attributes:
        inventory: the one in use now.
        hosts: SSH to nodes. cluster: the APIs of the cluster's services.
        cordoned: nodes that are out of service, or on the way there.
        locked: which nodes others than a Unix user have locked, who and why; "" when none.
        jobs: directory below which local programs that outlive the engine keep their state.
        told: what programs of this host said of themselves, by path and time of change; `asking` is held meanwhile, so
            that each is asked once.
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
    locked: Callable[[tuple[str, ...], int], str] = lambda _, __: ""
    placing: asyncio.Lock = field(default_factory=asyncio.Lock)
    told: dict[tuple[str, int], str] = field(default_factory=dict)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
