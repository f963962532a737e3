"""The logs of a boot server as its daemons write them, and what an engine that reads them says."""

from __future__ import annotations

import time
from pathlib import Path

from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline
from plasmatui.model.words import Stage
from tests.engine.running import Running, until

MACS = {"n1": "52:54:00:00:00:01", "n2": "52:54:00:00:00:02"}
IPS = {"n1": "10.0.100.51", "n2": "10.0.100.52"}
STRANGER = "52:54:00:00:00:99"
S = Stage
RESET = b"[  12.345678] reboot: Restarting system\r\niPXE initialising devices...ok\r\n\r\n\r\niPXE 1.21.1\r\n"
KERNEL = (
    b"[    0.000000] Linux version 6.6.1\r\n\r\n<<< NixOS Stage 1 >>>\r\n\r\n<<< NixOS Stage 2 >>>\r\n\r\nnixos login: "
)


class Server:
    """The logs of a DHCP and of a web server, as their daemons write them."""

    def __init__(self, directory: Path) -> None:
        self.dhcp = directory / "dhcpd.log"
        self.http = directory / "access.log"
        for path in (self.dhcp, self.http):
            path.touch()

    @property
    def entries(self) -> tuple[LogEntry, ...]:
        return (
            LogEntry("dhcp", "dhcpd", file=str(self.dhcp)),
            LogEntry("http", "nginx-access", file=str(self.http)),
        )

    def ask(self, mac: str, ip: str = "", *, answered: bool = True) -> None:
        """A machine asks for an address, and gets it."""
        self._daemon(f"DHCPDISCOVER from {mac} via eth0")
        if answered:
            self._daemon(f"DHCPOFFER on {ip} to {mac} via eth0")
            self._daemon(f"DHCPREQUEST for {ip} (10.0.100.10) from {mac} via eth0")
            self._daemon(f"DHCPACK on {ip} to {mac} via eth0")

    def fetch(self, ip: str, path: str, status: int = 200, size: int = 1000) -> None:
        """A machine's iPXE fetches a file."""
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        line = f'{ip} - - [{stamp}] "GET {path} HTTP/1.1" {status} {size} "-" "iPXE/1.21.1"'
        self.write(self.http, line)

    def boot(self, node: str, *, upto: int = 3) -> None:
        """An address, and then so many of script, kernel and initrd."""
        self.ask(MACS[node], IPS[node])
        for path, size in (("/boot.ipxe", 300), ("/bzImage", 9_000_000), ("/initrd", 50_000_000))[:upto]:
            self.fetch(IPS[node], path, size=size)

    def _daemon(self, message: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}+00:00"
        self.write(self.dhcp, f"{stamp} pxe01 dhcpd[812]: {message}")

    def write(self, path: Path, line: str) -> None:
        with path.open("a") as file:
            file.write(f"{line}\n")


async def boots(running: Running, node: str) -> tuple[BootTimeline, ...]:
    async with await running.client() as client:
        reply = await client.ask(wire.AskTimeline(node, 10))
        assert isinstance(reply, wire.Timelines)
        return reply.timelines


def stage(running: Running, node: str) -> Stage | None:
    state = running.engine._store.states[node].stage
    return state.stage if state is not None else None


def done(boot: BootTimeline) -> list[Stage]:
    return [span.stage for span in boot.stages if span.state == "done" and not span.inferred]


async def following(running: Running) -> None:
    """Wait until every log is followed: what was there at the start is not what a test is about."""
    store = running.engine._store
    await until(lambda: [s.status for s in store.sources.values()] == ["running", "running"])
