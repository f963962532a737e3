"""Go's text/template as far as configurations of machines need it: fields, pipelines, functions, variables, if, with,
range, and templates of the same file that call each other. A field that is missing is an error, as matchbox has it;
what `index` does not find is not (pkg.go.dev/text/template)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plasmatui.pxe.service.documents import WrongDocumentError, go_text, go_true, kind_of
from plasmatui.pxe.service.gofunctions import FUNCTIONS, TemplateError
from plasmatui.pxe.service.gotokens import Piece, Word, split_template, string_value

_BLOCKS: Final = frozenset({"if", "with", "range"})
_DEPTH: Final = 64
"""Blocks within blocks, and templates that call templates."""


@dataclass(frozen=True)
class Operand:
    """A value: a constant, the dot, a variable or a pipeline in brackets, and the fields that are taken of it."""

    kind: str
    value: Any
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A function with its operands, or one operand alone."""

    function: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Pipeline:
    """Commands, each given the result of the one before as its last operand, and what is set to the result."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False


@dataclass(frozen=True)
class Node:
    """Text, an action, a block with its two branches, or a call of the template that is named by `text`.

    `kind`: "text" "action" "if" "with" "range" "template" "break" "continue".
    """

    kind: str
    line: int
    text: str = ""
    pipeline: Pipeline | None = None
    body: tuple[Node, ...] = ()
    otherwise: tuple[Node, ...] = ()


class GoTemplate:
    """A template, read once."""

    def __init__(self, text: str) -> None:
        """Raises WrongDocumentError: it is no template, or one with what is not supported."""
        parser = _Parser(list(split_template(text)))
        self._nodes = parser.whole()
        self._templates = parser.templates

    def fill(self, data: Mapping[str, Any]) -> str:
        """The text for these values.

        Raises:
            TemplateError: a key is missing, or an operation makes no sense.
        """
        return "".join(_Filler(data, self._templates).nodes(self._nodes, data))


class _Parser:
    """Reads pieces. `templates`: those that are defined beside the nodes."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._at = 0
        self._loops = 0
        self.templates: dict[str, tuple[Node, ...]] = {}

    def whole(self) -> tuple[Node, ...]:
        nodes, ending = self._nodes(0)
        if ending is not None:
            raise WrongDocumentError(ending.line, "template: {{end}} or {{else}} without a beginning")
        return nodes

    def _nodes(self, depth: int) -> tuple[tuple[Node, ...], Piece | None]:
        """Nodes up to an `else` or `end` that belongs to somebody else, which is given too."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if piece.words is None:
                nodes.append(Node("text", piece.line, piece.text))
                continue
            first = piece.words[0].text if piece.words and piece.words[0].kind == "name" else ""
            if first in ("end", "else"):
                return tuple(nodes), piece
            nodes += self._action(first, piece.line, piece.words, depth)
        return tuple(nodes), None

    def _action(self, first: str, line: int, words: Sequence[Word], depth: int) -> list[Node]:
        if depth > _DEPTH:
            raise WrongDocumentError(line, "template: nested too deeply")
        if first in _BLOCKS:
            return [self._block(first, line, words[1:], depth)]
        if first == "define":
            self._define(line, words[1:], depth)
            return []
        if first in ("template", "block"):
            called = _called(line, words)
            if first == "block":
                self._define(line, words[1:2], 0)
            return [called]
        if first in ("break", "continue"):
            if len(words) > 1 or not self._loops:
                raise WrongDocumentError(line, f"template: {{{{{first}}}}} stands alone, and in a {{{{range}}}}")
            return [Node(first, line)]
        return [Node("action", line, pipeline=_Words(words, line).pipeline())]

    def _define(self, line: int, words: Sequence[Word], depth: int) -> None:
        """Read the body of `define` or `block`."""
        if len(words) != 1 or words[0].kind not in ("string", "raw") or depth:
            raise WrongDocumentError(line, "template: {{define}} takes a name alone, and stands in no other block")
        loops, self._loops = self._loops, 0
        body, ending = self._nodes(1)
        self._loops = loops
        if ending is None or ending.words is None or ending.words[0].text != "end":
            raise WrongDocumentError(line, "template: {{define}} or {{block}} has no {{end}}")
        self.templates[string_value(words[0])] = body

    def _block(self, kind: str, line: int, words: Sequence[Word], depth: int) -> Node:
        pipeline = _Words(words, line).pipeline()
        self._loops += kind == "range"
        body, ending = self._nodes(depth + 1)
        self._loops -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        if ending is not None and ending.words is not None and ending.words[0].text == "else":
            rest = ending.words[1:]
            if rest and rest[0].text in ("if", "with"):
                otherwise = (self._block(rest[0].text, ending.line, rest[1:], depth + 1),)
                return Node(kind, line, pipeline=pipeline, body=body, otherwise=otherwise)
            otherwise, ending = self._nodes(depth + 1)
        if ending is None or ending.words is None or ending.words[0].text != "end":
            raise WrongDocumentError(line, f"template: {{{{{kind}}}}} has no {{{{end}}}}")
        return Node(kind, line, pipeline=pipeline, body=body, otherwise=otherwise)


def _called(line: int, words: Sequence[Word]) -> Node:
    """The call of a template; one without a value gives it none."""
    if len(words) < 2 or words[1].kind not in ("string", "raw"):
        raise WrongDocumentError(line, f"template: {{{{{words[0].text}}}}} needs a name in quotation marks")
    pipeline = _Words(words[2:], line).pipeline() if len(words) > 2 else None
    return Node("template", line, string_value(words[1]), pipeline)


class _Left(Exception):  # noqa: N818 - no error: how a loop is left from within
    """A loop goes on with its next item, or ends. `kind`: "break" or "continue"."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Words:
    """Reads the words of one action."""

    def __init__(self, words: Sequence[Word], line: int) -> None:
        self._words = words
        self._line = line
        self._at = 0

    def pipeline(self, closing: str = "") -> Pipeline:
        variables, declares = self._assigned()
        commands = [self._command()]
        while self._peek("|"):
            self._at += 1
            commands.append(self._command())
        if closing and not self._peek(closing):
            raise self._wrong("a bracket is not closed")
        if not closing and self._at < len(self._words):
            raise self._wrong(f"found {self._words[self._at].text!r}")
        self._at += bool(closing)
        return Pipeline(tuple(commands), variables, declares)

    def _assigned(self) -> tuple[tuple[str, ...], bool]:
        kinds = [word.kind if word.kind == "variable" else word.text for word in self._words[self._at : self._at + 4]]
        for form in (["variable", ":="], ["variable", "="], ["variable", ",", "variable", ":="]):
            if kinds[: len(form)] == form:
                names = tuple(w.text for w in self._words[self._at : self._at + len(form)] if w.kind == "variable")
                self._at += len(form)
                return names, form[-1] == ":="
        return (), False

    def _command(self) -> Command:
        function = ""
        if self._at < len(self._words) and self._words[self._at].kind == "name":
            name = self._words[self._at].text
            if name not in ("true", "false", "nil"):
                if name not in FUNCTIONS and name not in ("and", "or"):
                    raise self._wrong(f"function {name!r} is not known")
                function = name
                self._at += 1
        operands = []
        while self._at < len(self._words) and self._words[self._at].text not in ("|", ")"):
            operands.append(self._operand())
        if not function and len(operands) != 1:
            raise self._wrong("found no value" if not operands else "found several values without a function")
        return Command(function, tuple(operands))

    def _operand(self) -> Operand:
        word = self._words[self._at]
        self._at += 1
        kind, value = word.kind, word.text
        if kind in ("string", "raw"):
            return Operand("constant", string_value(word))
        if kind == "number":
            return Operand("constant", float(value) if any(c in value for c in ".eE") else int(value))
        if kind == "name" and value in ("true", "false", "nil"):
            return Operand("constant", {"true": True, "false": False, "nil": None}[value])
        if value == "(":
            return Operand("pipeline", self.pipeline(")"), self._fields())
        if kind == "variable":
            return Operand("variable", value, self._fields())
        if kind == "field":
            return Operand("dot", None, (value[1:], *self._fields()))
        if kind == "dot":
            return Operand("dot", None)
        raise self._wrong(f"found {value!r}")

    def _fields(self) -> tuple[str, ...]:
        fields = []
        while self._at < len(self._words) and (word := self._words[self._at]).kind == "field" and word.glued:
            fields.append(word.text[1:])
            self._at += 1
        return tuple(fields)

    def _peek(self, text: str) -> bool:
        return self._at < len(self._words) and self._words[self._at].text == text

    def _wrong(self, what: str) -> WrongDocumentError:
        return WrongDocumentError(self._line, f"template: {what}")


