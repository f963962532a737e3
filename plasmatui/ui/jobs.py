"""The bar of running operations: a line for each of the most urgent ones, on every view."""

from __future__ import annotations

from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.model.words import OperationState
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part
from plasmatui.ui.spans import SLOW, span_text
from plasmatui.ui.works import asks, by_urgency, counts, fraction, is_held, order_text, running_step

JOBS_SHOWN = 2
CELLS = 10
"""Width of a bar."""


def bar_parts(context: Context, part: float) -> list[Part]:
    """A percentage with its bar."""
    full = min(CELLS, int(CELLS * part + 0.001))
    glyph = context.glyphs
    return [
        (f"{int(part * 100 + 0.001):>3}% ", ""),
        (glyph["bar"] * full, "role-ok"),
        (glyph["rest"] * (CELLS - full), "role-muted"),
    ]


def job_lines(context: Context) -> list[tuple[list[Part], list[Part]]]:
    """Left and right parts of each line, the most urgent operations first."""
    running = by_urgency(context.store.running)
    lines = []
    for place, record in enumerate(running[:JOBS_SHOWN]):
        more = len(running) - JOBS_SHOWN if place == JOBS_SHOWN - 1 else 0
        lines.append((job_parts(context, record), _right(context, record, more)))
    return lines


def job_parts(context: Context, record: OperationRecord) -> list[Part]:
    """One running operation: number, what, who waits for a person, what failed, bar, the step of the first node."""
    glyph, found = context.glyphs, counts(record)
    parts: list[Part] = [(f" operation {record.number} ", "bold role-busy"), (f"{order_text(record)} ", "")]
    if is_held(record):
        parts += [(f" {glyph['warning']} {_held(record)} ", "reverse role-warning"), (" ", "")]
    if found.failed:
        parts.append((f"{glyph['error']} {found.failed} failed ", "bold role-error"))
    parts.append((f"{found.done}/{found.total} done ", ""))
    parts += bar_parts(context, fraction(record, context.clock()))
    first = _first(record)
    if first is not None:
        parts += [(f"  {first.node}: ", "role-muted"), *step_parts(context, first)]
    return parts


def _held(record: OperationRecord) -> str:
    asking = [node.node for node in record.nodes if asks(node)]
    if asking:
        return f"HELD: {asking[0]} asks" if len(asking) == 1 else f"HELD: {len(asking)} nodes ask"
    return "HELD"


def _first(record: OperationRecord) -> NodeRecord | None:
    """The node whose step is told: one that is at work, else one that waits."""
    running = [node for node in record.nodes if node.state is OperationState.RUNNING]
    open_nodes = running or [node for node in record.nodes if not node.state.ended]
    return open_nodes[0] if open_nodes else None


def step_parts(context: Context, node: NodeRecord) -> list[Part]:
    """What a node is at, with the time that it has taken beside the usual one."""
    step = running_step(node)
    if step is None:
        return [("waits" if node.state is OperationState.WAITING else "between two steps", "role-muted")]
    spent = max(0.0, context.clock() - step.begin)
    parts: list[Part] = [(step.id, "bold"), (f" {span_text(spent)}", "")]
    if step.usual and spent >= SLOW * step.usual:
        parts.append((f" {spent / step.usual:.1f}x usual", "role-warning"))
    elif step.usual:
        parts.append((f" of {span_text(step.usual)}", "role-muted"))
    return parts


def _right(context: Context, record: OperationRecord, more: int) -> list[Part]:
    key = context.keymap.first("global.operations")
    also = f"  and {more} more: {key}" if more > 0 else ""
    return [(f"  {span_text(context.clock() - record.begin)}{also} ", "role-muted")]


def held_chip(context: Context) -> list[Part]:
    """For the top line: how many operations wait for a person."""
    held = sum(is_held(record) for record in context.store.running)
    key = context.keymap.first("global.operations")
    return [(f" {context.glyphs['warning']} {held} HELD: {key} ", "reverse role-warning")] if held else []
