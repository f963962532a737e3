"""Findings from the kernel on: panics, memory, emergency mode, the installer's network, loops over boots, time."""

from __future__ import annotations

import re

from plasmatui.model.boot import SignalKind
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.diagnosis import Case, Hit, Rule
from plasmatui.watch.facts import LOGS, Mark
from plasmatui.watch.names import path_of
from plasmatui.watch.stages import ORDER

K = SignalKind
SKEW = 60.0
"""Seconds that two clocks may differ before it is said."""

FIRST_BOOT_LIMIT = 1200.0
PATIENCE = 10.0
"""Seconds that a question stands on the console before it is said."""

STALL_FLOOR = 60.0
STALL_FACTOR = 3.0
STALL_DEFAULT = 300.0
"""Seconds without progress when nothing is known of usual times; firmware of servers may need minutes."""

FIRMWARE_DEFAULT = 600.0
_NETWORK_UNIT = re.compile(
    r"wait-online|wait for network|networkd|network\.target|dhcp|network configuration|network manager|ifup", re.I
)


def _dead(case: Case, marks: list[Mark]) -> list[Mark]:
    """Marks that no login prompt followed."""
    up = case.reading.facts.find(K.LOGIN, K.SSH_UP)
    last = max((m.last_order for m in up), default=-1)
    return [m for m in marks if m.last_order > last]


def _stage_of_death(case: Case) -> Stage:
    return Stage.FIRST_BOOT if case.reading.disk else Stage.INITRD_START


def _out_of_memory(case: Case) -> Hit | None:
    full = [
        m for m in case.reading.facts.find(K.UNIT_FAILED) if m.first.code == "initrd" and "write error" in m.first.text
    ]
    marks = _dead(case, case.reading.facts.find(K.OUT_OF_MEMORY) + full)  # a RAM disk that does not fit
    if not case.reading.facts.find(K.OUT_OF_MEMORY) and not case.reading.facts.has(K.PANIC, K.EMERGENCY):
        marks = []
    if not marks:
        return None
    panic = [m.first for m in case.reading.facts.find(K.PANIC)][:1]
    if case.reading.position() >= ORDER[Stage.INSTALLER_UP] and not panic:
        cause = "The machine ran out of memory after it had come up: something was killed."
        return Hit(cause, [marks[0].first], severity=Severity.WARNING)
    return Hit("The machine ran out of memory while it booted.", [marks[0].first, *panic], stage=_stage_of_death(case))


def _panic_rootfs(case: Case) -> Hit | None:
    marks = [m for m in _dead(case, case.reading.facts.find(K.PANIC)) if m.first.code == "rootfs"]
    if not marks:
        return None
    initrd = case.reading.spans.get(Stage.HTTP_INITRD)
    sent = [
        m.last
        for m in case.reading.facts.find(K.HTTP_REQUEST, K.IPXE_FETCHED)
        if case.reading.role(m.first.file) == "initrd"
    ]
    if initrd is None or not sent:
        why = "no initial RAM disk was seen to be fetched"
    elif initrd.bytes:
        why = f"it got {path_of(sent[-1].file)} with {initrd.bytes} bytes, but found no init in it or was not given it"
    else:
        why = f"it got {path_of(sent[-1].file)}, which holds no usable init"
    return Hit(
        f"The kernel found no root file system: {why}.", [*sent[-2:], marks[0].first], stage=_stage_of_death(case)
    )


def _panic(case: Case) -> Hit | None:
    marks = [m for m in _dead(case, case.reading.facts.find(K.PANIC)) if m.first.code != "rootfs"]
    if not marks:
        return None
    said = marks[0].first.text or marks[0].first.evidence.text
    return Hit(f"The kernel panicked: {said}", [m.first for m in marks[:2]], stage=_stage_of_death(case))


