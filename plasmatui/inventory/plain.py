"""Small YAML files (bundles, themes, keymaps) as plain values, from the tree: whatever stands in one, it is read or
refused at its place. PyYAML's own constructors overrun the C stack on deep nesting, and raise what no caller expects
for dates and numbers that are none."""

from __future__ import annotations

import re
from typing import Final

from plasmatui.inventory.tree import DEEPEST, Mapping, Node, Scalar, parse, shown

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
"""What a value can be. Aliases of one value share it."""

_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_TRUE: Final = frozenset(("yes", "true", "on"))


class PlainError(ValueError):
    """A text is no YAML, or holds what has no plain form. The message is safe to print.

    Attributes:
        line, column: from 1.
    """

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def read_plain(text: str, *, texts: bool = False) -> Plain:
    """The value that a YAML text holds; None for an empty one.

    Args:
        texts: every scalar is text, whatever YAML takes it for.

    Raises:
        PlainError: with the first thing that is wrong.
    """
    tree = parse(text)
    for problem in tree.problems:
        raise PlainError(problem.line, problem.column, problem.message)
    return None if tree.root is None else _Maker(texts).value(tree.root, 0)


class _Maker:
    def __init__(self, texts: bool) -> None:
        self._texts = texts
        self._made: dict[int, Plain] = {}  # what several aliases name is made once

    def value(self, node: Node, depth: int) -> Plain:
        if id(node) in self._made:
            return self._made[id(node)]
        if depth > DEEPEST:  # aliases nest deeper than what is written, or for ever
            raise PlainError(node.line, node.column, f"found more than {DEEPEST} levels of nesting")
        made: Plain
        if isinstance(node, Scalar):
            made = self._scalar(node)
        elif node.tag:
            raise PlainError(node.line, node.column, f"found the tag {shown(node.tag)}, expected none")
        elif isinstance(node, Mapping):
            made = {self._key(key): self.value(value, depth + 1) for key, value in node.pairs}
        else:
            made = [self.value(item, depth + 1) for item in node.items]
        self._made[id(node)] = made
        return made

    def _scalar(self, node: Scalar) -> Plain:
        kind = node.kind
        if kind == "tagged":
            raise PlainError(node.line, node.column, f"found the tag {shown(node.tag)}, expected none")
        if self._texts or kind in ("text", "date"):
            return node.text
        if kind == "nothing":
            return None
        if kind == "boolean":
            return node.text.lower() in _TRUE
        if _WHOLE.fullmatch(node.text):
            return int(node.text)
        try:
            return float(node.text.replace("_", ""))
        except ValueError:  # of base 16 or 60
            return float("nan")

    @staticmethod
    def _key(node: Node) -> str:
        if not isinstance(node, Scalar) or node.kind == "tagged":
            raise PlainError(node.line, node.column, "found a key that is no text")
        return node.text
