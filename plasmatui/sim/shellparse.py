"""The part of the POSIX shell's language that commands over SSH use: lists, pipes, redirections, quotes, variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_OPERATORS = ("2>&1", "&&", "||", "2>>", ">&2", "1>&2", "2>", ">>", ">", "<", "|", ";", "&", "\n")
_REDIRECTIONS = ("2>>", "2>", ">>", ">", "<")
_VARIABLE = re.compile(r"\{(\w+|\?)\}|(\w+|\?)")
_UNSUPPORTED = "`("


class ShellSyntaxError(ValueError):
    """Words that the shell cannot read, or that are beyond this one."""


@dataclass(frozen=True)
class Word:
    """A word after quotes and variables; `pattern` when it holds an unquoted wildcard."""

    text: str
    pattern: bool = False


@dataclass
class Simple:
    """One command with its redirections: `errors_out` and `out_errors` are `2>&1` and `>&2`."""

    words: list[Word] = field(default_factory=list)
    assignments: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None
    stdout: str | None = None
    append: bool = False
    stderr: str | None = None
    errors_out: bool = False
    out_errors: bool = False


@dataclass
class Pipeline:
    """Commands joined by `|`, and when they run: `always` after `;`, `and`, `or`; `background` with `&` behind."""

    commands: list[Simple]
    when: str = "always"
    background: bool = False
    negated: bool = False


def parse(text: str, variables: Mapping[str, str]) -> list[Pipeline]:
    """The pipelines of a command line.

    Raises:
        ShellSyntaxError: see there.
    """
    return _Parser(_tokens(text, variables)).parse()


Token = Word | str


def _tokens(text: str, variables: Mapping[str, str]) -> list[Token]:
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
            word, at = _word(text, at, variables)
            tokens.append(word)
    return tokens


def _word(text: str, at: int, variables: Mapping[str, str]) -> tuple[Word, int]:
    parts: list[str] = []
    pattern = False
    while at < len(text) and text[at] not in " \t\r\n;&|<>":
        letter = text[at]
        if letter == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise ShellSyntaxError("unexpected EOF while looking for matching `''")
            parts.append(text[at + 1 : end])
            at = end + 1
        elif letter == '"':
            quoted, at = _quoted(text, at + 1, variables)
            parts.append(quoted)
        elif letter == "\\" and at + 1 < len(text):
            parts.append("" if text[at + 1] == "\n" else text[at + 1])
            at += 2
        elif letter == "$":
            value, at = _variable(text, at, variables)
            parts.append(value)
        else:
            pattern = pattern or letter in "*?["
            parts.append(letter)
            at += 1
    return Word("".join(parts), pattern), at


def _quoted(text: str, at: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """What is between double quotes, and where it ends."""
    parts: list[str] = []
    while at < len(text):
        letter = text[at]
        if letter == '"':
            return "".join(parts), at + 1
        if letter == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\", "\n"):
            parts.append("" if text[at + 1] == "\n" else text[at + 1])
            at += 2
        elif letter == "$":
            value, at = _variable(text, at, variables)
            parts.append(value)
        else:
            parts.append(letter)
            at += 1
    raise ShellSyntaxError("unexpected EOF while looking for matching `\"'")


def _variable(text: str, at: int, variables: Mapping[str, str]) -> tuple[str, int]:
    if text.startswith("$(", at):
        raise ShellSyntaxError("syntax error near unexpected token `('")
    found = _VARIABLE.match(text, at + 1)
    if found is None:
        return "$", at + 1
    return variables.get(found[1] or found[2], ""), found.end()


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
        negated = self._peek() == Word("!")
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
                name, equals, value = token.text.partition("=")
                if equals and not command.words and name.isidentifier():
                    command.assignments[name] = value
                else:
                    command.words.append(token)
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
            raise ShellSyntaxError(f"syntax error near unexpected token `{self._peek() or 'newline'}'")
        return command

    def _redirect(self, command: Simple, operator: str) -> None:
        target = self._peek()
        if not isinstance(target, Word):
            raise ShellSyntaxError(f"syntax error near unexpected token `{target or 'newline'}'")
        if operator == "<":
            command.stdin = target.text
        elif operator in (">", ">>"):
            command.stdout, command.append = target.text, operator == ">>"
        else:
            command.stderr = target.text
