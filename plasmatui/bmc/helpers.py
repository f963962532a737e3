"""Sensors, event log, hardware inventory: pyghmi's blocking decoders in a few threads, their commands on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, Protocol, TypeVar

import pyghmi.exceptions as pyghmi_errors
from pyghmi.constants import Health
from pyghmi.ipmi import command as pyghmi_command
from pyghmi.ipmi import events as pyghmi_events
from pyghmi.ipmi import fru as pyghmi_fru

from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.rmcp import INVALID_COMMAND, Reply, code_text
from plasmatui.model.bmc import FruField, SelEntry, SensorReading
from plasmatui.text import clean_line

THREADS: Final = 8
HELPER_LIMIT: Final = 90.0
"""Seconds for one reading as a whole; a large SDR takes a slow BMC half a minute."""
COMMAND_LIMIT: Final = 6.0
COMMANDS: Final = 8192
"""Commands of one reading: twice what a long event log or the largest honest SDR or FRU takes in small pieces."""
ANSWER_LIMIT: Final = 40.0
"""Seconds, longer than a command with a new logon takes; ends the thread when the loop has gone."""
LONGEST_FIELD: Final = 256
SEL_RECORDS: Final = 4096

_READ_SENSOR: Final = (0x04, 0x2D)
_FRU_SIZE, _READ_FRU = (0x0A, 0x10), (0x0A, 0x11)
_NO_PRIVILEGE: Final = 0xD4
_CANNOT_RETURN_LENGTH, _LENGTH_EXCEEDED, _NO_RECORD = 0xC8, 0xC9, 0xCB
_CLOCK_NOT_SET: Final = 0x20000000
"""SEL time stamps up to this one count from the BMC's start (IPMI 2.0, section 37.1)."""

_HEALTH: Final = {Health.Ok: "ok", Health.Warning: "warning", Health.Critical: "critical", Health.Failed: "failed"}
_SEVERITY: Final = {Health.Ok: "ok", Health.Warning: "warning", Health.Critical: "critical", Health.Failed: "critical"}

T = TypeVar("T")
_pool: ThreadPoolExecutor | None = None


class Commander(Protocol):
    """What is needed of the controller."""

    async def command(
        self,
        netfn: int,
        command: int,
        data: bytes = b"",
        *,
        limit: float = ...,
        lun: int = 0,
        bridge: dict[str, int] | None = None,
    ) -> Reply: ...

    def error(self, id: str, what: str) -> BmcError: ...  # noqa: A002


class _BridgedSession:
    """Stands for pyghmi's session in a helper thread; each command runs on the loop."""

    ipmiversion = 2.0
    privlevel = 4

    def __init__(self, bmc: Commander, loop: asyncio.AbstractEventLoop) -> None:
        self._bmc = bmc
        self._loop = loop
        self.deadline = 0.0
        self.stopped = threading.Event()
        self.code = 0  # of the last answer; pyghmi's exceptions do not always have it
        self.failure: BmcError | None = None
        self.left = COMMANDS

    @property
    def over(self) -> bool:
        """Whether no further command will be answered."""
        return self.failure is not None or self.stopped.is_set() or time.monotonic() > self.deadline

    def raw_command(
        self,
        netfn: int,
        command: int,
        bridge_request: dict[str, int] | None = None,
        data: Any = (),
        retry: bool = True,
        delay_xmit: float | None = None,
        timeout: float | None = None,
        callback: object = None,
        rslun: int = 0,
    ) -> dict[str, Any]:
        if self.stopped.wait(delay_xmit or 0) or time.monotonic() > self.deadline:
            raise pyghmi_errors.IpmiException("stopped")
        if not self.left:
            self.stopped.set()
            raise pyghmi_errors.IpmiException("stopped")
        self.left -= 1
        reply = self._on_loop(netfn, command, bytes(data), rslun, bridge_request)
        self.code = reply.code
        code = _tolerable(netfn, command, reply.code)
        answer: dict[str, Any] = {
            "netfn": netfn + 1,
            "command": command,
            "code": code,
            "data": bytearray(reply.data),
        }
        if code:
            answer["error"] = code_text(netfn, command, code)
        return answer

    def _on_loop(self, netfn: int, command: int, data: bytes, lun: int, bridge: dict[str, int] | None) -> Reply:
        call = self._bmc.command(netfn, command, data, limit=COMMAND_LIMIT, lun=lun, bridge=bridge)
        try:
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError as error:  # the loop has ended meanwhile
            call.close()
            raise pyghmi_errors.IpmiException("stopped") from error
        try:
            return future.result(ANSWER_LIMIT)
        except BmcError as error:
            self.failure = error
            raise pyghmi_errors.IpmiException(error.message) from error
        except FutureTimeoutError as error:
            future.cancel()
            raise pyghmi_errors.IpmiException("stopped") from error


