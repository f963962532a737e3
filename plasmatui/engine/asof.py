"""What was known of a boot or an operation at a time, from how it went on: what came later is taken away. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from plasmatui.model.boot import BootTimeline, StageSpan
from plasmatui.model.operation import NodeRecord, OperationRecord, StepRecord
from plasmatui.model.words import OperationState


def boots_at(boots: tuple[BootTimeline, ...], at: float) -> tuple[BootTimeline, ...]:
    """Boots (newest first) that had begun, as they stood."""
    begun = [boot for boot in boots if (begin := _begin(boot)) is not None and begin <= at]
    return tuple(boot_at(boot, at) for boot in begun)


def boot_at(boot: BootTimeline, at: float) -> BootTimeline:
    """A boot as it stood: stages that had begun, findings that had been raised. Bytes and percent of a stage that was
    under way are not kept."""
    known = [place for place, span in enumerate(boot.stages) if span.begin is not None and span.begin <= at]
    spans = boot.stages[: known[-1] + 1] if known else ()
    stages = tuple(_span(span, at) for span in spans if span.begin is None or span.begin <= at)
    complete = len(spans) == len(boot.stages) and all(span.end is None or span.end <= at for span in spans)
    done = [span.stage for span in stages if span.state == "done"]
    return replace(
        boot,
        stages=stages,
        reached=boot.reached if complete else done[-1] if done else None,
        outcome=boot.outcome if complete and _is_old(boot, at) else "running",
        findings=tuple(finding for finding in boot.findings if finding.since <= at),
    )


def _begin(boot: BootTimeline) -> float | None:
    return boot.begin if boot.begin is not None else next((s.begin for s in boot.stages if s.begin is not None), None)


def _is_old(boot: BootTimeline, at: float) -> bool:
    """Whether why a boot stopped was known: a boot that stands still is called stopped only later."""
    return boot.outcome != "stopped" or not boot.findings or any(finding.since <= at for finding in boot.findings)


def _span(span: StageSpan, at: float) -> StageSpan:
    if span.end is None and span.state == "running":
        return replace(span, bytes=None, percent=None)
    if span.end is None or span.end <= at:
        return span
    return replace(span, end=None, state="running", bytes=None, percent=None)


def operations_at(records: tuple[OperationRecord, ...], at: float) -> tuple[OperationRecord, ...]:
    """Operations that had begun, as they stood."""
    return tuple(operation_at(record, at) for record in records if record.begin <= at)


def operation_at(record: OperationRecord, at: float) -> OperationRecord:
    """An operation as it stood: steps that had begun. What its nodes waited for, and progress, are not kept."""
    if record.state.ended and record.end and record.end <= at:
        return record
    nodes = tuple(_node(node, at) for node in record.nodes)
    return replace(record, state=OperationState.RUNNING, end=0.0, held="", nodes=nodes)


def _node(node: NodeRecord, at: float) -> NodeRecord:
    """A node is over when its last step was; without steps nobody knows when it ended."""
    steps = tuple(_step(step, at) for step in node.steps if step.begin <= at)
    later = len(steps) < len(node.steps) or any(step.end == 0.0 or step.end > at for step in node.steps)
    if steps and not later:
        return node
    state = OperationState.RUNNING if steps else OperationState.WAITING
    return NodeRecord(node.node, state, steps, before=node.before if steps else "", planned=node.planned)


def _step(step: StepRecord, at: float) -> StepRecord:
    if step.end and step.end <= at:
        return step
    return replace(step, end=0.0, result=None, message="", progress="", percent=None)
