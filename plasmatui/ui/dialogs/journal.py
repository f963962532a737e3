"""What a service wrote on its node, asked over SSH when it is wanted."""

from __future__ import annotations

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.ui.bars import clock_text
from plasmatui.ui.dialogs.lists import KeyDialog
from plasmatui.ui.lines import LinesPane, TextLine, text_line


class JournalDialog(KeyDialog):
    """The newest lines of a service's journal; `r` asks for them again."""

    def __init__(self, node: str, service: str) -> None:
        super().__init__(f"Journal of {service} on {node}   r asks again, esc closes")
        self.pane = LinesPane(id="list", wrap=True, follow=True)
        self._request = wire.AskJournal(node, service)
        self._shown = [text_line((f"asking {node} over SSH ...", "role-busy"))]

    def on_mount(self) -> None:
        super().on_mount()
        self._ask()

    def lines(self) -> list[TextLine]:
        return self._shown

    def _ask(self) -> None:
        self.run_worker(self._fetch(), name=f"journal {self._request.node}", group="journal", exclusive=True)

    async def _fetch(self) -> None:
        try:
            reply = await self.context.link.ask(self._request)
        except EngineError as error:
            self._shown = [text_line((error.problem.message, "role-error"))]
        except EngineUnreachableError as error:
            self._shown = [text_line((str(error), "role-error"))]
        else:
            assert isinstance(reply, wire.Journal)
            asked = f"-- {', '.join(reply.units)}, asked at {clock_text(self.context.clock())}"
            lines = [text_line((line, "")) for line in reply.lines]
            self._shown = [*(lines or [text_line(("nothing is in the journal", "role-muted"))])]
            self._shown.append(text_line((asked, "role-muted")))
        self.pane.set_lines(self._shown)

    async def pressed(self, key: str) -> bool:
        if key != "r":
            return await super().pressed(key)
        self._ask()
        return True
