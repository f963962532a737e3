"""What the engine needs of the rooms around it, as small interfaces, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from plasmatui.model import wire
from plasmatui.model.operation import NOWHERE, Origin
from plasmatui.text import clean_text


class ProblemError(Exception):
    """A request cannot be fulfilled; the client gets `problem` as its reply."""

    def __init__(self, id: str, message: str) -> None:  # noqa: A002 - the field's name on the wire
        super().__init__(message)
        self.problem = wire.Problem(id, clean_text(message))  # it often repeats what a client sent


def known_nodes(wanted: tuple[str, ...], names: Collection[str]) -> tuple[str, ...]:
    """`wanted` without repetitions.

    Raises:
        ProblemError: "unknown-node": there are none, or one is not among `names`, those of the inventory.
    """
    if not wanted:
        raise ProblemError("unknown-node", "no node was named")
    unknown = [node for node in wanted if node not in names]
    if unknown:
        some = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise ProblemError("unknown-node", f"the inventory has no node {some}")
    return tuple(dict.fromkeys(wanted))


class Keeper(Protocol):
    """Keeps the wanted serial consoles open; bytes and changes of their standing come by callback."""

    def want(self, nodes: frozenset[str]) -> None:
        """The consoles that shall be open from now on; others are closed."""

    def write(self, node: str, data: bytes) -> None:
        """Queue bytes for the machine. Raises `BmcError` when the console is not open."""

    def send_break(self, node: str) -> None:
        """Raises: as `write`."""

    async def reopen(self, node: str, *, takeover: bool) -> None:
        """Close and open now; with `takeover` another client's session is ended."""

    async def close(self) -> None: ...


@dataclass(frozen=True)
class ClientId:
    """A client as others see it."""

    number: int
    user: str
    terminal: str
    origin: Origin = NOWHERE


ConsoleSink = Callable[[wire.ConsoleData, bytes], None]
"""Takes a console's bytes and their frame, which is encoded once for all readers. Must be quick."""
