"""Redfish resources to words. Pure; whatever a BMC sends, a missing or odd field is "not known" and never an error.

Property names: DMTF DSP0268 (Redfish data model), schemas ComputerSystem, Chassis, Thermal, Power, Sensor, LogEntry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from plasmatui.model.bmc import BootDevice, Device, FruField, SelEntry, SensorReading
from plasmatui.model.words import Power, PowerAction
from plasmatui.text import clean_line

Json = Mapping[str, object]

NAME_LIMIT: Final = 80
TEXT_LIMIT: Final = 300
PATH_LIMIT: Final = 1024

# While it changes, the power counts as what it was: a change is done when the BMC says so (schema Resource.PowerState).
_POWER: Final = {
    "On": Power.ON,
    "Off": Power.OFF,
    "PoweringOn": Power.OFF,
    "PoweringOff": Power.ON,
    "Paused": Power.ON,
}
RESET_TYPES: Final = {
    PowerAction.ON: ("On", "ForceOn"),
    PowerAction.OFF: ("ForceOff",),
    PowerAction.SOFT: ("GracefulShutdown", "PushPowerButton"),
    PowerAction.CYCLE: ("PowerCycle",),
    PowerAction.RESET: ("ForceRestart",),
}
BOOT_TARGETS: Final = {Device.PXE: "Pxe", Device.DISK: "Hdd", Device.BIOS: "BiosSetup"}
_DEVICES: Final = {target: device for device, target in BOOT_TARGETS.items()}
_HEALTH: Final = {"OK": "ok", "Warning": "warning", "Critical": "critical"}
_CLOCK_SET: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()


def part(data: object, *names: str) -> Json:
    """The object at this place, or an empty one."""
    for name in names:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def parts(data: object, name: str) -> list[Json]:
    """The objects of an array; anything else in it is left out."""
    value = data.get(name) if isinstance(data, Mapping) else None
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(data: object, *names: str, limit: int = NAME_LIMIT) -> str:
    """A string or a number at this place, clean, without surrounding space; else ""."""
    value = part(data, *names[:-1]).get(names[-1])
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, int) and abs(value) >= 10**18:  # no quantity; and Python refuses to print very long ones
        return ""
    return clean_line(str(value), limit).strip()


def strings(data: object, name: str) -> tuple[str, ...]:
    value = data.get(name) if isinstance(data, Mapping) else None
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def number(data: object, *names: str) -> float | None:
    value = part(data, *names[:-1]).get(names[-1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def local(path: object) -> str:
    """A link as path and query on the same BMC, "" when it is none: whatever host a link names is not followed."""
    if not isinstance(path, str) or len(path) > PATH_LIMIT:
        return ""
    try:
        split = urlsplit(path)
    except ValueError:
        return ""
    if not split.path.startswith("/") or split.path.startswith("//"):
        return ""
    safe = "/%:=&?,$~'()*!@+;-._"
    place = quote(split.path, safe=safe, errors="replace")
    return f"{place}?{quote(split.query, safe=safe, errors='replace')}" if split.query else place


def link(data: object, *names: str) -> str:
    """Where the `@odata.id` at this place leads, or ""."""
    return local(part(data, *names).get("@odata.id"))


def links(data: object, name: str) -> tuple[str, ...]:
    found = (local(item.get("@odata.id")) for item in parts(data, name))
    return tuple(path for path in found if path)


def extended_info(body: object) -> tuple[tuple[str, ...], str]:
    """Message ids and text of an error's `@Message.ExtendedInfo` (DSP0266, "Error responses")."""
    error = part(body, "error")
    infos = parts(error, "@Message.ExtendedInfo") or parts(body, "@Message.ExtendedInfo")
    ids = [text(info, "MessageId") for info in infos] or [text(error, "code")]
    told = [text(info, "Message", limit=TEXT_LIMIT) or text(info, "MessageId") for info in infos[:3]]
    told = [one for one in told if one] or [text(error, "message", limit=TEXT_LIMIT)]
    return tuple(one for one in ids if one), clean_line(" ".join(told), TEXT_LIMIT).strip()


@dataclass(frozen=True)
class System:
    """What the driver needs of a ComputerSystem, taken from one reading of it.

    Attributes:
        reset_types: what the reset action takes, () when the resource does not say; `action_info`: then perhaps there.
        boot_targets: what the override takes, () when the resource does not say; `boot_mode`: it has a firmware mode.
        match: what a change of it is made conditional on, "" for nothing.
        settings: path of the resource that holds what is to be at the next start, "" for none.
        indicator: name of the property that switches the identify light, or "".
        ipmi_console: SerialConsole.IPMI.ServiceEnabled, None when not given; `ipmi_port`: its port.
    """

    path: str
    etag: str
    match: str
    settings: str
    power: Power
    reset_target: str
    reset_types: tuple[str, ...]
    action_info: str
    boot: BootDevice | None
    boot_targets: tuple[str, ...]
    boot_mode: bool
    indicator: str
    chassis: tuple[str, ...]
    managers: tuple[str, ...]
    log_services: str
    ipmi_console: bool | None
    ipmi_port: int | None


