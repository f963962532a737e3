"""What a source of boot configurations gives, whatever it is read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from plasmatui.pxe.service.query import Query

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

BOOTSTRAP: Final = (
    "#!ipxe\n"
    "chain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&domain=${domain}&hostname=${hostname}&serial=${serial}"
    "&arch=${buildarch:uristring}\n"
)
"""The script that asks for a machine's own one. `mac` is the card that boots; `net0/mac` would be the first one."""


@dataclass(frozen=True)
class Answer:
    """A body that was found.

    Attributes:
        modified: Unix seconds, where it is a file as it stands.
        butane: it still has to be converted to Ignition.
    """

    body: bytes
    type: str = TEXT
    modified: float | None = None
    butane: bool = False


@dataclass(frozen=True)
class Problem:
    """What is wrong in a file of a store. `kept`: its last good version goes on being served."""

    file: str
    line: int
    message: str
    kept: bool = False
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        kept = "; its last good version is served" if self.kept else ""
        return f"{place}: {'warning' if self.warning else 'error'}: {self.message}{kept}"


@dataclass(frozen=True)
class Boot:
    """What a machine shall boot.

    Attributes:
        args: the kernel's arguments, as they go into a script.
        cmdline: them as the Pixiecore API has them: a string, or an object in bootcfg's way.
        message: what Pixiecore shall show; empty for nothing.
    """

    kernel: str
    initrd: tuple[str, ...]
    args: tuple[str, ...]
    cmdline: object
    message: str = ""


@dataclass(frozen=True)
class Choice:
    """Which rule was chosen for a machine, and why.

    Attributes:
        steps: what was looked at, in order, one line each.
        rule: what was chosen ("group node1", "boot/mac/52:54:..."); empty when nothing was.
        boot: what it boots; None when nothing was chosen or the chosen rule cannot be used.
        why: the step that decided that.
    """

    steps: tuple[str, ...]
    rule: str = ""
    boot: Boot | None = None
    why: str = ""


@dataclass(frozen=True)
class Terms:
    """What a script is to be for, beyond the rule that a machine gets.

    Attributes:
        host: `HOST:PORT` that the machine asked, empty when it did not say.
        installed: since when the machine is installed, for people; empty when it is not, or that does not matter.
        arguments: further arguments of the kernel.
    """

    host: str = ""
    installed: str = ""
    arguments: tuple[str, ...] = ()


class Source(Protocol):
    """A source of boot configurations. Its methods look at memory only; `refresh` brings that up to date."""

    kind: str
    """"bootcfg", "matchbox" or "inventory"."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with it now."""

    @property
    def rules(self) -> int:
        """How many rules there are."""

    async def refresh(self) -> bool:
        """See changes; whether there were any."""

    async def look(self) -> bool:
        """See changes, also those that no notice comes for (links, network file systems); whether there were any."""

    def boot(self, query: Query) -> Boot | None:
        """What the machine boots."""

    def script(self, query: Query, terms: Terms) -> str | None:
        """The machine's iPXE script; None when it gets none."""

    def macs(self, mac: str) -> tuple[str, ...]:
        """All addresses of the machine that has this one."""

    def choice(self, query: Query) -> Choice:
        """What the machine boots, step by step; agrees with `boot`."""

    def answer(self, endpoint: str, query: Query) -> Answer | None:
        """What "cloud", "ignition", "generic" or "metadata" has for the machine."""

    def close(self) -> None:
        """Give back what it holds of the system."""