class _BridgedCommand(pyghmi_command.Command):  # type: ignore[misc]
    """pyghmi's `Command` over a `_BridgedSession`; its own constructor would log on."""

    _sdr: Any

    def __init__(self, session: _BridgedSession, name: str) -> None:
        self.ipmi_session = session
        self.bmc = name
        self.onlogon = None
        self.certverify = None
        self.kwargs: dict[str, object] = {}
        self._sdr = None
        self._sdrcachedir = None
        self._oem = None
        self._oemknown = False
        self._netchannel = None
        self._ipv6support = None

    def init_sdr(self) -> Any:
        try:
            return super().init_sdr()
        except pyghmi_errors.IpmiException:
            if self.ipmi_session.code != _NO_RECORD:
                raise
            self._sdr = _NoSensors()
            return self._sdr


class _NoSensors:
    """In place of pyghmi's SDR for a BMC whose repository is empty."""

    def __init__(self) -> None:
        self.sensors: dict[object, object] = {}
        self.fru: dict[object, object] = {}

    def get_sensor_numbers(self) -> tuple[()]:
        return ()


class Helpers:
    """The slow readings of one BMC, one at a time. Sensor descriptions are read once and kept."""

    def __init__(self, bmc: Commander) -> None:
        self._bmc = bmc
        self._lock = asyncio.Lock()
        self._sdr: Any = None

    async def sensors(self) -> tuple[SensorReading, ...]:
        return await self._run("sensors", _read_sensors)

    async def sel(self) -> tuple[SelEntry, ...]:
        return await self._run("event log", _read_sel)

    async def inventory(self) -> tuple[FruField, ...]:
        return await self._run("hardware inventory", _read_inventory)

    async def _run(self, what: str, read: Callable[[Any], tuple[T, ...]]) -> tuple[T, ...]:
        async with self._lock:
            loop = asyncio.get_running_loop()
            session = _BridgedSession(self._bmc, loop)
            session.deadline = time.monotonic() + HELPER_LIMIT
            command = _BridgedCommand(session, "bmc")
            command._sdr = self._sdr
            if self._sdr is not None:
                self._sdr.ipmicmd = command
            try:
                async with asyncio.timeout(HELPER_LIMIT):
                    found = await loop.run_in_executor(_threads(), read, command)
            except TimeoutError:
                raise self._too_slow(what) from None
            # The BMC's records are parsed by code that trusts them: a broken one can raise anything.
            except Exception as error:
                if session.failure is not None:
                    raise session.failure from error
                if not session.left:
                    raise self._bmc.error("rejected", f"finds no end of its {what}") from error
                if session.over:
                    raise self._too_slow(what) from error
                reason = clean_line(str(error), LONGEST_FIELD) or type(error).__name__
                if session.code in INVALID_COMMAND:
                    raise self._bmc.error("unsupported", f"has no {what}: {reason}") from error
                raise self._bmc.error("rejected", f"answers with {what} that cannot be read: {reason}") from error
            finally:
                session.stopped.set()
            self._sdr = None if isinstance(command._sdr, _NoSensors) else command._sdr
            return found

    def _too_slow(self, what: str) -> BmcError:
        return self._bmc.error("timeout", f"did not finish its {what} within {HELPER_LIMIT:g} s")


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bmc-helper")
    return _pool


