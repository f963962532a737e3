"""nginx's error log (src/core/ngx_log.c, ngx_http_request.c).

`2026/11/21 00:39:11 [error] 12324#12324: *1 open() "..." failed (2: No such file or directory), client: 10.0.100.51,
server: , request: "GET /x HTTP/1.1", host: "..."`; local time.
"""

from __future__ import annotations

import re
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import LineParser, Signals, plain_address

_LINE: Final = re.compile(
    r"\[(debug|info|notice|warn|error|crit|alert|emerg)\] (?:\d{1,10}#\d{1,10}: )?(?:\*\d{1,20} )?", re.ASCII
)
_CLIENT: Final = re.compile(r"([0-9a-fA-F.:]{2,45})(?:,|$)", re.ASCII)
_REQUEST: Final = re.compile(r'"[A-Z]{3,16} (\S{1,4096})', re.ASCII)
_FORBIDDEN: Final = ("(13: ", "access forbidden", "is forbidden", "is not allowed")
_FAULTS: Final = frozenset({"warn", "error", "crit", "alert", "emerg"})
_ENDED: Final = ("prematurely closed", "timed out")
_STOPPING: Final = ("signal 15 (SIGTERM) received", "signal 3 (SIGQUIT) received", "signal 2 (SIGINT) received")


class NginxErrorParser(LineParser):
    """Signals of nginx's error log."""

    programs = ("nginx",)

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`."""
        at = message.find("[", 0, 64)
        match = _LINE.match(message, at) if at >= 0 else None
        if match is None:
            return ()
        if at > 0:  # through syslog its own time stands before the level
            own = self._prefix.wall(message[:at])
            wall = own if own is not None else wall
        text = message[match.end() :]
        what, client, rest = text.partition(", client: ")
        if client:
            return self._fault(match[1], what, rest, wall, line, number)
        kind = None
        if match[1] == "notice" and text.startswith("nginx/"):
            kind = SignalKind.SERVER_UP
        elif text.startswith(_STOPPING) or (match[1] == "emerg" and text.startswith(("bind() to ", "still could not"))):
            kind = SignalKind.SERVER_DOWN
        if kind is None:
            return ()
        return (Signal(kind=kind, evidence=self.evidence(line, number), wall=wall, text=clean_line(text)),)

    def _fault(self, level: str, what: str, rest: str, wall: float | None, line: str, number: int) -> Signals:
        if level not in _FAULTS and not any(words in what for words in _ENDED):
            return ()
        client = _CLIENT.match(rest)
        at = rest.find(", request: ")
        request = _REQUEST.match(rest, at + 11) if at >= 0 else None
        code = ""
        if "(2: " in what or "(20: " in what or "is not found" in what:
            code = "not-found"
        elif any(words in what for words in _FORBIDDEN):
            code = "denied"
        return (
            Signal(
                kind=SignalKind.HTTP_ERROR,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=plain_address(client[1]) if client is not None else "",
                file=clean_line(request[1].rstrip('"')) if request is not None else "",
                code=code,
                text=clean_line(what),
            ),
        )
