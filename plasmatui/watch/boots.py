"""Where one boot ends and the next begins.

Each witness is compared with itself first: a web server's script line after its own kernel line is a new boot, whatever
the console's clock says. Between witnesses a line must be later by more than clocks and delays explain.
"""

from __future__ import annotations

import re

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.watch.facts import BootFacts, is_boot_client
from plasmatui.watch.names import Role, role_of

APART = 5.0
"""Seconds that two sources may disagree about one moment: clocks, delays, whole seconds."""

WHOLE = 1.0
"""Seconds that a log of whole seconds hides, or a clock that was found by one."""

K = SignalKind
_CONSOLE_STARTS = frozenset({K.FIRMWARE, K.PXE_START, K.IPXE_START, K.DISK_LOADER})
_QUESTIONS = frozenset({K.DHCP_DISCOVER, K.DHCP_OFFER, K.DHCP_PROXY, K.DHCP_IGNORED})
_POWER_ON = re.compile(
    r"^SeaBIOS|^coreboot|American Megatrends|^AMIBIOS|^Phoenix|BIOS Date|ProLiant|Lifecycle Controller"
    r"|^POST [0-9A-F]{2}",
    re.I,
)
_NETWORK_ROM = ("PXEClient", "HTTPClient")


def starts_boot(facts: BootFacts, signal: Signal) -> bool:
    """Whether a signal is the first of a new boot."""
    kind = signal.kind
    if kind in _CONSOLE_STARTS:
        return _console_starts(facts, signal)
    if kind is K.KERNEL:
        return facts.console == 3 or (facts.ended and facts.console >= 2)
    if (kind in _QUESTIONS or kind is K.TFTP_REQUEST) and _was_off(facts, signal):
        return True
    if kind in _QUESTIONS:
        asks = signal.ipxe is True or signal.arch is not None or signal.vendor.startswith(_NETWORK_ROM)
        return asks and _came_far(facts) and _later(facts, signal)
    if kind is K.TFTP_REQUEST:
        far = facts.fetched >= 1 or facts.console >= 2
        return far and role_of(signal.file) is Role.LOADER and _later(facts, signal)
    if kind is K.HTTP_REQUEST:
        script = facts.fetched >= 2 and is_boot_client(signal) and role_of(signal.file) is Role.SCRIPT
        return script and _after_fetch(facts, signal)
    return False


def is_late(facts: BootFacts, signal: Signal) -> bool:
    """Whether a line is of the boot before: it is older than everything of this one."""
    return signal.wall is not None and facts.begin is not None and signal.wall < facts.begin - APART


def _console_starts(facts: BootFacts, signal: Signal) -> bool:
    if facts.console >= 2 or facts.ended:
        return True
    # What firmware says at power-on is a reset when iPXE ran before; what its boot manager or shell says is not: they
    # come back when iPXE gave up.
    banner = signal.kind is K.FIRMWARE and _POWER_ON.search(signal.evidence.text) is not None
    return banner and any(kind is K.IPXE_START for kind, _, _ in facts.marks)


def _was_off(facts: BootFacts, signal: Signal) -> bool:
    """Later than the machine had power, by more than the clocks were seen to differ."""
    if signal.wall is None or facts.off_wall is None:
        return False
    hidden = WHOLE if facts.skew or signal.wall.is_integer() else 0.0
    return signal.wall > facts.off_wall + facts.skew + hidden


def _came_far(facts: BootFacts) -> bool:
    return facts.fetched >= 2 or facts.console >= 2


def _later(facts: BootFacts, signal: Signal) -> bool:
    """Later than what other witnesses saw, by more than clocks explain; without times, by order."""
    if signal.wall is None:
        return True
    latest = [w for w in (facts.fetched_wall, facts.console_wall if facts.console >= 2 else None) if w is not None]
    return not latest or signal.wall > max(latest) + APART


def _after_fetch(facts: BootFacts, signal: Signal) -> bool:
    return signal.wall is None or facts.fetched_wall is None or signal.wall >= facts.fetched_wall
