"""The system event log (IPMI 2.0, sections 31 and 32)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

LAST = 0xFFFF
SYSTEM_EVENT = 0x02
SENSOR_SPECIFIC = 0x6F


@dataclass(frozen=True, slots=True)
class Event:
    """A system event record (table 32-1). `time` is Unix seconds; `data` are the three event data bytes."""

    time: int
    sensor_type: int
    sensor: int
    event_type: int
    data: bytes
    deasserted: bool = False
    generator: int = 0x0020

    def encode(self, record: int) -> bytes:
        kind = self.event_type | (0x80 if self.deasserted else 0)
        head = struct.pack("<HBIHB", record, SYSTEM_EVENT, self.time, self.generator, 4)
        return head + bytes([self.sensor_type, self.sensor, kind]) + self.data

    @classmethod
    def decode(cls, record: bytes) -> Event:
        """Read the 16 bytes of a system event record.

        Raises:
            ValueError: it is another kind of record, or not 16 bytes long.
        """
        if len(record) != 16 or record[2] != SYSTEM_EVENT:
            raise ValueError("no system event record")
        time, generator = struct.unpack_from("<IH", record, 3)
        return cls(time, record[10], record[11], record[12] & 0x7F, record[13:16], bool(record[12] & 0x80), generator)


class Sel:
    """Records in order. `capacity` records at most, then it is full, as real ones are.

    Args:
        now: Unix seconds of the BMC.
    """

    def __init__(self, now: Callable[[], float], capacity: int = 512) -> None:
        self._now = now
        self._capacity = capacity
        self._records: dict[int, bytes] = {}
        self._next = 1
        self._offset = 0
        self.added = 0
        self.erased = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def time(self) -> int:
        return int(self._now()) + self._offset

    @time.setter
    def time(self, value: int) -> None:
        self._offset = value - int(self._now())

    @property
    def free(self) -> int:
        """Free space in bytes, 0xFFFE at most (Get SEL Info)."""
        return min((self._capacity - len(self._records)) * 16, 0xFFFE)

    @property
    def full(self) -> bool:
        return len(self._records) >= self._capacity

    def records(self) -> list[tuple[int, bytes]]:
        return list(self._records.items())

    def log(self, sensor_type: int, sensor: int, data: bytes, event_type: int = SENSOR_SPECIFIC) -> None:
        """Add an event of now; lost when the log is full."""
        if not self.full:
            self.add(Event(self.time, sensor_type, sensor, event_type, data).encode(0))

    def restore(self, event: Event) -> None:
        """Add an event of the past, with its own time."""
        number, self._next = self._next, self._next % 0xFFFE + 1
        self._records[number] = event.encode(number)
        self.added = event.time

    def add(self, record: bytes) -> int:
        """Add a raw record; its number is chosen here, its time filled in (Add SEL Entry). Returns the number."""
        number, self._next = self._next, self._next % 0xFFFE + 1
        if record[2] < 0xE0:  # records with a timestamp
            record = record[:3] + struct.pack("<I", self.time) + record[7:]
        self._records[number] = struct.pack("<H", number) + record[2:]
        self.added = self.time
        return number

    def get(self, number: int) -> tuple[int, bytes] | None:
        """The record and the number of the next one; 0 is the first, 0xFFFF the last record."""
        numbers = list(self._records)
        if not numbers:
            return None
        wanted = numbers[0] if number == 0 else numbers[-1] if number == LAST else number
        if wanted not in self._records:
            return None
        position = numbers.index(wanted)
        following = numbers[position + 1] if position + 1 < len(numbers) else LAST
        return following, self._records[wanted]

    def delete(self, number: int) -> int | None:
        """Remove a record; its number, or None when there is none."""
        found = self.get(number)
        if found is None:
            return None
        actual = int.from_bytes(found[1][:2], "little")
        del self._records[actual]
        self.erased = self.time
        return actual

    def clear(self) -> None:
        self._records.clear()
        self.erased = self.time
