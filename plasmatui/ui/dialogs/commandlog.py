"""The command log: who ordered what, and each command that left the engine, as it happens; narrowed by typing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.widget import Widget
from textual.widgets import Input

from plasmatui.inventory.nodesets import NodeSetError, resolve
from plasmatui.model.event import AuditLine
from plasmatui.ui.auditlines import audit_line
from plasmatui.ui.dialogs.lists import KeyDialog
from plasmatui.ui.lines import LinesPane, TextLine, text_line
from plasmatui.ui.store import Store

SLACK = 2.0
"""Seconds around an operation within which its lines may have been written."""

Test = Callable[[AuditLine], bool]


class CommandLogDialog(KeyDialog):
    """See the module. The newest line is the last, and followed; anywhere else nothing moves under the reader."""

    INPUT_KEYS: ClassVar[frozenset[str]] = frozenset(("escape", "up", "down", "pageup", "pagedown"))

    def __init__(self, narrowed: str = "") -> None:
        super().__init__("Command log   type to narrow it, esc closes")
        self.pane = LinesPane(id="list", wrap=True, follow=True)
        self._search = Input(narrowed, placeholder="words, node[01-03], @worker, op:12", id="search",
                             select_on_focus=False)  # fmt: skip
        self._search.cursor_blink = False

    def contents(self) -> Sequence[Widget]:
        return (self._search, self.pane)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.pane.begin(follow=True)
        self.pane.set_lines(self.lines())

    def lines(self) -> list[TextLine]:
        tests = [test_of(word, self.context.store) for word in self._search.value.split()]
        lines = [
            audit_line(self.context, line, node=True)
            for line in self.context.store.audit
            if all(test(line) for test in tests)
        ]
        if lines:
            return lines
        return [text_line(("nothing passes this filter" if tests else "nothing was ordered yet", "role-muted"))]


def test_of(word: str, store: Store) -> Test:
    """What a word lets pass: the lines of an operation (`op:12`), of a node set, or those that hold the word."""
    name, _, number = word.partition(":")
    if name == "op" and number.isdigit():
        return _of_operation(int(number), store)
    try:
        names = frozenset(resolve(word, tuple(store.nodes.values())))
    except NodeSetError:
        wanted = word.lower()
        return lambda line: (
            wanted in f"{line.by or 'engine'} {line.node} {line.text} {line.result} {line.client}".lower()
        )
    return lambda line: line.node in names or any(name in line.text for name in names)


def _of_operation(number: int, store: Store) -> Test:
    """Lines that name the operation, and those about its nodes while it ran."""
    record = store.operations.get(number)
    if record is None:
        return lambda line: f"operation {number})" in f"{line.text})"
    nodes = {node.node for node in record.nodes}
    begin, end = record.begin - SLACK, record.end + SLACK if record.end else float("inf")

    def passes(line: AuditLine) -> bool:
        named = f"operation {number})" in f"{line.text})"
        return named or (line.node in nodes and begin <= line.wall <= end)

    return passes
