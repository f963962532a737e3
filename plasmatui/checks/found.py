"""What a check finds, and many nodes' findings as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from plasmatui.inventory.ranges import fold
from plasmatui.model.checks import CheckState
from plasmatui.text import clean_line

OK, WARNING, FAILED = CheckState.OK, CheckState.WARNING, CheckState.FAILED
UNKNOWN, SKIPPED = CheckState.UNKNOWN, CheckState.SKIPPED

_ORDER: Final = (FAILED, UNKNOWN, WARNING, OK, SKIPPED)
_MOST: Final = 6
"""Different findings that one line names."""
_LONGEST: Final = 800


@dataclass(frozen=True)
class Found:
    """A check's result; fields as of `model.checks.CheckAnswer`. `nodes` may hold other subjects too."""

    state: CheckState
    reason: str = ""
    fix: str = ""
    nodes: tuple[str, ...] = ()


def skipped(why: str) -> Found:
    """There is nothing to look at."""
    return Found(SKIPPED, why)


def together(found: Mapping[str, Found], well: str, nothing: str) -> Found:
    """The findings of several subjects (nodes, files) as one: the worst counts, equal ones are named once.

    Args:
        found: by subject; a finding's reason should not name the subject unless it differs for each.
        well: what is said when all are ok, with `{}` for their number.
        nothing: why there is nothing to look at, when there is no subject, or all were skipped.
    """
    looked = {name: each for name, each in found.items() if each.state is not SKIPPED}
    if not looked:
        reasons = dict.fromkeys(each.reason for each in found.values() if each.reason)
        return skipped("; ".join(list(reasons)[:3]) or nothing)
    wrong = {
        name: replace(each, reason=each.reason.removeprefix(f"{name}: "))
        for name, each in looked.items()
        if each.state is not OK
    }
    if not wrong:
        return Found(OK, well.format(len(looked)))
    groups: dict[tuple[CheckState, str], list[str]] = {}
    for name, each in wrong.items():
        groups.setdefault((each.state, each.reason.replace(name, "NODE")), []).append(name)
    ordered = sorted(groups.items(), key=lambda item: _ORDER.index(item[0][0]))
    parts = [f"{fold(names)}: {reason if len(names) > 1 else wrong[names[0]].reason}" for (_, reason), names in ordered]
    more = f"; and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    state = ordered[0][0][0]
    first = ordered[0][1][0]
    fix = wrong[first].fix or next((each.fix for each in wrong.values() if each.fix), "")
    return Found(state, clean_line("; ".join(parts[:_MOST]) + more, _LONGEST), fix, tuple(wrong))
