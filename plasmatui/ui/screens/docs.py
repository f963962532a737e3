"""The documents, read on the screen: the index, and behind its links the pages."""

from __future__ import annotations

import re

from textual import events
from textual.app import ComposeResult

from plasmatui.pages import INDEX, docs_dir
from plasmatui.ui.keymap import typed
from plasmatui.ui.lines import Line, LinesPane, TextLine, text_line
from plasmatui.ui.pacing import PacedScreen

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_STANDS_ALONE = re.compile(r"#|```|    |\||[-*] |\d+\. |$")
_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")


class DocsScreen(PacedScreen[None]):
    """See the module. Enter follows the link under the cursor, escape goes a page back and then closes."""

    AUTO_FOCUS = ""

    def __init__(self, page: str = INDEX) -> None:
        super().__init__()
        self._trail: list[str] = []
        self._page = page
        self._title = Line(id="crumbs")
        self._keys = Line(id="keys")
        self.pane = LinesPane(wrap=True)

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.pane
        yield self._keys

    def on_mount(self) -> None:
        self.pane.focus()
        self._keys.say(
            [(" down up", "bold role-busy"), (" next link ", ""), (" enter", "bold role-busy"), (" follow it ", ""),
             (" space b", "bold role-busy"), (" page ", ""), (" esc", "bold role-busy"), (" back ", "")]
        )  # fmt: skip
        self._show(self._page)

    def _show(self, target: str) -> None:
        name, _, anchor = target.partition("#")
        self._page = name or self._page
        path = docs_dir() / self._page
        try:
            lines = page_lines(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            lines = [text_line((f"{path} cannot be read: {error}", "role-error"))]
        self._title.say([(f" {path}", "bold")])
        self.pane.begin(follow=False)
        self.pane.set_lines(lines)
        if anchor:
            self.call_after_refresh(self._go_to, anchor)

    def _go_to(self, anchor: str) -> None:
        for place, line in enumerate(self.pane.lines):
            if line.plain.startswith("#") and _anchor(line.plain) == anchor:
                self.pane.scroll_to(y=place, animate=False, force=True)
                return

    async def on_key(self, event: events.Key) -> None:
        key = typed(event.key, event.character)
        pages = {"pgdn": 1.0, "space": 1.0, "pgup": -1.0, "b": -1.0, "ctrl+d": 0.5, "ctrl+u": -0.5}
        moves = {"down": 1, "j": 1, "tab": 1, "up": -1, "k": -1, "shift+tab": -1}
        if key in pages:
            self.pane.page(pages[key])
        elif key in moves:
            self.pane.move(moves[key])
        elif key in ("home", "g", "end", "G"):
            self.pane.scroll_to(y=0 if key in ("home", "g") else self.pane.max_scroll_y, animate=False, force=True)
        elif key == "enter":
            self._follow(self.pane.cursor)
        elif key in ("esc", "backspace", "left"):
            self._back()
        elif key in ("q", "ctrl+c"):
            self.dismiss(None)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_lines_pane_chosen(self, event: LinesPane.Chosen) -> None:
        self._follow(event.pane.cursor)

    def _follow(self, key: str) -> None:
        target = key.partition(" ")[2]
        if target:
            self._trail.append(self._page)
            self._show(target)

    def _back(self) -> None:
        if self._trail:
            self._show(self._trail.pop())
        else:
            self.dismiss(None)


def page_lines(text: str) -> list[TextLine]:
    """A page for a `LinesPane`: paragraphs as single lines, which the pane wraps; a line with a link to another page
    can be chosen, and its key ends in the link's target."""
    lines: list[TextLine] = []
    paragraph: list[str] = []
    fenced = False

    def flush() -> None:
        if paragraph:
            lines.append(_prose(" ".join(paragraph), len(lines)))
            paragraph.clear()

    for line in text.splitlines():
        if line.startswith("```"):
            flush()
            fenced = not fenced
        elif fenced or (line.startswith("    ") and not paragraph):
            flush()
            lines.append(text_line((line, "role-ok")))
        elif _STANDS_ALONE.match(line) and not (paragraph and line.startswith("    ")):
            flush()
            if re.match(r"[-*] |\d+\. ", line):
                paragraph.append(line)
            else:
                style = "bold role-busy" if line.startswith("#") else ""
                lines.append(text_line((line, style)) if style or not line else _prose(line, len(lines)))
        else:
            paragraph.append(line.strip())
    flush()
    return lines


def _prose(text: str, number: int) -> TextLine:
    """Text with its links; the first that leads to a page of ours can be followed."""
    text = _PICTURE.sub(r"(picture: \1)", text)
    targets = [found[2] for found in _LINK.finditer(text) if re.match(r"[\w-]*(\.md)?(#|$)", found[2])]
    parts = []
    end = 0
    for found in _LINK.finditer(text):
        parts += [(text[end : found.start()], ""), (found[1], "underline role-busy")]
        end = found.end()
    parts.append((text[end:], ""))
    return text_line(*parts, key=f"{number} {targets[0]}" if targets else "")


def _anchor(heading: str) -> str:
    """A heading's anchor, as web views of repositories make it."""
    words = re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower())
    return words.replace(" ", "-")
