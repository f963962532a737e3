"""Which columns the Logs view has: one for all lines, one for each source, one for each node."""

from __future__ import annotations

from msgspec.structs import replace

from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.ui.screens.logcolumn import Lane
from plasmatui.ui.store import Store

MERGED, BY_SOURCE, BY_NODE = "merged", "by source", "by node"
ORDERS = (MERGED, BY_SOURCE, BY_NODE)

KINDS = ("dhcp", "tftp", "http", "console")

MOST = 8
"""Columns; what is wanted beyond them is shown merged only."""

NARROWEST = 38
"""Cells that a column has at least."""


def lanes(order: str, wanted: LogFilter, store: Store, marks: tuple[str, ...]) -> list[Lane]:
    """The columns of an order; one for all where it has nothing to tell apart."""
    found: list[Lane] = []
    if order == BY_SOURCE:
        found = _of_sources(wanted) if wanted.sources else _of_kinds(wanted, store)
    elif order == BY_NODE:
        found = [_of_node(name, wanted) for name in (wanted.nodes or marks or _booting(store))]
    return found[:MOST] if len(found) > 1 else [Lane("", wanted)]


def _of_sources(wanted: LogFilter) -> list[Lane]:
    def lane(name: str) -> Lane:
        def holds(line: LogLine) -> bool:
            return line.source == name

        return Lane(name.rsplit("/", 1)[-1], replace(wanted, sources=(name,)), holds, kind=False)

    return [lane(name) for name in wanted.sources]


def _of_kinds(wanted: LogFilter, store: Store) -> list[Lane]:
    known = {source.kind for source in store.sources.values()} | {"console"}

    def lane(kind: str) -> Lane:
        def holds(line: LogLine) -> bool:
            return line.kind == kind

        return Lane(kind, replace(wanted, kinds=(kind,)), holds, kind=False)

    return [lane(kind) for kind in wanted.kinds or (each for each in KINDS if each in known)]


def _of_node(name: str, wanted: LogFilter) -> Lane:
    def holds(line: LogLine) -> bool:
        return line.node == name

    return Lane(name, replace(wanted, nodes=(name,)), holds, node=False)


def _booting(store: Store) -> tuple[str, ...]:
    """Nodes whose boots go on, else those whose boots began last."""
    stages = {name: state.stage for name, state in store.states.items() if state.stage is not None}
    running = [name for name, stage in stages.items() if stage.outcome == "running"]
    return tuple(running or sorted(stages, key=lambda name: -stages[name].since))
