"""Node sets on the command line: a wrong or empty one ends the command with exit code 2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plasmatui.cli.failure import USAGE, Failure
from plasmatui.model.node import Node

ALL = "@all"


def pick(text: str, nodes: Sequence[Node]) -> tuple[str, ...]:
    """The names that the set `text` means among `nodes`, in the inventory's order.

    Raises:
        Failure: the set is empty, malformed, or names what is not in the inventory.
    """
    from plasmatui.inventory.nodesets import NodeSetError, resolve

    try:
        return resolve(text, nodes)
    except NodeSetError as error:
        raise Failure(
            USAGE,
            f"node set {text!r}: {error}",
            "see `plasmatui nodes`, after a change of the inventory `plasmatui engine reload`; "
            "a set is like node[01-03,07], @worker or @all",
        ) from error


def pick_one(name: str, nodes: Sequence[Node]) -> str:
    """The one node that `name` means.

    Raises:
        Failure: it means none, or more than one.
    """
    names = pick(name, nodes)
    if len(names) != 1:
        raise Failure(USAGE, f"{name!r} means {len(names)} nodes ({fold(names)}); this command takes one")
    return names[0]


def fold(names: Iterable[str]) -> str:
    """Names as folded ranges: `node[01-03,07]`."""
    from plasmatui.inventory.nodesets import fold as fold_names

    return fold_names(names)
