"""Text surgery on one entry below `nodes`: where it begins and ends, how it reads for a part of its range.

Edits cut and paste in the operator's own text by the places of the tree, so that every line that is not concerned
stays as it is, byte for byte: comments, blank lines, alignment, quotes, line ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence as Row
from dataclasses import dataclass
from ipaddress import IPv4Address

from plasmatui.inventory.ranges import expand, fold
from plasmatui.inventory.tree import Mapping, Node, Scalar, Sequence

Value = str | int | bool | Row["Value"] | Dictionary[str, "Value"]
"""What a field can be set to."""

_SPREAD = ("mac", "bmc", "provisioning_ip", "production_ip", "ssh", "unit")
"""Fields that may give each node of a range its own value."""

_PLAIN = re.compile(r"[A-Za-z/~][A-Za-z0-9 ./_+@=~-]*")


class EditError(Exception):
    """An edit cannot be made: what, where and why, in one sentence for people."""


@dataclass(frozen=True)
class Entry:
    """A node or range in the text of an inventory."""

    text: str
    key: Scalar
    value: Node

    @property
    def names(self) -> list[str]:
        return expand(self.key.text)

    @property
    def line_start(self) -> int:
        return self.text.rfind("\n", 0, self.key.start) + 1

    @property
    def indent(self) -> str:
        return " " * (self.key.column - 1)

    @property
    def block_end(self) -> int:
        """Offset behind the entry's last line, with the comments below it that are indented deeper than its key."""
        end = line_end(self.text, max(self.key.end, self.value.end))
        while end < len(self.text):
            after = line_end(self.text, end)
            line = self.text[end:after]
            stripped = line.lstrip(" ")
            if not stripped.startswith("#") or len(line) - len(stripped) < self.key.column:
                break
            end = after
        return end

    def mapping(self) -> Mapping | None:
        """The fields; None when there are none yet. Raises `EditError` when they are shared with another entry."""
        if isinstance(self.value, Mapping):
            if self.value.start < self.key.end:
                raise EditError(f"{self.key.text} is an alias of another entry; edit it by hand")
            return self.value
        return None

    def source(self, node: Node) -> str:
        return self.text[node.start : node.end]

    def parts(self, rows: list[list[int]], start: int, end: int) -> list[str]:
        """The text from `start` to `end` once for each row of indices into `names`, as an entry for those nodes."""
        names = self.names
        texts: list[str] = []
        for row in rows:
            for keys in _keys([names[index] for index in row]):
                indices = [names.index(name) for name in keys[1]]
                changes = [(self.key.start, self.key.end, scalar(keys[0])), *self._own_values(indices, len(names))]
                texts.append(spliced(self.text, start, end, changes))
        return texts

    def positional(self) -> bool:
        """Whether a value depends on the node's position in the range."""
        count = len(self.names)
        return count > 1 and bool(self._own_values(list(range(1, count)), count))

    def _own_values(self, indices: list[int], count: int) -> list[tuple[int, int, str]]:
        """Replacements that make the values those of the nodes at `indices` (consecutive)."""
        mapping = self.mapping()
        changes: list[tuple[int, int, str]] = []
        for key, value in mapping.pairs if mapping else []:
            if not isinstance(key, Scalar) or key.text not in _SPREAD:
                continue
            if isinstance(value, Mapping):
                values = [v for k, v in value.pairs if isinstance(k, Scalar) and k.text == "address"]
            else:
                values = [value]
            for each in values:
                new = self._own_value(each, indices, count)
                if new is None:
                    continue
                if each.start < key.end:
                    raise EditError(f"{self.key.text}.{key.text} is an alias; edit it by hand")
                changes.append((each.start, each.end, new))
        return changes

    def _own_value(self, value: Node, indices: list[int], count: int) -> str | None:
        if isinstance(value, Sequence) and count > 1 and len(value.items) == count:
            sources = [self.source(value.items[index]) for index in indices]
            if any("\n" in source for source in sources) or not value.flow:
                raise EditError(f"{self.key.text} has a list over several lines; edit it by hand")
            return sources[0] if len(sources) == 1 else f"[{', '.join(sources)}]"
        if not isinstance(value, Scalar) or not value.text.endswith("+"):
            return None
        first, more = value.text[:-1], "+" if len(indices) > 1 else ""
        if first.isdigit():
            return f"{int(first) + indices[0]}{more}"
        return f"{IPv4Address(first) + indices[0]}{more}"


def _keys(names: list[str]) -> list[tuple[str, list[str]]]:
    """A key for the names, or one for each when no single range says them in this order."""
    folded = fold(names)
    try:
        if expand(folded) == names:
            return [(folded, names)]
    except ValueError:
        pass
    return [(name, [name]) for name in names]


def line_end(text: str, offset: int) -> int:
    """Offset behind the line that `offset` is in, its line break included."""
    found = text.find("\n", offset)
    return len(text) if found < 0 else found + 1


def spliced(text: str, start: int, end: int, changes: list[tuple[int, int, str]]) -> str:
    """`text[start:end]` with the changes (absolute offsets, not overlapping) made."""
    parts: list[str] = []
    at = start
    for first, last, new in sorted(changes):
        parts += [text[at:first], new]
        at = last
    return "".join([*parts, text[at:end]])


def scalar(text: str) -> str:
    """Text as YAML: plain where every reader takes it for text, else in double quotes."""
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and Scalar(text, "", True, (0, 0, 0, 0)).kind == "text"
    if plain or re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*\[[0-9,/-]+\][A-Za-z0-9-]*", text):
        return text
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(\+|:[0-9]+)?", text):
        return text
    return json.dumps(text, ensure_ascii=False)


def flow(value: Value) -> str:
    """A value as YAML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, Dictionary):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(flow(item) for item in value) + "]"
