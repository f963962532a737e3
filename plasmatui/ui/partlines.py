"""A node's part in its current operation, or in the last one, as lines to read; the earlier ones in a line each."""

from __future__ import annotations

from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.ui import glyphs
from plasmatui.ui.bars import clock_text
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.spans import span_text
from plasmatui.ui.works import last_work, order_text, parts_of

BEFORE = 5
"""Earlier operations that are named."""


def part_lines(context: Context, name: str) -> list[TextLine]:
    """See the module."""
    from plasmatui.ui.oplines import step_lines

    chosen = last_work(context.store, name)
    if chosen is None:
        return [text_line((" no operation worked on this node; A lists what can be ordered", "role-muted"))]
    record, node = chosen
    key = context.keymap.first("global.operations")
    lines = [text_line(*_head(context, record, node), (f"   {key}: log, hold, answer, cancel", "role-muted"))]
    if record.held and not record.state.ended:
        lines.append(text_line((f"   held: {record.held}", "bold role-warning")))
    if node.question:
        lines.append(text_line((f"   asks: {node.question}  ({', '.join(node.answers)})", "bold role-warning")))
    if node.message:
        lines.append(text_line((f"   {node.error}: " if node.error else "   ", "bold role-error"), (node.message, "")))
    lines += [text_line((f"     {context.glyphs['sep']} {line}", "role-muted")) for line in node.evidence]
    lines += step_lines(context, node, 3)
    earlier = [part for part in parts_of(context.store, name) if part[0].number != record.number]
    if earlier:
        lines += [text_line(("", "")), text_line((" others:", "role-muted"))]
        lines += [text_line(*_head(context, *part)) for part in earlier[:BEFORE]]
    return lines


def _head(context: Context, record: OperationRecord, node: NodeRecord) -> list[Part]:
    sign, role = glyphs.OPERATION[node.state]
    length = span_text((record.end or context.clock()) - record.begin)
    return [
        (f" operation {record.number} ", "bold"),
        (f"{order_text(record)}  ", ""),
        (f"{context.glyphs[sign]} {node.state}", f"bold role-{role}"),
        (f"  begun {clock_text(record.begin)} by {record.by}, {length}", "role-muted"),
    ]
