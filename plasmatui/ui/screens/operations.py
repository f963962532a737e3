"""The Operations view: every operation, newest first, with the steps of each node."""

from __future__ import annotations

from textual.app import ComposeResult

from plasmatui.model import wire
from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.ui import glyphs
from plasmatui.ui.bars import age, clock_text, order_text, progress
from plasmatui.ui.lines import LinesPane, Part, TextLine, text_line
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.store import Dirt, Topic


class OperationsView(ActingView):
    """See the module. Running operations show their nodes; those that ended do when they are opened."""

    SCOPE = "operations"

    def compose(self) -> ComposeResult:
        self.pane = LinesPane()
        self._toggled: set[int] = set()
        self._asked = False
        yield self.pane

    def focus_view(self) -> None:
        self.pane.focus()

    def shown(self) -> None:
        super().shown()
        if not self._asked and self.context.store.link.online:
            self._asked = True
            self.main.spawn(self._fetch(), "operations")

    async def _fetch(self) -> None:
        reply = await self.context.link.ask(wire.ListOperations())
        assert isinstance(reply, wire.Operations)
        for record in reply.operations:
            if record.number not in self.context.store.operations:
                self.context.store.remember_operation(record)

    def update_view(self, dirt: Dirt) -> None:
        if Topic.OPERATIONS in dirt.topics:
            self._redraw()

    def _redraw(self) -> None:
        lines: list[TextLine] = []
        for _, record in sorted(self.context.store.operations.items(), reverse=True):
            lines.append(self._head(record))
            if record.state.ended == (record.number in self._toggled):
                for node in record.nodes:
                    lines += self._node(node)
        self.pane.set_lines(lines or [text_line((" no operation was begun yet", "role-muted"))])
        self.main.refresh_bars()

    def _head(self, record: OperationRecord) -> TextLine:
        glyph, role = glyphs.OPERATION[record.state]
        ended, total, failed = progress(record)
        span = f"{age(record.end - record.begin)}" if record.end else f"since {clock_text(record.begin)}"
        return text_line(
            (f" {record.number:>4} ", "bold"),
            (f"{self.context.glyphs[glyph]} {record.state:<10} ", f"role-{role}"),
            (f"{order_text(record):<16} {ended}/{total} nodes", ""),
            (f", {failed} failed" if failed else "", "role-error"),
            (f"   {clock_text(record.begin)}  {span}  by {record.by}", "role-muted"),
            key=str(record.number),
        )

    def _node(self, node: NodeRecord) -> list[TextLine]:
        glyph, role = glyphs.OPERATION[node.state]
        change = f"{node.before} {self.context.glyphs['arrow']} {node.after}" if node.before or node.after else ""
        lines = [
            text_line(
                (f"        {node.node:<16} ", ""),
                (f"{self.context.glyphs[glyph]} {node.state:<10} ", f"role-{role}"),
                (f"{change}  ", "bold"),
                (f"{node.error} {node.message}".strip(), "role-error" if node.error else "role-muted"),
            )
        ]
        for step in node.steps:
            name, role = glyphs.STEP[step.result] if step.result else ("busy", "busy")
            span = f" {step.end - step.begin:.1f}s" if step.end else ""
            lines.append(
                text_line(
                    (f"            {self.context.glyphs[name]} {step.result or 'running':<9} ", f"role-{role}"),
                    (f"{step.text}{span} ", ""),
                    (f"{step.command} {step.message}".strip(), "role-muted"),
                )
            )
        return lines

    def _record(self) -> OperationRecord | None:
        operations = self.context.store.operations
        number = int(self.pane.cursor) if self.pane.cursor else max(operations, default=0)
        return operations.get(number)

    def crumbs(self) -> list[Part]:
        running = len(self.context.store.running)
        return [(f" operations {len(self.context.store.operations)}", "bold"), (f"  {running} running", "role-busy")]

    # Actions

    def action_move(self, steps: int) -> None:
        self.pane.move(steps)

    def action_ends(self, direction: int) -> None:
        self.pane.ends(direction)

    def action_open(self) -> None:
        record = self._record()
        if record is not None:
            self._toggled ^= {record.number}
            self._redraw()
            self.pane.choose(str(record.number))

    def on_lines_pane_chosen(self, event: LinesPane.Chosen) -> None:
        event.stop()
        self.action_open()

    def action_cancel(self) -> None:
        record = self._record()
        if record is None or record.state.ended:
            self.main.tell("this operation has ended; there is nothing to cancel", "warning")
        else:
            self.main.orders.cancel(record)

    def action_copy(self) -> None:
        record = self._record()
        if record is not None:
            self.copy(record.cli)
