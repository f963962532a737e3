"""The boot override: set, read back, compared."""

from __future__ import annotations

import time

from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import BootDeviceSeen, FindingCleared, FindingRaised
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import Finding
from plasmatui.model.operation import BootDeviceOrder
from plasmatui.model.words import StepResult
from plasmatui.operations.work import NodeFailedError, NodeWork

UNVERIFIED = "unverified: the BMC cannot tell"


async def set_boot_device(work: NodeWork, order: BootDeviceOrder) -> None:
    """Set the override and read it back. A BMC that cannot tell leaves it unverified, which is no failure."""
    wanted = order.boot
    before = await _read(work, "read-boot")
    work.update(before=words(before))
    await work.step("set-boot", lambda: work.controller().set_boot_device(wanted), acts=True)
    seen = await _read(work, "verify-boot")
    if seen is None:
        work.update(after=words(wanted), message=UNVERIFIED)
        work.tell(BootDeviceSeen(wanted, None))
        return
    work.update(after=words(seen))
    if same(wanted, seen):
        if wanted.uefi is None and seen.uefi is not None and seen.device is not Device.NONE:
            work.update(message="mode as the BMC has it; --uefi or --bios chooses")
        work.tell(BootDeviceSeen(seen, True))
        work.tell(FindingCleared("override-reverted"))
        return
    message = f"{work.node}: {words(wanted)} was set, but the BMC reports {words(seen)}"
    work.amend(StepResult.FAILED, message)
    work.tell(BootDeviceSeen(seen, False))
    kind = FINDINGS["override-reverted"]
    work.tell(FindingRaised(Finding(kind.id, kind.severity, kind.cause, kind.remedy, time.time(), (message,))))
    raise NodeFailedError(kind.id, f"{message}. {kind.remedy}")


async def _read(work: NodeWork, id_: str) -> BootDevice | None:
    return await work.step(id_, lambda: work.controller().boot_device())


def same(wanted: BootDevice, seen: BootDevice) -> bool:
    """Whether the override that is read back is the one that was set, as far as the BMC tells."""
    if wanted.device is Device.NONE:
        return seen.device is Device.NONE
    if wanted.uefi is not None and seen.uefi is not None and wanted.uefi != seen.uefi:
        return False
    return (wanted.device, wanted.persistent) == (seen.device, seen.persistent)


def words(boot: BootDevice | None) -> str:
    """A boot override as words of a record: "pxe", "disk persistent uefi"; "unknown" when the BMC cannot tell."""
    if boot is None:
        return "unknown"
    if boot.device is Device.NONE:
        return "none"
    mode = {True: " uefi", False: " bios-mode", None: ""}[boot.uefi]
    return f"{boot.device}{' persistent' if boot.persistent else ''}{mode}"
