"""Sensor data records and the sensors of the simulated machines (IPMI 2.0, sections 35, 36 and 43)."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

TEMPERATURE, VOLTAGE, FAN, POWER_SUPPLY, OTHER_UNITS, DRIVE_SLOT, ACPI_STATE = 0x01, 0x02, 0x04, 0x08, 0x0B, 0x0D, 0x22
DEGREES, VOLTS, WATTS, RPM = 1, 4, 6, 18
THRESHOLD, SPECIFIC = 0x01, 0x6F

_BY_ENTITY = {TEMPERATURE: 3, VOLTAGE: 7, FAN: 29, POWER_SUPPLY: 10, OTHER_UNITS: 10, DRIVE_SLOT: 4, ACPI_STATE: 35}


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor.

    An analogue one reads `raw * factor * 10**exponent` in `units`. It hovers around `on` while the machine runs
    (`swing` up and down, more by `load` under load) and around `off` else; `off` None: unreadable without power.

    Attributes:
        warning, critical: upper thresholds in units; low: lower critical threshold. None where there is none.
        bits: discrete sensors: states while on and while off.
    """

    number: int
    name: str
    kind: int
    units: int = 0
    factor: int = 1
    exponent: int = 0
    on: float = 0.0
    off: float | None = None
    swing: float = 0.0
    load: float = 0.0
    warning: float | None = None
    critical: float | None = None
    low: float | None = None
    bits: tuple[int, int] | None = None

    @property
    def discrete(self) -> bool:
        return self.bits is not None

    def raw(self, value: float) -> int:
        return max(0, min(255, round(value / (self.factor * 10.0**self.exponent))))

    def value(self, raw: int) -> float:
        return round(raw * self.factor * 10.0**self.exponent, 3)

    def reading(self, powered: bool, load: float, seconds: float, phase: float) -> float | None:
        """The value in units, None when it cannot be read. `load` is 0 to 1, `phase` differs between machines."""
        if not powered:
            return self.off
        wave = math.sin(seconds / 37.0 + phase + self.number) + 0.5 * math.sin(seconds / 5.3 + 2 * phase + self.number)
        return self.on + self.load * load + self.swing * wave

    def thresholds(self) -> bytes:
        """Mask and the six thresholds of Get Sensor Thresholds: lower non-critical first."""
        limits = (None, self.low, None, self.warning, self.critical, None)
        mask = sum(1 << bit for bit, limit in enumerate(limits) if limit is not None)
        return bytes([mask]) + bytes(self.raw(limit) if limit is not None else 0 for limit in limits)

    def state(self, raw: int) -> int:
        """Comparison with the thresholds, as in Get Sensor Reading."""
        limits = self.thresholds()
        result = 0
        for bit in range(6):
            if limits[0] & 1 << bit:
                crossed = raw <= limits[1 + bit] if bit < 3 else raw >= limits[1 + bit]
                result |= crossed << bit
        return result


def full_record(record: int, sensor: Sensor) -> bytes:
    """A full sensor record, type 01h (table 43-1)."""
    mask, lnc, lcr, lnr, unc, ucr, unr = sensor.thresholds()
    name = sensor.name.encode()[:16]
    nominal = sensor.raw(sensor.on)
    body = bytes([0x20, 0, sensor.number, _BY_ENTITY[sensor.kind], sensor.number, 0x7F, 0x68, sensor.kind, THRESHOLD])
    body += struct.pack("<HHBB", (mask & 7) | 0x7000, (mask >> 3 & 7) << 4 | 0x7000, mask, 0)
    body += bytes([0, sensor.units, 0, 0])  # unsigned, base unit, no modifier, linear
    body += bytes([sensor.factor & 0xFF, sensor.factor >> 8 << 6, 0, 0, 0, (sensor.exponent & 0x0F) << 4])
    body += bytes([7, nominal, min(nominal + 10, 255), max(nominal - 10, 0), 255, 0])
    body += bytes([unr, ucr, unc, lnr, lcr, lnc, 1, 1, 0, 0, 0, 0xC0 | len(name)]) + name
    return struct.pack("<HBBB", record, 0x51, 0x01, len(body)) + body


def compact_record(record: int, sensor: Sensor) -> bytes:
    """A compact sensor record, type 02h (table 43-2), for a discrete sensor."""
    name = sensor.name.encode()[:16]
    body = bytes([0x20, 0, sensor.number, _BY_ENTITY[sensor.kind], sensor.number, 0x63, 0x40, sensor.kind, SPECIFIC])
    body += struct.pack("<HHH", 0x00FF, 0x00FF, 0x00FF)
    body += bytes([0xC0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xC0 | len(name)]) + name
    return struct.pack("<HBBB", record, 0x51, 0x02, len(body)) + body


