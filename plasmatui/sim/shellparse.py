"""The part of the POSIX shell's language that commands over SSH use: lists, pipes, redirections, quotes, variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_OPERATORS = ("2>&1", "&&", "||", "2>>", ">&2", "1>&2", "2>", ">>", ">", "<", "|", ";", "&", "\n")
_REDIRECTIONS = ("2>>", "2>", ">>", ">", "<")
_VARIABLE = re.compile(r"\{(\w+|[?#@])(?:(##?|%%?|:-)([^}]*))?\}|([A-Za-z_]\w*|[0-9?#@*$])")
_UNSUPPORTED = "`("
_DEEPEST = 20


class ShellSyntaxError(ValueError):
    """Words that the shell cannot read, or that are beyond this one."""


@dataclass(frozen=True)
class Part:
    """A piece of a word: text, a variable (with `#`, `%` or `:-` and its operand), or a command whose output it is."""

    kind: str
    text: str
    quoted: bool = False
    operator: str = ""
    operand: str = ""


@dataclass(frozen=True)
class Word:
    """A word before its variables and commands are replaced."""

    parts: tuple[Part, ...]

    @property
    def literal(self) -> str | None:
        """Its text when nothing is to be replaced, else None."""
        return "".join(part.text for part in self.parts) if all(part.kind == "text" for part in self.parts) else None

    @property
    def pattern(self) -> bool:
        """It holds a wildcard that is not quoted."""
        return any(part.kind == "text" and not part.quoted and set("*?[") & set(part.text) for part in self.parts)


@dataclass
class Simple:
    """One command with its redirections: `errors_out` and `out_errors` are `2>&1` and `>&2`."""

    words: list[Word] = field(default_factory=list)
    assignments: dict[str, Word] = field(default_factory=dict)
    stdin: Word | None = None
    stdout: Word | None = None
    append: bool = False
    stderr: Word | None = None
    errors_out: bool = False
    out_errors: bool = False


@dataclass
class Pipeline:
    """Commands joined by `|`, and when they run: `always` after `;`, `and`, `or`; `background` with `&` behind."""

    commands: list[Simple]
    when: str = "always"
    background: bool = False
    negated: bool = False


def parse(text: str) -> list[Pipeline]:
    """The pipelines of a command line.

    Raises:
        ShellSyntaxError: see there.
    """
    return _Parser(_tokens(text)).parse()


Token = Word | str


def _tokens(text: str) -> list[Token]:
    """Words, and operators as plain strings."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] in " \t\r":
            at += 1
        elif text[at] == "#":
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
        elif (operator := next((op for op in _OPERATORS if text.startswith(op, at)), None)) is not None:
            tokens.append(operator)
            at += len(operator)
        elif text[at] in _UNSUPPORTED:
            raise ShellSyntaxError(f"syntax error near unexpected token `{text[at]}'")
        else:
            parts, at = _word(text, at)
            tokens.append(Word(tuple(parts)))
    return tokens


def _word(text: str, at: int) -> tuple[list[Part], int]:
    parts: list[Part] = []
    while at < len(text) and text[at] not in " \t\r\n;&|<>":
        letter = text[at]
        if letter == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise ShellSyntaxError("unexpected EOF while looking for matching `''")
            parts.append(Part("text", text[at + 1 : end], quoted=True))
            at = end + 1
        elif letter == '"':
            quoted, at = _quoted(text, at + 1)
            parts += quoted or [Part("text", "", quoted=True)]
        elif letter == "\\" and at + 1 < len(text):
            parts.append(Part("text", "" if text[at + 1] == "\n" else text[at + 1], quoted=True))
            at += 2
        elif letter == "$":
            part, at = _replaced(text, at, quoted=False)
            parts.append(part)
        else:
            parts.append(Part("text", letter))
            at += 1
    return parts, at


