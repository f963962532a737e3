"""What a machine remembers and says of itself without being asked."""

from __future__ import annotations

from plasmatui.sim import sdr
from plasmatui.sim.identity import GATEWAY

# type, sensor and data: power supply lost and back, drive, log cleared, system boot, power state
PAST_EVENTS = (
    (sdr.POWER_SUPPLY, 40, b"\x03\xff\xff"),
    (sdr.POWER_SUPPLY, 41, b"\x00\xff\xff"),
    (sdr.DRIVE_SLOT, 42, b"\x00\xff\xff"),
    (0x10, 0, b"\x02\xff\xff"),
    (0x1D, 0, b"\x01\xff\xff"),
    (sdr.ACPI_STATE, 43, b"\x05\xff\xff"),
)

IDLE_LINES = (
    "systemd[1]: Starting Cleanup of Temporary Directories...",
    "systemd[1]: Finished Cleanup of Temporary Directories.",
    "systemd[1]: Started Session 4 of User root.",
    f"systemd-timesyncd[712]: Contacted time server {GATEWAY}:123 ({GATEWAY}).",
    "audit: type=1334 audit(1754302353.120:88): prog-id=41 op=LOAD",
    "perf: interrupt took too long (2511 > 2500), lowering kernel.perf_event_max_sample_rate to 79500",
    "systemd[1]: logrotate.service: Deactivated successfully.",
    "EXT4-fs (nvme0n1p2): re-mounted r/w.",
)
