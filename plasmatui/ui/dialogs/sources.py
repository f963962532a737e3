"""Which log sources are shown, with how each stands: a checklist."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget

from plasmatui.model.boot import SourceState
from plasmatui.ui.bars import age
from plasmatui.ui.context import Context
from plasmatui.ui.dialogs.base import Dialog
from plasmatui.ui.lines import Line, LinesPane, Part, TextLine, text_line
from plasmatui.ui.spans import span_text

LATE = 5.0
"""Seconds of lag from which on it is a warning."""

NAME = 30
"""Columns for the name of a source; of a longer one its end tells more."""

_STATUS = {"running": ("ok", "ok"), "waiting": ("wait", "warning"), "failed": ("error", "error")}


def source_parts(context: Context, source: SourceState) -> list[Part]:
    """Standing of a source in one line."""
    sign, role = _STATUS.get(source.status, ("unknown", "unknown"))
    late = source.lag >= LATE
    last = f", last {age(context.clock() - source.last)} ago" if source.last else ""
    parts: list[Part] = [
        (f"{context.glyphs[sign]} {source.status:<8} ", f"role-{role}"),
        (f"{source.kind:<5} ", "role-muted"),
        (f"{_end_of(source.name):<{NAME}} ", "bold"),
    ]
    if source.message:
        parts.append((f"{source.message}  ", f"role-{role}"))
    parts += [
        (f"lag {span_text(source.lag):<6} ", "role-warning" if late else "role-muted"),
        (f"{source.lines} lines{last}", "role-muted"),
    ]
    if source.dropped:
        parts.append((f", {source.dropped} dropped", "role-warning"))
    return parts


def _end_of(name: str) -> str:
    return name if len(name) <= NAME else "..." + name[3 - NAME :]


class SourcesDialog(Dialog[tuple[str, ...]]):
    """Space checks or unchecks; gives back the names of what is checked, or None when cancelled or nothing is."""

    def __init__(self, chosen: tuple[str, ...]) -> None:
        super().__init__("Log sources")
        self._chosen = set(chosen)
        self._pane = LinesPane()

    def contents(self) -> Sequence[Widget]:
        self._hint = Line()
        return (self._pane, self._hint)

    def on_mount(self) -> None:
        if not self._chosen:
            self._chosen = set(self.context.store.sources)
        self._show()
        self._pane.ends(-1)
        keys = (("space", "check"), ("a", "all or none"), ("enter", "show these"), ("esc", "cancel"))
        self._hint.say([part for key, word in keys for part in ((key, "bold role-busy"), (f" {word}  ", ""))])

    def _show(self) -> None:
        sources = self.context.store.sources
        lines: list[TextLine] = []
        for name, source in sorted(sources.items()):
            sign = "[x] " if name in self._chosen else "[ ] "
            lines.append(text_line((f" {sign}", "bold"), *source_parts(self.context, source), key=name))
        self._pane.set_lines(lines or [text_line(("the inventory names no logs: add `logs:`", "role-muted"))])

    async def pressed(self, key: str) -> bool:
        if key == "space" and self._pane.cursor:
            self._chosen ^= {self._pane.cursor}
        elif key == "a":
            self._chosen = set() if self._chosen else set(self.context.store.sources)
        elif key in ("up", "k", "down", "j"):
            self._pane.move(-1 if key in ("up", "k") else 1)
        elif key == "enter":
            self.dismiss(tuple(sorted(self._chosen)) or None)
        else:
            return await super().pressed(key)
        self._show()
        return True
