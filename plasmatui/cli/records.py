"""Records of operations for people and programs: what became of each node, and every step that was taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from plasmatui.cli.failure import REFUSED, code_of_results
from plasmatui.cli.output import clean, clock, collated, duration, json_error, note, print_json, result
from plasmatui.cli.plans import pace_words
from plasmatui.model.findings import FAILURES, FINDINGS
from plasmatui.model.node import NodeState
from plasmatui.model.operation import NodeRecord, OperationRecord, Plan, StepRecord
from plasmatui.model.words import OperationState

NodeJson = Callable[[NodeRecord, "NodeState | None"], dict[str, Any]]
"""What a command adds to a node's JSON answer, from its record and its state now."""


def print_outcome(
    record: OperationRecord,
    plan: Plan | None,
    states: Mapping[str, NodeState],
    node_json: NodeJson,
    as_json: bool,
) -> int:
    """Print the outcome of every node and return the exit code."""
    records = {node.node: node for node in record.nodes}
    for skipped in plan.nodes if plan is not None else ():
        if skipped.skipped and skipped.node not in records:
            records[skipped.node] = NodeRecord(
                skipped.node, OperationState.FAILED, error=skipped.error or "skipped", message=skipped.skipped
            )
    failed = sum(node.state is not OperationState.DONE for node in records.values())
    if as_json:
        nodes = {
            name: {
                "ok": node.state is OperationState.DONE,
                **node_json(node, states.get(name)),
                "error": error_json(node),
            }
            for name, node in records.items()
        }
        print_json({"operation": record.number, "nodes": nodes})
    else:
        result(collated({name: describe(node) for name, node in records.items()}))
        if failed:
            many = f"{failed} of {len(records)} nodes failed; details" if len(records) > 1 else "details"
            note(f"{many}: plasmatui ops show {record.number}")
    if failed == len(records) and all(node.error == "refused" for node in records.values()):
        return REFUSED
    return code_of_results(failed, len(records))


def outcome_json(record: NodeRecord, state: NodeState | None) -> dict[str, Any]:
    """A node's part of an operation on its system, beside `ok` and `error`."""
    return {
        **part_json(record),
        "lifecycle": state.lifecycle if state is not None else None,
        "flags": list(state.flags) if state is not None else [],
    }


def part_json(record: NodeRecord) -> dict[str, Any]:
    """What a node's record says beside `ok` and `error`."""
    return {
        "state": record.state,
        "before": record.before,
        "after": record.after,
        "message": record.message,
        "evidence": list(record.evidence),
        "question": record.question or None,
        "answers": list(record.answers),
    }


def error_json(node: NodeRecord) -> dict[str, str] | None:
    """Why a node is not done; None when it is, or when nothing has gone wrong yet."""
    if node.state is OperationState.DONE:
        return None
    if not node.state.ended:
        return json_error(node.error, node.message)
    return json_error(node.error or str(node.state), node.message or f"{node.node}: {node.state}")


def describe(node: NodeRecord) -> str:
    """A node's outcome in words: `off -> on`, with what is to be said of it, or what went wrong."""
    change = ""
    if node.after:
        change = f"{node.before} -> {node.after}" if node.before else node.after
    message = node.message.removeprefix(f"{node.node}: ")
    if node.state is OperationState.DONE:
        return f"{change or 'done'}; {message}" if message else change or "done"
    words = str(node.state) + (f" ({change})" if change else "")
    error = node.error if node.error != node.state else ""
    reason = ": ".join(part for part in (error, message) if part)
    return f"{words}: {reason}" if reason else words


def operation_json(record: OperationRecord, *, steps: bool = False) -> dict[str, Any]:
    """An operation for `--json`; with `steps`, each node's steps with their exact commands."""
    nodes: dict[str, Any] = {}
    for node in record.nodes:
        nodes[node.node] = {
            "ok": node.state is OperationState.DONE,
            **part_json(node),
            "planned": node.planned or None,
            "error": error_json(node),
        }
        if steps:
            nodes[node.node]["steps"] = [_step_json(step) for step in node.steps]
    return {
        "number": record.number,
        "state": record.state,
        "by": record.by,
        "cli": record.cli,
        "begin": record.begin,
        "end": record.end or None,
        "held": record.held or None,
        "override": record.override,
        "retry_of": record.retry_of or None,
        "nodes": nodes,
    }


