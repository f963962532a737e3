"""Operations in numbers and words: what they do, how far they are, how long that takes usually, who must decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from plasmatui.model.operation import (
    BootDeviceOrder,
    BootOrder,
    NodeRecord,
    OperationRecord,
    Order,
    PowerOrder,
    RollbackOrder,
    StepRecord,
)
from plasmatui.model.words import OperationState
from plasmatui.ui.store import Store

ALMOST = 0.95
"""What a step that runs counts at most by the clock alone: only its end says that it is done."""


@dataclass(frozen=True)
class Counts:
    """How many nodes of an operation are in which state; `ended` counts done, failed and cancelled ones."""

    total: int
    ended: int
    done: int
    failed: int
    cancelled: int
    held: int


def counts(record: OperationRecord) -> Counts:
    """The nodes of an operation, counted."""
    states = Counter(node.state for node in record.nodes)
    return Counts(
        len(record.nodes),
        sum(node.state.ended for node in record.nodes),
        states[OperationState.DONE],
        states[OperationState.FAILED],
        states[OperationState.CANCELLED],
        states[OperationState.HELD],
    )


def order_words(order: Order) -> str:
    """What an order does, in a few words."""
    if isinstance(order, PowerOrder):
        return f"power {order.action}"
    if isinstance(order, BootDeviceOrder):
        return f"bootdev {order.boot.device}"
    if isinstance(order, BootOrder):
        return "boot from disk" if order.disk else "boot installer"
    if isinstance(order, RollbackOrder) and order.to:
        return f"rollback to {order.to}"
    return str(order.__struct_config__.tag).replace("-", " ")


def order_text(record: OperationRecord) -> str:
    """What an operation does, in a few words."""
    again = f" (again: {record.retry_of})" if record.retry_of else ""
    return f"{order_words(record.order)}{again}"


def running_step(node: NodeRecord) -> StepRecord | None:
    """The step that a node is at; None between two."""
    return node.steps[-1] if node.steps and node.steps[-1].result is None and not node.state.ended else None


def node_fraction(node: NodeRecord, now: float) -> float:
    """How much of a node's part is done, from 0 to 1: its steps, and the running one by its percentage or the clock."""
    if node.state.ended:
        return 1.0
    if not node.planned:
        return 0.0
    ended = {step.id for step in node.steps if step.result is not None}
    part = 0.0
    if (step := running_step(node)) is not None:
        ended.discard(step.id)
        if step.percent is not None:
            part = min(max(step.percent, 0.0), 100.0) / 100
        elif step.usual:
            part = min(ALMOST, max(0.0, now - step.begin) / step.usual)
    return min(0.99, (len(ended) + part) / node.planned)


def fraction(record: OperationRecord, now: float) -> float:
    """How much of an operation is done, from 0 to 1."""
    return sum(node_fraction(node, now) for node in record.nodes) / max(1, len(record.nodes))


def usual_length(store: Store, record: OperationRecord) -> float:
    """Seconds that operations of this kind took which were done; 0 when none is known."""
    kind = type(record.order)
    lengths = [
        other.end - other.begin
        for other in store.operations.values()
        if other.state is OperationState.DONE and isinstance(other.order, kind) and other.number != record.number
    ]
    return median(lengths) if lengths else 0.0


def is_held(record: OperationRecord) -> bool:
    """Whether it waits for a person: as a whole, or one of its nodes."""
    return not record.state.ended and (bool(record.held) or any(asks(node) for node in record.nodes))


def asks(node: NodeRecord) -> bool:
    """Whether a node waits for a person's answer."""
    return node.state is OperationState.HELD and bool(node.answers)


def by_urgency(records: list[OperationRecord]) -> list[OperationRecord]:
    """What waits for a person first, then what failed in part, then the newest."""
    return sorted(records, key=lambda record: (not is_held(record), not counts(record).failed, -record.number))


def at_work(store: Store) -> dict[str, tuple[OperationRecord, NodeRecord]]:
    """The nodes that operations work on, or will; the one that has it before those that wait for it."""
    found: dict[str, tuple[OperationRecord, NodeRecord]] = {}
    for record in store.running:
        for node in record.nodes:
            if not node.state.ended and (node.node not in found or node.state is not OperationState.WAITING):
                found[node.node] = (record, node)
    return found


def last_work(store: Store, name: str) -> tuple[OperationRecord, NodeRecord] | None:
    """The operation that works on a node, else the last one that did."""
    if (current := at_work(store).get(name)) is not None:
        return current
    return next(parts_of(store, name), None)


def parts_of(store: Store, name: str) -> Iterator[tuple[OperationRecord, NodeRecord]]:
    """A node's parts in the operations that are known, the newest first."""
    for _, record in sorted(store.operations.items(), reverse=True):
        for node in record.nodes:
            if node.node == name:
                yield record, node
