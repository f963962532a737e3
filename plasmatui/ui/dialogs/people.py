"""Who is attached; a note about a machine; a lock on machines."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget
from textual.widgets import Input

from plasmatui.inventory.nodesets import fold
from plasmatui.text import clean_line
from plasmatui.ui.bars import age
from plasmatui.ui.dialogs.base import Dialog
from plasmatui.ui.dialogs.lists import KeyDialog
from plasmatui.ui.lines import Line, LinesPane, TextLine, text_line


class WhoDialog(KeyDialog):
    """Everybody who is attached: role, client, from where, since when, what they look at."""

    def __init__(self) -> None:
        super().__init__("Who is attached   esc closes")

    def lines(self) -> list[TextLine]:
        store, now = self.context.store, self.context.clock()
        own = store.welcome.client if store.welcome is not None else 0
        lines = [
            text_line((f" {'USER':<14} {'ROLE':<9} {'CLIENT':<18} {'FROM':<16} {'SINCE':<6} LOOKS AT", "role-muted"))
        ]
        for client in store.clients:
            place = client.place or ("looks only" if client.read_only else "-")
            lines.append(
                text_line(
                    (f" {client.user:<14} ", "bold"),
                    (f"{client.role:<9} ", "role-busy"),
                    (f"{f'{client.kind} {client.terminal}':<18} ", ""),
                    (f"{client.address or '-':<16} ", "role-muted"),
                    (f"{age(now - client.since):<6} ", "role-muted"),
                    (clean_line(place, 64), ""),
                    ("  this screen" if client.client == own else "", "role-ok"),
                )
            )
        return lines if store.clients else [text_line(("the engine is not connected", "role-muted"))]


class TextDialog(Dialog[str]):
    """Asks for one line of text; enter in it gives it back, escape cancels."""

    def __init__(self, title: str, lines: Sequence[TextLine], placeholder: str) -> None:
        super().__init__(title)
        self._lines = lines
        self.body = LinesPane(id="body", wrap=True)
        self.field = Input(placeholder=placeholder, id="text", select_on_focus=False)
        self.field.cursor_blink = False
        self.hint = Line(id="verdict")

    def contents(self) -> Sequence[Widget]:
        return (self.body, self.field, self.hint)

    def on_mount(self) -> None:
        self.body.set_lines(self._lines)
        self.hint.say([("enter accepts, esc cancels; no machine is changed", "role-busy")])
        self.field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if text:
            self.dismiss(text)
        else:
            self.hint.say([("nothing was typed; esc cancels", "role-error")])


class NoteDialog(TextDialog):
    """A note about a machine, for everybody to read."""

    def __init__(self, name: str, notes: Sequence[TextLine]) -> None:
        head = text_line((f"Everybody sees it in the details of {name}, with your name.", ""))
        super().__init__(f"Note about {name}", [head, *notes], "what the others should know")


class LockDialog(TextDialog):
    """The reason for a lock on machines."""

    def __init__(self, names: tuple[str, ...]) -> None:
        lines = (
            text_line((fold(names), "bold")),
            text_line(("Orders of others, and their writing on the console, are refused until you unlock it;", "")),
            text_line(("an admin may go on all the same. What runs already is not stopped.", "")),
        )
        super().__init__(f"Lock {len(names)} node{'s' if len(names) > 1 else ''}", lines, "why")
