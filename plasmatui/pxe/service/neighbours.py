"""Which other servers of a network boot run on this host."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PORTS: Final = {"dhcp": 67, "tftp": 69}
_TABLES: Final = ("/proc/net/udp", "/proc/net/udp6")


def servers_here() -> dict[str, str]:
    """For DHCP and TFTP: "running" when somebody holds the port, "not here", or "unknown" where that cannot be told.

    DHCP servers that read raw packets hold the port as well.
    """
    ports: set[int] = set()
    known = False
    for table in _TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        known = True
        ports |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return {name: ("running" if port in ports else "not here") if known else "unknown" for name, port in _PORTS.items()}
