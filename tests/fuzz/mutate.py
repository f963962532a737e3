"""Damage: from an input that is right, one that is nearly right. The same random numbers give the same damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

LIMIT: Final = 16_384
"""Bytes of an input, at most."""

TOKENS: Final[tuple[bytes, ...]] = (
    b"\0",
    b"\r",
    b"\n",
    b"\x1b[2J",
    b"\x1b]0;title\x07",
    b"\x1b]52;c;aGk=\x07",
    b"\x1bP",
    b"\x9b31m",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa9",
    "\u202e".encode(),
    "\u200b".encode(),
    b"%s%n",
    b"../../../etc/passwd",
    b"$(reboot)",
    b"';--",
    b"{{",
    b"}}",
    b"[[[[[[[[",
    b'{"a":' * 40,
    b"-1",
    b"0",
    b"4294967296",
    b"99999999999999999999999999",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"0x1F",
    b"1970-01-01T00:00:00Z",
    b"9999-12-31T23:59:60Z",
    b"00:00:00:00:00:00",
    b"ff:ff:ff:ff:ff:ff",
    b"255.255.255.255",
    b"::1",
    b"&anchor *anchor",
    b"!!python/object/apply:os.system",
    b"A" * 3000,
    b" " * 500,
)
"""What readers stumble over: controls, escapes, encodings, numbers, quoting, nesting, length."""

_Damage = Callable[[Random, bytes], bytes]


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    place = random.randrange(len(data))
    return data[:place] + bytes((data[place] ^ (1 << random.randrange(8)),)) + data[place + 1 :]


def _byte(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    place = random.randrange(len(data))
    return data[:place] + random.randbytes(1) + data[place + 1 :]


def _insert(random: Random, data: bytes) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.randbytes(random.randint(1, 8)) + data[place:]


def _token(random: Random, data: bytes) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.choice(TOKENS) + data[place:]


def _replace(random: Random, data: bytes) -> bytes:
    begin, end = _span(random, data)
    return data[:begin] + random.choice(TOKENS) + data[end:]


def _cut(random: Random, data: bytes) -> bytes:
    begin, end = _span(random, data)
    return data[:begin] + data[end:]


def _double(random: Random, data: bytes) -> bytes:
    begin, end = _span(random, data)
    return data[:end] + data[begin:end] * random.randint(1, 4) + data[end:]


def _truncate(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _swap_lines(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def _number(random: Random, data: bytes) -> bytes:
    """Another number in the place of one."""
    places = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        return data
    place = random.choice(places)
    return data[:place] + str(random.choice((0, 1, 9, 255, 65536, 2**31, 2**63, 10**30))).encode() + data[place + 1 :]


def _span(random: Random, data: bytes) -> tuple[int, int]:
    begin = random.randint(0, len(data))
    return begin, min(len(data), begin + random.choice((1, 2, 4, 16, 64, 512)))


DAMAGES: Final[tuple[_Damage, ...]] = (
    _flip,
    _byte,
    _insert,
    _token,
    _replace,
    _cut,
    _double,
    _truncate,
    _swap_lines,
    _number,
)


def damaged(random: Random, corpus: Sequence[bytes]) -> bytes:
    """One of `corpus`, spliced with another now and then, and damaged once or several times."""
    data = random.choice(corpus)
    if random.random() < 0.15:
        other = random.choice(corpus)
        data = data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]
    for _ in range(random.choice((1, 1, 2, 4, 8, 16))):
        data = random.choice(DAMAGES)(random, data)
    return data[:LIMIT]
