"""Node sets: `node[01-03,07]`, `@worker`, `@rack:r1`, `a,b`, `!`, `&`, `^`, `*`, `?`, in ClusterShell's syntax.

Operators work from left to right without precedence, as in ClusterShell: `,` union, `!` difference, `&` intersection,
`^` symmetric difference. Groups come from the inventory alone: `@all` (or `@*`), `@voter`, `@PROFILE` (or
`@profile:NAME`), `@rack:NAME`, `@tag:NAME`. ClusterShell's own group files are never consulted, and what they would
silently ignore, a name that does not exist, is an error here: after `!` a typing error would spare the wrong machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from plasmatui.inventory import ranges
from plasmatui.inventory.fields import close_to
from plasmatui.inventory.tree import shown
from plasmatui.model.node import Node

RESERVED_GROUPS = ("all", "voter")
"""Group names that no profile may have."""

_KINDS = ("profile", "rack", "tag")
_OPERAND = re.compile(r"@?[A-Za-z0-9\[*?][A-Za-z0-9._\[\],/*?:-]*", re.ASCII)


class NodeSetError(ValueError):
    """An expression names no node, or something that does not exist. The message says what, for people."""


def resolve(expression: str, nodes: Sequence[Node]) -> tuple[str, ...]:
    """The names of the nodes that an expression stands for, each once, in the order of `nodes`.

    Raises:
        NodeSetError: the expression is empty or malformed, names an unknown node or group, or stands for no node.
    """
    if not expression.strip():
        raise NodeSetError("found no node set, expected one such as node[01-03], @worker, or @all for every node")
    known = _Known(nodes)
    chosen: set[str] = set()
    for operator, operand in _operands(expression):
        found = known.operand(operand)
        if operator == ",":
            chosen |= found
        elif operator == "!":
            chosen -= found
        elif operator == "&":
            chosen &= found
        else:
            chosen ^= found
    if not chosen:
        raise NodeSetError(f'the node set "{shown(expression)}" stands for no node')
    return tuple(node.name for node in nodes if node.name in chosen)


def fold(names: Iterable[str]) -> str:
    """Names compressed to ranges for display: `node[01-03],worker07`."""
    return ranges.fold(names)


def groups(nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """Every group that node sets may name, without the `@`, with its nodes: for completion and help."""
    return {name: tuple(members) for name, members in _Known(nodes).groups.items()}


def _operands(expression: str) -> Iterator[tuple[str, str]]:
    """Operators with their right operands; the first operand counts as added to nothing."""
    operator, start, depth = ",", 0, 0
    for index, character in enumerate(expression + ","):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character in ",!&^" and (depth <= 0 or index == len(expression)):
            operand = expression[start:index].strip()
            if not operand:
                where = "at its end" if index == len(expression) else f"before the {character} at column {index + 1}"
                raise NodeSetError(f'the node set "{shown(expression)}" lacks a name {where}')
            yield operator, operand
            operator, start = character, index + 1


class _Known:
    """The nodes and groups that an operand may name."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.names = {node.name: None for node in nodes}
        self.groups: dict[str, list[str]] = {"all": list(self.names)}
        for node in nodes:
            if node.voter:
                self._add("voter", node)
            if node.profile:
                self._add(f"profile:{node.profile}", node)
                if node.profile not in RESERVED_GROUPS:
                    self._add(node.profile, node)
            if node.rack:
                self._add(f"rack:{node.rack}", node)
            for tag in node.tags:
                self._add(f"tag:{tag}", node)

    def _add(self, group: str, node: Node) -> None:
        self.groups.setdefault(group, []).append(node.name)

    def operand(self, operand: str) -> set[str]:
        if operand in self.names:
            return {operand}
        if not _OPERAND.fullmatch(operand):
            raise NodeSetError(f'"{shown(operand)}" is neither a node nor a group: node[01-03], @PROFILE, @rack:NAME')
        group = operand.startswith("@")
        try:
            words = ranges.expand(operand[1:] if group else operand)
        except ValueError as error:
            raise NodeSetError(f'the node set "{shown(operand)}": expected {error}') from None
        unknown: list[str] = []
        found: set[str] = set()
        for word in words:
            members = self._group(word) if group else self._nodes(word)
            if members is None:
                unknown.append(word)
            else:
                found.update(members)
        if unknown:
            raise NodeSetError(self._refusal(unknown, group))
        return found

    def _nodes(self, word: str) -> Iterable[str] | None:
        if word in self.names:
            return (word,)
        if "*" in word or "?" in word:
            return [name for name in self.names if fnmatchcase(name, word)] or None
        return None

    def _group(self, word: str) -> Iterable[str] | None:
        if word == "*":
            return self.names
        if "*" in word or "?" in word:
            matching = [members for name, members in self.groups.items() if fnmatchcase(name, word)]
            return [name for members in matching for name in members] or None
        return self.groups.get(word)

    def _refusal(self, unknown: list[str], group: bool) -> str:
        """One sentence that names what does not exist and, for a single one, what is close to it."""
        if len(unknown) > 1:
            names = shown(fold(unknown), 200)
            return f"the inventory has no {'groups' if group else 'nodes'} {'@' if group else ''}{names}"
        word = unknown[0]
        if not group:
            hint = close_to(word, self.names)
            if not hint and word in self.groups:
                hint = f"; did you mean @{word}?"
            what = "no node matches" if "*" in word or "?" in word else "the inventory has no node"
            return f"{what} {shown(word)}{hint}"
        near = close_to(word, self.groups).replace("mean ", "mean @")
        kind, colon, _ = word.partition(":")
        if colon and kind not in _KINDS:
            return f"found the group @{shown(word)}, expected @PROFILE, @rack:NAME or @tag:NAME{near}"
        return f"the inventory has no group @{shown(word)}{near}"
