"""Access logs: the combined format, as nginx, Apache and our own boot service write it, and others.

`ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT"`, perhaps with more behind. A line is written when the
answer has ended; an answer that was broken off shows fewer bytes and its status all the same. nginx writes quotes and
control characters as `\\x22` (ngx_http_log_module), others put a backslash before a quote.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.names import tells_nothing
from plasmatui.watch.parsers.access_forms import Access, from_json, from_text
from plasmatui.watch.parsers.base import LineParser, Signals, plain_address
from plasmatui.watch.parsers.stamps import access_time, any_time

QUOTED: Final = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_LINE: Final = re.compile(
    r"(?:\S{1,255} )??([0-9a-fA-F:][0-9a-fA-F.:]{1,44}(?:%\w{1,16})?) \S{1,255} [^\[]{1,255}\[([^\]]{20,32})\] "
    + QUOTED
    + r" (\d{3}) (\d{1,18}|-)(?: "
    + QUOTED
    + " "
    + QUOTED
    + r"(?: "
    + QUOTED
    + r")?)?"
)
_REPEATED: Final = re.compile(r"/[\w./+=-]{1,512} HTTP/1\.\d\" [23]\d\d \d{1,18}", re.ASCII)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"})
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([\"\\]))")
_MAC: Final = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_PARAMETERS: Final = 32


class NginxAccessParser(LineParser):
    """Signals of an access log."""

    programs = ("nginx", "httpd", "apache", "plasmatui", "caddy", "traefik", "python")

    def __init__(self, source: str, reference: float | None = None) -> None:
        super().__init__(source, reference)
        self._minute = ""  # "21/Nov/2026:00:39 +0000", as it was last met, and what it means
        self._minute_wall: float | None = None
        self._last: re.Match[str] | None = None
        self._head = self._tail = ""  # of the last line, around what may differ when one repeats it
        self._agent_raw: str | None = None
        self._agent = ""

    def feed(self, line: str, number: int) -> Signals:
        """See `LogParser.feed`."""
        if len(line) <= 16_384 and (line[:1].isdigit() or line[:1] == ":"):
            match = _LINE.match(line)
            if match is not None:
                return self._request(match, line, number)
        signals = super().feed(line, number)
        if not signals and line[:1] == "{":  # of an access log, not of a journal
            return self._other(from_json(line), line, number)
        return signals

    def repeats(self, line: str) -> bool:
        """See `LogParser.repeats`."""
        last = self._last
        if last is not None:
            self._head, self._tail, self._last = _around(last), last.string[last.end(5) :], None
        head, tail = self._head, self._tail
        if not head or not line.startswith(head) or not line.endswith(tail):
            return False
        end = len(line) - len(tail)
        return _REPEATED.fullmatch(line, len(head), end) is not None and tells_nothing(line[len(head) : end])

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`. The time of the request stands in the message, in the server's own zone."""
        match = _LINE.match(message, 0, 16_384)
        if match is not None:
            return self._request(match, line, number)
        message = message[:16_384]
        return self._other(from_json(message) if message[:1] == "{" else from_text(message), line, number, wall)

    def _other(self, access: Access | None, line: str, number: int, wall: float | None = None) -> Signals:
        """A request in another format. `wall`: the time that stands before it."""
        if access is None:
            return ()
        own = any_time(access.stamp)
        agent = clean_line(unescape(access.agent)) if access.agent != "-" else ""
        return self._signal(
            _client(access.peer, access.forwarded),
            access.request,
            access.status,
            access.size,
            agent,
            wall if own is None else own,
            line,
            number,
        )

    def _request(self, match: re.Match[str], line: str, number: int) -> Signals:
        self._last = match
        peer, stamp, request, status, size, _referer, agent, forwarded = match.groups()
        if agent != self._agent_raw:
            self._agent_raw, self._agent = agent, clean_line(unescape(agent)) if agent and agent != "-" else ""
        return self._signal(
            _client(peer, forwarded),
            request,
            int(status),
            None if size == "-" else int(size),
            self._agent,
            self._time(stamp),
            line,
            number,
        )

    def _signal(
        self,
        ip: str,
        request: str,
        status: int,
        size: int | None,
        agent: str,
        wall: float | None,
        line: str,
        number: int,
    ) -> Signals:
        method, _, target = request.partition(" ")
        if method not in _METHODS or not target:
            return ()  # no HTTP: a port scanner, TLS on a plain port
        target = clean_line(unescape(target.partition(" HTTP/")[0]))
        host, mac, uuid = _named(target) if "?" in target else ("", "", "")
        return (
            Signal(
                kind=SignalKind.HTTP_REQUEST,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=ip,
                mac=mac,
                uuid=uuid,
                host=host,
                file=target,
                bytes=size,
                status=status,
                code="" if method == "GET" else method,
                text=agent,
                ipxe=True if agent.startswith("iPXE/") else None if not agent else False,
            ),
        )

    def _time(self, stamp: str) -> float | None:
        minute, second = stamp[:17] + stamp[20:], stamp[18:20]
        if minute != self._minute:
            self._minute, self._minute_wall = minute, access_time(f"{stamp[:17]}:00{stamp[20:]}")
        if self._minute_wall is None or not (second.isascii() and second.isdigit()):
            return any_time(stamp)  # Python's http.server writes a blank before the hour, and no zone
        return self._minute_wall + int(second)


def _around(match: re.Match[str]) -> str:
    """A line up to the path that it asks for; "" when it does not stand by itself or asks for none."""
    begin = match.start(3)
    return match.string[: begin + 4] if match.start() == 0 and match.string.startswith("GET /", begin) else ""


def unescape(text: str) -> str:
    return _ESCAPE.sub(_plain, text) if "\\" in text else text


def _plain(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match[2]


def _client(peer: str, forwarded: str | None) -> str:
    """The client, which a proxy before the server names first among those that it forwards for."""
    if forwarded and forwarded != "-":
        first = forwarded.partition(",")[0].strip()
        try:
            return str(ip_address(first)) if len(first) <= 45 else plain_address(peer)
        except ValueError:
            pass
    return plain_address(peer)


def _named(target: str) -> tuple[str, str, str]:
    """Host name, MAC and UUID that a boot script's URL tells of its machine."""
    host = mac = uuid = ""
    for part in target.partition("?")[2].split("&", _PARAMETERS):
        name, _, value = part.partition("=")
        if name not in ("mac", "uuid", "hostname"):
            continue
        value = clean_line(unquote(value), 255)
        if name == "hostname":
            host = host or value
        elif name == "mac" and _MAC.fullmatch(value.lower()):
            mac = mac or value.lower().replace("-", ":")
        elif name == "uuid" and _UUID.fullmatch(value.lower()):
            uuid = uuid or value.lower()
    return host, mac, uuid
