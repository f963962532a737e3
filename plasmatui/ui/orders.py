"""From a key to an operation: opens the dialogs, starts what was confirmed, tells how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice
from plasmatui.model.operation import OperationRecord
from plasmatui.model.words import OperationState, PowerAction
from plasmatui.ui.bars import order_text

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen


class Orders:
    """The main screen's hand for everything that acts."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._running: set[int] = set()

    # Dialogs

    def power(self, targets: tuple[str, ...], action: PowerAction | None = None) -> None:
        """Ask for a power order on these nodes."""
        from plasmatui.ui.dialogs.order import PowerDialog

        if self._any(targets):
            self._main.app.push_screen(PowerDialog(targets, self._main.context.hidden, action), self._start)

    def bootdev(self, targets: tuple[str, ...], boot: BootDevice | None = None) -> None:
        """Ask for a boot device."""
        from plasmatui.ui.dialogs.order import BootDialog

        if self._any(targets):
            self._main.app.push_screen(BootDialog(targets, self._main.context.hidden, boot), self._start)

    def identify(self, targets: tuple[str, ...], chosen: int = -1) -> None:
        """Ask for the identify light."""
        from plasmatui.ui.dialogs.order import IdentifyDialog

        if self._any(targets):
            self._main.app.push_screen(IdentifyDialog(targets, self._main.context.hidden, chosen), self._start)

    def menu(self, targets: tuple[str, ...]) -> None:
        """All acts on these nodes."""
        from plasmatui.ui.dialogs.menu import ActionMenu, MenuItem

        if not self._any(targets):
            return
        items = [
            MenuItem("power", "Power ...", "on, off, soft, cycle, reset; level 2"),
            MenuItem("bootdev", "Boot device ...", "pxe, disk, bios, none; level 1"),
            MenuItem("identify", "Identify light ...", "level 1"),
            MenuItem(
                "reopen", "Close and open the console ...", "level 1", "" if len(targets) == 1 else "one node only"
            ),
        ]

        def chosen(what: str | None) -> None:
            if what == "power":
                self.power(targets)
            elif what == "bootdev":
                self.bootdev(targets)
            elif what == "identify":
                self.identify(targets)
            elif what == "reopen":
                self.reopen(targets[0])

        names = targets[0] if len(targets) == 1 else f"{len(targets)} nodes"
        self._main.app.push_screen(ActionMenu(f"All actions: {names}", items), chosen)

    def reopen(self, name: str) -> None:
        """Ask whether a console is to be closed and opened, and another client's session with it."""
        from plasmatui.ui.dialogs.base import ConfirmDialog

        lines = (
            f"The console of {name} is closed and opened again.",
            "If another client of the BMC holds it, that client's session is ended.",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._main.spawn(self._reopen(name), f"reopen {name}")

        self._main.app.push_screen(ConfirmDialog(f"Reopen the console of {name}", lines), answered)

    async def _reopen(self, name: str) -> None:
        await self._main.context.link.ask(wire.ConsoleReopen(name, takeover=True))
        self._main.tell(f"{name}: the console is opened again")

    def cancel(self, record: OperationRecord) -> None:
        """Ask whether an operation is to be cancelled."""
        from plasmatui.ui.dialogs.base import ConfirmDialog

        open_nodes = [node.node for node in record.nodes if not node.state.ended]
        lines = (
            f"operation {record.number}: {order_text(record)}, begun by {record.by}",
            f"not ended yet: {', '.join(open_nodes) or 'nothing'}",
            "",
            "What has not begun is left out. An order that a BMC has taken is not taken back.",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._main.spawn(self._cancel(record.number), f"cancel {record.number}")

        self._main.app.push_screen(ConfirmDialog(f"Cancel operation {record.number}", lines), answered)

    async def _cancel(self, number: int) -> None:
        reply = await self._main.context.link.ask(wire.CancelOperation(number))
        if isinstance(reply, wire.OperationReply):
            self._main.context.store.remember_operation(reply.operation)

    def ask_to_leave(self) -> None:
        """Ask before the screen is left, and say what goes on without it."""
        from plasmatui.ui.dialogs.base import ConfirmDialog

        running = self._main.context.store.running
        lines = ["The engine goes on without the screen: it keeps the recordings and finishes what runs."]
        lines += [f"  operation {record.number}: {order_text(record)}, {record.state}" for record in running]
        lines += ["", "`plasmatui` shows all of it again; `plasmatui engine stop` ends it."]

        def answered(yes: bool | None) -> None:
            if yes:
                self._main.app.exit(0)

        self._main.app.push_screen(ConfirmDialog("Leave the screen", lines, level=0), answered)

    # Starting and ending

    def _any(self, targets: tuple[str, ...]) -> bool:
        if not targets:
            self._main.tell("no node is marked or under the cursor", "warning")
        return bool(targets)

    def _start(self, request: wire.StartOrder | None) -> None:
        if request is not None:
            self._main.spawn(self._begin(request), "start")

    async def _begin(self, request: wire.StartOrder) -> None:
        reply = await self._main.context.link.ask(request)
        assert isinstance(reply, wire.OperationReply)
        record = reply.operation
        known = self._main.context.store.operations.get(record.number)
        if known is None or not known.state.ended:  # a push may have been faster than the answer
            self._main.context.store.remember_operation(record)
        self._running.add(record.number)
        self._main.context.ordered = request.nodes
        self.look_for_ends()

    def look_for_ends(self) -> None:
        """Tell of operations that ran when last looked at, and have ended."""
        store = self._main.context.store
        for number in sorted(self._running):
            record = store.operations.get(number)
            if record is not None and record.state.ended:
                self._running.discard(number)
                failed = record.state is not OperationState.DONE
                self._main.tell(
                    ending(record, self._main.context.glyphs["arrow"]), "error" if failed else "information"
                )
        self._running |= {record.number for record in store.running}

    def refresh(self, names: tuple[str, ...]) -> None:
        """Ask the BMCs of these nodes now."""
        self._main.spawn(self._refresh(names), "refresh")

    async def _refresh(self, names: tuple[str, ...]) -> None:
        problems: list[str] = []
        async for answer in self._main.context.link.stream(wire.Query("refresh", names)):
            if answer.problem is not None:
                problems.append(f"{answer.node}: {answer.problem.message}")
        done = len(names) - len(problems)
        text = "\n".join([f"{done} of {len(names)} BMCs answered", *problems[:5]])
        self._main.tell(text, "warning" if problems else "information")


def ending(record: OperationRecord, arrow: str) -> str:
    """How an operation ended, with before and after where one node or all nodes are alike."""
    lines = [f"operation {record.number} {order_text(record)}: {record.state}"]
    changes = {f"{node.before} {arrow} {node.after}" for node in record.nodes if node.before and node.after}
    if len(changes) == 1:
        lines[0] += f", {changes.pop()}"
    bad = [node for node in record.nodes if node.state is OperationState.FAILED]
    lines += [f"{node.node}: {node.message or node.error}" for node in bad[:5]]
    if len(bad) > 5:
        lines.append(f"and {len(bad) - 5} more")
    return "\n".join(lines)
