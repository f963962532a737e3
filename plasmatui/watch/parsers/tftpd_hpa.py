"""tftpd-hpa 5.x (tftpd/tftpd.c): requests with `-v`, refusals with `-vv`; it never tells that a transfer is complete.

Each request is served by a process of its own, which is how a refusal is joined with a file's name. `tftp: client does
not accept options` is no fault: firmware asks once for the size alone. Red Hat's build also tells of ends:
`Client ::ffff:10.0.0.1 finished pxelinux.0`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import LineParser, Signals, plain_address

_NAK: Final = re.compile(r"sending NAK \((-?\d{1,5}), (.{0,512})\) to ([0-9a-fA-F.:?]{2,45})", re.ASCII)
_CLIENT: Final = re.compile(r"Client ([0-9a-fA-F.:]{2,45}) (finished|File not found|timed out) ?(.*)", re.ASCII)
_CODES: Final = {"1": "not-found", "2": "denied"}  # RFC 1350 section 5
_REQUESTS_KEPT: Final = 1024


class TftpdHpaParser(LineParser):
    """Signals of in.tftpd's log."""

    programs = ("tftpd",)
    strangers = ("atftpd", "dnsmasq")

    def __init__(self, source: str, reference: float | None = None) -> None:
        super().__init__(source, reference)
        self._requests: OrderedDict[str, tuple[str, str]] = OrderedDict()  # by process: file and address

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`."""
        if message.startswith("RRQ from "):
            return self._request(message, wall, pid, line, number)
        code, ip, file, text = "", "", "", ""
        kind = SignalKind.TFTP_ERROR
        if message.startswith("sending NAK "):
            match = _NAK.match(message)
            if match is None:
                return ()
            text, ip = match[2], plain_address(match[3])
            code = _CODES.get(match[1]) or ("denied" if "ermission denied" in text else "")
        elif message.startswith("tftpd: read"):
            code, text = "aborted", message
        elif message.startswith("Client "):
            match = _CLIENT.match(message)
            if match is None:
                return ()
            ip, file = plain_address(match[1]), match[3]
            if match[2] == "finished":
                kind = SignalKind.TFTP_DONE
            else:
                code = "timeout" if match[2] == "timed out" else "not-found"
        else:
            return ()
        asked = self._requests.pop(pid, None)
        if asked is not None and (not ip or ip == asked[1]):
            file, ip = file or asked[0], asked[1]
        return (
            Signal(
                kind=kind,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=ip,
                file=clean_line(file),
                code=code,
                text=clean_line(text),
            ),
        )

    def _request(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        ip, named, file = message[9:].partition(" filename ")
        if not named or not file or len(ip) > 45:
            return ()
        file, remapped, target = file.partition(" remapped to ")
        ip, file = plain_address(clean_line(ip)), clean_line(file)
        self._requests.pop(pid, None)
        self._requests[pid] = (file, ip)
        if len(self._requests) > _REQUESTS_KEPT:
            self._requests.popitem(last=False)
        return (
            Signal(
                kind=SignalKind.TFTP_REQUEST,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=ip,
                file=file,
                text=clean_line(f"remapped to {target}") if remapped else "",
            ),
        )