def _step_json(step: StepRecord) -> dict[str, Any]:
    return {
        "id": step.id,
        "text": step.text,
        "command": step.command,
        "begin": step.begin,
        "end": step.end or None,
        "usual": step.usual or None,
        "result": step.result,
        "message": step.message,
        "progress": step.progress,
        "percent": step.percent,
    }


def operation_lines(record: OperationRecord) -> list[str]:
    """An operation with every step of every node, and what is asked of a person."""
    failed = code_of_results(sum(n.state is not OperationState.DONE for n in record.nodes), len(record.nodes))
    took = f"took {duration(record.end - record.begin)}" if record.end else f"for {duration(_since(record.begin))}"
    lines = [
        f"operation {record.number}: {record.state}{', not all nodes done' if failed and record.end else ''}",
        f"command: {clean(record.cli)}",
        f"by {clean(record.by)}, {clock(record.begin)}, {took}",
        f"pace: {pace_words(record.pace, record.order)}",
    ]
    if record.retry_of:
        lines.append(f"tries again what failed in operation {record.retry_of}")
    if record.override:
        lines.append("the quorum guard was overridden")
    lines += [f"HELD: {text}" for text in held_words(record)]
    for node in record.nodes:
        at = f", step {len(node.steps)} of {node.planned}" if node.planned and not node.state.ended else ""
        lines.append(f"{node.node}: {clean(describe(node))}{at}")
        for step in node.steps:
            lines += _step_lines(step)
        lines += [f"  | {clean(line)}" for line in node.evidence]
        lines += _remedy_lines(record, node)
    if any(node.state in (OperationState.FAILED, OperationState.CANCELLED) for node in record.nodes) and record.end:
        lines.append(f"to try the failed nodes again: plasmatui ops retry {record.number}")
    return lines


def _remedy_lines(record: OperationRecord, node: NodeRecord) -> list[str]:
    """What to do about a failure, where its message does not say it already."""
    kind = (FINDINGS | FAILURES).get(node.error)
    if node.state is not OperationState.FAILED or kind is None or kind.remedy in node.message:
        return []
    return [f"  what to do: {kind.remedy.replace('NUMBER', str(record.number)).replace('NODE', node.node)}"]


def _step_lines(step: StepRecord) -> list[str]:
    message = f": {clean(step.message)}" if step.message else ""
    lines = [f"  {clock(step.begin)}  {clean(step.text)} [{step_words(step)}]{message}"]
    lines.append(f"            {clean(step.command)}")
    return lines


def step_words(step: StepRecord) -> str:
    """How a step stands: `done, 12s, usually 10s`, `running 40s, usually 90s: http-initrd 43 %`."""
    usual = f", usually {duration(step.usual)}" if step.usual else ""
    if step.result is not None:
        return f"{step.result}, {duration(step.end - step.begin)}{usual}"
    now = progress_words(step)
    return f"running {duration(_since(step.begin))}{usual}{f': {now}' if now else ''}"


def progress_words(step: StepRecord) -> str:
    """What a running step does now, with the part that is done where it is known."""
    percent = f"{step.percent:.0f} %" if step.percent is not None else ""
    return " ".join(part for part in (clean(step.progress), percent) if part)


def held_words(record: OperationRecord) -> list[str]:
    """What an operation waits for a person for, each with the commands that go on or answer, a line for each."""
    if record.state.ended:
        return []
    release = f"plasmatui ops release {record.number}"
    said = []
    if record.held:
        way_on = "" if release in record.held else f"; {release} goes on with it"
        said.append(f"operation {record.number}: {clean(record.held)}{way_on}")
    for node in record.nodes:
        if node.state is OperationState.HELD and node.answers:
            answers = [f"  {release} {node.node} {clean(answer)}" for answer in node.answers]
            said.append("\n".join((_about(node, node.question), *answers)))
    return said


def _about(node: NodeRecord, text: str) -> str:
    """`text` with its node's name before it, once."""
    return f"{node.node}: {clean(text).removeprefix(f'{node.node}: ')}"


def _since(begin: float) -> float:
    return max(0.0, time.time() - begin)
