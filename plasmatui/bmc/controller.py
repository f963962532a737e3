"""What every BMC driver offers, and what can go wrong with a BMC. Drivers: `ipmi.py`, `redfish.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from plasmatui.inventory.secrets import Secret
from plasmatui.model.bmc import BootDevice, FruField, SelEntry, SensorReading
from plasmatui.model.words import Power, PowerAction


@dataclass(frozen=True)
class BmcTarget:
    """How to reach one BMC.

    Attributes:
        address: IP address or host name; `port` None is the driver's default (IPMI 623, Redfish 443).
        cipher_suite: IPMI only; None tries 17, then 3.
        verify_tls: Redfish only. True: the system's CAs; a path: that CA file; "sha256:HEX": pinned fingerprint;
            False: not verified, which shows on screen.
        tls: Redfish only; False for HTTP without TLS, which anybody on the way can read.
        system: Redfish only; id of the system when the service root holds several, else "".
    """

    node: str
    driver: str
    address: str
    port: int | None
    username: str
    password: Secret
    cipher_suite: int | None = None
    verify_tls: bool | str = True
    system: str = ""
    tls: bool = True


class BmcError(Exception):
    """A BMC did not do what was asked.

    Attributes:
        id: a finding's id ("bmc-unreachable", "bmc-auth", "bmc-session-limit", "bmc-reset", "certificate-untrusted",
            "sol-in-use"), or "unsupported", "timeout", "rejected" (the BMC understood and refuses).
        message: one line: what happened, to which node, at which address, why. Never a secret.
    """

    def __init__(self, id: str, message: str) -> None:  # noqa: A002 - the field's name on the wire
        super().__init__(message)
        self.id = id
        self.message = message


class Console(Protocol):
    """An open serial console. Bytes go to `on_data`, its end (finding id, message) to `on_down`, exactly once."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the machine."""

    def send_break(self) -> None: ...

    async def close(self) -> None: ...


class Controller(Protocol):
    """One machine's controller. Every method may raise `BmcError`; each has its own limit; none blocks the loop.

    Calls on one controller are serialised; cancelling a waiting call leaves the session usable or closes it.
    """

    target: BmcTarget

    async def connect(self) -> None:
        """Open (or verify) the session. The fleet calls it before anything else."""

    async def power(self) -> Power: ...

    async def order_power(self, action: PowerAction) -> None:
        """Send the order; does not wait for its effect."""

    async def boot_device(self) -> BootDevice | None:
        """The override as the BMC reports it; None when it cannot tell."""

    async def set_boot_device(self, boot: BootDevice) -> None: ...

    async def identify(self, seconds: int) -> None:
        """0 off, -1 on until switched off."""

    async def sensors(self) -> tuple[SensorReading, ...]: ...

    async def sel(self) -> tuple[SelEntry, ...]: ...

    async def inventory(self) -> tuple[FruField, ...]: ...

    async def open_console(
        self, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None], *, takeover: bool
    ) -> Console:
        """Open the serial console. Without `takeover`, a console that another client holds raises "sol-in-use"."""

    async def close(self) -> None:
        """End console and session on the BMC, so that no slot stays taken. Never raises."""

    def describe(self, action: PowerAction | BootDevice | str) -> str:
        """The exact call for a plan: "IPMI chassis control 1 (power up) to 10.0.10.50:623"."""


@dataclass(frozen=True)
class Backoff:
    """Delays between tries: `first` doubled up to `longest`, each with up to `jitter` of itself added."""

    first: float = 1.0
    longest: float = 60.0
    jitter: float = 0.25
    floor: dict[str, float] = field(default_factory=lambda: {"bmc-session-limit": 60.0})
