"""What a BMC tells and is told: boot device, sensors, event log, inventory."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Device(StrEnum):
    """Boot devices that an override can name. `none` clears the override. `bios` enters firmware setup."""

    NONE = "none"
    PXE = "pxe"
    DISK = "disk"
    BIOS = "bios"
    OTHER = "other"


class BootDevice(msgspec.Struct, frozen=True):
    """A boot override.

    Attributes:
        device: what to boot from.
        persistent: for every boot from now on, not only for the next.
        uefi: firmware mode of the override; None when the BMC does not say.
    """

    device: Device
    persistent: bool = False
    uefi: bool | None = None


class SensorReading(msgspec.Struct, frozen=True):
    """One sensor. `value` is None for discrete or unreadable sensors; `states` are the asserted ones, as text."""

    name: str
    kind: str
    value: float | None
    units: str
    health: str  # "ok" | "warning" | "critical" | "failed" | "unknown"
    states: tuple[str, ...] = ()


class SelEntry(msgspec.Struct, frozen=True):
    """One record of the system event log. `time` is Unix seconds, None when the BMC's clock was not set."""

    record: int
    time: float | None
    sensor: str
    event: str
    severity: str  # "ok" | "warning" | "critical" | "unknown"


class FruField(msgspec.Struct, frozen=True):
    """One field of the hardware inventory: `area` ("System", "Board", "CPU 1"), `name`, `value`."""

    area: str
    name: str
    value: str
