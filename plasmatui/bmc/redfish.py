"""The Redfish driver: one machine's controller over HTTPS (DMTF DSP0266 and DSP0268)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from plasmatui.bmc import redfish_parse as parse
from plasmatui.bmc import redfish_read as read
from plasmatui.bmc.controller import BmcError, BmcTarget, Console, Controller
from plasmatui.bmc.redfish_http import SYSTEMS, Answer, RedfishHttp, RefusedError
from plasmatui.bmc.redfish_task import task_done
from plasmatui.bmc.redfish_tls import TlsContexts
from plasmatui.model.bmc import BootDevice, Device, FruField, SelEntry, SensorReading
from plasmatui.model.words import Power, PowerAction
from plasmatui.text import clean_line

T = TypeVar("T")

ORDER_LIMIT: Final = 45.0
READ_LIMIT: Final = 90.0
"""Seconds for an order or a status, and for a reading that takes many resources."""
CLOSE_LIMIT: Final = 5.0
ETAG_TRUST: Final = 60.0
"""Seconds. Some BMCs do not change a system's ETag with its power; none misleads for longer than this."""
_STANDING: Final = frozenset({"bmc-unreachable", "bmc-auth", "bmc-session-limit", "bmc-reset", "timeout"})
_PRECONDITION: Final = (412, 428)
NEVER: Final = -math.inf
CYCLE_LIMIT: Final = 60.0
CYCLE_POLL: Final = 1.0
"""Seconds: how long a machine may take to be off in a cycle made of two orders, and between two looks at it."""


