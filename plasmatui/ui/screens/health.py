"""The Health view: raft groups with their margins, nodes by services with problems first, what one service says."""

from __future__ import annotations

from collections import Counter

from rich.cells import cell_len
from textual.app import ComposeResult

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.health import NodeServices, Replication, Trend, node_word
from plasmatui.ui import glyphs, healthcells, healthlines
from plasmatui.ui.bars import clock_text
from plasmatui.ui.columns import natural
from plasmatui.ui.filter import Filter
from plasmatui.ui.lines import LinesPane, Part, text_line
from plasmatui.ui.screens.filtering import FilteringView
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.widgets.grid import NodeGrid
from plasmatui.ui.widgets.gridlayout import Cell, Column, Row

AGES = 5.0
"""Seconds between two updates of what only time changes."""

TALL = 20
"""Lines of the screen from which on trends and the node under the cursor have room."""

REST = 0.2
"""Seconds that the cursor rests on a node before its trends are asked for."""


class HealthView(FilteringView):
    """See the module."""

    SCOPE = "health"

    def compose(self) -> ComposeResult:
        self.only_problems = False
        self.column = ""
        self._services: tuple[str, ...] = ()
        self._words = False
        self._row = ""
        self._moved = False
        self._layout: list[Column] = []
        self._trends: tuple[str, tuple[Trend, ...]] = ("", ())
        self._trends_asked = ("", 0.0)
        self._replications: dict[str, tuple[float, Replication]] = {}
        self.groups = LinesPane(id="groups", wrap=True)
        self.groups.can_focus = False
        self.trends = LinesPane(id="trends")
        self.trends.can_focus = False
        self.grid = NodeGrid((), mark=self.context.glyphs["mark"], id="matrix")
        self.cell = LinesPane(id="cell", wrap=True)
        self.cell.can_focus = False
        yield self.groups
        yield self.trends
        yield self.grid
        yield self.cell

    def on_mount(self) -> None:
        self.set_interval(AGES, self._tick, name="health-ages")

    def on_resize(self) -> None:
        self.cell.styles.height = 6 if self.app.size.height >= TALL else 3
        self._lay_out()
        self._fill()
        self._show_groups()
        self._show_trends()

    def focus_view(self) -> None:
        self.grid.focus()

    # What is shown

    def update_view(self, dirt: Dirt) -> None:
        if Topic.HEALTH in dirt.topics or Topic.NODES in dirt.topics:
            self._show_groups()
            self._fill()
            self._show_trends()
            self.main.refresh_bars()
        elif dirt.names:
            for name in dirt.names & self._serving().keys():
                self.grid.update_cells(name, self._cells(name))
            self._arrange()
        self._show_cell()
        self._want_trends()

    def _serving(self) -> dict[str, NodeServices]:
        """The nodes that run services."""
        return {name: each for name, each in self.context.store.services.items() if each.services}

    def _lay_out(self) -> None:
        names = self.context.store.services
        longest = max((cell_len(name) for name in names), default=0)
        self._layout = healthcells.columns(self._services, self.app.size.width, longest, self.column)
        self._words = healthcells.worded(self._layout)
        self.grid.set_columns(self._layout)

    def _fill(self) -> None:
        running = self._serving()
        services = healthcells.services_of(running.values())
        if services != self._services:
            self._services = services
            if self.column not in services:
                self.column = services[0] if services else ""
            self._lay_out()
        self.grid.set_rows(Row(name, self._cells(name)) for name in self._order(running))
        if not self._moved:  # nobody chose a row yet: the worst one
            self.grid.action_first()
        self._row = self.grid.cursor_key or ""

    def _arrange(self) -> None:
        self.grid.set_order(self._order(self._serving()))

    def _order(self, running: dict[str, NodeServices]) -> list[str]:
        """The nodes that pass the filter, problems first."""
        store = self.context.store
        shown = [name for name in running if self._passes(name)]
        shown.sort(key=natural)
        shown.sort(key=lambda name: healthcells.urgency(store.state(name)))
        return shown

    def _passes(self, name: str) -> bool:
        store = self.context.store
        node, state = store.nodes.get(name), store.state(name)
        if node is None or (self.only_problems and healthcells.urgency(state) > healthcells.PROBLEM):
            return False
        return not self.filter or self.filter.matches(node, state)

    def _cells(self, name: str) -> dict[str, Cell]:
        chosen = self.column if name == self.grid.cursor_key else ""
        return healthcells.row_cells(self.context, name, self._services, words=self._words, chosen=chosen)

    def _show_groups(self) -> None:
        width = self.app.size.width
        lines = healthlines.group_lines(self.context, self.context.store.groups, width, self._replications)
        if not self._serving():
            lines += [text_line((f" {text}", "role-muted")) for text in self._why_empty()]
        self.groups.set_lines(lines)
        self.groups.styles.height = min(len(self.groups.lines), max(3, self.app.size.height // 4))

    def _why_empty(self) -> list[str]:
        if self.context.store.past is not None:
            return ["No service had been looked at then."]
        if not self.context.store.link.online:
            return ["nothing is known yet: the engine is not connected"]
        if self.context.store.look.active and not self.context.store.look.at:
            return ["the services are being asked"]
        if self.context.store.look.active:
            return ["no profile of the inventory runs a service: `services` under `profiles`"]
        key = self.context.keymap.first("global.refresh")
        return [
            "The engine does not look at services by itself: the inventory names no CA (`cluster.ca`), and no service "
            "has answered yet.",
            f"{key} asks them now.",
        ]

    def _show_trends(self) -> None:
        line = healthlines.trend_line(self.context, self._layout, self.context.store.look.trends)
        self.trends.display = bool(line.parts) and bool(self._services) and self.app.size.height >= TALL
        self.trends.set_lines([line])

    def _show_cell(self) -> None:
        services = self.context.store.services.get(self.grid.cursor_key or "")
        trend = None
        if services is not None and self._trends[0] == services.node and self.context.store.past is None:
            trend = next((each for each in self._trends[1] if each.service == self.column), None)
        shown = services if self.column else None
        self.cell.set_lines(healthlines.cell_lines(self.context, shown, self.column, trend))

    def _want_trends(self) -> None:
        """Ask for the trends of the node under the cursor, once for each look, when the cursor rests there."""
        if (self.grid.cursor_key or "", self.context.store.look.at) != self._trends_asked and self._serving():
            self.set_timer(REST, self._ask_trends, name="health-trends")

    def _ask_trends(self) -> None:
        wanted = (self.grid.cursor_key or "", self.context.store.look.at)
        if not self.is_in_sight or not wanted[0] or wanted == self._trends_asked:
            return
        self._trends_asked = wanted
        self.run_worker(self._fetch_trends(wanted[0]), name=f"trends {wanted[0]}", group="trends", exclusive=True)

    async def _fetch_trends(self, node: str) -> None:
        try:
            reply = await self.context.link.ask(wire.AskTrend(node))
        except (EngineError, EngineUnreachableError):
            return
        if isinstance(reply, wire.Trends) and not self.context.frozen:
            self._trends = (reply.node, reply.trends)
            self._show_cell()

    def _tick(self) -> None:
        if self.is_in_sight and not self.context.frozen:
            self._show_groups()
            self._show_cell()

    def on_node_grid_cursor_moved(self, event: NodeGrid.CursorMoved) -> None:
        event.stop()
        for name in {self._row, event.key or ""} & self._serving().keys():
            self.grid.update_cells(name, self._cells(name))
        self._row = event.key or ""
        self._show_cell()
        self._want_trends()

    def on_node_grid_marks_changed(self, event: NodeGrid.MarksChanged) -> None:
        event.stop()

    def on_click(self) -> None:
        self._moved = True

    async def on_node_grid_row_opened(self, event: NodeGrid.RowOpened) -> None:
        event.stop()
        await self.main.open_node(event.key)

    # What it says

    def crumbs(self) -> list[Part]:
        store, glyph = self.context.store, self.context.glyphs
        running = self._serving()
        words = Counter(node_word(store.state(name).health, store.state(name).power.value) for name in running)
        parts: list[Part] = [(f" health {len(self.grid.order)}/{len(running)}", "bold")]
        for health, (name, role) in reversed(glyphs.HEALTH.items()):
            if words[health]:
                parts.append((f"  {glyph[name]} {words[health]} {health}", f"role-{role}"))
        if self.filter:
            parts.append((f"  /{self.filter.text}", "role-busy"))
        if self.only_problems:
            parts.append(("  problems only", "role-warning"))
        if store.look.at:
            pace = f", every {store.look.pace:.0f} s" if store.look.active else ""
            parts.append((f"  looked {clock_text(store.look.at)}{pace}", "role-muted"))
        return parts

    def targets(self) -> tuple[str, ...]:
        name = self.grid.cursor_key or ""
        return (name,) if name in self.context.store.nodes else ()

    def copy_source(self) -> str:
        return self.grid.cursor_key or ""

    def row_text(self, name: str) -> str:
        services = self.context.store.services.get(name)
        found = services.services if services is not None else ()
        return "\n".join(f"{name}\t{each.service}\t{each.status}\t{each.message}" for each in found)

    def ask_again(self) -> bool:
        self.main.spawn(self._look(), "look at services")
        return True

    async def _look(self) -> None:
        await self.context.link.ask(wire.LookHealth())

    def action_systems(self) -> None:
        self.main.spawn(self._look_at_systems(), "look at systems")

    async def _look_at_systems(self) -> None:
        self.main.tell("asking the nodes' systems over SSH")
        await self.context.link.ask(wire.LookSystems())

    def action_journal(self) -> None:
        from plasmatui.ui.dialogs.journal import JournalDialog

        services = self.context.store.services.get(self.grid.cursor_key or "")
        if services is None or services.service(self.column) is None:
            self.main.tell("the node's profile does not run this service", "warning")
            return
        self.app.push_screen(JournalDialog(services.node, self.column))

    def action_declared(self) -> None:
        if targets := self.targets():
            self.main.spawn(self._compare(targets[0]), f"compare {targets[0]} with the flake")

    async def _compare(self, node: str) -> None:
        self.main.tell(f"evaluating what the flake declares for {node}: this may take minutes")
        await self.context.link.ask(wire.LookSystems((node,), declared=True))

    def action_replication(self) -> None:
        from plasmatui.ui.dialogs.base import ConfirmDialog

        def accepted(yes: bool | None) -> None:
            if yes:
                self.main.spawn(self._check_replication(), "check replication")

        names = [group.name for group in self.context.store.groups]
        if not names:
            self.main.tell("no raft group is known: nothing could be written", "warning")
            return
        self.app.push_screen(ConfirmDialog("Check replication", healthlines.replication_acts(self.context)), accepted)

    async def _check_replication(self) -> None:
        reply = await self.context.link.ask(wire.CheckReplication())
        if not isinstance(reply, wire.Replications):
            return
        now = self.context.clock()
        self._replications |= {each.group: (now, each) for each in reply.groups}
        bad = [each.group for each in reply.groups if not each.ok]
        word = f"{', '.join(bad)} does not replicate everywhere" if bad else "every member has what was written"
        self.main.tell(f"replication: {word}", "error" if bad else "information")
        self._show_groups()

    def back(self) -> bool:
        if self.filter:
            self._use(Filter())
        elif self.only_problems:
            self.action_problems_only()
        else:
            return False
        return True

    # Looking

    def action_move(self, rows: int) -> None:
        self._moved = True
        self.grid.action_move(rows)

    def action_ends(self, direction: int) -> None:
        self._moved = True
        self.grid.action_first() if direction < 0 else self.grid.action_last()

    def action_page(self, pages: float) -> None:
        self._moved = True
        self.grid.action_move(int(pages * max(2, self.grid.size.height - 2)))

    def action_column(self, step: int) -> None:
        if self.column not in self._services:
            return
        self._moved = True
        place = self._services.index(self.column) + step
        self.column = self._services[max(0, min(place, len(self._services) - 1))]
        self._lay_out()
        name = self.grid.cursor_key or ""
        if name in self._serving():
            self.grid.update_cells(name, self._cells(name))
        self._show_cell()

    async def action_open(self) -> None:
        if self.grid.cursor_key:
            await self.main.open_node(self.grid.cursor_key)

    async def action_console(self) -> None:
        if targets := self.targets():
            await self.main.open_consoles(targets)

    async def action_boot_tab(self) -> None:
        if self.grid.cursor_key:
            await self.main.open_node(self.grid.cursor_key, "boot")

    def action_problems_only(self) -> None:
        self.only_problems = not self.only_problems
        self._use(self.filter)

    def _use(self, new: Filter) -> None:
        super()._use(new)
        self._fill()
        self._show_cell()
        self.main.refresh_bars()
