"""A plan for people and programs, and its confirmation: y for what can be undone, a typed phrase for what cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click

from plasmatui.cli.failure import FAILED, USAGE, Failure
from plasmatui.cli.order_options import OrderOptions
from plasmatui.cli.output import clean, disk_size, duration, json_error, note, print_json, result, table
from plasmatui.cli.sets import fold
from plasmatui.model.operation import InstallOrder, NodePlan, Order, Pace, Plan, Step, UpdateOrder
from plasmatui.model.system import Disk


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print all of it: every node's steps with the exact commands, disks, notes, and what the guard says."""
    if as_json:
        print_json(_json(plan))
    else:
        result("\n".join(plan_lines(plan)))


def _json(plan: Plan) -> dict[str, Any]:
    return {
        "cli": plan.cli,
        "confirm": plan.confirm,
        "phrase": plan.phrase,
        "refused": plan.refused,
        "locked": plan.locked,
        "notes": list(plan.notes),
        "pace": {
            "parallel": plan.pace.parallel,
            "stagger": plan.pace.stagger,
            "per_rack": plan.pace.per_rack,
            "bandwidth": plan.pace.bandwidth,
        },
        "nodes": {
            node.node: {
                "ok": not node.skipped,
                "steps": [_step_json(step) for step in node.steps],
                "disks": [_disk_json(disk) for disk in node.disks],
                "notes": list(node.notes),
                "diff": node.diff,
                "error": _error_json(node),
            }
            for node in plan.nodes
        },
    }


def _error_json(node: NodePlan) -> dict[str, str] | None:
    """Why a node is left out; None when it is not."""
    return json_error((node.error or "skipped") if node.skipped else "", node.skipped)


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "text": step.text,
        "command": step.command,
        "limit": step.limit,
        "disruptive": step.disruptive,
        "destroys": step.destroys,
        "precondition": step.precondition,
        "proof": step.proof,
    }


def _disk_json(disk: Disk) -> dict[str, Any]:
    return {
        "name": disk.name,
        "path": disk.path,
        "model": disk.model,
        "size": disk.size or None,
        "serial": disk.serial,
        "contents": disk.contents,
    }


def plan_lines(plan: Plan) -> list[str]:
    """The plan with every step's exact command, node by node."""
    lines = [f"plan: {clean(plan.cli)}", f"pace: {pace_words(plan.pace, plan.order)}"]
    for node in plan.nodes:
        if node.skipped:
            lines.append(f"{node.node}: left out: {_without_name(node, node.skipped)}")
            continue
        lines.append(f"{node.node}:")
        for number, step in enumerate(node.steps, 1):
            lines.append(f"  {number}. {_step_words(step)} (limit {duration(step.limit)})")
            lines.append(f"     {clean(step.command)}")
            if step.precondition:
                lines.append(f"     only if: {clean(step.precondition)}")
            if step.proof:
                lines.append(f"     done when: {clean(step.proof)}")
        lines += [f"  note: {_without_name(node, text)}" for text in node.notes]
        lines += diff_lines(node)
        if node.disks:
            lines.append(f"  {_wiped(node.node)}")
            lines += [f"    {line}" for line in _disk_table((node,)).splitlines()]
    lines += [f"guard: {text}" for text in _guard_notes(plan)]
    if plan.locked:
        lines.append(f"locked: {clean(plan.locked)}")
    if plan.refused:
        lines.append(f"refused: {clean(plan.refused)}")
    if not _targets(plan):
        lines.append(f"nothing to do: {_left_out(plan)}")
    elif plan.confirm >= 3:
        lines.append(f"to confirm: --confirm {_quoted(plan.phrase)}, or type it when asked")
    return lines


def diff_lines(node: NodePlan) -> list[str]:
    """How the inventory file would be changed, nothing where it stays."""
    if not node.diff:
        return []
    return ["  the inventory is changed:", *(f"    {clean(line)}" for line in node.diff.splitlines())]


def _guard_notes(plan: Plan) -> list[str]:
    """What the guard found, where its refusal does not say it already."""
    return [clean(text) for text in plan.notes if text not in plan.refused]


def _left_out(plan: Plan) -> str:
    """That every node is left out, and what to do about it where that is known."""
    if isinstance(plan.order, InstallOrder):
        return "every node of the set is left out; an installation needs the installer to be up"
    return "every node of the set is left out"


def pace_words(pace: Pace, order: Order) -> str:
    """`16 at once, 2 s between two starts, 4 of one rack, network boots 1 Gbit/s together`."""
    if isinstance(order, UpdateOrder):
        return order.turns(pace.parallel)
    parts = [f"{pace.parallel} at once"]
    if pace.stagger:
        parts.append(f"{pace.stagger:g} s between two starts")
    if pace.per_rack:
        parts.append(f"{pace.per_rack} of one rack")
    if pace.bandwidth:
        parts.append(f"network boots {_rate(pace.bandwidth)} together")
    return ", ".join(parts)


def _rate(bits: int) -> str:
    for size, unit in ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s")):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits} bit/s"


def _step_words(step: Step) -> str:
    marks = (" [disruptive]" if step.disruptive else "") + (" [destroys]" if step.destroys else "")
    return f"{clean(step.text)}{marks}"


def _wiped(node: str) -> str:
    return f"disks of {node} that are wiped:"


