"""The Nodes view: the grid, its filter, order and marks, and the detail pane."""

from __future__ import annotations

from collections.abc import Collection

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.timer import Timer

from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.ui import columns
from plasmatui.ui.filter import Filter
from plasmatui.ui.keeping import Kept, usable_order
from plasmatui.ui.lines import LinesPane, Part
from plasmatui.ui.noengine import no_engine_lines
from plasmatui.ui.screens.detail import NodeDetail
from plasmatui.ui.screens.filtering import FilteringView
from plasmatui.ui.spans import ratio_of
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.widgets.grid import NodeGrid
from plasmatui.ui.widgets.gridlayout import Cell, Row
from plasmatui.ui.works import at_work

PANE_ROWS, PANE_LEAST = 36, 20
"""Lines of the terminal from which on the detail pane is open by itself, and below which it cannot be opened."""

BARS, PANE_SHORTEST = 3, 12
"""Lines of the bars above and below the view at least, and of the pane."""

STAGES = 2.0
"""Seconds between two looks at how long running stages have taken."""

DETAIL_DELAY = 0.2
"""Seconds that the cursor must rest before the detail pane follows it."""


class NodesView(FilteringView):
    """See the module."""

    SCOPE = "nodes"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.order_by = "node"
        self.reverse = False
        self.only_problems = False
        self.all_columns = False
        self.range_from = ""
        self._fields: tuple[columns.Field, ...] = ()
        self._order: list[str] = []
        self._passing: set[str] = set()
        self._detail_timer: Timer | None = None
        self.pane_wanted: bool | None = None
        self._work: dict[str, tuple[OperationRecord, NodeRecord]] = {}

    def compose(self) -> ComposeResult:
        self.grid = NodeGrid((), mark=self.context.glyphs["mark"], id="grid")
        self.detail = NodeDetail(id="detail")
        self.unknown = LinesPane(wrap=True, id="unknown")
        yield self.unknown
        yield self.grid
        yield self.detail

    def on_mount(self) -> None:
        self.set_interval(STAGES, self._tick, name="stages")
        self._size_pane()
        self._lay_out()

    def on_resize(self) -> None:
        self._size_pane()
        self._lay_out()

    def _size_pane(self) -> None:
        """Open the pane where there is room for it, unless `p` said otherwise."""
        height = self.app.size.height
        on = height >= PANE_LEAST and (height >= PANE_ROWS if self.pane_wanted is None else self.pane_wanted)
        if on != self.detail.has_class("on"):
            self._open_pane(on)
        self._share_height()

    def _share_height(self) -> None:
        """The pane takes what the rows leave, and a third at least."""
        part = 0.7 if self.detail.has_class("big") else 0.35
        lines = self.size.height or self.app.size.height - BARS  # an operation that runs has a line of its own
        self.detail.styles.height = max(PANE_SHORTEST, int(part * lines), lines - len(self.context.store.nodes) - 1)

    def _open_pane(self, on: bool) -> None:
        self.detail.set_class(on, "on")
        if self.is_in_sight:
            self.detail.show((self.grid.cursor_key or "") if on else "")

    def focus_view(self) -> None:
        self.grid.focus()

    # Rows

    def _lay_out(self) -> None:
        """Choose the columns that fit; rows hold the cells of these alone."""
        fields = columns.columns_for(self.app.size.width, self.all_columns)
        longest = max((cell_len(name) for name in self.context.store.nodes), default=0)
        self.grid.set_columns(columns.grid_columns(fields, self.order_by, self.reverse, self.context.glyphs, longest))
        if fields != self._fields:
            self._fields = fields
            self._fill()

    def _fill(self) -> None:
        """Give the grid all rows anew."""
        self.grid.set_rows(Row(name, self._cells(name)) for name in self.context.store.nodes)
        self._order = []
        self._arrange()

    def _cells(self, name: str) -> dict[str, Cell]:
        store = self.context.store
        return columns.row_cells(
            self._fields,
            store.nodes[name],
            store.state(name),
            self.context.glyphs,
            self.context.clock(),
            self._work.get(name),
        )

    def _tick(self) -> None:
        """Stages that run take ever longer beside their usual time."""
        if not self.is_in_sight or self.context.frozen:
            return
        for name in self._order:
            stage = self.context.store.state(name).stage
            if stage is not None and ratio_of(stage, self.context.clock()) is not None:
                self.grid.update_cells(name, self._cells(name))

    def _say_why_nothing(self) -> None:
        """While no node is known because no engine answers: why, and what can be done, in place of an empty grid."""
        store = self.context.store
        nothing = not store.nodes and not store.link.online and store.link.since > 0
        if nothing:
            self.unknown.set_lines(no_engine_lines(self.context))
        if nothing is not self.has_class("unknown"):
            self.set_class(nothing, "unknown")

    def update_view(self, dirt: Dirt) -> None:
        if Topic.LINK in dirt.topics:
            self._say_why_nothing()
        names = dirt.names | self._look_at_work() if Topic.OPERATIONS in dirt.topics else dirt.names
        if Topic.NODES in dirt.topics:
            self._lay_out()
            self._share_height()
            self._fill()
        elif names:
            for name in names & self.context.store.nodes.keys():
                self.grid.update_cells(name, self._cells(name))
            if self.order_by != "node" or self.filter or self.only_problems:
                self._arrange(names)
        if self.detail.has_class("on"):
            self.detail.refresh_detail(dirt)

    def _look_at_work(self) -> frozenset[str]:
        """See which nodes operations work on now; the nodes of which something else is to be shown."""
        before, self._work = self._work, at_work(self.context.store)
        return frozenset(name for name in before.keys() | self._work.keys() if before.get(name) != self._work.get(name))

    def _arrange(self, changed: Collection[str] | None = None) -> None:
        """Filter and order the rows. `changed`: nothing but these nodes did since the last time."""
        store = self.context.store
        order = columns.BY_ID[self.order_by].order
        if changed is None:
            self._passing = set(filter(self._passes, store.nodes))
        else:
            self._passing.difference_update(changed)
            self._passing.update(name for name in changed if name in store.nodes and self._passes(name))
        shown = [name for name in store.nodes if name in self._passing]
        shown.sort(key=lambda name: columns.natural(name))
        if self.order_by != "node":
            shown.sort(key=lambda name: order(store.nodes[name], store.state(name)))
        if self.reverse:
            shown.reverse()
        if shown != self._order:
            self._order = shown
            self.grid.set_order(shown)
        self._remember()
        self.main.refresh_bars()

    def _passes(self, name: str) -> bool:
        store = self.context.store
        state = store.state(name)
        if self.only_problems and not state.findings:
            return False
        return not self.filter or self.filter.matches(store.nodes[name], state)

    def _remember(self) -> None:
        """Tell the other views what is marked, hidden and under the cursor."""
        context = self.context
        context.order = tuple(self._order)
        context.marks = self.grid.marks
        context.hidden = context.marks - set(self._order)
        context.current = self.grid.cursor_key or ""

    # Messages of the grid

    def on_node_grid_cursor_moved(self, event: NodeGrid.CursorMoved) -> None:
        event.stop()
        self._remember()
        self.context.ordered = ()
        if self.detail.has_class("on"):
            if self._detail_timer is not None:
                self._detail_timer.stop()
            self._detail_timer = self.set_timer(DETAIL_DELAY, self._follow_cursor, name="detail-follow")

    def _follow_cursor(self) -> None:
        self._detail_timer = None
        if self.is_in_sight and self.detail.has_class("on"):
            self.detail.show(self.grid.cursor_key or "")

    def on_node_grid_marks_changed(self, event: NodeGrid.MarksChanged) -> None:
        event.stop()
        self._remember()
        self.main.refresh_bars()

    async def on_node_grid_row_opened(self, event: NodeGrid.RowOpened) -> None:
        event.stop()
        await self.main.open_node(event.key)

    # What it says

    def crumbs(self) -> list[Part]:
        context = self.context
        parts: list[Part] = [(f" nodes {len(self._order)}/{len(context.store.nodes)}", "bold")]
        if self.filter:
            parts.append((f"  /{self.filter.text}", "role-busy"))
        if self.only_problems:
            parts.append(("  problems only", "role-warning"))
        if context.marks:
            hidden = f" ({len(context.hidden)} hidden)" if context.hidden else ""
            parts.append((f"  {len(context.marks)} marked{hidden}", "bold role-mark"))
        if self.range_from:
            parts.append((f"  range from {self.range_from}: move, then v", "role-mark"))
        arrow = context.glyphs["down" if self.reverse else "up"]
        parts.append((f"  order: {columns.BY_ID[self.order_by].title.lower()}{arrow}", "role-muted"))
        return parts

    # Looking

    def action_move(self, rows: int) -> None:
        self.grid.action_move(rows)

    def action_ends(self, direction: int) -> None:
        self.grid.action_first() if direction < 0 else self.grid.action_last()

    def action_page(self, pages: float) -> None:
        self.grid.action_move(int(pages * max(2, self.grid.size.height - 2)))

    async def action_open(self) -> None:
        if self.grid.cursor_key:
            await self.main.open_node(self.grid.cursor_key)

    def _use(self, new: Filter) -> None:
        super()._use(new)
        self._arrange()

    def action_problems_only(self) -> None:
        self.only_problems = not self.only_problems
        self._arrange()

    def action_wide(self) -> None:
        self.all_columns = not self.all_columns
        self._lay_out()

    def action_order(self) -> None:
        from plasmatui.ui.dialogs.menu import MenuDialog, MenuItem

        items = [
            MenuItem(field.id, field.title.lower(), "again: turn round" if field.id == self.order_by else "")
            for field in columns.COLUMNS
        ]

        self.app.push_screen(MenuDialog("Order by", items), self._order_by)

    def _order_by(self, field: str | None) -> None:
        """Order by a column; by the same one again, the other way round."""
        if field:
            self.reverse = not self.reverse if field == self.order_by else False
            self.order_by = field
            self._lay_out()
            self._arrange()

    def on_node_grid_title_clicked(self, event: NodeGrid.TitleClicked) -> None:
        event.stop()
        self._order_by(event.column)

    def action_mark(self) -> None:
        self.grid.toggle_mark()
        self.grid.action_move(1)

    def action_mark_range(self) -> None:
        here = self.grid.cursor_key or ""
        if not self.range_from or self.range_from not in self._order:
            self.range_from = here
        elif here:
            first, last = sorted((self._order.index(self.range_from), self._order.index(here)))
            self.range_from = ""
            self.grid.set_marks(self.grid.marks | set(self._order[first : last + 1]))
        self.main.refresh_bars()

    def action_unmark(self) -> None:
        self.range_from = ""
        self.grid.set_marks(())

    def mark(self, names: tuple[str, ...]) -> None:
        """Mark these nodes and no others."""
        self.grid.set_marks(names)

    def go_back_to(self, kept: Kept) -> None:
        """Show what was shown when the screen was left."""
        self.order_by, self.reverse = usable_order(kept.order), kept.reverse
        self.only_problems, self.all_columns, self.pane_wanted = kept.problems, kept.wide, kept.pane
        self._size_pane()
        self._lay_out()
        self.set_filter(kept.filter)
        self.grid.move_to(kept.node)

    def action_pane(self) -> None:
        on = not self.detail.has_class("on")
        if on and self.app.size.height < PANE_LEAST:
            self.main.tell(f"the detail pane needs {PANE_LEAST} lines; enter opens the node in full", "warning")
            return
        self.pane_wanted = on
        self._open_pane(on)

    def action_tab(self, step: int) -> None:
        if self.detail.has_class("on"):
            self.detail.next_tab(step)

    def action_evidence(self) -> None:
        if self.detail.has_class("on"):
            self.detail.toggle_evidence()

    def shown(self) -> None:
        super().shown()
        if self.detail.has_class("on"):
            self.detail.show(self.grid.cursor_key or "")

    def hidden(self) -> None:
        super().hidden()
        self.detail.show("")

    def ask_again(self) -> bool:
        return self.detail.has_class("on") and not self.context.marks and self.detail.ask_again()

    def zoom(self, on: bool) -> None:
        if on and not self.detail.has_class("on"):
            self.action_pane()
        self.detail.set_class(on, "big")
        self._share_height()

    def back(self) -> bool:
        if self.range_from:
            self.range_from = ""
        elif self.detail.has_class("big"):
            self.zoom(False)
        elif self.filter:
            self._use(Filter())
        elif self.only_problems:
            self.action_problems_only()
        elif self.grid.marks:
            self.action_unmark()
        else:
            return False
        return True

    def row_text(self, name: str) -> str:
        """A row as plain text, for copying."""
        store = self.context.store
        cells = columns.row_cells(columns.COLUMNS, store.nodes[name], store.state(name), self.context.glyphs)
        return "\t".join(cells[field.id].text for field in columns.COLUMNS)