def fru_record(record: int, name: str) -> bytes:
    """A FRU device locator, type 11h (table 43-7): FRU device 0 behind the BMC."""
    raw = name.encode()[:16]
    body = bytes([0x20, 0x00, 0x80, 0, 0, 0x10, 0, 7, 1, 0, 0xC0 | len(raw)]) + raw
    return struct.pack("<HBBB", record, 0x51, 0x11, len(body)) + body


SENSORS: tuple[Sensor, ...] = (
    Sensor(1, "CPU1 Temp", TEMPERATURE, DEGREES, on=41, off=None, swing=2, load=28, warning=90, critical=95, low=1),
    Sensor(2, "CPU2 Temp", TEMPERATURE, DEGREES, on=43, off=None, swing=2, load=28, warning=90, critical=95, low=1),
    Sensor(3, "Inlet Temp", TEMPERATURE, DEGREES, on=23, off=22, swing=0.8, warning=40, critical=45, low=5),
    Sensor(4, "Exhaust Temp", TEMPERATURE, DEGREES, on=33, off=23, swing=1, load=12, warning=75, critical=80),
    Sensor(5, "DIMM A1 Temp", TEMPERATURE, DEGREES, on=34, off=None, swing=1, load=8, warning=85, critical=90),
    Sensor(10, "Fan 1", FAN, RPM, factor=80, on=5200, off=0, swing=90, load=5200, low=480),
    Sensor(11, "Fan 2", FAN, RPM, factor=80, on=5200, off=0, swing=90, load=5200, low=480),
    Sensor(12, "Fan 3", FAN, RPM, factor=80, on=5120, off=0, swing=90, load=5200, low=480),
    Sensor(13, "Fan 4", FAN, RPM, factor=80, on=5280, off=0, swing=90, load=5200, low=480),
    Sensor(20, "P12V", VOLTAGE, VOLTS, factor=6, exponent=-2, on=12.06, swing=0.04, critical=13.2, low=10.8),
    Sensor(21, "P5V", VOLTAGE, VOLTS, factor=3, exponent=-2, on=5.04, swing=0.02, critical=5.52, low=4.5),
    Sensor(22, "P3V3", VOLTAGE, VOLTS, factor=2, exponent=-2, on=3.32, swing=0.01, critical=3.64, low=2.98),
    Sensor(23, "VBAT", VOLTAGE, VOLTS, factor=2, exponent=-2, on=3.06, off=3.06, swing=0.01, low=2.5),
    Sensor(30, "Pwr Consumption", OTHER_UNITS, WATTS, factor=4, on=148, off=12, swing=6, load=260, warning=900),
    Sensor(40, "PSU1 Status", POWER_SUPPLY, bits=(0x01, 0x01)),
    Sensor(41, "PSU2 Status", POWER_SUPPLY, bits=(0x01, 0x01)),
    Sensor(42, "Drive 0", DRIVE_SLOT, bits=(0x01, 0x01)),
    Sensor(43, "ACPI State", ACPI_STATE, bits=(0x01, 0x20)),
)


@dataclass(frozen=True)
class Repository:
    """The records of all sensors, in order; shared by all machines because it holds no reading."""

    sensors: dict[int, Sensor] = field(default_factory=lambda: {sensor.number: sensor for sensor in SENSORS})
    records: tuple[bytes, ...] = ()

    @classmethod
    def build(cls, sensors: tuple[Sensor, ...]) -> Repository:
        records = [
            compact_record(number, sensor) if sensor.discrete else full_record(number, sensor)
            for number, sensor in enumerate(sensors, 1)
        ]
        records.append(fru_record(len(records) + 1, "System FRU"))
        return cls({sensor.number: sensor for sensor in sensors}, tuple(records))

    def get(self, number: int) -> tuple[int, bytes] | None:
        """The number of the next record and the record; 0 is the first one, 0xFFFF the last."""
        position = 0 if number == 0 else len(self.records) - 1 if number == 0xFFFF else number - 1
        if not 0 <= position < len(self.records):
            return None
        following = position + 2 if position + 1 < len(self.records) else 0xFFFF
        return following, self.records[position]


REPOSITORY = Repository.build(SENSORS)
