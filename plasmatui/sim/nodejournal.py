"""The journal of a simulated node, as journald keeps it: entries with fields, bounded, with followers."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

KEPT = 5000
"""Entries that a node keeps over all its boots."""

SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry.

    Attributes:
        number: counts up; the cursor.
        wall: Unix seconds.
        unit: whom it is about, `chainfire.service`; "" for the kernel.
        identifier: who wrote it.
        priority: syslog's, 0 emergency to 7 debug.
    """

    number: int
    wall: float
    boot_id: str
    unit: str
    identifier: str
    priority: int
    message: str
    pid: int = 1

    def fields(self, hostname: str) -> dict[str, str]:
        """As `journalctl -o json` names them; every value is text."""
        boot = self.boot_id.replace("-", "")
        micros = str(int(self.wall * 1_000_000))
        result = {
            "__CURSOR": f"s=6d1f;i={self.number:x};b={boot};m={self.number:x};t={int(micros):x};x=0",
            "__REALTIME_TIMESTAMP": micros,
            "_BOOT_ID": boot,
            "_HOSTNAME": hostname,
            "PRIORITY": str(self.priority),
            "SYSLOG_IDENTIFIER": self.identifier,
            "_PID": str(self.pid),
            "MESSAGE": self.message,
        }
        if self.identifier == SYSTEMD:
            return result | ({"UNIT": self.unit} if self.unit else {}) | {"_SYSTEMD_UNIT": "init.scope"}
        return result | {"_SYSTEMD_UNIT": self.unit}


Follower = Callable[[JournalEntry], None]


class Journal:
    """Entries, oldest first. `boot_id` is that of the boot that writes now."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self._followers: list[Follower] = []
        self._count = 0
        self.boot_id = ""

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        return tuple(self._entries)

    def write(
        self,
        unit: str,
        message: str | Mapping[str, object],
        *,
        priority: int = 6,
        identifier: str | None = None,
        pid: int = 1,
    ) -> None:
        """Add an entry; a mapping is written as one JSON line, as the cluster's services do."""
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        self._count += 1
        name = unit.removesuffix(".service") if identifier is None else identifier
        entry = JournalEntry(self._count, self._wall(), self.boot_id, unit, name, priority, text, pid)
        self._entries.append(entry)
        for follower in tuple(self._followers):
            follower(entry)

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call `follower` with every new entry, until the returned function is called."""
        self._followers.append(follower)

        def stop() -> None:
            if follower in self._followers:
                self._followers.remove(follower)

        return stop
