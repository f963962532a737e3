"""What network targets share: values that no honest peer sends, in the shape of a type; a loop and an ear."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import cache
from random import Random
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")

TEXTS: Final = (
    "", "n1", "n2", "nobody", "@all", "node[01-99999999]", "node[", "-rf", "--help", "../../../etc/shadow", "a\0b",
    "\x1b]0;x\x07", "\u202eabc", "%s%n{0}", "$(reboot)", "'; drop table events;--", "A" * 5000, " ", "\n", ".",
    "(a+)+$", "[", "\\", "(?P<a>", "/dev/null/x", "/proc/self/nope/x", "plasmavmc", "power", "sensors", "generations",
    "52:54:00:12:34:56", "10.0.0.1", "999.1.1.1", "::1", "worker", "env:HOME", "\U0010ffff", "é" * 300, "a*" * 40,
)  # fmt: skip
"""Names, sets, patterns, addresses and paths that lead nowhere, and such that mean something to some language."""
INTEGERS: Final = (0, 1, -1, 2, 255, 65536, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1)
FLOATS: Final = (0.0, -1.0, 1.5, 1e9, 4e9, 1e18, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 5e-324)


def value(random: Random, kind: inspect.Type, depth: int = 0) -> Any:
    """A value of a type as msgspec sees it, in plain containers."""
    match kind:
        case inspect.BoolType():
            return random.random() < 0.5
        case inspect.IntType():
            return random.choice(INTEGERS)
        case inspect.FloatType():
            return random.choice((*FLOATS, *INTEGERS))
        case inspect.StrType():
            return random.choice(TEXTS)
        case inspect.BytesType():
            return random.randbytes(random.choice((0, 1, 8, 300)))
        case inspect.EnumType():
            return random.choice([each.value for each in kind.cls])
        case inspect.UnionType():
            return value(random, random.choice(kind.types), depth)
        case inspect.VarTupleType() | inspect.ListType():
            count = random.choice((0, 1, 1, 2, 40)) if depth < 3 else 0
            return [value(random, kind.item_type, depth + 1) for _ in range(count)]
        case inspect.DictType():
            return {
                value(random, kind.key_type, depth + 1): value(random, kind.value_type, depth + 1) for _ in range(2)
            }
        case inspect.StructType():
            return struct(random, kind.cls, depth)
        case _:
            return None


def struct(random: Random, cls: type, depth: int = 0) -> dict[str, Any]:
    """Fields of a struct, optional ones left out now and then."""
    known = _known(cls)
    made: dict[str, Any] = {"type": known.tag} if known.tag is not None else {}
    for field in known.fields:
        if field.required or random.random() < 0.6:
            made[field.encode_name] = value(random, field.type, depth + 1)
    return made


@cache
def _known(cls: type) -> inspect.StructType:
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType)
    return found


def frame(body: object) -> bytes:
    """A frame of the engine's protocol."""
    data = msgspec.msgpack.encode(body)
    return len(data).to_bytes(4, "big") + data


class Ear(logging.Handler):
    """Hears what is logged as an error, and what a loop is told of tasks that died."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(logging.Formatter().format(record))

    def told(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.heard.append(f"{context.get('message')}: {context.get('exception')!r}")

    def silent(self, but: str = "\0") -> None:
        """Raises AssertionError with what was heard, `but` for what begins so."""
        heard, self.heard = [each for each in self.heard if not each.startswith(but)], []
        assert not heard, "\n".join(heard)


class World:
    """A loop that lives as long as the process, with an ear at it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.ear = Ear()
        self._kept: list[object] = []
        self.loop.set_exception_handler(self.ear.told)
        logging.getLogger().addHandler(self.ear)

    def keep(self, thing: object) -> None:
        """Hold what is to live as long as the loop."""
        self._kept.append(thing)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self.ear.heard.clear()  # what others logged meanwhile
        return self.loop.run_until_complete(coroutine)


@cache
def world() -> World:
    return World()
