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
from plasmatui.sim.shellparse import Pipeline, ShellSyntaxError, Simple, Word, parse

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
        self._variables = {
            "HOME": "/root" if user == "root" else f"/home/{user}",
            "USER": user,
            "PATH": "/run/wrappers/bin:/run/current-system/sw/bin",
            "?": "0",
        }

    async def run(self, line: str, read: Read, write: Write, complain: Write) -> int:
        """Run a command line; what it cannot read is a syntax error and exit code 2."""
        try:
            pipelines = parse(line, self._variables)
        except ShellSyntaxError as error:
            complain(f"bash: -c: line 1: {error}\n".encode())
            return SYNTAX
        code = 0
        for pipeline in pipelines:
            if (pipeline.when == "and" and code) or (pipeline.when == "or" and not code):
                continue
            if pipeline.background:
                self._host.spawn(self._pipeline(pipeline, no_input, _drop, _drop), "background")
                code = 0
            else:
                code = await self._pipeline(pipeline, read, write, complain)
                code = int(not code) if pipeline.negated else code
            self._variables["?"] = str(code)
        return code

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
        self._variables.update(simple.assignments if not simple.words else {})
        files = view(self._host)
        kept: dict[str, bytearray] = {}
        try:
            if simple.stdin is not None and simple.stdin != "/dev/null":
                read = _reader(files.read(simple.stdin))
            elif simple.stdin is not None:
                read = no_input
        except OSError as error:
            complain(f"bash: line 1: {simple.stdin}: {error.strerror}\n".encode())
            return 1
        if simple.stdout is not None:
            write = kept.setdefault(simple.stdout, bytearray()).extend
        if simple.stderr is not None:
            complain = kept.setdefault(simple.stderr, bytearray()).extend
        if simple.errors_out:
            complain = write
        if simple.out_errors:
            write = complain
        code = 0
        if simple.words:
            argv = [text for word in simple.words for text in self._expand(word, files)]
            code = await self.call(
                Call(
                    self._host,
                    argv,
                    read,
                    write,
                    complain,
                    self._over,
                    self._user,
                    self._variables | simple.assignments,
                )
            )
        for path, data in kept.items():
            if path == "/dev/null":
                continue
            old = files.read(path) if simple.append and files.find(path) is not None else b""
            try:
                files.write(path, old + bytes(data))
            except OSError as error:
                complain(f"bash: line 1: {path}: {error.strerror}\n".encode())
                return 1
        return code

    def _expand(self, word: Word, files: FileTree) -> list[str]:
        if not word.pattern:
            return [word.text]
        directory, name = posixpath.split(word.text)
        try:
            names = files.names(directory or self._variables["HOME"])
        except OSError:
            names = []
        found = [other for other in fnmatch.filter(names, name) if name.startswith(".") or not other.startswith(".")]
        return [posixpath.join(directory, other) for other in found] or [word.text]


def _reader(data: bytes) -> Read:
    parts = [data]

    async def read() -> bytes:
        await asyncio.sleep(0)
        return parts.pop() if parts else b""

    return read


def _drop(_data: bytes) -> None:
    pass
