"""Running command lines on a simulated host: what its shell does with the commands of the table."""

from __future__ import annotations

import asyncio
import fnmatch
import posixpath
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from plasmatui.sim.filetree import FileTree
from plasmatui.sim.host import Host
from plasmatui.sim.nodefiles import view
from plasmatui.sim.shellparse import Part, Pipeline, ShellSyntaxError, Simple, Word, parse

NOT_FOUND, SYNTAX = 127, 2
Write = Callable[[bytes], None]
Read = Callable[[], Awaitable[bytes]]


async def no_input() -> bytes:
    """The end of an empty input."""
    return b""


@dataclass
class Call:
    """A command that runs.

    Attributes:
        argv: name and arguments.
        read: the next piece of its input, b"" at the end.
        over: set when nobody listens any more.
        user: who runs it.
    """

    host: Host
    argv: list[str]
    read: Read
    write: Write
    complain: Write
    over: asyncio.Event
    user: str = "root"
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        return self.argv[1:]

    @property
    def files(self) -> FileTree:
        """Everything that is to be seen on the host; what is written there stays."""
        return view(self.host)

    def say(self, *lines: str) -> None:
        for line in lines:
            self.write(line.encode() + b"\n")

    def fail(self, text: str, code: int = 1) -> int:
        """Say why on standard error; gives the exit code."""
        self.complain(text.encode() + b"\n")
        return code

    async def input(self) -> bytes:
        """Everything on its input."""
        parts = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts)

    async def sleep(self, seconds: float) -> None:
        await self.host.clock.sleep(seconds)

    def with_argv(self, argv: list[str]) -> Call:
        return replace(self, argv=argv)


Command = Callable[[Call], Awaitable[int]]