class _Filler:
    def __init__(self, data: object, templates: Mapping[str, tuple[Node, ...]], depth: int = 0) -> None:
        self._variables: list[tuple[str, Any]] = [("$", data)]
        self._templates = templates
        self._depth = depth

    def nodes(self, nodes: Sequence[Node], dot: Any) -> Iterator[str]:
        scope = len(self._variables)
        for node in nodes:
            if node.kind == "text":
                yield node.text
                continue
            if node.kind in ("break", "continue"):
                raise _Left(node.kind)
            try:
                if node.kind == "template":
                    yield from self._call(node, dot)
                elif node.pipeline is not None:
                    yield from self._node(node, node.pipeline, dot)
            except TemplateError as error:
                place = f"line {node.line}: "
                text = str(error)
                raise TemplateError(text if text.startswith("line ") else place + text) from None
        del self._variables[scope:]

    def _call(self, node: Node, dot: Any) -> Iterator[str]:
        """Another template, which sees the value that it is given and no variables."""
        if node.text not in self._templates:
            raise TemplateError(f"template {node.text!r} is not defined")
        if self._depth > _DEPTH:
            raise TemplateError(f"template {node.text!r} is called too deeply")
        value = self._pipeline(node.pipeline, dot) if node.pipeline is not None else None
        called = _Filler(value, self._templates, self._depth + 1)
        yield from called.nodes(self._templates[node.text], value)

    def _node(self, node: Node, pipeline: Pipeline, dot: Any) -> Iterator[str]:
        scope = len(self._variables)
        value = self._pipeline(pipeline, dot, loop=node.kind == "range")
        if node.kind == "action":
            if not pipeline.variables:
                yield go_text(value)
            return
        if node.kind == "range":
            yield from self._range(node, pipeline, value, dot)
        elif go_true(value):
            yield from self.nodes(node.body, value if node.kind == "with" else dot)
        else:
            yield from self.nodes(node.otherwise, dot)
        del self._variables[scope:]

    def _range(self, node: Node, pipeline: Pipeline, value: Any, dot: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            items = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, list | tuple):
            items = list(enumerate(value))
        elif value is None:
            items = []
        else:
            raise TemplateError(f"range over {kind_of(value)}")
        for item in items:
            names = pipeline.variables
            scope = len(self._variables)
            self._variables += zip(names, item[-len(names) :] if names else (), strict=False)
            try:
                yield from self.nodes(node.body, item[1])
            except _Left as left:
                if left.kind == "break":
                    break
            finally:
                del self._variables[scope:]
        if not items:
            yield from self.nodes(node.otherwise, dot)

    def _pipeline(self, pipeline: Pipeline, dot: Any, *, loop: bool = False) -> Any:
        value: Any = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, (value,) if number else ())
        if pipeline.variables and not loop:
            self._assign(pipeline.variables[0], value, declares=pipeline.declares)
        return value

    def _assign(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return
        raise TemplateError(f"{name} is not declared")

    def _command(self, command: Command, dot: Any, piped: tuple[Any, ...]) -> Any:
        if command.function in ("and", "or"):
            return self._shortcut(command, dot, piped)
        values = [self._operand(operand, dot) for operand in command.operands]
        if not command.function:
            if piped:
                raise TemplateError("a value in a pipeline is no function")
            return values[0]
        try:
            return FUNCTIONS[command.function](*values, *piped)
        except (TypeError, ValueError) as error:
            raise TemplateError(f"{command.function}: {error}") from None

    def _shortcut(self, command: Command, dot: Any, piped: tuple[Any, ...]) -> Any:
        value: Any = None
        for operand in command.operands:
            value = self._operand(operand, dot)
            if go_true(value) == (command.function == "or"):
                return value
        return piped[0] if piped else value

    def _operand(self, operand: Operand, dot: Any) -> Any:
        if operand.kind == "constant":
            return operand.value
        if operand.kind == "pipeline":
            value = self._pipeline(operand.value, dot)
        elif operand.kind == "variable":
            value = next((v for name, v in reversed(self._variables) if name == operand.value), _MISSING)
            if value is _MISSING:
                raise TemplateError(f"{operand.value} is not declared")
        else:
            value = dot
        for field in operand.fields:
            if not isinstance(value, Mapping):
                raise TemplateError(f".{field}: {kind_of(value)} has no fields")
            if field not in value:
                raise TemplateError(f".{field}: there is no such key")
            value = value[field]
        return value


_MISSING: Final = object()
