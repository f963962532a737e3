"""The IPMI 2.0 driver: one session per BMC carries commands and the serial console."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from plasmatui.bmc.bootdev import BootOptions
from plasmatui.bmc.controller import BmcError, BmcTarget, Console
from plasmatui.bmc.credentials import reveal
from plasmatui.bmc.helpers import Helpers
from plasmatui.bmc.leftover import Leftover
from plasmatui.bmc.pyghmi_io import Sockaddr
from plasmatui.bmc.rmcp import INVALID_COMMAND, OPERATOR, LogonError, Reply, SessionLostError, code_text
from plasmatui.bmc.session import LoopSession, log_on
from plasmatui.bmc.sol import SolConsole
from plasmatui.inventory.secrets import SecretError
from plasmatui.model.bmc import BootDevice, Device, FruField, SelEntry, SensorReading
from plasmatui.model.words import Power, PowerAction

log = logging.getLogger(__name__)

PORT: Final = 623
COMMAND_LIMIT: Final = 6.0
ORDER_REPEAT: Final = 1.5
"""Seconds in which a power order without an answer is sent again. A BMC may carry out each one: within the short off of
a cycle, or before a reset has got anywhere, that changes nothing, but later it would restart a machine that boots."""
LOOKUP_LIMIT: Final = 5.0
CLOSE_LIMIT: Final = 3.0
ADDRESSES_TRIED: Final = 2
LONGEST_USER, LONGEST_PASSWORD = 16, 20  # IPMI 2.0, sections 13.28 and 22.30

CHASSIS: Final = 0
_STATUS, _CONTROL, _IDENTIFY = 0x01, 0x02, 0x04
# IPMI 2.0, table 28-4
_CONTROLS: Final = {
    PowerAction.OFF: (0, "power down"),
    PowerAction.ON: (1, "power up"),
    PowerAction.CYCLE: (2, "power cycle"),
    PowerAction.RESET: (3, "hard reset"),
    PowerAction.SOFT: (5, "soft shutdown"),
}
_NOT_NOW: Final = 0xD5
_NO_PRIVILEGE: Final = 0xD4


class IpmiController:
    """A `Controller` over RMCP+. Works on its own: a Redfish driver may use one for the serial console."""

    def __init__(self, target: BmcTarget) -> None:
        self.target = target
        self._where = f"{target.address}:{target.port or PORT}"
        self._lock = asyncio.Lock()
        self._session: LoopSession | None = None
        self._console: SolConsole | None = None
        self._leftover = Leftover()
        self._failed: BmcError | None = None
        self._failed_at = 0.0
        self._closings = 0
        self._boot = BootOptions(self)
        self._helpers = Helpers(self)

    # --- session -------------------------------------------------------------------------------------------------

    @property
    def session(self) -> LoopSession | None:
        """The open session, if any."""
        return self._session if self._session is not None and self._session.up else None

    async def connect(self) -> None:
        async with self._turn():
            await self._ensure()

    async def command(
        self,
        netfn: int,
        command: int,
        data: bytes = b"",
        *,
        limit: float = COMMAND_LIMIT,
        lun: int = 0,
        bridge: dict[str, int] | None = None,
        repeat: float = math.inf,
    ) -> Reply:
        """One IPMI command and its answer, whatever its completion code; opens the session when there is none.
        Without an answer it is sent again, for `repeat` seconds at most.

        Raises:
            BmcError: the BMC cannot be reached, refuses the logon, or lost the session ("bmc-reset": it is open again,
                and whether the command took effect is not known).
        """
        async with self._turn():
            session = await self._ensure()
            try:
                return await session.exchange(netfn, command, data, limit=limit, lun=lun, bridge=bridge, repeat=repeat)
            except SessionLostError as error:
                raise self.error("bmc-reset", f"session lost: {error}") from error
            except TimeoutError:
                raise await self._silent(session, limit) from None

    def checked(self, reply: Reply, netfn: int, command: int, what: str) -> bytes:
        """The data of a successful answer.

        Raises:
            BmcError: "unsupported" or "rejected", with the completion code in words.
        """
        if reply.code == 0:
            return reply.data
        text = code_text(netfn, command, reply.code)
        if reply.code in INVALID_COMMAND:
            raise self.error("unsupported", f"does not know {what}: {text}")
        if reply.code == _NO_PRIVILEGE:
            level = "operator" if self._session is not None and self._session.privilege == OPERATOR else "administrator"
            raise self.error(
                "rejected", f"refuses {what}: user {self.target.username} has {level} level, which does not suffice"
            )
        if reply.code == _NOT_NOW:
            raise self.error("rejected", f"refuses {what}: not possible in the machine's present state")
        raise self.error("rejected", f"refuses {what}: {text}")

    def error(self, id: str, what: str) -> BmcError:  # noqa: A002 - as in BmcError
        return BmcError(id, f"{self.target.node}: BMC {self._where} {what}")

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One at a time. Who has waited while the BMC failed or the controller was closed gets that as an answer."""
        asked, closings = time.monotonic(), self._closings
        async with self._lock:
            if self._closings != closings:
                raise self._closing()
            if self._failed is not None and self._failed_at > asked:
                raise self._failed
            yield

    def _closing(self) -> BmcError:
        return self.error("bmc-unreachable", "was not asked: its session is being closed")

    async def close(self) -> None:
        self._closings += 1
        console, self._console = self._console, None
        if console is not None:
            await console.end("bmc-reset", self.error("", "closed: the session is ended").message)
        if self._session is not None:
            self._session.interrupt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT), self._lock:
                session, self._session = self._session, None
                if session is not None and not await session.close():
                    self._leftover.remember(session)

    async def _ensure(self) -> LoopSession:
        if self._session is not None and self._session.up:
            return self._session
        self._lost("the session was lost")
        user, password = await self._credentials()
        suites = (17, 3) if self.target.cipher_suite is None else (self.target.cipher_suite,)
        failed: LogonError | None = None
        closings = self._closings
        for family, peer in await self._resolve():
            try:
                session = await log_on(family, peer, user, password, suites)
            except LogonError as error:
                failed = error
                if error.id != "bmc-unreachable":
                    break
                continue
            if self._closings != closings:
                await session.close()
                raise self._closing()
            self._session = session
            await self._leftover.end(session)
            return session
        assert failed is not None
        self._failed, self._failed_at = self.error(failed.id, str(failed)), time.monotonic()
        raise self._failed from failed

    async def _silent(self, session: LoopSession, limit: float) -> BmcError:
        """Why a command got no answer: a new logon tells a lost session from a dead BMC."""
        session.drop("no answer")
        try:
            await self._ensure()
        except BmcError as error:
            return error
        return self.error("bmc-reset", f"did not answer for {limit:g} s: it lost the session, which is open again")

    def _lost(self, why: str) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.drop(why)
            self._leftover.remember(session)
        console, self._console = self._console, None
        if console is not None:
            console.down("bmc-reset", self.error("bmc-reset", why).message)

    async def _credentials(self) -> tuple[bytes, bytes]:
        try:
            text = await reveal(self.target.password)
        except (SecretError, TimeoutError) as error:
            raise self.error("bmc-auth", f"is not asked: its password cannot be read: {error}") from error
        user, password = self.target.username.encode(), text.encode()
        if len(user) > LONGEST_USER:
            raise self.error("bmc-auth", f"is not asked: the user name is longer than IPMI's {LONGEST_USER} bytes")
        if len(password) > LONGEST_PASSWORD:
            raise self.error("bmc-auth", f"is not asked: the password is longer than IPMI's {LONGEST_PASSWORD} bytes")
        return user, password

    async def _resolve(self) -> list[tuple[int, Sockaddr]]:
        """Addresses of the BMC, numeric ones without a look-up."""
        address, port = self.target.address, self.target.port or PORT
        try:
            numeric = ipaddress.ip_address(address)
        except ValueError:
            return await self._look_up(address, port)
        if numeric.version == 4:
            return [(socket.AF_INET, (str(numeric), port))]
        try:
            # Needed for the scope of fe80::1%eth0; does not ask a name server.
            found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        except OSError as error:
            raise self.error("bmc-unreachable", f"is not a usable address: {error.strerror or error}") from error
        return [(found[0][0], found[0][4])]

    async def _look_up(self, name: str, port: int) -> list[tuple[int, Sockaddr]]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_LIMIT):
                found = await loop.getaddrinfo(name, port, type=socket.SOCK_DGRAM)
        except TimeoutError:
            raise self.error(
                "bmc-unreachable", f"is not found: no name server answered in {LOOKUP_LIMIT:g} s"
            ) from None
        except OSError as error:
            raise self.error("bmc-unreachable", f"is not found: {error.strerror or error}") from error
        return [(family, peer) for family, _, _, _, peer in found[:ADDRESSES_TRIED]]

    # --- what operators ask --------------------------------------------------------------------------------------

    async def power(self) -> Power:
        reply = await self.command(CHASSIS, _STATUS)
        data = self.checked(reply, CHASSIS, _STATUS, "chassis status")
        if not data:
            raise self.error("rejected", "gives an empty chassis status")
        return Power.ON if data[0] & 1 else Power.OFF

    async def order_power(self, action: PowerAction) -> None:
        number, name = _CONTROLS[action]
        reply = await self.command(CHASSIS, _CONTROL, bytes([number]), repeat=ORDER_REPEAT)
        if reply.code == _NOT_NOW and reply.again:
            return  # the answer got lost, and the machine is already doing what the first order said
        self.checked(reply, CHASSIS, _CONTROL, name)

    async def boot_device(self) -> BootDevice | None:
        return await self._boot.read()

    async def set_boot_device(self, boot: BootDevice) -> None:
        await self._boot.write(boot)

    async def identify(self, seconds: int) -> None:
        # IPMI 2.0, table 28-5: interval in seconds; the second byte forces it on until switched off.
        data = b"\x00\x01" if seconds < 0 else bytes([min(seconds, 255)])
        self.checked(await self.command(CHASSIS, _IDENTIFY, data), CHASSIS, _IDENTIFY, "identify")

    async def sensors(self) -> tuple[SensorReading, ...]:
        return await self._helpers.sensors()

    async def sel(self) -> tuple[SelEntry, ...]:
        return await self._helpers.sel()

    async def inventory(self) -> tuple[FruField, ...]:
        return await self._helpers.inventory()

    async def open_console(
        self, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None], *, takeover: bool
    ) -> Console:
        if self._console is not None:
            await self._console.close()
        console = SolConsole(self, on_data, on_down)
        await console.open(takeover=takeover)
        self._console = console
        return console

    def describe(self, action: PowerAction | BootDevice | str) -> str:
        if isinstance(action, PowerAction):
            number, name = _CONTROLS[action]
            return f"IPMI chassis control {number} ({name}) to {self._where}"
        if isinstance(action, BootDevice):
            flags = self._boot.encode(action).hex(" ")
            return f"IPMI boot flags {flags} ({_in_words(action)}) to {self._where}"
        return f"IPMI {action} to {self._where}"


def _in_words(boot: BootDevice) -> str:
    if boot.device is Device.NONE:
        return "no override"
    mode = {None: ", mode as it is", True: ", UEFI", False: ", BIOS"}[boot.uefi]
    return f"{boot.device}, {'persistent' if boot.persistent else 'next boot only'}{mode}"