class Shell:
    """A shell on a host: `run` gives the exit code of a command line.

    Args:
        find: the command of a name or path, None when there is none.
    """

    def __init__(
        self, host: Host, find: Callable[[Host, str], Command | None], over: asyncio.Event, user: str = "root"
    ) -> None:
        self._host = host
        self._over = over
        self._find = find
        self._user = user
        self._at_exit = ""
        self._left: int | None = None
        self._variables = {
            "HOME": "/root" if user == "root" else f"/home/{user}",
            "USER": user,
            "PATH": "/run/wrappers/bin:/run/current-system/sw/bin",
            "?": "0",
        }

    def set_parameters(self, name: str, values: list[str]) -> None:
        """`$0`, and `$1` and so on."""
        self._variables |= {"0": name, "#": str(len(values)), "@": " ".join(values), "*": " ".join(values)}
        self._variables |= {str(place): value for place, value in enumerate(values, 1)}

    async def run(self, line: str, read: Read, write: Write, complain: Write) -> int:
        """Run a command line; what it cannot read is a syntax error and exit code 2."""
        code = await self._run(line, read, write, complain)
        at_exit, self._at_exit, self._left = self._at_exit, "", None
        if at_exit:
            await self._run(at_exit, no_input, write, complain)
        return code

    async def _run(self, line: str, read: Read, write: Write, complain: Write) -> int:
        try:
            pipelines = parse(line)
        except ShellSyntaxError as error:
            complain(f"bash: -c: line 1: {error}\n".encode())
            return SYNTAX
        code = 0
        for pipeline in pipelines:
            if self._left is not None:
                return self._left
            if (pipeline.when == "and" and code) or (pipeline.when == "or" and not code):
                continue
            if pipeline.background:
                self._host.spawn(self._pipeline(pipeline, no_input, _drop, _drop), "background")
                code = 0
            else:
                code = await self._pipeline(pipeline, read, write, complain)
                code = int(not code) if pipeline.negated else code
            self._variables["?"] = str(code)
        return code if self._left is None else self._left

    async def call(self, call: Call) -> int:
        """Run one command by its vector."""
        command = self._find(self._host, call.argv[0])
        if command is None:
            name = call.argv[0]
            if "/" in name:
                return call.fail(f"bash: line 1: {name}: No such file or directory", NOT_FOUND)
            return call.fail(f"bash: line 1: {name}: command not found", NOT_FOUND)
        return await command(replace(call, user=self._user))

    async def _pipeline(self, pipeline: Pipeline, read: Read, write: Write, complain: Write) -> int:
        code = 0
        for place, simple in enumerate(pipeline.commands):
            if place == len(pipeline.commands) - 1:
                return await self._simple(simple, read, write, complain)
            collected = bytearray()
            code = await self._simple(simple, read, collected.extend, complain)
            read = _reader(bytes(collected))
        return code

    async def _simple(self, simple: Simple, read: Read, write: Write, complain: Write) -> int:
        assigned = {name: await self._joined(word, complain) for name, word in simple.assignments.items()}
        if not simple.words:
            self._variables |= assigned
        argv = [text for word in simple.words for text in await self._expand(word, complain)]
        kept: dict[str, bytearray] = {}
        if simple.stdin is not None:
            path = await self._joined(simple.stdin, complain)
            try:
                read = no_input if path == "/dev/null" else _reader(view(self._host).read(path))
            except OSError as error:
                complain(f"bash: line 1: {path}: {error.strerror}\n".encode())
                return 1
        if simple.stdout is not None:
            write = kept.setdefault(await self._joined(simple.stdout, complain), bytearray()).extend
        if simple.stderr is not None:
            complain = kept.setdefault(await self._joined(simple.stderr, complain), bytearray()).extend
        if simple.errors_out:
            complain = write
        if simple.out_errors:
            write = complain
        code = 0
        if argv and (builtin := self._builtin(argv)) is not None:
            code = builtin
        elif argv:
            call = Call(self._host, argv, read, write, complain, self._over, self._user, self._variables | assigned)
            code = await self.call(call)
        return self._keep(kept, complain, append=simple.append) or code

    def _builtin(self, argv: list[str]) -> int | None:
        """What only a shell itself can do; None for other commands."""
        if argv[0] == "trap" and len(argv) > 2 and argv[2] in ("EXIT", "0"):
            self._at_exit = argv[1]
            return 0
        if argv[0] == "exit":
            self._left = int(argv[1]) if len(argv) > 1 and argv[1].isdigit() else int(self._variables["?"])
            return self._left
        return None

    def _keep(self, kept: dict[str, bytearray], complain: Write, *, append: bool) -> int:
        """Write what was redirected into files."""
        files = view(self._host)
        for path, data in kept.items():
            if path == "/dev/null":
                continue
            try:
                old = files.read(path) if append and files.find(path) is not None else b""
                files.write(path, old + bytes(data))
            except OSError as error:
                complain(f"bash: line 1: {path}: {error.strerror}\n".encode())
                return 1
        return 0

    async def _value(self, part: Part, complain: Write) -> str:
        """What a part of a word is replaced by."""
        if part.kind == "text":
            return part.text
        if part.kind == "command":
            collected = bytearray()
            await self._run(part.text, no_input, collected.extend, complain)
            return collected.decode(errors="replace").rstrip("\n")
        value = self._variables.get(part.text, "")
        if part.operator == ":-":
            return value or part.operand
        if part.operator.startswith("#") and value.startswith(part.operand):
            return value[len(part.operand) :]
        if part.operator.startswith("%") and part.operand and value.endswith(part.operand):
            return value[: -len(part.operand)]
        return value

    async def _joined(self, word: Word, complain: Write) -> str:
        """A word as one text."""
        return "".join([await self._value(part, complain) for part in word.parts])

    async def _expand(self, word: Word, complain: Write) -> list[str]:
        """A word as the words that become of it."""
        fields: list[str] = [""]
        something = any(part.quoted or part.kind == "text" for part in word.parts)
        for part in word.parts:
            value = await self._value(part, complain)
            pieces = [value] if part.kind == "text" or part.quoted else value.split()
            something = something or bool(pieces)
            if pieces:
                fields[-1] += pieces[0]
                fields += pieces[1:]
        if not something:
            return []
        return [name for text in fields for name in self._matching(text)] if word.pattern else fields

    def _matching(self, pattern: str) -> list[str]:
        """The files that a pattern means; itself when there are none."""
        directory, name = posixpath.split(pattern)
        try:
            names = view(self._host).names(directory or self._variables["HOME"])
        except OSError:
            names = []
        found = [other for other in fnmatch.filter(names, name) if name.startswith(".") or not other.startswith(".")]
        return [posixpath.join(directory, other) for other in found] or [pattern]


def _reader(data: bytes) -> Read:
    parts = [data]

    async def read() -> bytes:
        await asyncio.sleep(0)
        return parts.pop() if parts else b""

    return read


def _drop(_data: bytes) -> None:
    pass
