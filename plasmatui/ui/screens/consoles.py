"""The Consoles view: 1 to 9 consoles side by side, a pen to write with, pages for more nodes."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Container

from plasmatui.ui.lines import Part
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.screens.pen import Pen
from plasmatui.ui.screens.tile import Tile
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.widgets.console import ConsoleView

LAYOUTS = (1, 2, 4, 6, 9)


class ConsolesView(ActingView):
    """See the module. A tile that is not in sight reads nothing: its console is closed towards us."""

    SCOPE = "consoles"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.layout_size = 4
        self.zoomed = False
        self.first = 0
        self.focused_tile = 0
        self._picked: tuple[str, ...] = ()
        self.pen = Pen(self)

    def compose(self) -> ComposeResult:
        self.tiles = [Tile() for _ in range(LAYOUTS[-1])]
        yield Container(*(tile.console for tile in self.tiles), id="tiles")

    def names(self) -> tuple[str, ...]:
        """All nodes that the view goes through: those picked, else the marked ones, else all in the grid's order."""
        store = self.context.store
        chosen = self._picked or tuple(self.context.targets() if self.context.marks else ())
        return tuple(name for name in chosen or self.context.order or tuple(store.nodes) if name in store.nodes)

    @property
    def footer(self) -> str:
        return "writing" if self.tile.console.writing else self.SCOPE

    @property
    def size_now(self) -> int:
        return 1 if self.zoomed else self.layout_size

    def place(self) -> str:
        return f"console {self.tile.node}" if self.tile.node else self.SCOPE

    @property
    def tile(self) -> Tile:
        """The tile in focus."""
        return self.tiles[self.focused_tile]

    def begin_at_cursor(self) -> None:
        """From Nodes: the marked nodes, else those of the operation that was just ordered, else from the cursor on."""
        context = self.context
        if context.marks:
            self._picked, self.first, self.focused_tile = (), 0, 0
            self._arrange_in_sight()
        elif context.ordered:
            self.pick(context.ordered)
        else:
            names = tuple(context.store.nodes) if not context.order else context.order
            self._picked = ()
            place = names.index(context.current) if context.current in names else 0
            self.first = max(0, min(place, len(names) - self.layout_size))
            self.focused_tile = place - self.first
            self._arrange_in_sight()

    def _arrange_in_sight(self) -> None:
        self.zoomed = False
        if self._shown:
            self._arrange()

    def pick(self, names: tuple[str, ...]) -> None:
        """Show these nodes, or (with none) the marked ones or those around the cursor."""
        self._picked = names
        self.zoomed = False
        everything = self.names()
        self.layout_size = next((n for n in LAYOUTS if n >= len(everything)), 9) if names or self.context.marks else 1
        place = everything.index(self.context.current) if self.context.current in everything else 0
        self.first = place - place % self.size_now if not names else 0
        self.focused_tile = min(place - self.first, self.size_now - 1) if not names else 0
        if self._shown:
            self._arrange()

    # In sight

    def shown(self) -> None:
        super().shown()
        self._arrange()

    def hidden(self) -> None:
        super().hidden()
        self.pen.leave()
        for tile in self.tiles:
            tile.use(None)

    def thawed(self) -> None:
        super().thawed()
        for tile in self.tiles:
            tile.thaw()

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick, name="console-tries")

    def _tick(self) -> None:
        """Seconds until the next try go by."""
        if self._shown and not self.context.frozen:
            for tile in self.tiles:
                tile.retitle()

    def update_view(self, dirt: Dirt) -> None:
        for tile in self.tiles:
            if tile.node in dirt.names:
                tile.retitle()
        if Topic.LINK in dirt.topics and not self.context.store.link.online:
            self.pen.leave()
        self.pen.check()

    def focus_view(self) -> None:
        self.tile.console.focus()

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#tiles").set_class(event.size.width < 120, "narrow")

    def _arrange(self) -> None:
        """Give each tile its node; those without one are hidden and closed."""
        names, size = self.names(), self.size_now
        if self.first >= len(names):
            self.first = max(0, (len(names) - 1) // size * size)
        page = names[self.first : self.first + size]
        self.focused_tile = max(0, min(self.focused_tile, len(page) - 1))
        area = self.query_one("#tiles")
        for layout in LAYOUTS:
            area.set_class(layout == size, f"t{layout}")
        for place, tile in enumerate(self.tiles):
            tile.console.set_class(place >= len(page), "gone")
            tile.use(page[place] if place < len(page) else None)
        self._point()
        if self._shown:
            self.focus_view()
        self.main.refresh_bars()

    def _point(self) -> None:
        """Say which of several tiles the keys go to, not by its colour alone."""
        several = self.tiles[1].node is not None
        for place, tile in enumerate(self.tiles):
            if tile.here != (several and place == self.focused_tile):
                tile.here = not tile.here
                tile.retitle()

    def crumbs(self) -> list[Part]:
        names = self.names()
        last = min(self.first + self.size_now, len(names))
        parts: list[Part] = [
            (f" consoles {self.first + 1 if names else 0}-{last} of {len(names)}", "bold"),
            (f"  layout {self.size_now}", "role-muted"),
        ]
        if self._picked or self.context.marks:
            parts.append(("  chosen nodes" if self._picked else "  marked nodes", "role-mark"))
        if self.tile.pattern:
            parts.append((f"  /{self.tile.pattern}", "role-busy"))
            parts.append((f"  hit {self.tile.console.hit_text}", "role-mark"))
        return parts + self.pen.parts()

    def targets(self) -> tuple[str, ...]:
        return (self.tile.node,) if self.tile.node else ()

    def copy_source(self) -> str:
        return self.tile.node or ""

    def back(self) -> bool:
        if self.tile.pattern:
            self.tile.search("")
        elif not self.tile.console.following:
            self.tile.console.action_follow()
        elif self.zoomed:
            self.zoom(False)
        else:
            return False
        return True

    def zoom(self, on: bool) -> None:
        if on == self.zoomed or not self.tile.node:
            return
        name = self.tile.node
        self.zoomed = on
        place = self.names().index(name)
        self.first = place - place % self.size_now
        self.focused_tile = place - self.first
        self._arrange()

    # Actions

    def action_layout(self) -> None:
        name = self.tile.node
        self.zoomed = False
        self.layout_size = LAYOUTS[(LAYOUTS.index(self.layout_size) + 1) % len(LAYOUTS)]
        names = self.names()
        place = names.index(name) if name in names else 0
        self.first = place - place % self.layout_size
        self.focused_tile = place - self.first
        self._arrange()

    def action_zoom_tile(self) -> None:
        self.zoom(not self.zoomed)

    def action_focus_tile(self, step: int) -> None:
        count = sum(tile.node is not None for tile in self.tiles)
        if count:
            self.focused_tile = (self.focused_tile + step) % count
            self._point()
            self.focus_view()
            self.main.refresh_bars()

    def action_page(self, step: int) -> None:
        names, size = self.names(), self.size_now
        first = max(0, self.first + step * size)
        if first != self.first and first < len(names):
            self.first, self.focused_tile = first, 0
            self._arrange()

    def action_search(self) -> None:
        tile = self.tile

        def accept(text: str) -> str:
            hits = tile.search(text)
            return "" if hits or not text else "not found in what is kept here"

        def undo() -> None:
            tile.search("")

        self.main.ask(PromptUse("/", accept, cancel=undo))

    def action_hit(self, step: int) -> None:
        if not self.tile.console.search_next(step):
            self.main.tell("nothing to search for; / begins a search", "warning")
        self.main.refresh_bars()

    def action_save(self) -> None:
        if self.tile.node:
            self.main.spawn(self.tile.save(self.main.tell), f"save {self.tile.node}")

    def action_reopen(self) -> None:
        if self.tile.node:
            self.main.orders.reopen(self.tile.node)

    def action_write(self) -> None:
        self.pen.take()

    def action_prefix(self) -> None:
        self.pen.arm()

    async def on_key(self, event: events.Key) -> None:
        """After the prefix, the next key is a command although nobody writes."""
        if self.pen.armed and not self.tile.console.writing:
            event.stop()
            event.prevent_default()
            self.pen.command(event.key, event.character)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        for place, tile in enumerate(self.tiles):
            if tile.console is event.widget and place != self.focused_tile:
                self.pen.leave()
                self.focused_tile = place
                self._point()
                self.main.refresh_bars()

    def on_console_view_console_input(self, event: ConsoleView.ConsoleInput) -> None:
        event.stop()
        self.pen.key(event)

    def on_console_view_console_paste(self, event: ConsoleView.ConsolePaste) -> None:
        event.stop()
        self.pen.paste(event.text)
