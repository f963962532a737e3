"""The boot override: set, read back, compared."""

from __future__ import annotations

import time

import msgspec

from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import BootDeviceSeen, FindingCleared, FindingRaised
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import Finding
from plasmatui.model.operation import BootDeviceOrder, Step
from plasmatui.model.words import StepResult
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.limits import ASK_LIMIT
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

UNVERIFIED = "unverified: the BMC cannot tell"
KEPT = "the BMC keeps it for every boot, not for the next alone: plasmatui bootdev none, once it has booted"


def steps(order: BootDeviceOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Read, set, read back."""
    return override_steps(order.boot, node, site)


def override_steps(boot: BootDevice, node: str, site: Site) -> tuple[Step, ...]:
    """The steps that set a boot override and read it back."""
    read = site.machines.describe(node, "bootdev")
    set_ = f"Set the boot device to {_plan_text(boot)}"
    return (
        Step("read-boot", "Read the boot device", read, ASK_LIMIT),
        Step("set-boot", set_, site.machines.describe(node, boot), 2 * ASK_LIMIT),  # IPMI takes eight exchanges
        Step("verify-boot", "Read it back and compare", read, ASK_LIMIT),
    )


def command(order: BootDeviceOrder) -> tuple[str, str]:
    boot = order.boot
    mode = {True: " --uefi", False: " --bios", None: ""}[boot.uefi]
    return f"bootdev {boot.device}", f"{' --persistent' if boot.persistent else ''}{mode}"


def level(order: BootDeviceOrder) -> int:
    return 2 if order.boot.persistent else 1


def _plan_text(boot: BootDevice) -> str:
    if boot.device is Device.NONE:
        return "none (no override)"
    mode = {True: ", UEFI", False: ", BIOS mode", None: ""}[boot.uefi]
    return f"{boot.device} for {'every boot' if boot.persistent else 'the next boot'}{mode}"


async def set_boot_device(work: NodeWork, order: BootDeviceOrder) -> None:
    """Set the override and read it back. A BMC that cannot tell leaves it unverified, which is no failure."""
    await override(work, order.boot)


async def override(work: NodeWork, wanted: BootDevice) -> None:
    """Do the steps of `override_steps`.

    A BMC that knows no override for one boot (sushy-emulator) is taken as it is, and that is said.

    Raises:
        NodeFailedError: "override-reverted" when the BMC reports another device than was set.
    """
    before = await _read(work, "read-boot")
    work.update(before=words(before))
    await work.act("set-boot", lambda: work.controller().set_boot_device(wanted))
    seen = await _read(work, "verify-boot")
    if seen is None:
        work.update(after=words(wanted), message=UNVERIFIED)
        work.tell(BootDeviceSeen(wanted, None))
        return
    work.update(after=words(seen))
    kept = not wanted.persistent and same(msgspec.structs.replace(wanted, persistent=True), seen)
    if kept or same(wanted, seen):
        if kept and seen.device is not Device.NONE:
            work.update(message=KEPT)
        elif wanted.uefi is None and seen.uefi is not None and seen.device is not Device.NONE:
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
    return await work.look(id_, lambda: work.controller().boot_device())


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