def _quoted(text: str, at: int) -> tuple[list[Part], int]:
    """What is between double quotes, and where it ends."""
    parts: list[Part] = []
    while at < len(text):
        letter = text[at]
        if letter == '"':
            return parts, at + 1
        if letter == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\", "\n"):
            parts.append(Part("text", "" if text[at + 1] == "\n" else text[at + 1], quoted=True))
            at += 2
        elif letter == "$":
            part, at = _replaced(text, at, quoted=True)
            parts.append(part)
        else:
            parts.append(Part("text", letter, quoted=True))
            at += 1
    raise ShellSyntaxError("unexpected EOF while looking for matching `\"'")


def _replaced(text: str, at: int, *, quoted: bool) -> tuple[Part, int]:
    """What begins with a dollar sign."""
    if text.startswith("$(", at):
        end = _closing(text, at + 2)
        return Part("command", text[at + 2 : end], quoted), end + 1
    found = _VARIABLE.match(text, at + 1)
    if found is None:
        return Part("text", "$", quoted), at + 1
    return Part("variable", found[1] or found[4], quoted, found[2] or "", found[3] or ""), found.end()


def _closing(text: str, at: int) -> int:
    """Where the parenthesis that is open at `at` ends."""
    depth, quote = 1, ""
    for place in range(at, len(text)):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if not depth:
                return place
            if depth > _DEEPEST:
                break
    raise ShellSyntaxError("unexpected EOF while looking for matching `)'")


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def parse(self) -> list[Pipeline]:
        pipelines: list[Pipeline] = []
        when = "always"
        while (token := self._peek()) is not None:
            if token in (";", "\n"):
                self._at += 1
                when = "always"
                continue
            pipeline = self._pipeline(when)
            pipelines.append(pipeline)
            end = self._peek()
            when = {"&&": "and", "||": "or"}.get(end if isinstance(end, str) else "", "always")
            pipeline.background = end == "&"
            if end is not None:
                self._at += 1
                if when != "always" and self._peek() is None:
                    raise ShellSyntaxError("syntax error: unexpected end of file")
        return pipelines

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _pipeline(self, when: str) -> Pipeline:
        first = self._peek()
        negated = isinstance(first, Word) and first == Word((Part("text", "!"),))
        if negated:
            self._at += 1
        commands = [self._simple()]
        while self._peek() == "|":
            self._at += 1
            commands.append(self._simple())
        return Pipeline(commands, when, negated=negated)

    def _simple(self) -> Simple:
        command = Simple()
        while (token := self._peek()) is not None:
            if isinstance(token, Word):
                assigned = None if command.words else _assignment(token)
                if assigned is None:
                    command.words.append(token)
                else:
                    command.assignments[assigned[0]] = assigned[1]
            elif token == "2>&1":  # noqa: S105
                command.errors_out = True
            elif token in (">&2", "1>&2"):
                command.out_errors = True
            elif token in _REDIRECTIONS:
                self._at += 1
                self._redirect(command, token)
            else:
                break
            self._at += 1
        if not command.words and not command.assignments and command.stdout is None:
            raise ShellSyntaxError(f"syntax error near unexpected token `{_shown(self._peek())}'")
        return command

    def _redirect(self, command: Simple, operator: str) -> None:
        target = self._peek()
        if not isinstance(target, Word):
            raise ShellSyntaxError(f"syntax error near unexpected token `{_shown(target)}'")
        if operator == "<":
            command.stdin = target
        elif operator in (">", ">>"):
            command.stdout, command.append = target, operator == ">>"
        else:
            command.stderr = target


def _assignment(word: Word) -> tuple[str, Word] | None:
    """Name and value of `NAME=VALUE`, whose name is not quoted."""
    name = ""
    for place, part in enumerate(word.parts):
        if part.kind != "text" or part.quoted:
            return None
        if part.text == "=":
            return (name, Word(word.parts[place + 1 :])) if name.isidentifier() and name.isascii() else None
        name += part.text
    return None


def _shown(token: Token | None) -> str:
    if token is None:
        return "newline"
    return token if isinstance(token, str) else token.literal or "$"
