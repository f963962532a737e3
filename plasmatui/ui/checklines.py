"""The checklist as lines to read: groups and checks with what is wrong first, what was seen, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from plasmatui.inventory.nodesets import fold
from plasmatui.model.checks import CHECKS, Check, CheckAnswer, CheckState
from plasmatui.ui import glyphs
from plasmatui.ui.bars import age
from plasmatui.ui.checklist import WORST_FIRST, Checklist, rank
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part, TextLine, text_line

WAITED = 4
"""Checks that are named while they are waited for; the others are counted."""

_REST = 6
"""Indent of what stands below a check."""


def check_lines(context: Context, words: str = "") -> list[TextLine]:
    """All checks in which these words are found, each with its id as the line's key."""
    checklist = context.store.checklist
    groups: dict[str, list[Check]] = {}
    for check in CHECKS:
        if _passes(checklist, check, words.lower().split()):
            groups.setdefault(check.group, []).append(check)
    lines: list[TextLine] = []
    for group, checks in sorted(groups.items(), key=lambda item: min(rank(checklist, each) for each in item[1])):
        lines.append(text_line((f" {group}", "bold"), *_counted(checklist, checks)))
        for check in sorted(checks, key=lambda each: rank(checklist, each)):
            lines += _lines(context, check)
    return lines or [text_line((f" no check has {words!r} in it", "role-muted"))]


def progress_parts(context: Context) -> list[Part]:
    """How far the run is, what is waited for, and how many answers there are of each kind."""
    checklist = context.store.checklist
    parts: list[Part] = [(" checklist  ", "bold")]
    if checklist.running:
        waiting = [check.id for check in CHECKS if check.id in checklist.waiting]
        parts.append((f"{len(CHECKS) - len(waiting)} of {len(CHECKS)} looked at  ", "bold role-busy"))
        parts += _counts(context, checklist, WORST_FIRST[:2])  # names have no room beside all of them
        more = f" and {len(waiting) - WAITED} more" if len(waiting) > WAITED else ""
        parts.append((f"waiting for {', '.join(waiting[:WAITED])}{more}" if waiting else "ending", "role-muted"))
        return parts
    parts += _counts(context, checklist, WORST_FIRST)
    if checklist.problem:
        parts.append((f" {context.glyphs['error']} {checklist.problem}", "role-error"))
    elif checklist.end:
        parts.append((f" looked at {age(context.clock() - checklist.end)} ago", "role-muted"))
    return parts


def state_parts(context: Context, state: CheckState) -> Part:
    """Glyph and word of a state in its colour."""
    sign, role = glyphs.CHECK[state]
    return (f"{context.glyphs[sign]} {state:<7} ", f"role-{role}" if state is CheckState.OK else f"bold role-{role}")


def _counts(context: Context, checklist: Checklist, states: Sequence[CheckState]) -> list[Part]:
    counts = Counter(each.answer.state for name, each in checklist.seen.items() if name not in checklist.waiting)
    parts: list[Part] = []
    for state in states:
        if counts[state]:
            sign, role = glyphs.CHECK[state]
            parts.append((f"{context.glyphs[sign]} {counts[state]} {state}  ", f"role-{role}"))
    return parts


def _counted(checklist: Checklist, checks: list[Check]) -> list[Part]:
    wrong = sum(rank(checklist, check) < 3 for check in checks)
    return [(f"  {wrong} of {len(checks)} not ok", "role-muted")] if wrong else []


def _lines(context: Context, check: Check) -> list[TextLine]:
    checklist = context.store.checklist
    seen = checklist.seen.get(check.id)
    name: Part = (f"{check.id}  ", "bold")
    if check.id in checklist.waiting:
        return [text_line((f"   {context.glyphs['busy']} waiting ", "role-busy"), name, (check.what, ""), key=check.id)]
    if seen is None:
        return [
            text_line((f"   {context.glyphs['none']} not yet ", "role-muted"), name, (check.what, ""), key=check.id)
        ]
    answer = seen.answer
    old = f"  {age(context.clock() - seen.at)} ago" if seen.at < checklist.begin else ""
    head = [("   ", ""), state_parts(context, answer.state), name, (check.what, ""), (old, "role-muted")]
    if answer.state in (CheckState.OK, CheckState.SKIPPED):
        return [text_line(*head, (f": {answer.reason}" if answer.reason else "", "role-muted"), key=check.id)]
    return [text_line(*head, key=check.id), *_wrong(answer)]


def _wrong(answer: CheckAnswer) -> list[TextLine]:
    indent = " " * _REST
    lines = [text_line((f"{indent}{answer.reason}", ""))] if answer.reason else []
    if answer.nodes:
        lines.append(text_line((f"{indent}nodes ", "role-muted"), (fold(list(answer.nodes)), "bold")))
    if answer.fix:
        lines.append(text_line((f"{indent}fix ", "role-muted"), (answer.fix, "role-busy")))
    return lines


def _passes(checklist: Checklist, check: Check, words: list[str]) -> bool:
    seen = checklist.seen.get(check.id)
    text = f"{check.id} {check.group} {check.what}"
    if check.id in checklist.waiting:
        text += " waiting"
    elif seen is not None:
        answer = seen.answer
        text += f" {answer.state} {answer.reason} {answer.fix} {' '.join(answer.nodes)}"
    text = text.lower()
    return all(word in text for word in words)