def system(path: str, etag: str, match: str, body: Json) -> System:
    action = part(body, "Actions", "#ComputerSystem.Reset")
    boot = part(body, "Boot")
    console = part(body, "SerialConsole", "IPMI")
    enabled = console.get("ServiceEnabled")
    return System(
        path=path,
        etag=etag,
        match=match,
        settings=link(body, "@Redfish.Settings", "SettingsObject"),
        power=_POWER.get(text(body, "PowerState"), Power.UNKNOWN),
        reset_target=local(action.get("target")) or f"{path}/Actions/ComputerSystem.Reset",
        reset_types=_reset_types(strings(action, "ResetType@Redfish.AllowableValues")),
        action_info=local(action.get("@Redfish.ActionInfo")),
        boot=boot_device(boot),
        boot_targets=strings(boot, "BootSourceOverrideTarget@Redfish.AllowableValues"),
        boot_mode="BootSourceOverrideMode" in boot,
        indicator=indicator(body),
        chassis=links(part(body, "Links"), "Chassis"),
        managers=links(part(body, "Links"), "ManagedBy"),
        log_services=link(body, "LogServices"),
        ipmi_console=enabled if isinstance(enabled, bool) else None,
        ipmi_port=port(console),
    )


def indicator(body: Json) -> str:
    """The property that switches the identify light; IndicatorLED is the older one (deprecated in v1.13)."""
    if isinstance(body.get("LocationIndicatorActive"), bool):
        return "LocationIndicatorActive"
    return "IndicatorLED" if isinstance(body.get("IndicatorLED"), str) else ""


def port(data: Json) -> int | None:
    value = number(data, "Port")
    return int(value) if value is not None and 0 < value < 65536 else None


def boot_device(boot: Json) -> BootDevice | None:
    """`ComputerSystem.Boot` as an override; None when the BMC does not tell."""
    target, enabled = text(boot, "BootSourceOverrideTarget"), text(boot, "BootSourceOverrideEnabled")
    uefi = {"UEFI": True, "Legacy": False}.get(text(boot, "BootSourceOverrideMode"))
    if enabled == "Disabled" or target == "None":
        return BootDevice(Device.NONE, uefi=uefi)
    if not target:
        return None
    return BootDevice(_DEVICES.get(target, Device.OTHER), persistent=enabled == "Continuous", uefi=uefi)


_RESET: Final = "On|Force(?:Off|On|Restart)|Graceful(?:Shutdown|Restart)|Nmi|PushPowerButton|(?:Full)?PowerCycle"


def _reset_types(said: tuple[str, ...]) -> tuple[str, ...]:
    """Types as a BMC lists them; a Supermicro one lists two without a comma ("GracefulShutdownGracefulRestart")."""
    return tuple(
        kind
        for one in said
        for kind in (re.findall(_RESET, one) if re.fullmatch(f"(?:{_RESET}){{2,4}}", one) else (one,))
    )


def allowed_resets(action_info: Json) -> tuple[str, ...]:
    """The reset types that an ActionInfo resource names."""
    for parameter in parts(action_info, "Parameters"):
        if text(parameter, "Name") == "ResetType":
            return _reset_types(strings(parameter, "AllowableValues"))
    return ()


# --- sensors -----------------------------------------------------------------------------------------------------


def _absent(item: Json) -> bool:
    return text(item, "Status", "State") == "Absent"


def _reading(item: Json, name: str, kind: str, value: float | None, units: str) -> SensorReading:
    state = text(item, "Status", "State")
    health = _HEALTH.get(text(item, "Status", "Health"), "unknown")
    states = (state,) if state and state != "Enabled" else ()
    return SensorReading(name or kind, kind, value, units, health, states)


def thermal(body: Json) -> Iterable[SensorReading]:
    """The readings of a Chassis' Thermal resource."""
    for item in parts(body, "Temperatures"):
        if not _absent(item):
            yield _reading(item, text(item, "Name"), "temperature", number(item, "ReadingCelsius"), "C")
    for item in parts(body, "Fans"):
        if not _absent(item):
            value = number(item, "Reading")
            value = number(item, "ReadingRPM") if value is None else value
            units = {"Percent": "%"}.get(text(item, "ReadingUnits"), "RPM")
            yield _reading(item, text(item, "Name") or text(item, "FanName"), "fan", value, units)


