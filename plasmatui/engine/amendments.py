"""Changes of the inventory file that operations make: one at a time, written in one step, then read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from plasmatui.engine.ports import ProblemError
from plasmatui.inventory.edit import Edit, EditError, Editor
from plasmatui.operations.site import Change


class Amendments:
    """See the module. `reload` has the engine use what was written."""

    def __init__(self, path: Path, reload: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._reload = reload
        self._lock = asyncio.Lock()

    async def apply(self, change: Change) -> str:
        """See `operations.site.Site.amend`."""
        async with self._lock:
            edit = await asyncio.to_thread(self._write, change)
            if edit.before == edit.after:
                return ""
            try:
                await self._reload()
            except ProblemError as error:
                raise EditError(f"the inventory was written, and cannot be used: {error}") from error
            return edit.diff()

    def _write(self, change: Change) -> Edit:
        editor = Editor(self._path)
        change(editor)
        edit = editor.edit()
        if edit.before != edit.after:
            edit.apply()
        return edit
