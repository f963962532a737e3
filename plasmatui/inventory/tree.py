"""YAML text as a tree of nodes that know their places. Nothing is constructed, converted or guessed here.

The tree is built from libyaml's events without recursion: PyYAML's own composer overruns the C stack on deeply nested
input, stops at the first unknown alias, and resolves a tag for every scalar, which costs more than the parsing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

DEEPEST = 32
"""Levels of nesting that are read; the schema needs six."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = frozenset(
    word for base in ("yes", "no", "true", "false", "on", "off") for word in (base, base.capitalize(), base.upper())
)
_NUMBER = re.compile(
    r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.[0-9_]+|\.(inf|Inf|INF))"
    r"|\.(nan|NaN|NAN)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")


class Scalar:
    """A piece of text. `plain` means that it is not quoted, so that YAML may take it for something else than text."""

    __slots__ = ("column", "end", "line", "plain", "start", "tag", "text")

    def __init__(self, text: str, tag: str, plain: bool, span: tuple[int, int, int, int]) -> None:
        self.text = text
        self.tag = tag
        self.plain = plain
        self.line, self.column, self.start, self.end = span

    @property
    def kind(self) -> str:
        """What other YAML readers (YAML 1.1) make of it: "text", "number", "boolean", "nothing", "date" or "tagged"."""
        if self.tag:
            return "text" if self.tag == "tag:yaml.org,2002:str" else "tagged"
        if not self.plain:
            return "text"
        if self.text in _NULL:
            return "nothing"
        if self.text in _BOOL:
            return "boolean"
        if _NUMBER.fullmatch(self.text):
            return "number"
        return "date" if _DATE.fullmatch(self.text) else "text"


class Sequence:
    """A list. `flow` when written with brackets."""

    __slots__ = ("column", "end", "flow", "items", "line", "start", "tag")

    def __init__(self, tag: str, flow: bool, span: tuple[int, int, int, int]) -> None:
        self.items: list[Node] = []
        self.tag = tag
        self.flow = flow
        self.line, self.column, self.start, self.end = span


class Mapping:
    """Keys with values, as written: duplicates and merge keys are still in. `flow` when written with braces."""

    __slots__ = ("column", "end", "flow", "line", "pairs", "start", "tag")

    def __init__(self, tag: str, flow: bool, span: tuple[int, int, int, int]) -> None:
        self.pairs: list[tuple[Node, Node]] = []
        self.tag = tag
        self.flow = flow
        self.line, self.column, self.start, self.end = span


Node = Scalar | Sequence | Mapping
"""All nodes have `line` and `column` (from 1), `start` and `end` (character offsets; `end` of a block is that of its
last value)."""


@dataclass(frozen=True)
class SyntaxProblem:
    line: int
    column: int
    message: str


@dataclass
class Tree:
    """What could be read: `root` is None for an empty file. With `problems`, parts of the file are missing in it."""

    root: Node | None = None
    problems: list[SyntaxProblem] = field(default_factory=list)


