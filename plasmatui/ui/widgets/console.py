"""One machine's console on the screen.

Bytes are kept raw until somebody looks: a pane that is not on the screen neither emulates nor draws. A visible one is
brought up to date at most `hz` times a second and draws only the cells that differ from what it drew before. While the
reader pages back, nothing moves: lines are addressed by their absolute numbers, and a chip counts what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.text import clean_line
from plasmatui.ui.vt import Vt
from plasmatui.ui.widgets.backlog import Backlog
from plasmatui.ui.widgets.cells import changed_cells
from plasmatui.ui.widgets.drawing import Flush
from plasmatui.ui.widgets.keys import encode_key
from plasmatui.ui.widgets.picture import Painter, Picture, place_notice
from plasmatui.ui.widgets.place import Place
from plasmatui.ui.widgets.search import Search

_WHEEL: Final = 3  # lines per turn of the wheel
_PREVIEW_DEPTH: Final = 200  # lines searched for ones that hold text


class ConsoleView(Widget, can_focus=True):
    """A console: view-only until the owner sets `writing`; then every key becomes a `ConsoleInput` message."""

    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "console--cursor",
        "console--chip",
        "console--hit",
        "console--current-hit",
        "console--notice",
    }

    DEFAULT_CSS = """
    ConsoleView {
        height: 1fr;
        width: 1fr;
        background: $surface;
        color: $foreground;
        border: solid $panel;
        border-title-color: $foreground;
        &:focus { border: solid $accent; }
        &.-writing { border: heavy $warning; }
        &.-preview { border: none; }
        & > .console--cursor { text-style: reverse; }
        & > .console--chip { color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold; }
        & > .console--notice { color: $text-muted; text-style: bold; }
        & > .console--hit { text-style: underline bold; }
        & > .console--current-hit { text-style: reverse bold; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("up", "scroll_view(-1)", show=False),
        Binding("down", "scroll_view(1)", show=False),
        Binding("home", "oldest", show=False),
        Binding("end", "follow", show=False),
    ]

    node: reactive[str] = reactive("", repaint=False)
    """Name of the machine, for the border."""
    status: reactive[str] = reactive("VIEW", repaint=False)
    """Who writes: VIEW, WRITE, or the holder of the pen; for the border."""
    note: reactive[str] = reactive("", repaint=False)
    """A few words for the lower border."""
    writing: reactive[bool] = reactive(False, toggle_class="-writing")
    """Whether keys go to the machine."""
    preview: reactive[bool] = reactive(False, toggle_class="-preview")
    """Show only the last lines that hold text."""

    class ConsoleInput(Message):
        """A key while writing. `data` may be empty when the machine has no such key; the owner looks for its prefix in
        `key` and sends the rest."""

        def __init__(self, console: ConsoleView, key: str, data: bytes) -> None:
            super().__init__()
            self.console = console
            self.key = key
            self.data = data

        @property
        def control(self) -> ConsoleView:
            return self.console

    class ConsolePaste(Message):
        """Text pasted while writing. The owner asks before it sends several lines."""

        def __init__(self, console: ConsoleView, text: str) -> None:
            super().__init__()
            self.console = console
            self.text = text

        @property
        def control(self) -> ConsoleView:
            return self.console

    def __init__(
        self,
        node: str = "",
        *,
        vt: Vt | None = None,
        preview: bool = False,
        hz: float = 10.0,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.vt = vt or Vt()
        self.backlog = Backlog()
        self.flush = Flush(self, self._draw_new, hz)
        self._place = Place()
        self._drawn: list[Picture] = []
        self._search = Search()
        self._notice: tuple[str, ...] = ()
        self._notice_stays = False
        self._painter = Painter(self)
        self.set_reactive(ConsoleView.node, node)
        self.preview = preview
        self._retitle()

    # Bytes

    def feed(self, data: bytes) -> None:
        """Take bytes from the machine; they are shown with the next flush, or when the pane comes into sight."""
        if data:
            self.backlog.add(data)
            self._schedule()

    def clear(self) -> None:
        """Forget everything: another console will be shown here."""
        self.vt = Vt(self.vt.cols, self.vt.rows, self.vt.history.maxlen or 0)
        self.backlog.clear()
        self._place.follow()
        self._search = Search()
        self._painter.forget_runs()
        self._redraw()

    def catch_up(self) -> None:
        """Emulate what is waiting, for a moment at most; the rest comes with later flushes."""
        if self.backlog.emulate(self.vt):
            self._schedule()

    def visible_text(self) -> str:
        """The lines in sight, without trailing blanks."""
        return "\n".join(self.vt.line_text(number) for number in self._lines())

    def all_text(self) -> str:
        """Scrollback and screen, as far as they are kept."""
        last = self.vt.top_line + self.vt.rows
        return "\n".join(self.vt.line_text(number) for number in range(self.vt.first_line, last)).rstrip("\n")

    def explain(self, notice: tuple[Sequence[str], bool]) -> None:
        """Say why nothing is shown; with True, also below what the console has shown. Clean text, wrapped here."""
        new = tuple(clean_line(line, 400) for line in notice[0])
        if (new, notice[1]) != (self._notice, self._notice_stays):
            self._notice, self._notice_stays = new, notice[1]
            self._redraw()

    @property
    def _blank(self) -> bool:
        """Whether the console has shown nothing at all."""
        return self.vt.top_line == self.vt.first_line and not self.all_text().strip()

    def _place_notice(self, pictures: list[Picture]) -> None:
        """In an empty pane somewhat above the middle, else over the last lines."""
        if not self._notice or not self.following or not pictures:
            return
        blank = self._blank
        if blank or self._notice_stays:
            place_notice(pictures, self._notice, self.size.width, blank=blank)

    # Where the reader is

    @property
    def following(self) -> bool:
        """Whether the newest lines are shown."""
        return self._place.following

    @property
    def new_lines(self) -> int:
        """Lines that came since the reader paged back."""
        return self._place.new_lines(self.vt)

    def scroll_to_line(self, number: int) -> None:
        """Show an absolute line at the top and stay there; past the newest lines, follow again."""
        self._place.go_to(self.vt, number, self.size.height)
        self._redraw()

    def action_scroll_view(self, lines: int) -> None:
        """Scroll down by `lines` (up when negative)."""
        self.catch_up()
        self.scroll_to_line(self._top() + lines)

    def action_page(self, pages: int) -> None:
        """Scroll by what fits, less one line."""
        self.action_scroll_view(pages * max(1, self.size.height - 1))

    def action_oldest(self) -> None:
        """Go to the oldest line that is kept."""
        self.scroll_to_line(self.vt.first_line)

    def action_follow(self) -> None:
        """Show the newest lines, and those to come."""
        self._place.follow()
        self._redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Page back."""
        event.stop()
        self.action_scroll_view(-_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Page forward."""
        event.stop()
        self.action_scroll_view(_WHEEL)

    def _top(self) -> int:
        return self._place.top(self.vt, self.size.height)

    def _left(self) -> int:
        """First column shown: 0, or what brings the cursor into sight while writing."""
        x = self.vt.cursor[0]
        return max(0, x - self.size.width + 1) if self.writing and self.following else 0

    # Search

    def search(self, pattern: str) -> int:
        """Look for a regular expression in scrollback and screen and show the newest hit; see `Search.begin`.

        Returns the number of hits. An empty pattern ends the search.
        """
        self.catch_up()
        self._search.begin(self.vt, pattern)
        self._show_hit()
        return len(self._search.hits)

    @property
    def hit_text(self) -> str:
        """Which hit of the search is the current one, and how many there are."""
        return self._search.place

    def search_next(self, step: int = 1) -> bool:
        """Go to the next newer hit (older with -1), around the end; false when there is none."""
        self.catch_up()
        self._search.step(self.vt, step)
        self._show_hit()
        return self._search.current is not None

    def _show_hit(self) -> None:
        hit = self._search.current
        if hit is not None:
            top, height = self._top(), max(1, self.size.height)
            if not top <= hit[0] < top + height:
                self.scroll_to_line(hit[0] - height // 2)
            else:
                self._place.hold(self.vt, self.size.height)
        self._redraw()

    # Keys

    def on_key(self, event: events.Key) -> None:
        """While writing, every key goes to the owner."""
        if not self.writing:
            return
        event.stop()
        event.prevent_default()
        if not self.following:
            self.action_follow()
        data = encode_key(event.key, event.character, self.vt.application_cursor)
        self.post_message(self.ConsoleInput(self, event.key, data))

    def on_paste(self, event: events.Paste) -> None:
        """While writing, a paste goes to the owner."""
        event.stop()
        if self.writing:
            self.post_message(self.ConsolePaste(self, event.text))

    # Border

    def watch_node(self) -> None:
        """Say whose console it is."""
        self._retitle()

    def watch_status(self) -> None:
        """Say who writes."""
        self._retitle()

    def watch_note(self) -> None:
        """Say it in the lower border."""
        note = clean_line(self.note, 160)
        self.border_subtitle = Content(note) if note else None

    def watch_writing(self) -> None:
        """Writing shows the newest lines and the cursor."""
        if self.writing:
            self._place.follow()
        self._redraw()

    def watch_preview(self) -> None:
        """Other lines are shown."""
        self._redraw()

    def _retitle(self) -> None:
        title = f"{clean_line(self.node, 80)} {clean_line(self.status, 80)}".strip()
        self.border_title = Content(title) if title else None

    # Drawing

    def notify_style_update(self) -> None:
        """The theme or the focus changed."""
        super().notify_style_update()
        self._painter.clear()

    def on_mount(self) -> None:
        """What came before there was a screen is shown."""
        if self.backlog:
            self._schedule()

    def on_resize(self, event: events.Resize) -> None:
        """Another part of the console fits."""
        self._redraw()

    def _schedule(self) -> None:
        if not self.flush.stale:
            self.flush.soon()

    def _draw_new(self) -> None:
        self.catch_up()
        self._redraw()

    def _redraw(self) -> None:
        """Refresh the cells that look different from what was drawn."""
        old, self._drawn = self._drawn, self._pictures()
        if not self.is_running:
            return
        if len(old) != len(self._drawn):
            self.refresh()
            return
        width = self.size.width
        regions = []
        for y, (before, now) in enumerate(zip(old, self._drawn, strict=True)):
            if before != now:
                start, end = 0, width
                if replace(before, runs=()) == replace(now, runs=()):
                    start, end = changed_cells(before.runs, now.runs, now.left, width)
                regions.append(Region(start, y, end - start, 1))
        if regions:
            self.refresh(*regions)

    def _pictures(self) -> list[Picture]:
        """All that decides how each line looks, from the top."""
        vt = self.vt
        height = self.size.height
        left = self._left()
        cursor_line = vt.top_line + vt.cursor[1] if self.writing and self.following and vt.cursor_visible else -1
        current = self._search.current
        pictures = []
        for number in self._lines():
            pictures.append(
                Picture(
                    vt.absolute_line(number),
                    left,
                    vt.cursor[0] if number == cursor_line else -1,
                    self._search.in_line(number),
                    current if current is not None and current[0] == number else None,
                )
            )
        pictures.extend([Picture()] * (height - len(pictures)))
        self._place_notice(pictures)
        if pictures and (count := self.new_lines):
            pictures[-1] = replace(pictures[-1], chip=f" +{count} lines ")
        return pictures

    def _lines(self) -> list[int]:
        """Absolute numbers of the lines shown, from the top."""
        height = self.size.height
        if not self.preview:
            return list(range(self._top(), self._top() + height))
        numbers: list[int] = []
        last = self.vt.top_line + self.vt.rows - 1
        for number in range(last, max(self.vt.first_line, last - _PREVIEW_DEPTH) - 1, -1):
            if len(numbers) == height:
                break
            if any(not text.isspace() for text, _ in self.vt.absolute_line(number)):
                numbers.append(number)
        return numbers[::-1]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines for the compositor; what came while nobody looked is emulated now."""
        if self.flush.stale or len(self._drawn) != self.size.height:
            self.flush.stale = False
            self.catch_up()
            self._drawn = self._pictures()
            self._styles_cache.clear()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line, as it was decided with the last flush."""
        width = self.size.width
        if y >= len(self._drawn):
            return self._painter.blank(width)
        return self._painter.strip(self._drawn[y], self.vt, width)