def power_supplies(body: Json) -> Iterable[SensorReading]:
    """The readings of a Chassis' Power resource."""
    for item in parts(body, "PowerControl"):
        yield _reading(item, text(item, "Name") or "Power", "power", number(item, "PowerConsumedWatts"), "W")
    for item in parts(body, "Voltages"):
        if not _absent(item):
            yield _reading(item, text(item, "Name"), "voltage", number(item, "ReadingVolts"), "V")
    for item in parts(body, "PowerSupplies"):
        if not _absent(item):
            value = number(item, "PowerInputWatts")
            value = number(item, "LastPowerOutputWatts") if value is None else value
            yield _reading(item, text(item, "Name"), "power supply", value, "W")


_KINDS: Final = {"Rotational": "fan", "Voltage": "voltage", "Current": "current", "Power": "power"}
_UNITS: Final = {"Cel": "C", "{rev}/min": "RPM"}


def sensor(item: Json) -> SensorReading | None:
    """A Sensor resource; None when what it measures is absent."""
    if _absent(item):
        return None
    kind = text(item, "ReadingType")
    units = text(item, "ReadingUnits", limit=12)
    kind = _KINDS.get(kind, kind.lower() or "sensor")
    return _reading(
        item, text(item, "Name") or text(item, "Id"), kind, number(item, "Reading"), _UNITS.get(units, units)
    )


def fan(item: Json) -> SensorReading | None:
    """A Fan resource of a ThermalSubsystem."""
    if _absent(item):
        return None
    rpm = number(item, "SpeedPercent", "SpeedRPM")
    value = number(item, "SpeedPercent", "Reading") if rpm is None else rpm
    return _reading(item, text(item, "Name") or text(item, "Id"), "fan", value, "%" if rpm is None else "RPM")


def power_supply(item: Json) -> SensorReading | None:
    """A PowerSupply resource of a PowerSubsystem."""
    return None if _absent(item) else _reading(item, text(item, "Name") or text(item, "Id"), "power supply", None, "")


# --- event log ---------------------------------------------------------------------------------------------------


def when(value: str) -> float | None:
    """Unix seconds of an ISO 8601 time; None when it is none or before 2000: then the BMC's clock was not set."""
    try:
        parsed = datetime.fromisoformat(value)
        seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= _CLOCK_SET else None


def sel_entry(item: Json, place: int) -> SelEntry:
    """A LogEntry; `place` is its number in the log, for those without one."""
    own = text(item, "Id")
    what = text(item, "SensorType") or text(item, "EntryType")
    which = text(item, "SensorNumber", limit=12)
    return SelEntry(
        record=int(own) if own.isascii() and own.isdigit() and len(own) < 16 else place,
        time=when(text(item, "EventTimestamp") or text(item, "Created")),
        sensor=f"{what} {which}" if what and which else what,
        event=text(item, "Message", limit=TEXT_LIMIT) or text(item, "EntryCode") or text(item, "MessageId"),
        severity=_HEALTH.get(text(item, "Severity"), "unknown"),
    )


# --- inventory ---------------------------------------------------------------------------------------------------

_IDENTITY: Final = (
    ("Manufacturer", ("Manufacturer",)),
    ("Model", ("Model",)),
    ("Part number", ("PartNumber",)),
    ("Serial number", ("SerialNumber",)),
    ("SKU", ("SKU",)),
    ("Asset tag", ("AssetTag",)),
)
FIELDS: Final = {
    "System": (
        *_IDENTITY,
        ("UUID", ("UUID",)),
        ("Host name", ("HostName",)),
        ("Firmware", ("BiosVersion",)),
        ("Processors", ("ProcessorSummary", "Count")),
        ("Processor model", ("ProcessorSummary", "Model")),
        ("Memory GiB", ("MemorySummary", "TotalSystemMemoryGiB")),
    ),
    "Chassis": _IDENTITY,
    "Manager": (("Model", ("Model",)), ("Firmware", ("FirmwareVersion",)), ("UUID", ("UUID",))),
    "Processor": (
        ("Manufacturer", ("Manufacturer",)),
        ("Model", ("Model",)),
        ("Cores", ("TotalCores",)),
        ("Threads", ("TotalThreads",)),
        ("Speed MHz", ("MaxSpeedMHz",)),
    ),
    "Memory": (
        ("Capacity MiB", ("CapacityMiB",)),
        ("Type", ("MemoryDeviceType",)),
        ("Speed MHz", ("OperatingSpeedMhz",)),
        *_IDENTITY[:4],
    ),
    "NIC": (
        ("MAC address", ("MACAddress",)),
        ("Permanent MAC address", ("PermanentMACAddress",)),
        ("Speed Mbit/s", ("SpeedMbps",)),
        ("Link", ("LinkStatus",)),
    ),
}
"""What the inventory shows of each kind of resource: name on the screen, place in the resource."""


def fru(kind: str, area: str, body: Json) -> Iterable[FruField]:
    """The fields of a resource that have a value; none of an absent part."""
    if _absent(body):
        return
    for name, place in FIELDS[kind]:
        value = text(body, *place, limit=TEXT_LIMIT)
        if value:
            yield FruField(area, name, value)
