"""A session of ours that was lost: the BMC still counts it, and its console, as open until it ends idle sessions.

That takes it a minute (IPMI 2.0, section 6.12.15), during which our own lost session would look like another client.
So the next session ends it, when the BMC shows that it is the one that we lost.
"""

from __future__ import annotations

import struct
import time
from typing import Final

from plasmatui.bmc.rmcp import SessionLostError
from plasmatui.bmc.session import LoopSession

OURS_FOR: Final = 57.0
"""Seconds after its last packet in which a session cannot have ended as idle, so that its number is not given anew."""
LIMIT: Final = 1.5

_APP: Final = 6
_CLOSE_SESSION, _SESSION_INFO = 0x3C, 0x3D
_BY_ID: Final = 0xFF


class Leftover:
    """Remembers the last session that was lost."""

    def __init__(self) -> None:
        self._id = 0
        self._port = 0
        self._until = 0.0

    def remember(self, session: LoopSession) -> None:
        """`session` was up and has ended without being closed on the BMC."""
        self._id, self._port = session.id, session.local_port
        self._until = session.heard_at + OURS_FOR

    async def end(self, session: LoopSession) -> None:
        """Close the lost session through the new one, so that its slot and console are free. Raises nothing but
        cancellation: a BMC that cannot do this ends it by itself."""
        id_, self._id = self._id, 0
        if not id_ or id_ == session.id or time.monotonic() >= self._until:
            return
        try:
            if await self._is_it(session, id_):
                await session.exchange(_APP, _CLOSE_SESSION, struct.pack("<I", id_), limit=LIMIT)
        except (TimeoutError, SessionLostError):
            return

    async def _is_it(self, session: LoopSession, id_: int) -> bool:
        """Whether the session with that number comes from our old port (Get Session Info, IPMI 2.0, section 22.20): a
        BMC that was restarted may have given the number to another client."""
        reply = await session.exchange(_APP, _SESSION_INFO, bytes([_BY_ID]) + struct.pack("<I", id_), limit=LIMIT)
        if reply.code or len(reply.data) < 18:
            return False
        return int.from_bytes(reply.data[16:18], "little") == self._port
