"""The line at the bottom: command line, filter, search. One input, several uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from textual import events
from textual.containers import Horizontal
from textual.widgets import Input, Label

from plasmatui.ui.lines import Line


@dataclass
class PromptUse:
    """What the prompt is opened for.

    Attributes:
        mark: the sign before the input.
        accept: called with the text on enter; returns what is wrong with it, "" when nothing is.
        change: called with the text while typing; returns what is wrong.
        cancel: called on escape.
        complete: candidates for the whole text.
        history: earlier texts, oldest first.
    """

    mark: str
    accept: Callable[[str], str]
    change: Callable[[str], str] | None = None
    cancel: Callable[[], None] | None = None
    complete: Callable[[str], list[str]] | None = None
    history: list[str] = field(default_factory=list)
    value: str = ""


class PromptInput(Input):
    """The input; tab, arrows up and down, and escape are the prompt's."""

    def on_key(self, event: events.Key) -> None:
        prompt = self.parent
        assert isinstance(prompt, Prompt)
        if prompt.key(event.key):
            event.stop()
            event.prevent_default()


class Prompt(Horizontal):
    """See `PromptUse`. `closed` is called when it goes away, so that the focus can go back."""

    def __init__(self, hints: Line, closed: Callable[[], None]) -> None:
        super().__init__(id="prompt")
        self._hints = hints
        self._when_closed = closed
        self._use: PromptUse | None = None
        self._place = 0
        self._candidates: list[str] = []
        self._chosen = -1
        self._completing = False
        self.mark = Label("", classes="prompt-mark", markup=False)
        self.input = PromptInput(select_on_focus=False)
        self.input.cursor_blink = False  # an idle screen sends nothing

    def compose(self):  # type: ignore[no-untyped-def]
        yield self.mark
        yield self.input

    @property
    def is_open(self) -> bool:
        return self._use is not None

    def open(self, use: PromptUse) -> None:
        """Show the prompt and take the keys."""
        self._use = use
        self._place = len(use.history)
        self._reset_completion()
        self.mark.update(use.mark)
        self.input.value = use.value
        self.input.cursor_position = len(use.value)
        self.add_class("on")
        self.screen.set_focus(self.input)  # at once: what is typed next is for us

    def close(self) -> None:
        """Hide the prompt."""
        self._use = None
        self.screen.set_focus(None)  # what is typed next is no longer for us
        self.remove_class("on")
        self._hint("")
        self._when_closed()

    def key(self, key: str) -> bool:
        """Handle a key that is not text; False leaves it to the input."""
        use = self._use
        if use is None:
            return False
        if key == "escape":
            self.close()
            if use.cancel is not None:
                use.cancel()
        elif key == "tab" and use.complete is not None:
            self._complete(use.complete)
        elif key in ("up", "down") and use.history:
            self._place = max(0, min(self._place + (-1 if key == "up" else 1), len(use.history)))
            self._put(use.history[self._place] if self._place < len(use.history) else "")
        else:
            return key in ("tab", "shift+tab", "up", "down")
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._completing:
            self._completing = False
            return
        self._reset_completion()
        if self._use is not None and self._use.change is not None:
            self._hint(self._use.change(event.value), error=True)
        elif self._use is not None:
            self._hint("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        use = self._use
        if use is None:
            return
        problem = use.accept(event.value)
        if self._use is not use:  # the command opened another prompt
            return
        if problem:
            self._hint(problem, error=True)
        else:
            self.close()

    def _complete(self, complete: Callable[[str], list[str]]) -> None:
        if not self._candidates:
            self._candidates = complete(self.input.value)
            self._chosen = -1
        if not self._candidates:
            self._hint("nothing to complete")
            return
        self._chosen = (self._chosen + 1) % len(self._candidates)
        chosen = self._candidates[self._chosen]
        self._hint("  ".join(candidate.split(" ")[-1] for candidate in self._candidates[:20]))
        if chosen != self.input.value:
            self._completing = True
            self._put(chosen)
        if len(self._candidates) == 1:
            self._candidates = []

    def _put(self, text: str) -> None:
        self.input.value = text
        self.input.cursor_position = len(text)

    def _reset_completion(self) -> None:
        self._candidates = []
        self._chosen = -1

    def _hint(self, text: str, *, error: bool = False) -> None:
        self._hints.set_class(bool(text), "on")
        self._hints.say([(f" {text}", "role-error" if error else "role-muted")] if text else [])
