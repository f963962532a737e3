"""The boot that follows an order of ours, told from the one before."""

from __future__ import annotations

from typing import Final

from plasmatui.model.boot import BootTimeline
from plasmatui.model.words import Stage
from plasmatui.operations.work import NodeWork

CLOCKS: Final = 2.0
"""Seconds by which a boot may seem to begin before the order that it follows."""

_OURS: Final = (Stage.POWERING_ON, Stage.FIRMWARE)
"""Stages that the BMC and the serial console show: they have our own clock's times, servers' logs have theirs."""


def boot_after(work: NodeWork, *ordered: str) -> BootTimeline | None:
    """The boot that follows the last of the steps `ordered`, each of which orders one; None while it is the one before.

    An override belongs to the boot that it is set for, but may have been set long before: it tells nothing.
    """
    boot = work.site.boots.current(work.node)
    if boot is None or boot.number == work.former_boot:
        return None
    begin = _begin(boot)
    if begin is None or begin < max(work.history.begun(step) for step in ordered) - CLOCKS:
        return None
    return boot


def _begin(boot: BootTimeline) -> float | None:
    """When the machine itself began, in Unix seconds; of a boot of which nothing but the override is known, never."""
    own = [span for span in boot.stages if span.stage is not Stage.OVERRIDE_SET]
    if boot.stages and not own:
        return None
    witnessed = [span.begin for span in own if span.stage in _OURS and span.begin is not None]
    begins = witnessed or [span.begin for span in own if span.begin is not None]
    return min(begins, default=boot.begin)
