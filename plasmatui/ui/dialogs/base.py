"""What all dialogs share: a frame, keys that never act by accident, and the three confirm levels."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from plasmatui.text import clean_line
from plasmatui.ui.context import Context, context_of
from plasmatui.ui.keymap import typed
from plasmatui.ui.lines import Line, LinesPane, Part, TextLine, text_line
from plasmatui.ui.pacing import PacedScreen
from plasmatui.ui.paragraph import Paragraph
from plasmatui.ui.toosmall import TooSmall

GUARD = 0.5
"""Seconds during which a level 2 question ignores `y`, so that a key meant for what was there before does nothing."""

AROUND = 5
"""Lines of a question beside its text and its paragraphs: frame, phrase, choices."""

GONE = "the engine is not connected: nothing was done; the same key tries again"

Answer = TypeVar("Answer")


class Choice(Static, can_focus=True):
    """Something that can be chosen with tab and enter, or by a click. Its text is never markup."""

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002 - Textual's word
        super().__init__(text, id=id, markup=False)


class Dialog(PacedScreen[Answer], ModalScreen[Answer]):
    """A modal question; escape and `n` cancel it."""

    AUTO_FOCUS = ""
    INPUT_KEYS: ClassVar[frozenset[str]] = frozenset(("escape",))
    """Keys that are the dialog's although an input has the focus."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = clean_line(title, 200)

    @property
    def context(self) -> Context:
        return context_of(self)

    def compose(self) -> ComposeResult:
        frame = Vertical(*self.contents(), id="frame")
        frame.border_title = self._title.replace("[", "\\[")
        yield frame
        yield TooSmall()

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(TooSmall).look(self, event.size)

    def contents(self) -> Sequence[Widget]:
        """What stands in the frame."""
        return ()

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Close with an answer. A second key that comes before the dialog is gone must close nothing else."""
        if self.app.screen is not self:
            return AwaitComplete()
        return super().dismiss(result)

    def cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

    async def on_key(self, event: events.Key) -> None:
        if self.app.screen is not self:
            return
        if isinstance(self.focused, Input) and event.key not in self.INPUT_KEYS:
            return
        if await self.pressed(typed(event.key, event.character)):
            event.stop()
            event.prevent_default()

    async def pressed(self, key: str) -> bool:
        """Handle a key; False leaves it to the widgets."""
        if key in ("esc", "n"):
            self.cancel()
            return True
        return False


class PhraseInput(Input):
    """Takes typed text only: a paste would defeat its purpose."""

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()

    def action_paste(self) -> None:
        """Nothing, on purpose."""


class Confirm(Dialog[Answer]):
    """A question about an act. `Cancel` is in focus; enter cancels; how it is accepted depends on the level."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.level = 1
        self.phrase = ""
        self.blocked = ""
        self._shown_at = 0.0
        self.body = LinesPane(id="body", wrap=True)
        self.verdict = Paragraph(id="verdict")
        self.phrase_line = Line(id="phrase-line")
        self.phrase_input = PhraseInput(id="phrase", select_on_focus=False)
        self.phrase_input.cursor_blink = False
        self.phrase_input.display = self.phrase_line.display = False

    def contents(self) -> Sequence[Widget]:
        cancel, yes = Choice("[ Cancel ]", id="cancel"), Choice("[ y: yes ]", id="yes")
        return (
            self.body,
            self.verdict,
            self.phrase_line,
            self.phrase_input,
            Horizontal(cancel, yes, classes="choices"),
        )

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()
        self._fit()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def on_paragraph_grown(self, event: Paragraph.Grown) -> None:
        event.stop()
        self._fit()

    def paragraphs(self) -> Sequence[Paragraph]:
        """What stands around the text, in as many lines as it needs."""
        return (self.verdict,)

    def _fit(self) -> None:
        """The text takes what the lines around it leave, so that question and answers never fall off the screen."""
        around = AROUND + sum(each.height for each in self.paragraphs() if each.display)
        self.body.styles.max_height = max(3, int(self.app.size.height * 0.9) - around)

    def question(self, lines: Sequence[TextLine], level: int, *, phrase: str = "", blocked: str = "") -> None:
        """Show what is asked. `blocked` says why it cannot be accepted."""
        self.level, self.phrase, self.blocked = level, phrase, blocked
        self._shown_at = monotonic()
        for number in (1, 2, 3):
            self.set_class(level == number, f"level-{number}")
        self.body.set_lines(lines)
        self.phrase_input.cursor_blink = False
        self.phrase_input.display = self.phrase_line.display = level == 3 and not blocked
        self.query_one("#yes").display = level < 3 and not blocked
        self.phrase_line.say([("tab, then type ", ""), (phrase, "bold role-error"), (" and press enter:", "")])
        self.verdict.say(self._verdict())

    def _verdict(self) -> list[Part]:
        if self.blocked:
            return [(f"{self.context.glyphs['error']} {self.blocked}", "bold role-error")]
        if self.level == 0:
            return [("y: yes; enter, esc and n cancel", "role-busy")]
        words = {1: "reversible: y accepts", 2: "disruptive: y accepts", 3: "destructive: type the text below"}
        role = {1: "role-busy", 2: "bold role-warning", 3: "bold role-error"}[self.level]
        return [(f"level {self.level}, {words[self.level]}; enter, esc and n cancel", role)]

    def accepted(self) -> None:
        """The operator said yes. Override."""

    def _accept(self) -> None:
        if self.blocked or (self.level == 2 and monotonic() - self._shown_at < GUARD):
            return
        if self.level and not self.context.store.link.online:
            self.verdict.say([(GONE, "bold role-error")])
            return
        self.accepted()

    async def pressed(self, key: str) -> bool:
        if key == "y":
            if self.level < 3:
                self._accept()
        elif key == "enter":
            self.cancel()
        elif key == "tab" and self.phrase_input.display:
            self.phrase_input.focus()
        elif key in ("up", "down"):
            self.body.page(-0.2 if key == "up" else 0.2)
        elif key in ("pgup", "pgdn"):
            self.body.page(-1 if key == "pgup" else 1)
        else:
            return await super().pressed(key)
        return True

    def on_click(self, event: events.Click) -> None:
        if event.widget is not None and event.widget.id == "cancel":
            self.cancel()
        elif event.widget is not None and event.widget.id == "yes" and self.level < 3:
            self._accept()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self.level == 3 and self.phrase and event.value == self.phrase:
            self._accept()
        elif self.level == 3:
            self.verdict.say([(f"that is not {self.phrase}; nothing was done; esc cancels", "bold role-error")])


class ConfirmDialog(Confirm[bool]):
    """A plain question with a few lines of text; level 0 is for what changes no machine."""

    def __init__(self, title: str, lines: Sequence[str], level: int = 1) -> None:
        super().__init__(title)
        self._lines = tuple(text_line((line, "")) for line in lines)
        self._level = level

    def on_mount(self) -> None:
        self.question(self._lines, self._level)

    def accepted(self) -> None:
        self.dismiss(True)
