"""A view whose rows are narrowed by the words of a filter."""

from __future__ import annotations

from plasmatui.ui.filter import Filter, FilterError, parse_filter
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView


class FilteringView(ActingView):
    """`/` asks for a filter, and narrows while it is typed. Views say in `_use` what they do with one."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.filter = Filter()

    def _use(self, new: Filter) -> None:
        """Narrow the rows."""
        self.filter = new

    def action_filter(self) -> None:
        before = self.filter
        self.main.ask(
            PromptUse("/", self.set_filter, change=self.set_filter, cancel=lambda: self._use(before), value=before.text)
        )

    def set_filter(self, text: str) -> str:
        """Filter the rows; returns what is wrong with the text, "" when nothing is."""
        from plasmatui.inventory.nodesets import resolve

        nodes = tuple(self.context.store.nodes.values())
        try:
            self._use(parse_filter(text, lambda words: frozenset(resolve(words, nodes))))
        except FilterError as error:
            return str(error)
        return ""
