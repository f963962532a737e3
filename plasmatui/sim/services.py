"""The boot server of a rack: real HTTP, and the logs of the DHCP and TFTP servers that the machines would ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from plasmatui.sim.bootfiles import SCRIPT_PATH, BootFiles, Client
from plasmatui.sim.bootserver import BootServer
from plasmatui.sim.clock import Clock
from plasmatui.sim.dhcplogs import DHCP_LOGS
from plasmatui.sim.identity import BOOT_SERVER
from plasmatui.sim.logfile import LogFile
from plasmatui.sim.tftplogs import TFTP_LOGS

HTTP_PORT = 8080
_DHCP_PID = 22678
_TFTP_PID = 32350


@dataclass(frozen=True)
class ServiceOptions:
    """What a boot server is made of.

    Attributes:
        dhcp, tftp: which daemons' logs are written.
        kernel_size, initrd_size: bytes that machines really fetch.
        boot_url: the script of another boot service, which the machines fetch instead of the rack's own.

    Raises:
        ValueError: no such daemon, or a URL that is none.
    """

    dhcp: str = "kea"
    tftp: str = "tftpd-hpa"
    kernel_size: int = 208_896
    initrd_size: int = 2_097_152
    boot_url: str | None = None

    def __post_init__(self) -> None:
        if self.dhcp not in DHCP_LOGS:
            raise ValueError(f"no DHCP server {self.dhcp!r}; there are: {', '.join(DHCP_LOGS)}")
        if self.tftp not in TFTP_LOGS:
            raise ValueError(f"no TFTP server {self.tftp!r}; there are: {', '.join(TFTP_LOGS)}")
        if self.boot_url is not None and urlsplit(self.boot_url).scheme != "http":
            raise ValueError(f"{self.boot_url!r} is no http URL")


class BootServices:
    """See the module. `start` before use, `stop` after it.

    Attributes:
        directory: where the logs are.
        clients: the machines by provisioning address.
    """

    def __init__(self, options: ServiceOptions, directory: Path, clock: Clock) -> None:
        self.options = options
        self.directory = directory
        self.clients: dict[str, Client] = {}
        self._files = [
            LogFile(directory / f"{name}.log", clock.wall) for name in ("dhcp", "tftp", "http", "http-error")
        ]
        self.dhcp = DHCP_LOGS[options.dhcp](self._files[0], _DHCP_PID)
        self.tftp = TFTP_LOGS[options.tftp](self._files[1], _TFTP_PID)
        files = BootFiles(options.kernel_size, options.initrd_size, self.clients)
        self.http = BootServer(files.find, self._files[2], self._files[3])

    @property
    def script_url(self) -> str:
        """The URL of the iPXE script, as DHCP names it."""
        return self.options.boot_url or f"http://{BOOT_SERVER}:{HTTP_PORT}{SCRIPT_PATH}"

    @property
    def aliases(self) -> dict[str, tuple[str, int]]:
        """Where the boot server's HTTP port really is: another one while another rack has it."""
        return {f"{BOOT_SERVER}:{HTTP_PORT}": self.http.address}

    @property
    def logs(self) -> tuple[tuple[str, str, Path], ...]:
        """Kind, format and file of each log, as an inventory names them."""
        formats = (
            ("dhcp", self.options.dhcp),
            ("tftp", self.options.tftp),
            ("http", "nginx-access"),
            ("http", "nginx-error"),
        )
        return tuple((kind, form, file.path) for (kind, form), file in zip(formats, self._files, strict=True))

    async def start(self) -> None:
        """Create the logs, and listen.

        Raises:
            OSError: it cannot.
        """
        for file in self._files:
            file.create()
        await self.http.start(str(BOOT_SERVER), HTTP_PORT)
        self.dhcp.started()
        self.tftp.started()

    async def stop(self) -> None:
        await self.http.stop()
        self.tftp.stopped()
        self.dhcp.stopped()
