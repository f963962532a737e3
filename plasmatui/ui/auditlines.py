"""The audit as lines: who ordered what, what became of it, and what it changed."""

from __future__ import annotations

from plasmatui.model.event import AuditLine
from plasmatui.ui.bars import clock_text
from plasmatui.ui.context import Context
from plasmatui.ui.lines import TextLine, text_line


def audit_lines(context: Context, name: str) -> list[TextLine]:
    """The known lines about a node, the newest last."""
    lines = [audit_line(context, line) for line in context.store.audit if line.node == name]
    return lines or [text_line(("nothing was ordered for this node yet", "role-muted"))]


def audit_line(context: Context, line: AuditLine, *, node: bool = False) -> TextLine:
    """One line; with `node`, also which node it is about."""
    role = "role-error" if line.result.startswith(("failed", "refused", "uncertain")) else "role-busy"
    glyph = context.glyphs
    change = f"  {line.before or '?'} {glyph['arrow']} {line.after or '?'}" if line.before or line.after else ""
    return text_line(
        (f"{clock_text(line.wall)} ", "role-muted"),
        (f"{line.by or 'engine':<12} ", "bold"),
        (f"{line.node:<14} " if node else "", ""),
        (line.text, ""),
        (f"  {glyph['arrow']} {line.result}" if line.result else "", role),
        (change, "bold"),
        (f"  {line.client}" if line.client else "", "role-muted"),
    )