def _disk_table(nodes: Iterable[NodePlan], *, named: bool = False) -> str:
    rows = []
    for node in nodes:
        for disk in node.disks:
            cells = (
                disk.name,
                disk.model or "not known yet",
                disk_size(disk.size) if disk.size else "-",
                disk.serial or "-",
                disk.contents or ("nothing" if disk.model else "-"),
            )
            rows.append((node.node, *cells) if named else cells)
    header = ("DISK", "MODEL", "SIZE", "SERIAL", "HOLDS")
    return table(("NODE", *header) if named else header, rows)


def _without_name(node: NodePlan, text: str) -> str:
    return clean(text).removeprefix(f"{node.node}: ")


def _quoted(phrase: str) -> str:
    import shlex

    return shlex.quote(phrase)


def warn_of_skipped(plan: Plan, as_json: bool) -> None:
    """Say which nodes are left out and why; in JSON when all are, since nothing else will tell it then.

    Raises:
        Failure: all of them are.
    """
    for node in plan.nodes:
        if node.skipped:
            note(f"plasmatui: {node.node} is left out: {_without_name(node, node.skipped)}")
    if all(node.skipped for node in plan.nodes):
        if as_json:
            print_json({"nodes": {node.node: {"ok": False, "error": _error_json(node)} for node in plan.nodes}})
        names = fold(node.node for node in plan.nodes)
        hint = f"plasmatui boot {names}, or plasmatui provision {names} for both in one"
        code = FAILED if all(node.error for node in plan.nodes) else USAGE
        raise Failure(code, f"nothing to do: {_left_out(plan)}", hint if isinstance(plan.order, InstallOrder) else "")


def confirm(plan: Plan, options: OrderOptions) -> None:
    """Have the plan confirmed as its level asks: 1 and 2 by y or --yes, 3 by the phrase, typed or as --confirm.

    Raises:
        Failure: it was not confirmed; nothing was done.
        click.Abort: ctrl-c or the end of the input instead of an answer.
    """
    if plan.confirm >= 3:
        _confirm_loss(plan, options)
    elif not options.yes:
        _require_terminal(plan, "add --yes to confirm, or --plan to see what it would do")
        _show_short(plan)
        if not click.confirm("Go on?", default=False, err=True):
            raise Failure(FAILED, "not confirmed; nothing was done")


def _confirm_loss(plan: Plan, options: OrderOptions) -> None:
    if options.confirm:
        if options.confirm != plan.phrase:
            raise Failure(
                USAGE,
                f"--confirm {_quoted(options.confirm)} does not confirm this plan, which takes {_quoted(plan.phrase)}; "
                "nothing was done",
                f"see which data would be destroyed: {plan.cli} --plan",
            )
        return
    if options.yes and not _terminal():
        raise Failure(
            USAGE,
            f"--yes does not confirm {_loss(plan)}",
            f"see what it does with --plan, then confirm with --confirm {_quoted(plan.phrase)}",
        )
    _require_terminal(plan, f"see what it does with --plan, then confirm with --confirm {_quoted(plan.phrase)}")
    _show_short(plan)
    warning = "Everything on these disks is lost" if _wipes(plan) else "This cannot be undone"
    typed = click.prompt(f"{warning}. Type {plan.phrase!r} to go on", default="", err=True, show_default=False)
    if str(typed).strip() != plan.phrase:
        raise Failure(FAILED, "not confirmed; nothing was done")


def _wipes(plan: Plan) -> bool:
    return any(node.disks for node in plan.nodes)


def _loss(plan: Plan) -> str:
    """What a destructive plan does, for who is to confirm it."""
    if _wipes(plan):
        return f"that the disks of {_count(plan)} are wiped"
    return f"what cannot be undone on {_count(plan)}"


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _require_terminal(plan: Plan, hint: str) -> None:
    if not _terminal():
        raise Failure(USAGE, f"this changes {_count(plan)} and there is no terminal to confirm it on", hint)


def _targets(plan: Plan) -> list[str]:
    return [node.node for node in plan.nodes if not node.skipped]


def _count(plan: Plan) -> str:
    count = len(_targets(plan))
    return f"{count} node" if count == 1 else f"{count} nodes"


def _show_short(plan: Plan) -> None:
    """The steps once for all nodes that have the same, every target, the disks, and what is to be known before."""
    note(clean(plan.cli))
    note(f"pace: {pace_words(plan.pace, plan.order)}")
    alike: dict[tuple[str, ...], list[str]] = {}
    for node in plan.nodes:
        if not node.skipped:
            alike.setdefault(tuple(_step_words(step) for step in node.steps), []).append(node.node)
    for steps, names in alike.items():
        note(f"on {len(names)} {'node' if len(names) == 1 else 'nodes'}: {fold(names)}")
        for step in steps:
            note(f"  - {step}")
    for text in dict.fromkeys(_without_name(node, text) for node in plan.nodes for text in node.notes):
        note(f"note: {text}")
    for text in _guard_notes(plan):
        note(f"guard: {text}")
    for node in plan.nodes:
        for line in diff_lines(node):
            note(line)
    with_disks = [node for node in plan.nodes if node.disks]
    if with_disks:
        note("disks that are wiped:")
        note("\n".join(f"  {line}" for line in _disk_table(with_disks, named=True).splitlines()))
    if plan.confirm >= 2:
        note("targets: " + " ".join(_targets(plan)))
