"""Dialogs about operations that were begun: cancel, hold, release, try again, and answer what a node asks."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget

from plasmatui.inventory.nodesets import fold
from plasmatui.model import wire
from plasmatui.model.operation import NodeRecord, OperationRecord, Order, Plan
from plasmatui.model.retries import plan_of_retry
from plasmatui.model.words import OperationState
from plasmatui.ui.dialogs.base import Confirm, ConfirmDialog
from plasmatui.ui.dialogs.order import Option, OrderDialog, Request
from plasmatui.ui.lines import TextLine, text_line
from plasmatui.ui.paragraph import Paragraph
from plasmatui.ui.works import order_text, running_step

DESTROYING = frozenset(("again", "wipe"))
"""Answers that may delete data: the node's name is typed for them."""

_MEANINGS = {
    "again": "do the step again",
    "done": "take the step as done, and go on",
    "stop": "leave the node as it is",
    "wipe": "wipe these disks",
}
_TAKEN = frozenset("nyqjk")
"""Letters that mean something in every dialog."""


def _letters(words: Sequence[str]) -> str:
    """A letter for each word: its first one where that is free, else a digit."""
    letters: list[str] = []
    for place, word in enumerate(words, 1):
        first = word[:1].lower()
        letters.append(first if first and first not in _TAKEN and first not in letters else str(place))
    return "".join(letters)


class AnswerDialog(Confirm[wire.ReleaseOperation]):
    """Shows what a held node asks, with what led to it, and takes one of the answers."""

    def __init__(self, record: OperationRecord, node: NodeRecord) -> None:
        super().__init__(f"{node.node} asks (operation {record.number}: {order_text(record)})")
        self._number, self._node = record.number, node
        self.answer = Option("answer", node.answers, _letters(node.answers), -1)
        self._options = Paragraph(id="options")

    def contents(self) -> Sequence[Widget]:
        return (self._options, *super().contents())

    def paragraphs(self) -> Sequence[Paragraph]:
        return (self._options, *super().paragraphs())

    def on_mount(self) -> None:
        self._ask()

    def _ask(self) -> None:
        self._options.say_units(self.answer.units())
        if self.answer.chosen < 0:
            self.question(self._lines(), 1, blocked="choose an answer by its letter")
            return
        answer = self._node.answers[self.answer.chosen]
        level = 3 if answer in DESTROYING else 1 if answer == "stop" else 2
        self.question(self._lines(), level, phrase=self._node.node)

    def _lines(self) -> list[TextLine]:
        node, glyph = self._node, self.context.glyphs
        lines = [text_line((node.question.removeprefix(f"{node.node}: "), "bold role-warning")), text_line(("", ""))]
        for answer in node.answers:
            destroys = "  may delete data" if answer in DESTROYING else ""
            meaning = _MEANINGS.get(answer, "")
            lines.append(text_line((f"  {answer:<8} ", "bold"), (meaning, ""), (destroys, "bold role-error")))
        if node.evidence:
            lines.append(text_line(("what led to it:", "role-muted")))
            lines += [text_line((f"  {glyph['sep']} {line}", "role-muted")) for line in node.evidence]
        lines.append(text_line(("its last steps:", "role-muted")))
        for step in node.steps[-4:]:
            lines.append(text_line((f"  {step.text}: {step.result or 'running'}  {step.message}", "role-muted")))
        command = self.context.cli("ops", "release", str(self._number), node.node, "ANSWER")
        lines.append(text_line(("same as: ", "role-muted"), (command, "role-muted")))
        return lines

    async def pressed(self, key: str) -> bool:
        if self.answer.press(key):
            self.phrase_input.value = ""
            self._ask()
            return True
        return await super().pressed(key)

    def accepted(self) -> None:
        if self.answer.chosen >= 0:
            answer = self._node.answers[self.answer.chosen]
            self.dismiss(wire.ReleaseOperation(self._number, self._node.node, answer))


class RetryDialog(OrderDialog):
    """Try what failed again: the plan for these nodes, confirmed as the order itself is."""

    PACED = False

    def __init__(self, record: OperationRecord) -> None:
        self._record = record
        again = (OperationState.FAILED, OperationState.CANCELLED)
        targets = tuple(node.node for node in record.nodes if node.state in again)
        super().__init__(f"Try operation {record.number} ({order_text(record)}) again", targets, frozenset())

    def order(self) -> Order:
        return self._record.order

    def request(self, plan: Plan, override: str) -> Request:
        return wire.RetryOperation(self._record.number, override, self._break_lock)

    def seen(self, plan: Plan) -> Plan:
        return plan_of_retry(plan, {node.node: node for node in self._record.nodes}, self._record.number)

    def _plan_lines(self, plan: Plan) -> list[TextLine]:
        lines = [text_line(("what failed:", "role-muted"))]
        for node in self._record.nodes:
            if node.node in self.targets:
                why = node.message.removeprefix(f"{node.node}: ")
                lines.append(text_line((f"  {node.node:<12} ", "bold"), (f"{node.error} ", "role-error"), (why, "")))
        return [*lines, *super()._plan_lines(plan)]


def cancel_dialog(record: OperationRecord) -> ConfirmDialog:
    """Asks whether an operation is to be cancelled, and says what is left behind."""
    waiting = [node.node for node in record.nodes if node.state is OperationState.WAITING]
    at_work = [node for node in record.nodes if not node.state.ended and node.state is not OperationState.WAITING]
    lines = [f"operation {record.number}: {order_text(record)}, begun by {record.by}", ""]
    if waiting:
        lines.append(f"not begun, and left out: {fold(waiting)}")
    for node in at_work:
        step = running_step(node)
        lines.append(f"at work: {node.node}: {step.text if step is not None else 'between two steps'}")
    lines += [
        "",
        "A wait or a reading is left at once. A change that is under way is finished, or stopped where that is safe;",
        "the record then says what was left, and how. What was done is not undone.",
        f"same as: plasmatui ops cancel {record.number}",
    ]
    return ConfirmDialog(f"Cancel operation {record.number}", lines, level=2 if at_work else 1)


def hold_dialog(record: OperationRecord) -> ConfirmDialog:
    """Asks whether an operation is to be held."""
    lines = (
        f"operation {record.number}: {order_text(record)}, begun by {record.by}",
        "",
        "No further node and no further step is begun; a step that is under way is finished.",
        "The same key lets it go on.",
        f"same as: plasmatui ops hold {record.number}",
    )
    return ConfirmDialog(f"Hold operation {record.number}", lines, level=1)


def release_dialog(record: OperationRecord) -> ConfirmDialog:
    """Asks whether a held operation is to go on."""
    waiting = [node.node for node in record.nodes if not node.state.ended]
    lines = (
        f"operation {record.number}: {order_text(record)}, begun by {record.by}",
        f"held: {record.held}",
        "",
        f"It goes on with: {fold(waiting) if waiting else 'nothing'}",
        f"same as: plasmatui ops release {record.number}",
    )
    return ConfirmDialog(f"Let operation {record.number} go on", lines, level=2)
