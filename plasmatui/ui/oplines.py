"""Operations as lines to read: a head for each, its nodes with the problems first, their steps, what is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from plasmatui.inventory.nodesets import fold
from plasmatui.model.operation import NodeRecord, OperationRecord, StepRecord
from plasmatui.model.words import OperationState
from plasmatui.ui import glyphs
from plasmatui.ui.bars import clock_text
from plasmatui.ui.context import Context
from plasmatui.ui.jobs import bar_parts, step_parts
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.spans import SLOW, span_text
from plasmatui.ui.works import asks, counts, fraction, node_fraction, order_text, running_step, usual_length

_URGENCY = {
    OperationState.HELD: 0,
    OperationState.FAILED: 1,
    OperationState.RUNNING: 2,
    OperationState.WAITING: 3,
    OperationState.PLANNED: 3,
    OperationState.CANCELLED: 4,
    OperationState.DONE: 5,
}
FOLDED = frozenset((OperationState.WAITING, OperationState.CANCELLED, OperationState.DONE))
"""Nodes in these states share a line when there are several."""

NARROW = 100
"""Columns below which words that one can do without are left out."""


@dataclass
class Opened:
    """What the reader has opened or closed against the rule: the nodes of running operations show, and those of the
    newest one when it failed; the steps of a node show where it is the only one."""

    newest: int = 0

    operations: set[int] = field(default_factory=set)
    nodes: set[tuple[int, str]] = field(default_factory=set)
    groups: set[tuple[int, str]] = field(default_factory=set)

    def toggle(self, number: int, name: str) -> None:
        """Open what is closed and close what is open: an operation, a group (its name begins with @) or a node."""
        if not name:
            self.operations ^= {number}
        elif name.startswith("@"):
            self.groups ^= {(number, name)}
        else:
            self.nodes ^= {(number, name)}

    def open(self, record: OperationRecord, name: str) -> None:
        """Make sure that a node has a line of its own."""
        if not self.shows(record):
            self.operations ^= {record.number}
        self.groups |= {(record.number, f"@{node.state}") for node in record.nodes if node.node == name}

    def shows(self, record: OperationRecord) -> bool:
        """Whether the nodes of an operation are listed."""
        by_itself = not record.state.ended or (record.number == self.newest and counts(record).failed > 0)
        return by_itself != (record.number in self.operations)

    def shows_steps(self, record: OperationRecord, node: NodeRecord) -> bool:
        """Whether the steps of a node are listed."""
        return ((record.number, node.node) in self.nodes) != (len(record.nodes) == 1)


def key_of(record: OperationRecord, node: str = "") -> str:
    """Key of the line of an operation, or of one of its nodes."""
    return f"{record.number}/{node}"


def parse_key(key: str) -> tuple[int, str]:
    """Number and node of a key: "" for the operation itself, "@done" for the nodes that share a line; 0 for none."""
    number, _, node = key.partition("/")
    return (int(number), node) if number.isdigit() else (0, "")


def operation_lines(context: Context, opened: Opened, width: int) -> list[TextLine]:
    """All operations, the newest first."""
    lines: list[TextLine] = []
    opened.newest = max(context.store.operations, default=0)
    for _, record in sorted(context.store.operations.items(), reverse=True):
        lines.append(_head(context, record, opened.shows(record), width))
        if not record.state.ended and record.held:
            key = context.keymap.first("operations.hold")
            why = record.held if record.held.startswith("held") else f"held: {record.held}"
            lines.append(_indented(4, f"{why}  ({key} lets it go on)", "bold role-warning"))
        if opened.shows(record):
            lines += _nodes(context, record, opened, width)
    if lines:
        return lines
    return [
        text_line((" no operation was begun yet", "role-muted")),
        text_line((" in Nodes: B boots, I installs, D drains, P switches the power; A lists everything", "role-muted")),
    ]


def _head(context: Context, record: OperationRecord, is_open: bool, width: int) -> TextLine:
    sign, role = glyphs.OPERATION[_state(record)]
    found, now = counts(record), context.clock()
    names = fold([node.node for node in record.nodes])
    parts: list[Part] = [
        (f" {context.glyphs['down' if is_open else 'closed']} {record.number:>4} ", "bold"),
        (f"{context.glyphs[sign]} {_state(record):<9} ", f"bold role-{role}"),
        (f"{order_text(record)} ", "bold"),
        (f"{names[:24]}{'...' if len(names) > 24 else ''}  ", ""),
    ]
    if not record.state.ended:
        parts += [*bar_parts(context, fraction(record, now)), ("  ", "")]
    parts.append((f"{found.done}/{found.total} done", "role-ok" if found.done == found.total else ""))
    for count, word, name in (
        (found.failed, "failed", "error"),
        (found.held, "held", "warning"),
        (found.cancelled, "cancelled", "muted"),
    ):
        if count:
            parts.append((f" {count} {word}", f"role-{name}"))
    parts.append((f"  {span_text((record.end or now) - record.begin)}", ""))
    usual = usual_length(context.store, record)
    if usual:
        parts.append((f" usual {span_text(usual)}", "role-muted"))
    if width >= NARROW:
        begun = f"  {clock_text(record.begin)}" if record.state.ended else ""
        parts.append((f"{begun}  by {record.by}", "role-muted"))
    if record.override:
        parts.append(("  guard overridden", "role-warning"))
    return text_line(*parts, key=key_of(record))


def _state(record: OperationRecord) -> OperationState:
    held = not record.state.ended and (record.held or any(asks(node) for node in record.nodes))
    return OperationState.HELD if held else record.state


def _nodes(context: Context, record: OperationRecord, opened: Opened, width: int) -> list[TextLine]:
    """The nodes with the problems first; those of which there is nothing to say share a line."""
    lines: list[TextLine] = []
    folded: dict[tuple[OperationState, str], list[NodeRecord]] = {}
    for node in sorted(record.nodes, key=lambda node: _URGENCY[node.state]):
        apart = opened.shows_steps(record, node) or (record.number, f"@{node.state}") in opened.groups
        if node.state in FOLDED and len(record.nodes) > 1 and not apart:
            folded.setdefault((node.state, _change(context, node)), []).append(node)
        else:
            lines += _node(context, record, node, opened.shows_steps(record, node), width)
    for (state, change), nodes in folded.items():
        if len(nodes) == 1:
            lines += _node(context, record, nodes[0], False, width)
            continue
        sign, role = glyphs.OPERATION[state]
        lines.append(
            text_line(
                (f"      {context.glyphs[sign]} {state:<9} ", f"role-{role}"),
                (f"{fold([node.node for node in nodes])}", "bold"),
                (f"  {len(nodes)} nodes", "role-muted"),
                (f"  {change}" if change else "", ""),
                key=key_of(record, f"@{state}"),
            )
        )
    return lines


def _change(context: Context, node: NodeRecord) -> str:
    if not node.after:
        return ""
    return f"{node.before} {context.glyphs['arrow']} {node.after}" if node.before else node.after


def _node(context: Context, record: OperationRecord, node: NodeRecord, is_open: bool, width: int) -> list[TextLine]:
    sign, role = glyphs.OPERATION[node.state]
    parts: list[Part] = [
        (f"      {context.glyphs[sign]} {node.state:<9} ", f"role-{role}"),
        (f"{node.node:<12} ", "bold"),
    ]
    if node.state is OperationState.RUNNING:
        parts += [*bar_parts(context, node_fraction(node, context.clock())), ("  ", ""), *step_parts(context, node)]
        if not is_open and (step := running_step(node)) is not None and step.progress:
            parts.append((f"  {step.progress}", "role-muted"))
    else:
        change = _change(context, node)
        parts.append((f"{change}  " if change else "", ""))
        if node.error:
            parts.append((f"{node.error}: ", "bold role-error"))
        parts.append((node.message.removeprefix(f"{node.node}: "), ""))
    lines = [text_line(*parts, key=key_of(record, node.node))]
    if node.question:
        lines.append(_indented(8, node.question.removeprefix(f"{node.node}: "), "bold role-warning"))
        key = context.keymap.first("operations.answer")
        lines.append(_indented(8, f"{key} answers: {', '.join(node.answers)}", "role-busy"))
    if is_open:
        lines += step_lines(context, node, 8)
    if node.state in (OperationState.FAILED, OperationState.HELD) or is_open:
        shown = [line for line in node.evidence if line not in node.message]
        lines += [_indented(8, f"{context.glyphs['sep']} {line}", "role-muted") for line in shown]
    return lines


def step_lines(context: Context, node: NodeRecord, indent: int) -> list[TextLine]:
    """The steps of a node: result, how long beside the usual, percent, what was printed last, the exact command."""
    lines = []
    for step in node.steps:
        name, role = glyphs.STEP[step.result] if step.result else ("busy", "busy")
        parts: list[Part] = [
            (f"{' ' * indent}{context.glyphs[name]} {step.result or 'running':<9} ", f"role-{role}"),
            (f"{step.text}  ", "" if step.result else "bold"),
            *_times(context, step),
        ]
        if step.result is None and step.percent is not None:
            parts.append((f"  {step.percent:.0f}%", "bold"))
        if step.result is None and step.progress:
            parts.append((f"  {step.progress}", ""))
        if step.message:
            parts.append((f"  {step.message}", f"role-{role}" if role in ("error", "warning") else "role-muted"))
        lines.append(text_line(*parts))
        lines.append(_indented(indent + 12, step.command, "role-muted"))
    left = node.planned - len({step.id for step in node.steps})
    if left > 0 and not node.state.ended:
        lines.append(_indented(indent, f"{context.glyphs['wait']} {left} more steps", "role-muted"))
    return lines


def _times(context: Context, step: StepRecord) -> list[Part]:
    spent = max(0.0, (step.end or context.clock()) - step.begin)
    if step.result is not None and spent < 0.05:
        return []
    parts: list[Part] = [(span_text(spent), "")]
    if step.usual and spent >= SLOW * step.usual:
        parts.append((f"  {spent / step.usual:.1f}x usual ({span_text(step.usual)})", "role-warning"))
    elif step.usual:
        parts.append((f"  usual {span_text(step.usual)}", "role-muted"))
    return parts


def _indented(indent: int, text: str, style: str) -> TextLine:
    return text_line((f"{' ' * indent}{text}", style))
