"""The access log of our own boot service: the combined format, and lines about transfers while they run.

`transfer ADDRESS [TIME] TAKEN/SIZE STATUS "METHOD TARGET" "AGENT"`, written once a second for each large answer.
"""

from __future__ import annotations

import re
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import Signals
from plasmatui.watch.parsers.nginx_access import QUOTED, NginxAccessParser, unescape

_TRANSFER: Final = re.compile(
    r"transfer ([0-9a-fA-F:.]{2,45}) \[([^\]]{20,32})\] (\d{1,18})/(\d{1,18}) (\d{3}) " + QUOTED + " " + QUOTED
)


class BootServiceParser(NginxAccessParser):
    """Signals of the boot service's access log."""

    def feed(self, line: str, number: int) -> Signals:
        """See `LogParser.feed`."""
        if line.startswith("transfer "):
            return self._transfer(line, line, number)
        return super().feed(line, number)

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`."""
        if message.startswith("transfer "):
            return self._transfer(message, line, number)
        return super().read(message, wall, pid, line, number)

    def _transfer(self, message: str, line: str, number: int) -> Signals:
        match = _TRANSFER.match(message, 0, 16_384)
        if match is None:
            return ()
        peer, stamp, taken, size, status, request, agent = match.groups()
        if status != "200":  # of a part, it is not known how far the whole is
            return ()
        agent = clean_line(unescape(agent)) if agent != "-" else ""
        total = int(size)
        return (
            Signal(
                kind=SignalKind.HTTP_PROGRESS,
                evidence=self.evidence(line, number),
                wall=self._time(stamp),
                ip=peer,
                file=clean_line(unescape(request.partition(" ")[2])),
                bytes=int(taken),
                total=total,
                percent=min(100.0, int(taken) * 100 / total) if total else None,
                text=agent,
                ipxe=True if agent.startswith("iPXE/") else None if not agent else False,
            ),
        )
