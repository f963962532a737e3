"""atftpd 0.7 and 0.8 (tftpd.c, tftpd_file.c).

At its usual level it tells that a transfer begins, at `--verbose=7` how it goes on.

What follows a request names neither file nor client; it belongs to the thread that stands with the process number
(`atftpd[20667.139949967955648]`), or, through syslog, to the latest request of the process.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import LineParser, Signals, plain_address

_SILENT: Final = re.compile(r"client \(([0-9a-fA-F.:]{2,45})\) not responding", re.ASCII)
_REFUSED: Final = re.compile(r"Connection refused from ([0-9a-fA-F.:]{2,45})", re.ASCII)
_CLIENT_ERROR: Final = re.compile(r"received ERROR <code: (\d{1,5}), msg: (.{0,512})>", re.ASCII)
_OWN_ERROR: Final = re.compile(r"sent ERROR <code: (\d{1,5}), msg: (.{0,512}?)>", re.ASCII)
_THREADS_KEPT: Final = 1024
_CODES: Final = {"1": "not-found", "2": "denied"}  # RFC 1350 section 5


@dataclass(slots=True)
class _Transfer:
    file: str
    ip: str
    total: int | None = None
    error: str = ""


class AtftpdParser(LineParser):
    """Signals of atftpd's log."""

    programs = ("tftpd",)
    strangers = ("in.tftpd", "tftpd-hpa", "dnsmasq")

    def __init__(self, source: str, reference: float | None = None) -> None:
        super().__init__(source, reference)
        self._transfers: OrderedDict[str, _Transfer] = OrderedDict()

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`."""
        if message.startswith("Serving "):
            return self._serving(message, wall, pid, line, number)
        if message.startswith("Advanced Trivial FTP server started"):
            return (Signal(kind=SignalKind.SERVER_UP, evidence=self.evidence(line, number), wall=wall),)
        if message.startswith("atftpd terminating"):
            return (Signal(kind=SignalKind.SERVER_DOWN, evidence=self.evidence(line, number), wall=wall),)
        transfer = self._transfers.get(pid)
        if message.startswith("tsize option -> "):
            size = message[16:]
            if transfer is not None and size.isascii() and size.isdigit() and len(size) < 16:
                transfer.total = int(size)
            return ()
        if message.startswith("received ERROR "):
            match = _CLIENT_ERROR.match(message)
            if transfer is not None and match is not None:
                transfer.error = clean_line(f"error {match[1]} {match[2]}")
            return ()
        return self._ending(transfer, message, wall, pid, line, number)

    def _serving(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        file, _, peer = message[8:].rpartition(" to ")
        ip, _, port = peer.rpartition(":")
        if not file or not ip or not port.isdecimal() or len(ip) > 45:
            return ()
        transfer = _Transfer(clean_line(file), plain_address(clean_line(ip)))
        self._transfers.pop(pid, None)
        self._transfers[pid] = transfer
        if len(self._transfers) > _THREADS_KEPT:
            self._transfers.popitem(last=False)
        return (
            Signal(
                kind=SignalKind.TFTP_REQUEST,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=transfer.ip,
                file=transfer.file,
            ),
        )

    def _ending(
        self, transfer: _Transfer | None, message: str, wall: float | None, pid: str, line: str, number: int
    ) -> Signals:
        kind, code, text = SignalKind.TFTP_ERROR, "", ""
        file, ip = (transfer.file, transfer.ip) if transfer is not None else ("", "")
        total = None
        if message == "End of transfer":
            kind, total = SignalKind.TFTP_DONE, transfer.total if transfer is not None else None
        elif message == "Aborting transfer":
            code, text = "aborted", transfer.error if transfer is not None else ""
        elif message.startswith("File ") and message.endswith(" not found"):
            code, file = "not-found", file or clean_line(message[5:-10])
        elif message.startswith("File name with /../"):
            code, text = "denied", message
        elif (match := _SILENT.match(message)) is not None:
            code, ip, text = "timeout", plain_address(match[1]), message
        elif (match := _REFUSED.match(message)) is not None:
            return (self._refused(plain_address(match[1]), message, wall, line, number),)
        elif (match := _OWN_ERROR.match(message)) is not None:
            code, text = _CODES.get(match[1], ""), match[2]
        else:
            return ()
        if transfer is None and (not ip and not file):
            return ()  # the end of what was told already, or of what nobody saw begin
        self._transfers.pop(pid, None)
        return (
            Signal(
                kind=kind,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=ip,
                file=file,
                code=code,
                bytes=total,
                total=total,
                text=clean_line(text),
            ),
        )

    def _refused(self, ip: str, message: str, wall: float | None, line: str, number: int) -> Signal:
        return Signal(
            kind=SignalKind.TFTP_ERROR,
            evidence=self.evidence(line, number),
            wall=wall,
            ip=ip,
            code="denied",
            text=clean_line(message),
        )
