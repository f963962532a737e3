"""The part of iPXE's script language that boot services use.

Commands: echo set isset iseq goto chain kernel initrd imgargs imgfree boot shell exit sleep, `||`, `&&`, labels.
Reference: https://ipxe.org/scripting and https://ipxe.org/cmd.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol
from urllib.parse import urljoin

from plasmatui.sim.download import Image

_STEP_LIMIT = 2000  # commands of a script; one that retries for ever ends here
_DEPTH_LIMIT = 8
_WITH_VALUE = ("--name", "-n", "--timeout", "-t")


class Ending(StrEnum):
    """How a script ends."""

    BOOT = "boot"
    SHELL = "shell"
    EXIT = "exit"
    FAILED = "failed"


class CommandError(Exception):
    """A command failed; its text is iPXE's error with its address."""


class _LeaveError(Exception):
    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Console(Protocol):
    """What a script does to the world."""

    async def say(self, text: str) -> None: ...

    async def fetch_kernel(self, url: str) -> Image: ...

    async def fetch_initrd(self, url: str) -> Image: ...

    async def fetch_text(self, url: str) -> str: ...

    async def sleep(self, seconds: float) -> None: ...

    def error(self, name: str) -> str:
        """The text of an error: "missing" "exec" "command" "invalid"."""


class Script:
    """Runs scripts for one machine.

    Attributes:
        variables: settings, by name; those of the machine are given at the start.
        kernel, initrds, arguments: what `boot` would start.
        failure: the error that ended the script.
    """

    def __init__(self, console: Console, variables: dict[str, str]) -> None:
        self.variables = variables
        self.kernel: Image | None = None
        self.initrds: list[Image] = []
        self.arguments = ""
        self.failure = ""
        self._console = console
        self._base = ""
        self._steps = 0
        self._depth = 0
        self._commands: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            "echo": self._echo,
            "set": self._set,
            "isset": self._isset,
            "iseq": self._iseq,
            "chain": self._chain,
            "kernel": self._kernel,
            "imgselect": self._kernel,
            "initrd": self._initrd,
            "module": self._initrd,
            "imgargs": self._imgargs,
            "imgfree": self._imgfree,
            "sleep": self._sleep,
            "boot": self._boot,
            "shell": self._shell,
            "exit": self._exit,
        }

    async def run(self, text: str, url: str) -> Ending:
        """Run a script that was fetched from `url`."""
        if self._depth >= _DEPTH_LIMIT:
            self.failure = self._console.error("invalid")
            return Ending.FAILED
        self._depth += 1
        before, self._base = self._base, url
        try:
            return await self._lines(text)
        except _LeaveError as left:
            return left.ending
        finally:
            self._base = before
            self._depth -= 1

    async def _lines(self, text: str) -> Ending:
        lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
        labels = {line[1:].strip(): number for number, line in enumerate(lines) if line.startswith(":")}
        at = 0
        while at < len(lines):
            line = lines[at]
            at += 1
            if not line or line[0] in "#:":
                continue
            target = await self._line(line)
            if target is not None:
                if target not in labels:
                    self.failure = self._console.error("missing")
                    return Ending.FAILED
                at = labels[target]
        return Ending.EXIT

    async def _line(self, line: str) -> str | None:
        """Run one line; the label to go on at, None for the next line. A command that fails ends the script."""
        failed = False
        for joint, part in _parts(line):
            if (joint == "||" and not failed) or (joint == "&&" and failed):
                continue
            self._steps += 1
            if self._steps > _STEP_LIMIT:
                self.failure = self._console.error("invalid")
                raise _LeaveError(Ending.FAILED)
            words = self._expand(part).split()
            if words and words[0] == "goto" and len(words) == 2:
                return words[1]
            try:
                await self._command(words)
                failed = False
            except CommandError as error:
                failed, self.failure = True, str(error)
        if failed:
            raise _LeaveError(Ending.FAILED)
        return None

    async def _command(self, words: list[str]) -> None:
        if not words:
            return
        run = self._commands.get(words[0])
        if run is None:
            await self._console.say(f"{words[0]}: command not found")
            raise CommandError(self._console.error("command"))
        await run(words[1:] if run == self._echo else _positional(words[1:]))

    def _expand(self, text: str) -> str:
        return re.sub(r"\$\{([^}]*)\}", lambda found: self._value(found[1]), text)

    def _value(self, name: str) -> str:
        name, _, form = name.partition(":")
        value = self.variables.get(name) or self.variables.get(name.rpartition("/")[2], "")
        if form == "hexhyp":
            return value.replace(":", "-")
        return value.replace(":", "") if form == "hexraw" else value

    async def _echo(self, words: list[str]) -> None:
        await self._console.say(" ".join(words))

    async def _set(self, words: list[str]) -> None:
        if words:
            self.variables[words[0]] = " ".join(words[1:])

    async def _isset(self, words: list[str]) -> None:
        if not words:
            raise CommandError(self._console.error("missing"))

    async def _iseq(self, words: list[str]) -> None:
        if len(words) != 2 or words[0] != words[1]:
            raise CommandError(self._console.error("invalid"))

    async def _chain(self, words: list[str]) -> None:
        url = urljoin(self._base, words[0]) if words else ""
        ending = await self.run(await self._console.fetch_text(url), url)
        if ending is Ending.FAILED:
            raise CommandError(self.failure)
        if ending is not Ending.EXIT:
            raise _LeaveError(ending)

    async def _kernel(self, words: list[str]) -> None:
        self.kernel = await self._console.fetch_kernel(urljoin(self._base, words[0] if words else ""))
        self.arguments = " ".join(words[1:])

    async def _initrd(self, words: list[str]) -> None:
        url = urljoin(self._base, words[0] if words else "")
        self.initrds.append(await self._console.fetch_initrd(url))

    async def _imgargs(self, words: list[str]) -> None:
        self.arguments = " ".join(words[1:])

    async def _imgfree(self, words: list[str]) -> None:
        self.kernel = None
        self.initrds.clear()

    async def _sleep(self, words: list[str]) -> None:
        await self._console.sleep(float(words[0]) if words and words[0].isdecimal() else 0.0)

    async def _boot(self, words: list[str]) -> None:
        if self.kernel is None:
            raise CommandError(self._console.error("missing"))
        raise _LeaveError(Ending.BOOT)

    async def _shell(self, words: list[str]) -> None:
        raise _LeaveError(Ending.SHELL)

    async def _exit(self, words: list[str]) -> None:
        raise _LeaveError(Ending.FAILED if words and words[0] != "0" else Ending.EXIT)


def _positional(words: list[str]) -> list[str]:
    """Words without options and their values; what follows a URL belongs to the image."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in _WITH_VALUE else 1]
    return rest


def _parts(line: str) -> list[tuple[str, str]]:
    """The commands of a line, each with what joins it to the one before."""
    words = re.split(r"\s+(\|\||&&)(?:\s+|$)", line)
    return list(zip(["", *words[1::2]], words[0::2], strict=True))
