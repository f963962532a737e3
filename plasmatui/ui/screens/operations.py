"""The Operations view: every operation with its nodes and their steps; below, what the steps of one node print."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.timer import Timer

from plasmatui.model import wire
from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.model.words import OperationState
from plasmatui.ui.lines import LinesPane, Part
from plasmatui.ui.oplines import Opened, key_of, operation_lines, parse_key
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.screens.oplogpanel import OperationLogPanel
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.widgets.drawing import fit
from plasmatui.ui.works import by_urgency, is_held

TICK = 1.0
"""Seconds between two looks at how long running steps have taken."""

LOG_ROWS = 30
"""Lines of the terminal from which on the log is shown by itself."""

LOG_DELAY = 0.2
"""Seconds that the cursor must rest before the log follows it."""

KEPT = 200
"""Operations of the past that are fetched."""


class OperationsView(ActingView):
    """See the module. The keys that move go to the list, or to the log while that is in front."""

    SCOPE = "operations"

    def compose(self) -> ComposeResult:
        self.pane = LinesPane(id="oplist", wrap=True)
        self.log_panel = OperationLogPanel(self.main)
        self.opened = Opened()
        self.in_log = False
        self._fetched = -1.0
        self._resting: Timer | None = None
        yield self.pane
        yield self.log_panel

    def on_mount(self) -> None:
        self.set_interval(TICK, self._tick, name="operation-ages")
        self._share()

    def on_resize(self) -> None:
        self._share()
        self._redraw()

    def focus_view(self) -> None:
        (self.log_panel.pane if self.in_log else self.pane).focus()

    # In sight

    def shown(self) -> None:
        super().shown()
        self._fetch_once()
        self._share()
        if not self.pane.cursor:
            urgent = by_urgency(self.context.store.running)
            self.pane.choose(key_of(urgent[0]) if urgent else "")
        self._show_log()

    def hidden(self) -> None:
        super().hidden()
        self.log_panel.seen(False)

    def _fetch_once(self) -> None:
        """The operations of the past, once for each connection."""
        link = self.context.store.link
        if link.online and self._fetched != link.since and self.context.store.past is None:
            self._fetched = link.since
            self.main.spawn(self._fetch(), "operations")

    async def _fetch(self) -> None:
        reply = await self.context.link.ask(wire.ListOperations(KEPT))
        assert isinstance(reply, wire.Operations)
        for record in reply.operations:
            if record.number not in self.context.store.operations:
                self.context.store.remember_operation(record)

    def _share(self) -> None:
        """The log has the lower half where there is room for it, everything while it is in front, else nothing."""
        roomy = self.app.size.height >= LOG_ROWS
        self.set_class(self.in_log, "log-front")
        self.set_class(roomy and not self.in_log, "log-below")
        self.log_panel.seen(self.is_in_sight and (roomy or self.in_log))

    def _tick(self) -> None:
        if self.is_in_sight and self.context.store.running and not self.context.frozen and not self.in_log:
            self._redraw()

    def update_view(self, dirt: Dirt) -> None:
        if Topic.LINK in dirt.topics:
            self._fetch_once()
        if Topic.OPERATIONS in dirt.topics:
            self._redraw()
            self._show_log()

    def thawed(self) -> None:
        super().thawed()
        self._tick()

    def _redraw(self) -> None:
        self.pane.set_lines(operation_lines(self.context, self.opened, self.app.size.width))
        if not self.pane.cursor:
            self.pane.choose(next((line.key for line in self.pane.lines if line.key), ""))
        self.main.refresh_bars()

    # What is chosen

    def record(self) -> OperationRecord | None:
        """The operation under the cursor, else the newest."""
        operations = self.context.store.operations
        number = parse_key(self.pane.cursor)[0] or max(operations, default=0)
        return operations.get(number)

    def node(self) -> NodeRecord | None:
        """The node under the cursor; on an operation's line, that of which there is most to say."""
        record = self.record()
        if record is None or not record.nodes:
            return None
        name = parse_key(self.pane.cursor)[1]
        if name:
            return next((node for node in record.nodes if name in (node.node, f"@{node.state}")), None)
        order = (OperationState.HELD, OperationState.RUNNING, OperationState.FAILED)
        return min(record.nodes, key=lambda node: order.index(node.state) if node.state in order else len(order))

    def _show_log(self) -> None:
        record, node = self.record(), self.node()
        if record is not None and node is not None:
            self.log_panel.show(record.number, node.node, over=record.state.ended)
        else:
            self.log_panel.show(0, "", over=True)

    def targets(self) -> tuple[str, ...]:
        name = parse_key(self.pane.cursor)[1]
        if name in self.context.store.nodes:
            return (name,)
        record = self.record()
        return tuple(node.node for node in record.nodes if node.node in self.context.store.nodes) if record else ()

    def log_filter(self) -> str:
        record = self.record()
        return f"op:{record.number}" if record is not None else ""

    def crumbs(self) -> list[Part]:
        store = self.context.store
        parts: list[Part] = [
            (f" operations {len(store.operations)}", "bold"),
            (f"  {len(store.running)} running", "role-busy"),
        ]
        held = sum(is_held(record) for record in store.running)
        if held:
            parts.append((f"  {self.context.glyphs['warning']} {held} held", "bold role-warning"))
        if self.in_log:
            parts.append(("  log in front, esc: back to the list", "role-muted"))
        return parts

    # Moving

    def action_move(self, steps: int) -> None:
        if self.in_log:
            self.log_panel.move(steps)
        else:
            self.pane.move(steps)
            self._rest()

    def action_page(self, pages: float) -> None:
        if self.in_log:
            self.log_panel.page(pages)
        else:
            self.pane.page(pages)

    def action_ends(self, direction: int) -> None:
        if self.in_log:
            self.log_panel.ends(direction)
        else:
            self.pane.ends(direction)
            self._rest()

    def _rest(self) -> None:
        """The log follows the cursor when it has rested."""
        self.main.refresh_bars()
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(LOG_DELAY, self._show_log, name="oplog-follow")

    def choose(self, number: int, node: str = "", *, log: bool = False) -> None:
        """Put the cursor on an operation, or on one of its nodes; with `log`, bring its log in front."""
        record = self.context.store.operations[number]
        if node:
            self.opened.open(record, node)
        self._redraw()
        self.pane.choose(key_of(record, node))
        self._bring(log)
        self.focus_view()

    def action_open(self) -> None:
        number, name = parse_key(self.pane.cursor)
        record = self.record()
        if record is None or self.in_log:
            return
        self.opened.toggle(number or record.number, name)
        cursor = self.pane.cursor
        self._redraw()
        self.pane.choose(cursor)

    def on_lines_pane_chosen(self, event: LinesPane.Chosen) -> None:
        event.stop()
        self.action_open()
        self._show_log()

    def back(self) -> bool:
        if self.in_log and self.log_panel.pattern:
            self.log_panel.forget_search()
        elif self.in_log:
            self.action_log()
        else:
            return False
        return True

    # The log

    def action_log(self) -> None:
        self._bring(not self.in_log)
        self.focus_view()

    def _bring(self, front: bool) -> None:
        """Bring the log in front of the list, or the list back."""
        self._show_log()
        self.in_log = front
        self._share()
        self.main.refresh_bars()

    def zoom(self, on: bool) -> None:
        if on != self.in_log:
            self.action_log()

    def action_follow(self) -> None:
        self.log_panel.toggle_follow()

    def action_wrap(self) -> None:
        self.log_panel.toggle_wrap()

    def action_search(self) -> None:
        self.main.ask(PromptUse("/", self.log_panel.search))  # it has the focus before the list loses it
        self._bring(True)

    def action_hit(self, step: int) -> None:
        self.log_panel.hit(step)

    def action_save(self) -> None:
        self._show_log()
        self.log_panel.save()

    # Other views of the node

    async def action_console(self) -> None:
        if (node := self.node()) is not None:
            await self.main.open_consoles((node.node,))

    async def action_boot_tab(self) -> None:
        if (node := self.node()) is not None:
            await self.main.open_node(node.node, "boot")

    # Acting

    def action_cancel(self) -> None:
        if (record := self.record()) is not None:
            self.main.operations.cancel(record)

    def action_hold(self) -> None:
        if (record := self.record()) is not None:
            desk = self.main.operations
            desk.release(record) if record.held and not record.state.ended else desk.hold(record)

    def action_retry(self) -> None:
        if (record := self.record()) is not None:
            self.main.operations.retry(record)

    def action_answer(self) -> None:
        if (record := self.record()) is not None:
            name = parse_key(self.pane.cursor)[1]
            self.main.operations.answer(record, "" if name.startswith("@") else name)

    def action_copy(self) -> None:
        record = self.record()
        if record is None:
            return
        from plasmatui.ui.dialogs.menu import MenuDialog, MenuItem

        failed = [node.node for node in record.nodes if node.state is OperationState.FAILED]
        texts = {
            "CLI command: the same order": self.context.same_as(record.cli),
            "CLI command: follow it": self.context.cli("ops", "follow", str(record.number)),
            "CLI command: all its steps": self.context.cli("ops", "show", str(record.number)),
            "nodes": ",".join(node.node for node in record.nodes),
            "nodes that failed": ",".join(failed),
            "message": "\n".join(node.message for node in record.nodes if node.message),
        }
        items = [MenuItem(key, key, fit(text.partition("\n")[0], 60).rstrip()) for key, text in texts.items() if text]

        def chosen(key: str | None) -> None:
            if key:
                self.copy(texts[key])

        self.app.push_screen(MenuDialog(f"Copy from operation {record.number}", items), chosen)
