"""The screen's hand for operations: begins them, acts on those that run, tells how they end and who must decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.model import wire
from plasmatui.model.operation import OperationRecord
from plasmatui.model.words import OperationState
from plasmatui.ui.works import asks, counts, order_text

if TYPE_CHECKING:
    from plasmatui.ui.dialogs.base import ConfirmDialog
    from plasmatui.ui.screens.main import MainScreen

TOLD = 5
"""Nodes that one toast names; the others are counted."""


class OperationsDesk:
    """See the module."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._running: set[int] = set()
        self._held: set[tuple[int, str, str]] = set()

    # Beginning

    def start(self, request: wire.StartOrder | wire.RetryOperation | None) -> None:
        """Begin what a dialog gave back; None is a dialog that was cancelled."""
        if request is not None:
            self._main.spawn(self._begin(request), "start")

    async def _begin(self, request: wire.StartOrder | wire.RetryOperation) -> None:
        reply = await self._main.context.link.ask(request)
        assert isinstance(reply, wire.OperationReply)
        record = reply.operation
        known = self._main.context.store.operations.get(record.number)
        if known is None or not known.state.ended:  # a push may have been faster than the answer
            self._main.context.store.remember_operation(record)
        self._running.add(record.number)
        if isinstance(request, wire.StartOrder):
            self._main.context.ordered = request.nodes
        self.look()

    # Acting on what runs

    def cancel(self, record: OperationRecord) -> None:
        """Ask whether an operation is to be cancelled."""
        from plasmatui.ui.dialogs.running import cancel_dialog

        if self._runs(record, "there is nothing to cancel"):
            self._confirm(cancel_dialog(record), wire.CancelOperation(record.number))

    def hold(self, record: OperationRecord) -> None:
        """Ask whether an operation is to be held."""
        from plasmatui.ui.dialogs.running import hold_dialog

        if self._runs(record, "only one that runs can be held"):
            self._confirm(hold_dialog(record), wire.HoldOperation(record.number))

    def release(self, record: OperationRecord) -> None:
        """Ask whether a held operation is to go on."""
        from plasmatui.ui.dialogs.running import release_dialog

        if not record.held:
            self._refuse(record, "is not held")
        elif self._runs(record, "it cannot go on"):
            self._confirm(release_dialog(record), wire.ReleaseOperation(record.number))

    def retry(self, record: OperationRecord) -> None:
        """Ask whether what failed is to be tried again."""
        from plasmatui.ui.dialogs.running import RetryDialog

        found = counts(record)
        if not record.state.ended:
            self._refuse(record, "still runs; what failed can be tried again when it has ended")
        elif found.failed + found.cancelled == 0:
            self._refuse(record, "has no node that failed")
        else:
            self._main.app.push_screen(RetryDialog(record), self.start)

    def answer(self, record: OperationRecord, name: str = "") -> None:
        """Ask for the answer that a held node waits for: of this one, or of the first that asks."""
        from plasmatui.ui.dialogs.running import AnswerDialog

        def answered(request: wire.ReleaseOperation | None) -> None:
            if request is not None:
                self._main.spawn(self._send(request), f"answer {request.number}")

        asking = [node for node in record.nodes if asks(node) and name in ("", node.node)]
        if asking:
            self._main.app.push_screen(AnswerDialog(record, asking[0]), answered)
        elif record.held and not record.state.ended:
            self.release(record)
        else:
            self._refuse(record, f"asks nothing{f' about {name}' if name else ''}")

    def _runs(self, record: OperationRecord, otherwise: str) -> bool:
        if record.state.ended:
            self._refuse(record, f"has ended; {otherwise}")
        return not record.state.ended

    def _refuse(self, record: OperationRecord, why: str) -> None:
        self._main.tell(f"operation {record.number} {why}", "warning")

    def _confirm(
        self, dialog: ConfirmDialog, request: wire.CancelOperation | wire.HoldOperation | wire.ReleaseOperation
    ) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._main.spawn(self._send(request), f"operation {request.number}")

        self._main.app.push_screen(dialog, answered)

    async def _send(self, request: wire.RequestBody) -> None:
        reply = await self._main.context.link.ask(request)
        if isinstance(reply, wire.OperationReply):
            self._main.context.store.remember_operation(reply.operation)

    # Telling

    def look(self) -> None:
        """Tell of operations that ran when last looked at and have ended, and of those that wait for a person."""
        store = self._main.context.store
        if store.past is not None:
            return
        for number in sorted(self._running):
            record = store.operations.get(number)
            if record is not None and record.state.ended:
                self._running.discard(number)
                failed = record.state is not OperationState.DONE
                text = ending(record, self._main.context.glyphs["arrow"])
                if counts(record).failed:
                    keys = self._main.context.keymap
                    text += (
                        f"\n{keys.first('global.operations')}: why; there {keys.first('operations.retry')}: try again"
                    )
                self._main.tell(text, "error" if failed else "information")
        self._running |= {record.number for record in store.running}
        self._tell_held()

    def _tell_held(self) -> None:
        held: dict[tuple[int, str, str], str] = {}
        key = self._main.context.keymap.first("global.operations")
        for record in self._main.context.store.running:
            if record.held:
                text = f"operation {record.number} {order_text(record)} is held: {record.held}"
                held[(record.number, "", record.held)] = f"{text}  ({key} shows it)"
            for node in record.nodes:
                if asks(node):
                    text = f"operation {record.number} waits for you: {node.question}"
                    held[(record.number, node.node, node.question)] = f"{text}  ({key} shows it)"
        new = [text for place, text in held.items() if place not in self._held]
        self._held = set(held)
        if new:
            more = [f"and {len(new) - TOLD} more wait"] if len(new) > TOLD else []
            self._main.tell("\n".join([*new[:TOLD], *more]), "warning")


def ending(record: OperationRecord, arrow: str) -> str:
    """How an operation ended, with before and after where one node or all nodes are alike."""
    lines = [f"operation {record.number} {order_text(record)}: {record.state}"]
    changes = {f"{node.before} {arrow} {node.after}" for node in record.nodes if node.before and node.after}
    if len(changes) == 1 and record.state is OperationState.DONE:
        lines[0] += f", {changes.pop()}"
    bad = [node for node in record.nodes if node.state is OperationState.FAILED]
    lines += [f"{node.node}: {node.message.removeprefix(f'{node.node}: ') or node.error}" for node in bad[:TOLD]]
    if len(bad) > TOLD:
        lines.append(f"and {len(bad) - TOLD} more")
    return "\n".join(lines)
