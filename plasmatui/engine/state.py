"""What an event does to what is known of a machine. Pure: the same state and event always give the same state."""

from __future__ import annotations

import msgspec

from plasmatui.engine.lines import describe
from plasmatui.model.event import (
    BmcChanged,
    BootDeviceSeen,
    ConsoleChanged,
    Event,
    FindingCleared,
    FindingRaised,
    HealthSeen,
    IdentifySeen,
    LifecycleChanged,
    LockChanged,
    NotesChanged,
    OperationTouched,
    PowerSeen,
    StageSeen,
)
from plasmatui.model.findings import FINDINGS
from plasmatui.model.health import NodeServices
from plasmatui.model.node import Finding, NodeState, PowerState
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power

ROUTINE = ("BMC answers", "console open", "power is on", "power is off", "health is ok")
"""What every engine says of every node when it begins: it does not hide what happened to a node before."""

LOCKED = "locked"
"""The flag of a node that a person locked; kept beside those that its lifecycle has."""

_OF_ROUTINE = ("BMC ", "console ", "power is ", "health is ")

_SILENT = (BmcStatus.NONE, BmcStatus.WAITING, BmcStatus.REFUSED)


def reduce(state: NodeState, event: Event) -> NodeState:
    """The state after `event`; the very same object when the event tells nothing new."""
    after = _apply(state, event)
    if after is state:
        return state
    text = describe(state, event)
    if not text or (text in ROUTINE and state.last_event and not state.last_event.startswith(_OF_ROUTINE)):
        return after
    return msgspec.structs.replace(after, last_event=text, last_event_at=event.wall)


def lasting(state: NodeState) -> tuple[object, ...]:
    """What the journal keeps of a state: all but what changes with every look or byte, which are counts, percents,
    times of tries, and whether a try is under way. Equal states stay so under the same event."""
    bmc, console, stage = state.bmc, state.console, state.stage
    return (
        state.power,
        BmcStatus.WAITING if bmc.status in (BmcStatus.UNKNOWN, BmcStatus.CONNECTING) else bmc.status,
        bmc.finding,
        ConsoleStatus.WAITING if console.status is ConsoleStatus.CONNECTING else console.status,
        console.finding,
        console.recording,
        console.pen,
        state.boot,
        state.boot_verified,
        state.identify,
        None if stage is None else (stage.stage, stage.since, stage.state, stage.outcome),
        state.lifecycle,
        state.health,
        state.flags,
        state.lock,
        state.notes,
        tuple((finding.id, finding.severity, finding.since) for finding in state.findings),
        state.operation,
    )


def standing(services: NodeServices) -> tuple[object, ...]:
    """What the journal keeps of a node's services: all but latencies and the clock's skew, which are never still."""
    return tuple((each.service, each.status, each.finding, each.message, each.ends) for each in services.services)


def _apply(state: NodeState, event: Event) -> NodeState:
    payload = event.payload
    match payload:
        case PowerSeen():
            return _power(state, payload, event)
        case BmcChanged():
            return _bmc(state, payload, event)
        case ConsoleChanged():
            return _console(state, payload, event)
        case BootDeviceSeen():
            return _boot(state, payload)
        case IdentifySeen():
            return _different(state, identify=payload.on)
        case FindingRaised():
            return _different(state, findings=_with(state.findings, payload.finding))
        case FindingCleared():
            return _different(state, findings=_without(state.findings, payload.id))
        case OperationTouched():
            return _operation(state, payload)
        case LifecycleChanged():
            flags = (*payload.flags, *((LOCKED,) if state.lock is not None else ()))
            return _different(state, lifecycle=payload.lifecycle, flags=flags)
        case LockChanged():
            others = tuple(flag for flag in state.flags if flag != LOCKED)
            flags = (*others, LOCKED) if payload.lock is not None else others
            return _different(state, lock=payload.lock, flags=flags)
        case NotesChanged():
            return _different(state, notes=payload.notes)
        case StageSeen():
            return _different(state, stage=payload.stage)
        case HealthSeen():
            return _different(state, health=payload.health)
        case _:
            return state if not describe(state, event) else msgspec.structs.replace(state)


def _different(state: NodeState, **fields: object) -> NodeState:
    """A copy with `fields`, or `state` itself when they are what it already says."""
    if all(getattr(state, name) == value for name, value in fields.items()):
        return state
    return msgspec.structs.replace(state, **fields)


def _power(state: NodeState, payload: PowerSeen, event: Event) -> NodeState:
    if payload.value == state.power.value:
        return state
    return _different(state, power=PowerState(payload.value, event.wall, event.source, payload.by))


def _bmc(state: NodeState, payload: BmcChanged, event: Event) -> NodeState:
    """A BMC that does not speak leaves the power unknown: silence is not "off"."""
    bmc = payload.state
    power = state.power
    if bmc.status in _SILENT and power.value is not Power.UNKNOWN:
        power = PowerState(Power.UNKNOWN, event.wall, event.source)
    findings = _explained(state.findings, state.bmc.finding, bmc.finding, bmc.message, event.wall)
    return _different(state, bmc=bmc, power=power, findings=findings)


def _console(state: NodeState, payload: ConsoleChanged, event: Event) -> NodeState:
    console = payload.state
    findings = _explained(state.findings, state.console.finding, console.finding, console.message, event.wall)
    return _different(state, console=console, findings=findings)


def _explained(findings: tuple[Finding, ...], old: str, new: str, message: str, wall: float) -> tuple[Finding, ...]:
    """Findings follow the standing with the BMC or console that they explain."""
    if old and old != new:
        findings = _without(findings, old)
    kind = FINDINGS.get(new)
    if kind is None:
        return findings
    evidence = (message,) if message else ()
    return _with(findings, Finding(kind.id, kind.severity, kind.cause, kind.remedy, wall, evidence))


def _with(findings: tuple[Finding, ...], finding: Finding) -> tuple[Finding, ...]:
    """`finding` in place of an earlier one of its id, whose begin it keeps; order by id so that screens do not jump."""
    for earlier in findings:
        if earlier.id == finding.id:
            finding = msgspec.structs.replace(finding, since=earlier.since)
    return tuple(sorted((*_without(findings, finding.id), finding), key=lambda each: each.id))


def _without(findings: tuple[Finding, ...], id_: str) -> tuple[Finding, ...]:
    return tuple(each for each in findings if each.id != id_)


def _boot(state: NodeState, payload: BootDeviceSeen) -> NodeState:
    """A mere reading (not verified) of the known override says nothing new about whether it was read back."""
    if payload.verified is None and payload.boot == state.boot:
        return state
    return _different(state, boot=payload.boot, boot_verified=payload.verified)


def _operation(state: NodeState, payload: OperationTouched) -> NodeState:
    if not payload.record.state.ended:
        return _different(state, operation=payload.number)
    if state.operation == payload.number:
        return _different(state, operation=0)
    # It ended without having held the node (busy, no BMC): worth a line, but another operation keeps the node.
    return msgspec.structs.replace(state)