def _emergency(case: Case) -> Hit | None:
    marks = _dead(case, case.reading.facts.find(K.EMERGENCY))
    if not marks:
        return None
    units = [m.first for m in case.reading.facts.find(K.UNIT_FAILED)][:3]
    because = f" after {units[0].text or units[0].evidence.text}" if units else ""
    return Hit(f"The system stopped in emergency mode{because}.", [*units, marks[0].first], stage=_stage_of_death(case))


def _no_network(case: Case) -> Hit | None:
    reading = case.reading
    if reading.disk or not reading.facts.has(K.STAGE2, K.SYSTEMD, K.LOGIN) or reading.facts.has(K.SSH_UP):
        return None
    answered = any(e.ack is not None for e in reading.system)
    failed = [
        m for m in reading.facts.find(K.UNIT_FAILED) if _NETWORK_UNIT.search(m.first.text or m.first.evidence.text)
    ]
    asked = [e for e in reading.system if e.asked >= 3 and e.ack is None]
    if answered or not (failed or asked):
        return None
    lines = [e.first for e in asked[:1]] + [m.first for m in failed[:1]]
    what = "asks for an address and gets none" if asked else "has no address"
    return Hit(f"The installer runs but {what}.", lines, stage=Stage.INSTALLER_UP)


def _install_loop(case: Case) -> Hit | None:
    if not case.reading.network or (before := case.count_network_boots()) < 2:
        return None
    times = before + 1
    lines = [s.first for s in case.reading.facts.find(K.PXE_START, K.TFTP_REQUEST, K.HTTP_REQUEST)][:2]
    return Hit(f"It booted the installer from the network {times} times in a row.", lines, stage=Stage.REBOOT)


def _boot_loop(case: Case) -> Hit | None:
    """It starts again and again, and each time its kernel ran and nothing came up."""
    if case.reading.position() >= ORDER[Stage.INSTALLER_UP]:
        return None
    ends = case.restarts()
    if len(ends) < 2:
        return None
    said = ends[0].text or ends[0].evidence.text
    cause = f"It started its kernel {len(ends)} times in a row and began anew before a system was up ({said})."
    first = [m.first for m in case.reading.facts.find(K.FIRMWARE, K.PXE_START, K.IPXE_START)][:1]
    severity = None if case.at_end else Severity.WARNING
    return Hit(cause, [*ends[:3], *first], severity=severity, stage=Stage.KERNEL_START)


def _to_network(case: Case) -> Hit | None:
    if not case.reading.network or case.count_network_boots() != 1:
        return None
    lines = [e.first for e in (case.reading.loader_asks or case.reading.ipxe_asks)[:1]]
    lines += [m.first for m in case.reading.facts.find(K.PXE_START, K.TFTP_REQUEST)][:1]
    return Hit("After the installer it booted from the network again, not from its disk.", lines, stage=Stage.REBOOT)


def _first_boot(case: Case) -> Hit | None:
    reading = case.reading
    if not reading.disk or case.waited < FIRST_BOOT_LIMIT or reading.position() >= ORDER[Stage.FIRST_BOOT]:
        return None
    marks = reading.facts.find(K.DISK_LOADER, K.KERNEL, K.UNIT_FAILED)
    cause = f"The installed system did not come up within {case.waited / 60:.0f} minutes."
    return Hit(cause, [m.last for m in marks[-2:]], stage=Stage.FIRST_BOOT)


def _clock_skew(case: Case) -> Hit | None:
    facts = case.reading.facts
    if facts.skew > SKEW and facts.skew_line is not None:
        return Hit(f"A server's clock is {facts.skew:.0f} s ahead of this one.", [facts.skew_line])
    served = {path_of(m.first.file): m for m in facts.find(K.HTTP_REQUEST) if m.count == 1}
    for mark in facts.find(K.IPXE_FETCHED):
        other = served.get(path_of(mark.first.file))
        if other is None or mark.first.wall is None or other.first.wall is None or mark.count > 1:
            continue
        apart = other.first.wall - mark.first.wall
        if abs(apart) > SKEW:
            return Hit(
                f"The clocks of the web server and of the console differ by {abs(apart):.0f} s.",
                [other.first, mark.first],
            )
    return None


