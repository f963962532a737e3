"""What TFTP servers log: tftpd-hpa 5.2 with `-v`, atftpd 0.8 with `--verbose=7`, dnsmasq 2.90."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from plasmatui.sim.logfile import LogFile

ROOT = "/srv/tftp"


class TftpLog(Protocol):
    """The log of one kind of server. A client is told by its address."""

    def started(self) -> None: ...

    def stopped(self) -> None: ...

    def probed(self, address: str, name: str, size: int) -> None:
        """A client asked for the size of a file and gave up, as firmware does before it fetches one."""

    def begun(self, address: str, name: str, size: int) -> None:
        """A transfer begins."""

    def ended(self, address: str, name: str) -> None:
        """A transfer is complete."""

    def missing(self, address: str, name: str) -> None:
        """A client asked for a file that is not there."""


class HpaLog:
    """in.tftpd: a process per request. It logs neither success nor bytes."""

    def __init__(self, file: LogFile, pid: int) -> None:
        self._file = file
        self._pid = pid

    def _write(self, *texts: str) -> None:
        self._file.syslog(f"in.tftpd[{self._pid}]", *texts)

    def _request(self, address: str, name: str, *more: str) -> None:
        self._pid += 1
        self._write(f"RRQ from {address} filename {name}", *more)

    def started(self) -> None:
        """Nothing."""

    def stopped(self) -> None:
        """Nothing."""

    def probed(self, address: str, name: str, size: int) -> None:
        self._request(address, name, "tftp: client does not accept options")

    def begun(self, address: str, name: str, size: int) -> None:
        self._request(address, name)

    def ended(self, address: str, name: str) -> None:
        """Nothing."""

    def missing(self, address: str, name: str) -> None:
        self._request(address, name, f"sending NAK (1, File not found) to {address}")


class AtftpdLog:
    """atftpd: a thread per request, told in each line; ports that count up."""

    _MAIN = 140196901251968
    _FIRST_WORKER = 140196901246656
    _STACK = 8392704

    def __init__(self, file: LogFile, pid: int) -> None:
        self._file = file
        self._pid = pid
        self._port = 1024
        self._busy: dict[str, int] = {}  # thread by address

    def _write(self, thread: int, *texts: str) -> None:
        self._file.syslog(f"atftpd[{self._pid}.{thread}]", *texts)

    def _serving(self, address: str, name: str) -> str:
        self._port += 1
        return f"Serving {name} to {address}:{self._port}"

    def _free(self) -> int:
        """The thread that takes the next request."""
        busy = set(self._busy.values())
        return next(n for i in range(len(busy) + 1) if (n := self._FIRST_WORKER - i * self._STACK) not in busy)

    def started(self) -> None:
        self._write(self._MAIN, "Advanced Trivial FTP server started (0.8.0)")

    def stopped(self) -> None:
        self._write(self._MAIN, "SIGTERM received, stopping threads and exiting.", "atftpd terminating")

    def probed(self, address: str, name: str, size: int) -> None:
        request = self._serving(address, name)
        self._write(self._free(), request, f"tsize option -> {size}", "Aborting transfer", "Server thread exiting")

    def begun(self, address: str, name: str, size: int) -> None:
        thread = self._busy[address] = self._free()
        self._write(thread, self._serving(address, name), f"tsize option -> {size}", "blksize option -> 1468")

    def ended(self, address: str, name: str) -> None:
        self._write(self._busy.pop(address), "End of transfer", "Server thread exiting")

    def missing(self, address: str, name: str) -> None:
        request = self._serving(address, name)
        self._write(self._free(), request, f"File {ROOT}/{name} not found", "Server thread exiting")


class DnsmasqTftpLog:
    """dnsmasq: a line at the end of each transfer."""

    def __init__(self, file: LogFile, pid: int) -> None:
        self._file = file
        self._pid = pid

    def _write(self, *texts: str) -> None:
        self._file.syslog(f"dnsmasq-tftp[{self._pid}]", *texts)

    def started(self) -> None:
        self._write(f"TFTP root is {ROOT}")

    def stopped(self) -> None:
        """Nothing; the line about the end of dnsmasq is in the DHCP log."""

    def probed(self, address: str, name: str, size: int) -> None:
        self._write(
            f"error 8 User aborted the transfer received from {address}", f"failed sending {ROOT}/{name} to {address}"
        )

    def begun(self, address: str, name: str, size: int) -> None:
        """Nothing."""

    def ended(self, address: str, name: str) -> None:
        self._write(f"sent {ROOT}/{name} to {address}")

    def missing(self, address: str, name: str) -> None:
        self._write(f"file {ROOT}/{name} not found for {address}")


TFTP_LOGS: dict[str, Callable[[LogFile, int], TftpLog]] = {
    "tftpd-hpa": HpaLog,
    "atftpd": AtftpdLog,
    "dnsmasq": DnsmasqTftpLog,
}
