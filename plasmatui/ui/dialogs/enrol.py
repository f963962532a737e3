"""Enrolling a machine that asks the boot servers and that the inventory does not name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Label

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.boot import UnknownClient
from plasmatui.ui.dialogs.base import Confirm
from plasmatui.ui.lines import TextLine, text_line

FIELDS = (("name", "name"), ("profile", "profile"), ("bmc", "BMC address"), ("provisioning_ip", "address"))
_ROLES = {"+": "role-ok", "-": "role-error"}


class EnrolDialog(Confirm[wire.EnrolNode]):
    """Fields, then the change of the inventory file as the engine would make it; `y` writes it."""

    def __init__(self, client: UnknownClient) -> None:
        super().__init__(f"Enrol {client.mac}")
        self._client = client
        self._fields = {field: Input(id=field, select_on_focus=False) for field, _ in FIELDS}
        host = client.hostname.partition(".")[0]
        if host.replace("-", "").isalnum() and host.isascii():
            self._fields["name"].value = host
        self._shown: wire.EnrolNode | None = None
        self._asking: asyncio.Task[None] | None = None

    def contents(self) -> Sequence[Widget]:
        rows = []
        for field, title in FIELDS:
            self._fields[field].cursor_blink = False
            rows.append(Horizontal(Label(f"{title:<12}", markup=False), self._fields[field], classes="field"))
        return (*rows, *super().contents())

    def on_mount(self) -> None:
        self._invite()
        self.call_next(self._fields["name"].focus)  # after `Confirm` has put the focus on Cancel

    async def on_unmount(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _invite(self) -> None:
        self._shown = None
        text = "Only the name is needed. Enter in a field shows the change of the inventory file."
        self.question((text_line((text, "role-muted")),), 1, blocked="enter in a field shows the change first")

    def _request(self, apply: bool) -> wire.EnrolNode:
        values = {field: self._fields[field].value.strip() for field, _ in FIELDS}
        return wire.EnrolNode(mac=self._client.mac, apply=apply, **values)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._shown is not None and self._request(False) != self._shown:
            self._invite()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(self._request(False)), name="enrol-diff")

    async def _ask(self, request: wire.EnrolNode) -> None:
        if not request.name:
            self.question((text_line(("a name is needed", "role-error")),), 1, blocked="a name is needed")
            return
        try:
            reply = await self.context.link.ask(request)
        except EngineError as error:
            self.question((text_line((error.problem.message, "role-error")),), 1, blocked="the engine refuses it")
            return
        except EngineUnreachableError as error:
            self.question((text_line((str(error), "role-error")),), 1, blocked="the engine is not connected")
            return
        assert isinstance(reply, wire.EnrolReply)
        self._shown = request
        self.question(_diff(reply.diff), 1)
        self.query_one("#cancel").focus()

    def accepted(self) -> None:
        if self._shown is not None:
            self.dismiss(self._request(True))


def _diff(text: str) -> list[TextLine]:
    return [text_line((line, _ROLES.get(line[:1], "role-muted"))) for line in text.splitlines()]
