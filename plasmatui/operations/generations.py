"""The generations of an installed system, read from the node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from plasmatui.model.system import Generation
from plasmatui.nix import generations
from plasmatui.nix.generations import Comparison
from plasmatui.nix.tools import OutputError
from plasmatui.operations.endings import NodeFailedError

if TYPE_CHECKING:
    from plasmatui.remote.host import Host

LIMIT = 60.0
"""Seconds for one look: nixos-rebuild starts slowly."""


async def read_generations(node: str, host: Host) -> tuple[Generation, ...]:
    """The generations, newest first.

    Raises:
        CommandError: the node cannot be asked.
        NodeFailedError: it is no NixOS, or says something that cannot be understood.
    """
    try:
        listed = await host.run(generations.LIST_ARGV, limit=LIMIT)
        if listed.status == 0:
            found = generations.parse_list(listed.out)
        else:  # a system without nixos-rebuild
            links = await host.run(generations.LINKS_ARGV, limit=LIMIT, check=True)
            found = generations.parse_links(links.out.decode(errors="replace"))
    except OutputError as error:
        raise NodeFailedError("generation-drift", f"{node}: its generations cannot be read: {error}") from error
    state = await read_state(node, host)
    return tuple(_generation(each, state, found) for each in found)


async def read_state(node: str, host: Host) -> Comparison:
    """What was booted, what is active, what boots next. Raises: as `read_generations`."""
    ran = await host.run(generations.STATE_ARGV, limit=LIMIT, check=True)
    try:
        return generations.parse_state(ran.out.decode(errors="replace"))
    except OutputError as error:
        raise NodeFailedError("generation-drift", f"{node}: what it runs cannot be read: {error}") from error


def _generation(
    each: generations.Generation, state: Comparison, every: tuple[generations.Generation, ...]
) -> Generation:
    current = each.current
    return Generation(
        each.number,
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.date)) if each.date is not None else "",
        each.version,
        each.kernel,
        each.revision,
        each.specialisations,
        current,
        booted=(bool(each.path) and each.path == state.booted) or (current and state.booted == state.profile),
        active=(bool(each.path) and each.path == state.current) or (current and state.current == state.profile),
    )
