"""Typed reading of a YAML tree: every value is read with its place, and every error is collected, not raised."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from plasmatui.inventory.inventory import Diagnostic, Place
from plasmatui.inventory.tree import Mapping, Node, Scalar, shown
from plasmatui.inventory.tree import Sequence as Items

T = TypeVar("T")


class WrongError(Exception):
    """A value is not what it should be. `found` is safe to print."""

    def __init__(self, node: Node, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.node = node


class Problems:
    """All that is wrong with one file, in the order of the file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: set[tuple[int, int, str, str]] = set()

    def add(self, at: Node | tuple[int, int], severity: str, message: str) -> None:
        line, column = at if isinstance(at, tuple) else (at.line, at.column)
        self._found.add((line, column, severity, message))

    def error(self, at: Node | tuple[int, int], message: str) -> None:
        self.add(at, "error", message)

    def warning(self, at: Node | tuple[int, int], message: str) -> None:
        self.add(at, "warning", message)

    @property
    def failed(self) -> bool:
        return any(severity == "error" for _, _, severity, _ in self._found)

    def diagnostics(self, severity: str = "") -> tuple[Diagnostic, ...]:
        """Everything, or what has the given severity."""
        return tuple(
            Diagnostic(Place(self.file, line, column), kind, message)
            for line, column, kind, message in sorted(self._found)
            if severity in ("", kind)
        )


def close_to(word: str, words: Iterable[str]) -> str:
    """ "; did you mean X?" when one of the words is close, else nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def describe(node: Node) -> str:
    """What stands there, for a message."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Items):
        return "a list"
    kind = node.kind
    if kind == "nothing":
        return "nothing"
    if kind == "tagged":
        return f"a value with the tag {shown(node.tag)}"
    quoted = f'"{shown(node.text)}"'
    return quoted if kind == "text" else f"the {kind} {shown(node.text)}"


class Section:
    """A mapping of the file that is read key by key. A node that is no mapping is an error and reads as empty."""

    def __init__(self, node: Node | None, label: str, problems: Problems, known: Collection[str] | None = None) -> None:
        self.node = node
        self.label = label
        self.problems = problems
        self.entries: dict[str, tuple[Node, Node]] = {}
        self.valid = True
        if node is None or (isinstance(node, Scalar) and node.kind == "nothing"):
            return
        if not isinstance(node, Mapping) or node.tag not in ("", "tag:yaml.org,2002:map"):
            self.valid = False
            found = describe(node) if not node.tag or isinstance(node, Scalar) else f"the tag {shown(node.tag)}"
            self._problem(node, f"found {found}, expected a mapping (key: value)")
            return
        self._collect(node, set())
        if known is not None:
            self._refuse_unknown(known)

    def _collect(self, node: Mapping, seen: set[int]) -> None:
        """Take the keys that are not there yet, then those of merge keys `<<` (YAML 1.1 merge), each source once."""
        seen.add(id(node))
        merged: list[Node] = []
        own: dict[str, Scalar] = {}
        for key, value in node.pairs:
            if not isinstance(key, Scalar):
                self._problem(key, f"found {describe(key)} as a key, expected a name")
            elif key.text == "<<" and key.plain:
                merged.extend(value.items if isinstance(value, Items) else [value])
            elif key.text in own:
                place = f"it stands at line {own[key.text].line} already"
                self.problems.error(key, f"{self.path(key.text)}: found the key a second time, {place}")
            else:
                own[key.text] = key
                self.entries.setdefault(key.text, (key, value))
        for source in merged:
            if not isinstance(source, Mapping):
                self._problem(source, f"found {describe(source)} after <<, expected a mapping")
            elif id(source) not in seen:
                self._collect(source, seen)

    def _problem(self, at: Node, message: str) -> None:
        self.problems.error(at, f"{self.label or 'inventory'}: {message}")

    def _refuse_unknown(self, known: Collection[str]) -> None:
        for name, (key, _) in self.entries.items():
            if name not in known:
                hint = close_to(name, known) or f", expected one of: {', '.join(known)}"
                self._problem(key, f'found the unknown key "{shown(name)}"{hint}')

    def path(self, key: str) -> str:
        return f"{self.label}.{shown(key)}" if self.label else shown(key)

    def at(self, key: str) -> Node | None:
        """The value of a key; None when it is not given or empty (`key:`, `key: null`)."""
        entry = self.entries.get(key)
        if entry is None or (type(entry[1]) is Scalar and entry[1].plain and entry[1].kind == "nothing"):
            return None
        return entry[1]

    def get(self, key: str, read: Callable[[Node], T], default: T) -> T:
        """The value of a key, or the default when it is not given or wrong (which is noted)."""
        node = self.at(key)
        if node is None:
            return default
        try:
            return read(node)
        except WrongError as wrong:
            self.problems.error(wrong.node, f"{self.path(key)}: {wrong}")
            return default

    def each(self, key: str, read: Callable[[Node], T]) -> list[tuple[T, Node]]:
        """The values of a list (or of a single value in its place), those that are right, with their places."""
        node = self.at(key)
        if node is None:
            return []
        found: list[tuple[T, Node]] = []
        for item in node.items if isinstance(node, Items) else [node]:
            try:
                found.append((read(item), item))
            except WrongError as wrong:
                self.problems.error(wrong.node, f"{self.path(key)}: {wrong}")
        return found


def text(node: Node) -> str:
    """Text. Unquoted numbers and dates are taken as they are written; booleans and nothing are not text."""
    if not isinstance(node, Scalar):
        raise WrongError(node, describe(node), "text")
    if node.kind in ("boolean", "nothing", "tagged"):
        hint = " in quotes, since YAML does not read it as text" if node.kind == "boolean" else ""
        raise WrongError(node, describe(node), f"text{hint}")
    if not node.text.isprintable():
        raise WrongError(node, describe(node), "one line of printable text")
    return node.text


def as_text(parse: Callable[[str], T]) -> Callable[[Node], T]:
    """A reader of text that `parse` understands; its `ValueError` says what was expected."""

    def read(node: Node) -> T:
        try:
            return parse(text(node))
        except ValueError as error:
            raise WrongError(node, describe(node), str(error)) from None

    return read


def one_of(words: Sequence[str]) -> Callable[[Node], str]:
    """A reader of one of the words."""

    def read(node: Node) -> str:
        found = text(node)
        if found not in words:
            raise WrongError(node, describe(node), f"one of: {', '.join(words)}{close_to(found, words)}")
        return found

    return read


def integer(low: int, high: int) -> Callable[[Node], int]:
    """A reader of a decimal number within bounds."""

    def read(node: Node) -> int:
        if not isinstance(node, Scalar) or node.kind != "number" or not re.fullmatch(r"0|[1-9][0-9]{0,9}", node.text):
            raise WrongError(node, describe(node), f"a number from {low} to {high}, without quotes")
        if not low <= int(node.text) <= high:
            raise WrongError(node, describe(node), f"a number from {low} to {high}")
        return int(node.text)

    return read


def boolean(node: Node) -> bool:
    """true or false, in any of YAML 1.1's spellings, not quoted."""
    if not isinstance(node, Scalar) or node.kind != "boolean":
        raise WrongError(node, describe(node), "true or false, without quotes")
    return node.text.lower() in ("true", "yes", "on")
