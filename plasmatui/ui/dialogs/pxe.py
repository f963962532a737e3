"""What the Boot view shows in full: a published version, and how a deployed file differs."""

from __future__ import annotations

import asyncio

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.inventory.nodesets import fold
from plasmatui.model import wire
from plasmatui.ui import clipboard
from plasmatui.ui.dialogs.base import ConfirmDialog
from plasmatui.ui.dialogs.lists import KeyDialog
from plasmatui.ui.lines import TextLine, text_line
from plasmatui.ui.pxelines import diff_lines, version_lines


class VersionDialog(KeyDialog):
    """A version with its manifest, who boots it, and the commands; `y` copies the one that the view names."""

    def __init__(self, version: wire.ImageVersion) -> None:
        super().__init__(f"{version.name}   y copies the command, esc closes")
        self._version = version

    def lines(self) -> list[TextLine]:
        """As it is now."""
        self._version = self.context.store.pxe.version(self._version.name) or self._version
        return version_lines(self.context, self._version)

    async def pressed(self, key: str) -> bool:
        if key == "y":
            self.notify(clipboard.copy(self.app, self._version.fix), markup=False)
            return True
        return await super().pressed(key)


class DiffDialog(KeyDialog):
    """The diff from a deployed file to the rendered one; `y` copies the command that mends it."""

    def __init__(self, file: wire.DriftFile) -> None:
        super().__init__(f"{file.path}   y copies the command that mends it, esc closes")
        self._file = file
        self._asking: asyncio.Task[None] | None = None
        self._lines = [text_line(("comparing ...", "role-busy"))]

    def on_mount(self) -> None:
        self._asking = asyncio.create_task(self._ask(), name=f"diff {self._file.relative}")

    def on_unmount(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        try:
            reply = await self.context.link.ask(wire.AskDriftDiff(self._file.relative))
        except EngineError as error:
            self._lines = [text_line((error.problem.message, "role-error"))]
        except EngineUnreachableError as error:
            self._lines = [text_line((str(error), "role-error"))]
        else:
            assert isinstance(reply, wire.DriftDiff)
            self._lines = diff_lines(self.context, reply)
        self.pane.set_lines(self._lines)

    def lines(self) -> list[TextLine]:
        """The diff as it came."""
        return self._lines

    async def pressed(self, key: str) -> bool:
        if key == "y":
            self.notify(clipboard.copy(self.app, self._file.fix), markup=False)
            return True
        return await super().pressed(key)


def switch_dialog(root: str, old: wire.ImageVersion | None, new: wire.ImageVersion, command: str) -> ConfirmDialog:
    """Asks whether machines of a profile shall boot another version from now on."""
    before = old.name if old is not None else "nothing"
    lines = [
        f"Machines of profile {new.profile} that boot from the network from now on get",
        f"    {new.name}",
        f"in place of {before}.",
        *([f"Booted that last: {fold(old.nodes)}."] if old is not None and old.nodes else []),
        "Machines that run, or have begun to boot, are not touched. It can be changed back.",
        "",
        f"{root}/nixos/{new.profile} -> ../versions/{new.name}",
        f"command: {command}",
    ]
    return ConfirmDialog(f"Image of {new.profile}", lines, 2)
