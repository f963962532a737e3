"""What the boot service of this host shall give a node at its next network boot: the installer, or its disk."""

from __future__ import annotations

import asyncio

from plasmatui.operations.work import NodeWork
from plasmatui.paths import boot_states
from plasmatui.pxe.service.once import INSTALLED, PENDING, BootStates, StateFileError


async def offer_installer(work: NodeWork) -> None:
    """The node is booted from the network on purpose: it gets its installer, whatever it was before."""
    await _say(work, PENDING)


async def leave_to_disk(work: NodeWork) -> None:
    """The node is installed: a firmware that tries the network first must not install it again."""
    await _say(work, INSTALLED)


async def _say(work: NodeWork, state: str) -> None:
    """Nothing where no boot service ever served this inventory here, and no failure where it cannot be told."""
    inventory = work.site.inventory()
    path = boot_states(inventory.path)
    macs = inventory.nodes[work.node].macs
    if not macs or not path.exists():
        return
    try:
        fresh = await asyncio.to_thread(BootStates(path).set, macs, state, f"operation {work.number}")
    except StateFileError as error:
        work.log(f"the boot service cannot be told that {work.node} is {state}: {error}")
    else:
        if fresh:
            work.log(f"the boot service is told that {work.node} is {state}")