class RedfishController:
    """`Controller` for Redfish. `ipmi` makes the controller that carries the serial console, which Redfish does not."""

    def __init__(
        self, target: BmcTarget, *, tls: TlsContexts, ipmi: Callable[[BmcTarget], Controller] | None = None
    ) -> None:
        self.target = target
        self._http = RedfishHttp(target, tls)
        self._make_ipmi = ipmi
        self._ipmi: Controller | None = None
        self._lock = asyncio.Lock()
        self._deadline: asyncio.Timeout | None = None
        self._closings = 0
        self._path = ""
        self._known: parse.System | None = None
        self._known_at = NEVER
        self._light_timer: asyncio.Task[None] | None = None
        self._light_pending = False
        self._console_refused: BmcError | None = None

    @property
    def where(self) -> str:
        return self._http.where

    async def connect(self) -> None:
        await self._run("connect", ORDER_LIMIT, self._system)

    # --- power -------------------------------------------------------------------------------------------------

    async def power(self) -> Power:
        return (await self._run("power status", ORDER_LIMIT, self._system)).power

    async def order_power(self, action: PowerAction) -> None:
        """Send the order; does not wait for its effect, except for a cycle that the BMC does not know.

        That one is ForceOff, a wait until the machine is off, and On.

        Raises:
            BmcError: "unsupported" when the BMC does not offer it.
        """
        try:
            await self._run(f"power {action}", ORDER_LIMIT, lambda: self._reset(action))
        except BmcError as error:
            # A BMC that lists no types, or lists one that it cannot do, tells it only now; nothing has happened yet.
            unknown = error.id == "unsupported" or (isinstance(error, RefusedError) and error.status == 400)
            if action is not PowerAction.CYCLE or not unknown:
                raise
            await self._cycle_in_steps()

    async def _reset(self, action: PowerAction) -> None:
        system = await self._system()
        allowed = await self._reset_types(system)
        wanted = parse.RESET_TYPES[action]
        kind = next((one for one in wanted if one in allowed or not allowed), "")
        if kind == "PushPowerButton" and system.power is not Power.ON:  # it would switch the machine on
            raise BmcError("rejected", f"{self.where}: it is not on, and its power button is all that could stop it")
        if not kind:
            offered = clean_line(", ".join(allowed), 200)
            raise BmcError("unsupported", f"{self.where}: it does not offer reset type {wanted[0]}, only {offered}")
        self._known_at = NEVER
        await self._http.call("POST", system.reset_target, {"ResetType": kind})

    async def _reset_types(self, system: parse.System) -> tuple[str, ...]:
        if system.reset_types or not system.action_info:
            return system.reset_types
        allowed = parse.allowed_resets(await read.resource(self._http, system.action_info))
        # Kept with the system: an ActionInfo does not change while the BMC runs.
        if self._known is system:
            self._known = replace(system, reset_types=allowed, action_info="")
        return allowed

    async def _cycle_in_steps(self) -> None:
        if await self.power() is not Power.OFF:
            await self.order_power(PowerAction.OFF)
            try:
                async with asyncio.timeout(CYCLE_LIMIT):
                    while await self.power() is not Power.OFF:  # noqa: ASYNC110 - a BMC is asked, it does not call
                        await asyncio.sleep(CYCLE_POLL)
            except TimeoutError:
                raise BmcError(
                    "timeout",
                    f"{self.where}: power cycle: not off {CYCLE_LIMIT:.0f} s after ForceOff, so it was not powered on "
                    "again; look at its power, then order on",
                ) from None
        await self.order_power(PowerAction.ON)

    # --- boot device -------------------------------------------------------------------------------------------

    async def boot_device(self) -> BootDevice | None:
        async def work() -> BootDevice | None:
            system = await self._system()
            pending = await self._pending(system)
            return parse.boot_device(parse.part(pending.body, "Boot")) if pending else system.boot

        return await self._run("boot device", ORDER_LIMIT, work)

    async def _pending(self, system: parse.System) -> Answer | None:
        """The settings resource, where overrides are set there (DSP0266, "Settings resource")."""
        if not system.settings:
            return None
        try:
            answer = await self._http.get(system.settings)
        except RefusedError as error:
            if error.id != "unsupported":
                raise
            return None
        return answer if "BootSourceOverrideTarget" in parse.part(answer.body, "Boot") else None

    async def set_boot_device(self, boot: BootDevice) -> None:
        """Set the override, its firmware mode only where the BMC has one.

        Raises:
            BmcError: "unsupported" when the BMC does not offer that device, "rejected" when it refuses.
        """

        async def work() -> None:
            system = await self._system()
            target = parse.BOOT_TARGETS.get(boot.device, "")
            if boot.device is not Device.NONE and (not target or target not in (system.boot_targets or (target,))):
                offered = clean_line(", ".join(system.boot_targets), 200) or "pxe, disk, bios"
                raise BmcError("unsupported", f"{self.where}: it cannot boot from {boot.device}, only from {offered}")
            pending = await self._pending(system)
            path, match = (system.settings, pending.match) if pending else (system.path, system.match)
            try:
                await self._patch(path, match, _boot_body(boot, mode=system.boot_mode))
            except RefusedError as error:
                # sushy-emulator needs the target "None" with Disabled, a strict BMC does not list it.
                if boot.device is not Device.NONE or error.status != 400:
                    raise
                await self._patch(path, match, {"Boot": {"BootSourceOverrideEnabled": "Disabled"}})

        await self._run("set boot device", ORDER_LIMIT, work)

    # --- identify ----------------------------------------------------------------------------------------------

    async def identify(self, seconds: int) -> None:
        """Redfish has no timer: the light is switched off from here after `seconds`, or when the session closes."""
        await self._stop_timer()
        await self._run("identify", ORDER_LIMIT, lambda: self._switch_light(seconds != 0))
        self._light_pending = seconds > 0
        if seconds > 0:
            name = f"identify off {self.target.node}"
            self._light_timer = asyncio.create_task(self._switch_off_after(seconds), name=name)

    async def _switch_off_after(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        # When the BMC is away just then, the light stays pending and goes off when the session closes.
        with contextlib.suppress(BmcError):
            await self._run("identify", ORDER_LIMIT, lambda: self._switch_light(False))
            self._light_pending = False

    async def _stop_timer(self) -> None:
        timer, self._light_timer = self._light_timer, None
        if timer is not None and not timer.done():
            timer.cancel()
            await asyncio.wait({timer})

    async def _switch_light(self, on: bool) -> None:
        system = await self._system()
        path, match, light = system.path, system.match, system.indicator
        for path in (system.path, *system.chassis[:1]):
            if path != system.path:
                chassis = await self._http.get(path)
                match, light = chassis.match, parse.indicator(chassis.body)
            if light:
                break
        if not light:
            raise BmcError("unsupported", f"{self.where}: it has no identify light")
        if light == "LocationIndicatorActive":
            await self._patch(path, match, {light: on})
            return
        try:
            await self._patch(path, match, {light: "Blinking" if on else "Off"})
        except RefusedError:
            if not on:
                raise
            await self._patch(path, match, {light: "Lit"})

    # --- readings ----------------------------------------------------------------------------------------------

    async def sensors(self) -> tuple[SensorReading, ...]:
        return await self._run("sensors", READ_LIMIT, lambda: self._read(read.sensors))

    async def sel(self) -> tuple[SelEntry, ...]:
        return await self._run("event log", READ_LIMIT, lambda: self._read(read.sel))

    async def inventory(self) -> tuple[FruField, ...]:
        return await self._run("inventory", READ_LIMIT, lambda: self._read(read.inventory))

    async def _read(self, reading: Callable[[RedfishHttp, parse.System], Awaitable[T]]) -> T:
        return await reading(self._http, await self._system())

    # --- console -----------------------------------------------------------------------------------------------

    async def open_console(
        self, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None], *, takeover: bool
    ) -> Console:
        """Open SOL over IPMI, at the port that Redfish names and with the same user.

        What goes wrong there says nothing of the BMC, which answers over Redfish. A login that IPMI refuses is tried
        again with `takeover` only, so that no account is locked.

        Raises:
            BmcError: "console-silent" when IPMI is switched off, does not answer or refuses, "unsupported" when the BMC
                does not say that it has it; else as the IPMI driver.
        """
        if self._console_refused is not None and not takeover:
            raise self._console_refused
        self._console_refused = None
        port = await self._run("console", ORDER_LIMIT, lambda: self._read(read.ipmi_port))
        if self._make_ipmi is None:
            raise BmcError("unsupported", f"{self.where}: Redfish carries no console, and IPMI is not available here")
        if self._ipmi is not None:
            await self._ipmi.close()
        # The same one as before, for it knows of a session that it lost and that the BMC still counts.
        if self._ipmi is None or self._ipmi.target.port != port:
            self._ipmi = self._make_ipmi(replace(self.target, driver="ipmi", port=port))
        ipmi = self._ipmi
        try:
            await ipmi.connect()
            console = await ipmi.open_console(on_data, on_down, takeover=takeover)
        except BaseException as error:  # a cancelled opening must not leave a session on the BMC either
            await ipmi.close()
            if not isinstance(error, BmcError) or error.id not in _STANDING:
                raise
            silent = BmcError("console-silent", f"{error.message} (the console needs IPMI)")
            self._console_refused = silent if error.id == "bmc-auth" else None
            raise silent from error
        return _IpmiConsole(console, ipmi)

    # --- the rest ----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """As in `Controller`. A call that runs gets a moment, then ends with "bmc-unreachable"; so do waiting ones."""
        self._closings += 1
        await self._stop_timer()
        try:
            async with asyncio.timeout(CLOSE_LIMIT):
                await self._lock.acquire()
        except TimeoutError:
            if self._deadline is not None:
                self._deadline.reschedule(0.0)
            await self._lock.acquire()
        try:
            if self._ipmi is not None:
                await self._ipmi.close()
                self._ipmi = None
            if self._light_pending:
                self._light_pending = False
                with contextlib.suppress(BmcError, TimeoutError):
                    async with asyncio.timeout(CLOSE_LIMIT):
                        await self._switch_light(False)
            await self._http.close()
            self._known = self._console_refused = None
        finally:
            self._lock.release()

    def describe(self, action: PowerAction | BootDevice | str) -> str:
        """The exact call; until the BMC has been asked, with the path that the standard proposes."""
        system = self._known
        path = system.path if system else f"{SYSTEMS}/{self.target.system or '1'}"
        to = f"to {self._http.host}:{self._http.port}"
        if isinstance(action, BootDevice):
            body = _boot_body(action, mode=system is None or system.boot_mode)
            return f"PATCH {path} {json.dumps(body)} {to}"
        if isinstance(action, PowerAction):
            reset = system.reset_target if system else f"{path}/Actions/ComputerSystem.Reset"
            allowed = system.reset_types if system else ()
            wanted = parse.RESET_TYPES[action]
            kind = next((one for one in wanted if one in allowed), wanted[0])
            if action is PowerAction.CYCLE and allowed and kind not in allowed:
                steps = (json.dumps({"ResetType": "ForceOff"}), json.dumps({"ResetType": "On"}))
                return f"POST {reset} {steps[0]}, wait until PowerState is Off, POST {reset} {steps[1]}, {to}"
            either = " (or ForceOff, wait, On)" if action is PowerAction.CYCLE and not allowed else ""
            return f"POST {reset} {json.dumps({'ResetType': kind})}{either} {to}"
        if action == "identify":
            light = (system.indicator if system else "") or "LocationIndicatorActive"
            return f"PATCH {path} {light} {to}"
        return f"GET {path} ({action}) {to}"

    async def _run(self, what: str, limit: float, work: Callable[[], Awaitable[T]]) -> T:
        """One call at a time, each with its limit; none of those that were begun before a `close` survives it."""
        closings = self._closings
        async with self._lock:
            if closings == self._closings:
                try:
                    async with asyncio.timeout(limit) as self._deadline:
                        return await work()
                except TimeoutError:
                    if closings == self._closings:
                        message = f"{self.where}: {what}: not done within {limit:.0f} s"
                        raise BmcError("timeout", message) from None
                finally:
                    self._deadline = None
        raise BmcError("bmc-unreachable", f"{self.where}: {what}: its session was closed here meanwhile")

    async def _system(self) -> parse.System:
        """The system as it is now. Logs on and looks for it where needed; an ETag spares the BMC the whole answer."""
        if not self._path:
            self._path = await read.find_system(self._http, self.target.system)
        known, now = self._known, time.monotonic()
        etag = known.etag if known is not None and now - self._known_at < ETAG_TRUST else ""
        try:
            answer = await self._http.get(self._path, etag)
        except RefusedError as error:
            if error.status == 404:
                self._path = ""  # it has another id now: look for it the next time
            raise
        if answer.status == 304 and known is not None:
            return known
        found = parse.system(self._path, answer.etag, answer.match, answer.body)
        if known is not None and known.reset_types and not found.reset_types:
            found = replace(found, reset_types=known.reset_types, action_info="")
        self._known, self._known_at = found, now
        return found

    async def _patch(self, path: str, match: str, body: Mapping[str, object]) -> None:
        """Change a resource as it was read (If-Match); when it changed since, or its BMC wants another tag, as it is.

        A weak tag never matches (RFC 9110, section 13.1.1), yet some BMCs give one and insist on it without its mark.
        """
        self._known_at = NEVER
        try:
            await self._change(path, match, body)
            return
        except RefusedError as error:
            if error.status not in _PRECONDITION:
                raise
            refused = error
        fresh = (await self._http.get(path)).match
        for tag in dict.fromkeys((fresh, fresh.removeprefix("W/"), "")):
            if tag != match:
                try:
                    await self._change(path, tag, body)
                    return
                except RefusedError as error:
                    if error.status not in _PRECONDITION:
                        raise
                    refused = error
        raise refused

    async def _change(self, path: str, match: str, body: Mapping[str, object]) -> None:
        answer = await self._http.call("PATCH", path, body, {"If-Match": match} if match else None)
        await task_done(self._http, answer, f"PATCH {path}")


class _IpmiConsole:
    """A console that takes its IPMI session along when it closes: a BMC has few of them."""

    def __init__(self, console: Console, ipmi: Controller) -> None:
        self._console = console
        self._ipmi = ipmi

    def write(self, data: bytes) -> None:
        self._console.write(data)

    def send_break(self) -> None:
        self._console.send_break()

    async def close(self) -> None:
        await self._console.close()
        await self._ipmi.close()


def _boot_body(boot: BootDevice, *, mode: bool) -> dict[str, object]:
    """The change that sets an override; `mode`: the BMC has a firmware mode for it."""
    if boot.device is Device.NONE:
        return {"Boot": {"BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled"}}
    body = {
        "BootSourceOverrideTarget": parse.BOOT_TARGETS.get(boot.device, str(boot.device)),
        "BootSourceOverrideEnabled": "Continuous" if boot.persistent else "Once",
    }
    if boot.uefi is not None and mode:
        body["BootSourceOverrideMode"] = "UEFI" if boot.uefi else "Legacy"
    return {"Boot": body}
