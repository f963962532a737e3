"""A plan as lines to read: what would be lost first, then notes and verdict, then every command."""

from __future__ import annotations

from plasmatui.inventory.nodesets import fold
from plasmatui.model.operation import NodePlan, Order, Pace, Plan, UpdateOrder
from plasmatui.model.system import Disk
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.spans import bytes_text, span_text


def plan_head(context: Context, plan: Plan) -> list[TextLine]:
    """Targets, the disks that would be wiped, what the guard says, and how fast it goes."""
    glyph = context.glyphs
    taking = [node.node for node in plan.nodes if not node.skipped]
    lines = [text_line(("targets: ", "role-muted"), (fold(taking) if taking else "none", "bold"))]
    for node in plan.nodes:
        lines += [_disk(context, node, disk) for disk in node.disks]
    for node in plan.nodes:
        lines += diff_lines(node)
    if plan.locked:
        lines.append(text_line((f"{glyph['error']} {plan.locked}", "bold role-error")))
    if plan.refused:
        lines.append(text_line((f"{glyph['error']} guard: refused: {refusal(plan)}", "bold role-error")))
    elif any(step.disruptive for node in plan.nodes for step in node.steps):
        lines.append(text_line((f"{glyph['ok']} guard: allows it", "role-ok")))
    lines += [text_line((f"    {note}", "")) for note in plan.notes if note not in plan.refused]
    lines.append(text_line(("pace: ", "role-muted"), (pace_text(plan.pace, plan.order), "")))
    return lines


def diff_lines(node: NodePlan) -> list[TextLine]:
    """How the inventory file would be changed; nothing where it stays."""
    roles = {"+": "role-ok", "-": "role-error"}
    shown = [text_line((f"    {line}", roles.get(line[:1], "role-muted"))) for line in node.diff.splitlines()]
    return [text_line(("  the inventory is changed:", "")), *shown] if shown else []


def refusal(plan: Plan) -> str:
    """Why the guard refuses a plan, without the option of the command line that overrides it: here it is a key."""
    return plan.refused.partition("; --override-quorum")[0]


def pace_text(pace: Pace, order: Order) -> str:
    """A pace in words."""
    if isinstance(order, UpdateOrder):
        return order.turns(pace.parallel)
    words = [f"{pace.parallel} at once"]
    if pace.stagger:
        words.append(f"{pace.stagger:g}s between two starts")
    if pace.per_rack:
        words.append(f"{pace.per_rack} of a rack at once")
    if pace.bandwidth:
        words.append(f"{pace.bandwidth / 1e6:g} Mbit/s for boots")
    return ", ".join(words)


def _disk(context: Context, node: NodePlan, disk: Disk) -> TextLine:
    """A disk as a person recognises it: model, size, serial, and what is on it now."""
    head: list[Part] = [
        (f"  {context.glyphs['warning']} WIPES ", "bold role-error"),
        (f"{node.node:<12} ", "bold"),
    ]
    if not disk.model and not disk.serial:
        return text_line(
            *head, (f"{disk.name}  ", "bold"), ("not read yet: model and serial are not known", "role-warning")
        )
    return text_line(
        *head,
        (f"{disk.model or 'model not known'}  {bytes_text(disk.size) if disk.size else 'size not known'}  ", "bold"),
        (f"serial {disk.serial or 'not known'}  ", "bold"),
        (f"{disk.name}  ", ""),
        (f"now: {disk.contents or 'empty'}", "role-warning"),
    )


def step_lines(node: NodePlan) -> list[TextLine]:
    """What a person should know of a node, and each of its steps with the exact command."""
    lines = [text_line((f"    {note}", "role-warning")) for note in node.notes]
    for number, step in enumerate(node.steps, 1):
        marks: list[Part] = []
        if step.destroys:
            marks.append(("  DESTROYS DATA", "bold role-error"))
        elif step.disruptive:
            marks.append(("  disruptive", "role-warning"))
        lines.append(
            text_line(
                (f"    {number:>2} {step.text}", ""), *marks, (f"  (limit {span_text(step.limit)})", "role-muted")
            )
        )
        lines.append(text_line((f"         {step.command}", "role-muted")))
    return lines
