"""Events as lines for people. Everything that a machine said goes through the sanitiser here."""

from __future__ import annotations

from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import (
    BmcChanged,
    BootDeviceSeen,
    ConsoleChanged,
    Event,
    FindingCleared,
    FindingRaised,
    GroupsSeen,
    HealthSeen,
    IdentifySeen,
    LifecycleChanged,
    LockChanged,
    NodesKnown,
    Note,
    NotesChanged,
    OperationTouched,
    PowerSeen,
    ServicesSeen,
    StageSeen,
)
from plasmatui.model.node import BmcState, ConsoleState, NodeState, StageState
from plasmatui.model.operation import NodeRecord
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power
from plasmatui.text import clean_line


def describe(before: NodeState, event: Event) -> str:
    """One clean line for `event`, given the state before it; "" when it is not worth telling."""
    payload = event.payload
    match payload:
        case PowerSeen():
            by = f" by {payload.by}" if payload.by else ""
            word = "power is" if before.power.value is Power.UNKNOWN and not by else "power"  # a reading, no change
            text = f"{word} {payload.value}{by}" if payload.value != before.power.value else ""
        case BmcChanged():
            text = _bmc(before.bmc, payload.state)
        case ConsoleChanged():
            text = _console(before.console, payload.state)
        case BootDeviceSeen():
            text = _boot(before, payload)
        case IdentifySeen():
            text = f"identify light {'on' if payload.on else 'off'}" if payload.on != before.identify else ""
        case FindingRaised():
            finding = payload.finding
            known = any(each.id == finding.id for each in before.findings)
            text = "" if known else " ".join((f"{finding.id}: {finding.cause}", *finding.evidence[:1]))
        case FindingCleared():
            text = f"{payload.id} is over" if any(each.id == payload.id for each in before.findings) else ""
        case OperationTouched():
            text = _operation(payload.number, payload.record)
        case LifecycleChanged():
            flags = f" ({', '.join(payload.flags)})" if payload.flags else ""
            text = f"{payload.lifecycle}{flags}" if payload.lifecycle != before.lifecycle else ""
        case StageSeen():
            text = _stage(before.stage, payload.stage)
        case HealthSeen():
            why = f": {payload.reason}" if payload.reason else ""
            text = f"health is {payload.health}{why}" if payload.health != before.health else ""
        case LockChanged():
            text = _lock(before, payload)
        case NotesChanged():
            if len(payload.notes) > len(before.notes):
                text = f"note by {payload.notes[-1].by}: {payload.notes[-1].text}" if payload.by else ""
            else:
                text = f"{payload.by} cleared the notes" if payload.by and before.notes else ""
        case Note():
            text = payload.text
        case NodesKnown() | ServicesSeen() | GroupsSeen():
            text = ""  # for the journal alone
    return clean_line(text)


def _lock(before: NodeState, payload: LockChanged) -> str:
    if payload.lock == before.lock:
        return ""
    if payload.lock is not None:
        return f"locked by {payload.lock.by}: {payload.lock.reason}"
    return f"unlocked by {payload.by}" if payload.by else "its lock ended"


def boot_words(boot: BootDevice | None) -> str:
    """A boot override in words: "pxe", "disk persistent uefi", "unknown"."""
    if boot is None:
        return "unknown"
    if boot.device is Device.NONE:
        return "none"
    mode = {True: " uefi", False: " bios mode", None: ""}[boot.uefi]
    return f"{boot.device}{' persistent' if boot.persistent else ''}{mode}"


def _operation(number: int, record: NodeRecord) -> str:
    """How a node stands in an operation: "operation 7 done: off -> on"."""
    if not record.state.ended:
        return f"operation {number} begins"
    change = f"{record.before} -> {record.after}" if record.before and record.after else ""
    detail = "; ".join(part for part in (change, record.message) if part)
    return f"operation {number} {record.state}{': ' if detail else ''}{detail}"


def _bmc(before: BmcState, after: BmcState) -> str:
    """Only what matters to people: reached, lost, refused. Tries in between are in the state, not in the list."""
    same = before.status == after.status and before.finding == after.finding
    if same or after.status in (BmcStatus.UNKNOWN, BmcStatus.NONE, BmcStatus.CONNECTING):
        return ""
    if after.status is BmcStatus.UP:
        return "BMC answers" if before.status is not BmcStatus.UP else ""
    return f"BMC {after.status}: {after.message or after.finding}"


def _console(before: ConsoleState, after: ConsoleState) -> str:
    parts: list[str] = []
    if before.pen != after.pen:
        if after.pen is not None:
            parts.append(f"{after.pen.user} ({after.pen.terminal}) writes on the console")
        elif before.pen is not None:
            parts.append(f"{before.pen.user} ({before.pen.terminal}) gave back the console")
    if before.recording and not after.recording and after.status is ConsoleStatus.OPEN:
        parts.append(f"console is not recorded: {after.message}")
    elif after.recording and not before.recording and before.status is after.status is ConsoleStatus.OPEN:
        parts.append("console is recorded again")
    elif (before.status, before.finding) != (after.status, after.finding):
        if after.status is ConsoleStatus.OPEN:
            parts.append("console open")
        elif after.finding or after.status in (ConsoleStatus.HELD, ConsoleStatus.UNAVAILABLE):
            parts.append(f"console {after.status}: {after.message or after.finding}")
        elif before.status is ConsoleStatus.OPEN and after.status is ConsoleStatus.CLOSED:
            parts.append("console closed")
    return "; ".join(parts)


def _boot(before: NodeState, payload: BootDeviceSeen) -> str:
    if before.boot == payload.boot and before.boot_verified == payload.verified:
        return ""
    verdict = {True: ", read back", False: ", which is not what was set", None: ""}[payload.verified]
    return f"boot device {boot_words(payload.boot)}{verdict}"


def _stage(before: StageState | None, after: StageState | None) -> str:
    """A stage that begins, fails or ends a boot; percents are in the state, not in the list."""
    if after is None:
        return ""
    if before is not None and (before.stage, before.state, before.outcome) == (
        after.stage,
        after.state,
        after.outcome,
    ):
        return ""
    if after.outcome in ("installer-up", "healthy", "stopped") and (before is None or before.outcome != after.outcome):
        word = {
            "installer-up": "installer is up",
            "healthy": "system is up",
            "stopped": f"boot stopped at {after.stage}",
        }
        return word[after.outcome]
    if before is not None and before.stage == after.stage and after.state == "done":
        return ""
    return f"boot: {after.stage}{' failed' if after.state == 'failed' else ''}"
