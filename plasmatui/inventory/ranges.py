"""Ranges in names, `worker[01-64]`, and addresses that count up with them, `10.0.200.20+`.

The syntax between the brackets is ClusterShell's RangeSet: padding, several ranges, steps (`01-09/2,12`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

LARGEST = 10_000
"""Names that one expression may stand for; larger ones are typing errors, and would fill the memory."""

_GROUP = re.compile(r"\[([^\[\]]*)\]")
_ITEM = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9}(?:/[0-9]{1,9})?)?", re.ASCII)


def expand(pattern: str) -> list[str]:
    """The names that a pattern stands for, in ascending order; the last bracket varies fastest.

    Raises:
        ValueError: the brackets do not pair, a range is malformed, or there are more than `LARGEST` names.
    """
    if "[" not in pattern and "]" not in pattern:
        return [pattern]
    parts = _GROUP.split(pattern)  # text, range, text, range ... text
    if any("[" in part or "]" in part for part in parts[::2]):
        raise ValueError("brackets that pair, as in worker[01-64]")
    choices: list[list[str]] = []
    count = 1
    for body in parts[1::2]:
        count *= _size(body)
        if count > LARGEST:
            raise ValueError(f"at most {LARGEST} names in one range")
        choices.append(_numbers(body))
    return [
        parts[0] + "".join(number + tail for number, tail in zip(numbers, parts[2::2], strict=True))
        for numbers in product(*choices)
    ]


def _size(body: str) -> int:
    """How many numbers a range holds at most, without unfolding it."""
    size = 0
    for item in body.split(","):
        if not _ITEM.fullmatch(item.strip()):
            raise ValueError("numbers and ranges between the brackets, as in [01-03,07] or [0-30/2]")
        low, _, rest = item.strip().partition("-")
        high, _, step = rest.partition("/")
        if step and not int(step):
            raise ValueError("a step of at least 1")
        size += 1 if not high else max(0, int(high) - int(low)) // int(step or 1) + 1
    return size


def _numbers(body: str) -> list[str]:
    from ClusterShell.RangeSet import RangeSet, RangeSetParseError  # 10 ms that most commands need not pay

    try:
        return [str(number) for number in RangeSet(body)]
    except RangeSetParseError as error:
        if "padding" in str(error):
            raise ValueError(f"numbers of the same width in a padded range, not [{body}]") from None
        raise ValueError(f"ranges that go up, not [{body}]") from None


def fold(names: Iterable[str]) -> str:
    """Names compressed to ranges, sorted: `node[01-03],worker07`. Only the last number of a name is folded."""
    from ClusterShell.RangeSet import RangeSet

    numbers: dict[tuple[str, str], list[str]] = {}
    single: set[str] = set()
    for name in names:
        match = re.fullmatch(r"(.*?)([0-9]{1,18})([^0-9]*)", name, re.ASCII | re.DOTALL)
        if match:
            numbers.setdefault((match.group(1), match.group(3)), []).append(match.group(2))
        else:
            single.add(name)
    folded = [(name, name) for name in single]
    for (head, tail), found in numbers.items():
        body = str(RangeSet.fromlist(sorted(set(found))))
        lone = "-" not in body and "," not in body
        folded.append((head + tail, f"{head}{body}{tail}" if lone else f"{head}[{body}]{tail}"))
    return ",".join(text for _, text in sorted(folded))