def _waits(case: Case) -> Hit | None:
    """The console waits for a person, or shows that the firmware has nothing more to do."""
    facts = case.reading.facts
    marks = facts.find(K.CONSOLE_WAITS, K.NO_BOOT_DEVICE)
    if not marks or not (case.at_end or case.waited > PATIENCE):
        return None
    last = max(marks, key=lambda mark: mark.last_order)
    if any(m.last_order > last.last_order for m in facts.marks.values() if m.kind not in LOGS):
        return None
    halted = last.first.code == "halted"
    line = last.first if halted else last.last
    said, remedy = (line.text or line.evidence.text).strip(), ""
    if last.kind is K.NO_BOOT_DEVICE:
        tried = "It left the network boot, and the" if case.reading.network else "It did not boot from the network; the"
        cause = f"{tried} firmware finds nothing else to boot ({said})."
        remedy = (
            "Set the boot device (`plasmatui bootdev pxe NODE`), and see that the firmware boots the card that has a "
            "cable; a boot script that ends with `exit` needs a disk with a system."
        )
    elif halted:
        cause = f"The firmware stopped: {said}"
        remedy = "Read `plasmatui sel NODE`; reseat or replace what it names, and switch the machine off and on."
    else:
        cause = f"The console waits for a person: {said}"
        remedy = "Answer it: `plasmatui console NODE`; then change the setup so that it does not ask at every boot."
    stage = case.reading.reached or Stage.FIRMWARE
    return Hit(cause, [line, last.last], remedy=remedy, stage=stage)


def _stalled(case: Case) -> Hit | None:
    """Nothing moved for longer than usual times a factor, and nothing else explains it."""
    reading = case.reading
    running = [s for s in reading.ordered() if not s.done]
    if (waits := _waits(case)) is not None:
        return waits
    if case.waited <= 0 or reading.position() >= ORDER[Stage.INSTALLER_UP] or reading.facts.ended:
        return None
    stage = running[-1].stage if running else (reading.reached or Stage.FIRMWARE)
    usual = case.usual(reading.node, stage) if case.usual is not None else None
    limit = FIRMWARE_DEFAULT if stage is Stage.FIRMWARE else STALL_DEFAULT
    if usual is not None:
        limit = max(STALL_FLOOR, usual * STALL_FACTOR)
    if case.waited < limit:
        return None
    than = f", which takes {usual:.0f} s usually" if usual is not None else ""
    last = max(reading.facts.marks.values(), key=lambda m: m.last_order, default=None)
    return Hit(
        f"Nothing moved for {case.waited:.0f} s; the stage is {stage}{than}.", [last.last] if last else [], stage=stage
    )


SYSTEM_RULES = (
    Rule("out-of-memory", Stage.INITRD_START, _out_of_memory, (K.OUT_OF_MEMORY, K.UNIT_FAILED)),
    Rule("kernel-panic-rootfs", Stage.INITRD_START, _panic_rootfs, (K.PANIC,)),
    Rule("kernel-panic", Stage.INITRD_START, _panic, (K.PANIC,)),
    Rule("emergency-shell", Stage.INITRD_START, _emergency, (K.EMERGENCY,)),
    Rule("installer-no-network", Stage.INSTALLER_UP, _no_network, (K.STAGE2, K.SYSTEMD, K.LOGIN)),
    Rule("boot-loop", Stage.KERNEL_START, _boot_loop),
    Rule("install-loop", Stage.REBOOT, _install_loop),
    Rule("rebooted-to-network", Stage.REBOOT, _to_network),
    Rule("first-boot-timeout", Stage.FIRST_BOOT, _first_boot),
    Rule("clock-skew", Stage.FIRMWARE, _clock_skew),
    Rule("stalled", Stage.FIRMWARE, _stalled),
)