class _StopError(Exception):
    def __init__(self, problem: SyntaxProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(text: str) -> Tree:
    """Read the text. After a syntax error the parts of the file are tried one by one, so that each names its error."""
    tree = Tree()
    anchors: dict[str, Node] = {}
    try:
        tree.root = _Builder(text, anchors, tree.problems).build()
    except _StopError as stop:
        anchors.clear()
        tree.problems.clear()
        tree.root = _recover(text, (0, 0), anchors, tree.problems, deeper=True)
        if not tree.problems:
            tree.problems.append(stop.problem)
    return tree


class _Builder:
    """One pass over the events of a text that stands at `base` (line, offset) in its file."""

    def __init__(
        self, text: str, anchors: dict[str, Node], problems: list[SyntaxProblem], base: tuple[int, int] = (0, 0)
    ) -> None:
        self.text = text
        self.anchors = anchors
        self.problems = problems
        self.line, self.offset = base

    def build(self) -> Node | None:
        try:
            return self._build()
        except yaml.reader.ReaderError as error:
            raise _StopError(self._unreadable(error)) from None
        except yaml.MarkedYAMLError as error:
            raise _StopError(self._explain(error)) from None

    def _span(self, event: Any) -> tuple[int, int, int, int]:
        start = event.start_mark
        return (
            start.line + 1 + self.line,
            start.column + 1,
            start.index + self.offset,
            event.end_mark.index + self.offset,
        )

    def _build(self) -> Node | None:
        root: Node | None = None
        stack: list[Sequence | Mapping] = []
        keys: list[Node | None] = []  # the key that waits for its value, per level
        documents = 0
        node: Node
        event: Any  # the stubs know neither the events' attributes nor that their marks are always set
        for event in yaml.parse(self.text, _LOADER):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                tag = event.tag or ""
                node = Scalar(event.value, "" if tag == "!" else tag, event.implicit[0], self._span(event))
            elif kind is yaml.MappingStartEvent:
                node = Mapping(event.tag or "", bool(event.flow_style), self._span(event))
            elif kind is yaml.SequenceStartEvent:
                node = Sequence(event.tag or "", bool(event.flow_style), self._span(event))
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close(stack.pop(), event)
                keys.pop()
                continue
            elif kind is yaml.AliasEvent:
                node = self._alias(event)
            else:
                documents += kind is yaml.DocumentStartEvent
                if documents > 1:
                    self._problem(event.start_mark, "found a second YAML document, expected one")
                    break
                continue
            if kind is not yaml.AliasEvent and event.anchor:
                self.anchors[event.anchor] = node
            if not stack:
                root = node
            else:
                parent = stack[-1]
                if isinstance(parent, Sequence):
                    parent.items.append(node)
                elif (key := keys[-1]) is None:
                    keys[-1] = node
                else:
                    parent.pairs.append((key, node))
                    keys[-1] = None
            if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if len(stack) >= DEEPEST:
                    raise _StopError(self._at(event.start_mark, f"found more than {DEEPEST} levels of nesting"))
                assert not isinstance(node, Scalar)
                stack.append(node)
                keys.append(None)
        return root

    def _close(self, node: Sequence | Mapping, event: Any) -> None:
        """A flow collection ends at its bracket, a block with its last value: its own end mark lies behind comments."""
        last: Node | None = None
        if isinstance(node, Mapping):
            last = node.pairs[-1][1] if node.pairs else None
        elif node.items:
            last = node.items[-1]
        if node.flow or last is None:
            node.end = event.end_mark.index + self.offset
        else:
            node.end = max(last.end, node.end)

    def _alias(self, event: Any) -> Node:
        found = self.anchors.get(event.anchor)
        if found is None:
            # Its name is not printed: `password: *hunter2` is an alias for YAML.
            message = "found a word that begins with *, which is an alias without an anchor; put text in quotes"
            self._problem(event.start_mark, message)
            return Scalar("", "", True, self._span(event))
        return found

    def _problem(self, mark: Any, message: str) -> None:
        self.problems.append(self._at(mark, message))

    def _at(self, mark: Any, message: str) -> SyntaxProblem:
        return SyntaxProblem(mark.line + 1 + self.line, mark.column + 1, message)

    def _explain(self, error: yaml.MarkedYAMLError) -> SyntaxProblem:
        message = f"YAML: {error.problem or 'not readable'}"
        mark, context = error.problem_mark, error.context_mark
        if error.context:
            message += f" {error.context}"
            if mark is not None and context is not None and context.line != mark.line:
                if mark.index >= len(self.text.rstrip()):  # nothing ends it: where it begins helps more
                    return self._at(context, f"{message} that begins here")
                message += f" that begins at {context.line + 1 + self.line}:{context.column + 1}"
        mark = mark or context
        if mark is None:
            return SyntaxProblem(1 + self.line, 1, message)
        end = len(self.text.rstrip())
        if mark.index >= end:  # something is missing at the end, which libyaml looks for on the lines after it
            line, column = position(self.text, end)
            return SyntaxProblem(line + self.line, column, message)
        return self._at(mark, message)

    def _unreadable(self, error: yaml.reader.ReaderError) -> SyntaxProblem:
        """A character that YAML forbids: libyaml tells no more than a byte offset."""
        bad = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", self.text)
        line, column = position(self.text, bad.start() if bad else 0)
        what = f"found the control character {shown(bad.group())}" if bad else str(error.reason)
        return SyntaxProblem(line + self.line, column, f"YAML: {what}, expected printable text")


def _recover(
    text: str, base: tuple[int, int], anchors: dict[str, Node], problems: list[SyntaxProblem], *, deeper: bool
) -> Mapping | None:
    """Read the pieces of a mapping that does not parse as a whole, and note the first error of each piece."""
    whole: Mapping | None = None
    for piece, line, offset in _pieces(text):
        place = (base[0] + line, base[1] + offset)
        own: list[SyntaxProblem] = []
        try:
            node = _Builder(piece, anchors, own, place).build()
        except _StopError as stop:
            header, _, body = piece.partition("\n")
            key = re.fullmatch(r"([A-Za-z_]+):\s*(#.*)?", header)
            if not deeper or key is None or not body.strip():
                problems.append(stop.problem)
                continue
            below = (place[0] + 1, place[1] + len(header) + 1)
            inner = _recover(body, below, anchors, own, deeper=False)
            if not own:
                problems.append(stop.problem)
                continue
            span = (place[0] + 1, 1, place[1], place[1] + len(key.group(1)))
            node = Mapping("", False, span)
            if inner is not None:
                node.pairs.append((Scalar(key.group(1), "", True, span), inner))
        problems.extend(own)
        if isinstance(node, Mapping):
            if whole is None:
                whole = Mapping("", False, (node.line, node.column, node.start, node.end))
            whole.pairs.extend(node.pairs)
    return whole


def _pieces(text: str) -> Iterator[tuple[str, int, int]]:
    """The text cut before every line with the smallest indentation: piece, lines before it, characters before it."""
    lines = text.splitlines(keepends=True)
    starts = [
        (len(line) - len(line.lstrip(" ")), number)
        for number, line in enumerate(lines)
        if line.strip() and line.lstrip(" ")[0] not in "#-]}%\t."
    ]
    if not starts:
        return
    smallest = min(indent for indent, _ in starts)
    cuts = [number for indent, number in starts if indent == smallest]
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    for first, last in zip(cuts, [*cuts[1:], len(lines)], strict=True):
        yield text[offsets[first] : offsets[last]], first, offsets[first]


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character offset."""
    line_start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - line_start + 1


def shown(text: str, limit: int = 60) -> str:
    """Text of the file for a message: one line, at most `limit` characters, nothing that a terminal would obey."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in cut)
