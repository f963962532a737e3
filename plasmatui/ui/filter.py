"""The `/` filter of the grid: words that must all match. `!word` inverts one.

A word is `field=value` (a regular expression on one field), a node set (`node[01-03]`, `@worker`), or a regular
expression on the whole row. A word that is no regular expression is looked for as it stands. Case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plasmatui.model.node import Node, NodeState

FIELDS: Mapping[str, Callable[[Node, NodeState], str]] = {
    "node": lambda node, state: node.name,
    "name": lambda node, state: node.name,
    "power": lambda node, state: state.power.value,
    "bmc": lambda node, state: f"{state.bmc.status} {node.bmc_address} {node.bmc_driver}",
    "console": lambda node, state: state.console.status,
    "stage": lambda node, state: state.stage.stage if state.stage else "",
    "boot": lambda node, state: state.boot.device if state.boot else "",
    "lifecycle": lambda node, state: state.lifecycle,
    "health": lambda node, state: state.health,
    "finding": lambda node, state: " ".join(finding.id for finding in state.findings),
    "profile": lambda node, state: node.profile,
    "rack": lambda node, state: node.rack,
    "unit": lambda node, state: "" if node.unit is None else str(node.unit),
    "tag": lambda node, state: " ".join(node.tags),
    "mac": lambda node, state: " ".join(node.macs),
    "ip": lambda node, state: f"{node.provisioning_ip} {node.production_ip} {node.bmc_address}",
    "event": lambda node, state: state.last_event,
}

_NODE_SET = re.compile(r"(?=@|[\w.-]+\[\d[\d,-]*\])[\w.:@,!&^*\[\]-]+")

Resolve = Callable[[str], frozenset[str]]
"""Names of a node set. Raises ValueError when it is none."""


class FilterError(ValueError):
    """A word of the filter cannot be understood; the message says which and why."""


@dataclass(frozen=True)
class Filter:
    """A parsed filter; `text` is what was typed. An empty one lets everything through."""

    text: str = ""
    tests: tuple[tuple[bool, Callable[[Node, NodeState], bool]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tests)

    def matches(self, node: Node, state: NodeState) -> bool:
        return all(test(node, state) is not inverse for inverse, test in self.tests)


def parse_filter(text: str, resolve: Resolve) -> Filter:
    """Parse what the operator typed.

    Raises:
        FilterError: an unknown field or a wrong node set.
    """
    return Filter(text.strip(), tuple(_word(word, resolve) for word in text.split()))


def _word(word: str, resolve: Resolve) -> tuple[bool, Callable[[Node, NodeState], bool]]:
    inverse = word.startswith("!") and len(word) > 1
    body = word[1:] if inverse else word
    name, equals, value = body.partition("=")
    if equals and name in FIELDS:
        return inverse, _field(FIELDS[name], value)
    if equals and name.isalpha():
        raise FilterError(f"no field {name!r}; fields: {', '.join(sorted(FIELDS))}")
    if _NODE_SET.fullmatch(body):
        try:
            names = resolve(body)
        except ValueError as error:
            raise FilterError(str(error)) from error
        return inverse, lambda node, state: node.name in names
    return inverse, _row(_pattern(body))


def _field(
    field: Callable[[Node, NodeState], str],
    value: str,
) -> Callable[[Node, NodeState], bool]:
    pattern = _pattern(value)
    return lambda node, state: pattern.search(field(node, state)) is not None


def _row(pattern: re.Pattern[str]) -> Callable[[Node, NodeState], bool]:
    def test(node: Node, state: NodeState) -> bool:
        return any(pattern.search(field(node, state)) for field in FIELDS.values())

    return test


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(text), re.IGNORECASE)