def _tolerable(netfn: int, command: int, code: int) -> int:
    """A completion code as pyghmi should see it, so that one sensor or part does not spoil the whole reading."""
    if (netfn, command) == _READ_FRU and code == _CANNOT_RETURN_LENGTH:
        return _LENGTH_EXCEEDED  # it asks for less after this one only
    if code in (0, _NO_PRIVILEGE, _LENGTH_EXCEEDED, _LENGTH_EXCEEDED + 1):
        return code
    # Some BMCs answer like this for what is not there, or not while the machine is off.
    return _NO_RECORD if (netfn, command) in (_READ_SENSOR, _FRU_SIZE, _READ_FRU) else code


def _clean(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex(" ")[:LONGEST_FIELD]
    return clean_line(str(value), LONGEST_FIELD).strip()


def _read_sensors(command: Any) -> tuple[SensorReading, ...]:
    return tuple(_sensor(reading) for reading in command.get_sensor_data())


def _sensor(reading: Any) -> SensorReading:
    unreadable = bool(reading.unavailable)
    value = None if unreadable or reading.value is None else float(reading.value)
    return SensorReading(
        name=_clean(reading.name),
        kind=_clean(reading.type),
        value=value,
        units=_clean(reading.units or ""),
        health="unknown" if unreadable else _HEALTH.get(reading.health, "unknown"),
        states=tuple(_clean(state) for state in reading.states or ()),
    )


def _read_sel(command: Any) -> tuple[SelEntry, ...]:
    command.oem_init()
    handler = pyghmi_events.EventHandler(command.init_sdr(), command)
    # Its public call rewrites time stamps to local time as text; the records keep the BMC's own.
    records: list[dict[str, Any]] = _Bounded(SEL_RECORDS)
    with contextlib.suppress(_EnoughError):
        handler._fetch_entries(command, 0, records)
    return tuple(_sel_entry(record) for record in records)


class _EnoughError(Exception):
    """A BMC whose records never end."""


class _Bounded(list[Any]):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def append(self, item: Any) -> None:
        if len(self) >= self._limit:
            raise _EnoughError
        super().append(item)


def _sel_entry(record: dict[str, Any]) -> SelEntry:
    stamp = record.get("timecode")
    known = stamp is not None and _CLOCK_NOT_SET < stamp < 0xFFFFFFFF
    event = record.get("event") or (f"OEM record {bytes(record['oemdata']).hex(' ')}" if "oemdata" in record else "")
    detail = record.get("event_data")
    text = f"{event}: {detail}" if event and detail else event or detail or "unspecified event"
    if record.get("deassertion") and record.get("event"):
        text = f"{text} (ended)"
    return SelEntry(
        record=record["record_id"],
        time=float(stamp) if known and stamp is not None else None,
        sensor=_clean(record.get("component") or record.get("component_type") or ""),
        event=_clean(text),
        severity=_SEVERITY.get(record.get("severity"), "unknown"),
    )


def _read_inventory(command: Any) -> tuple[FruField, ...]:
    command.oem_init()
    parts = command.init_sdr().fru
    fields: list[FruField] = []
    for number in (None, *sorted(parts)):
        area = "System" if number is None else _clean(parts[number].fru_name)
        try:
            info = command._get_zero_fru() if number is None else _part(command, number, parts[number])
        # As for the whole: a part whose data are broken can raise anything. The others are still worth reading.
        except Exception as error:
            if command.ipmi_session.over:
                raise
            fields.append(FruField(area, "unreadable", _clean(error) or type(error).__name__))
        else:
            fields += _fru_fields(area, info or {})
    return tuple(fields)


def _part(command: Any, number: int, record: Any) -> dict[str, Any] | None:
    info = pyghmi_fru.FRU(ipmicmd=command, fruid=number, sdr=record).info
    processed: dict[str, Any] | None = None if info is None else command._oem.process_fru(info, record.fru_name)
    return processed


def _fru_fields(area: str, info: dict[str, Any]) -> Iterator[FruField]:
    for name, value in info.items():
        # What the standard does not name comes as a list, partly binary, which is of no use to people.
        extra = isinstance(value, list | tuple)
        for item in value if extra else [value]:
            if item not in (None, "", b"") and not (extra and isinstance(item, bytes | bytearray)):
                yield FruField(area, _clean(name).replace("_", " "), _clean(item))
