"""DNS answers that are read: right ones, and those of servers that lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.checks import resolver
from tests.unit.checks.servers import datagrams

NAME = "node01.example.com"


def answer(asked: bytes, kind: int, *values: bytes, code: int = 0) -> bytes:
    header = struct.pack("!6H", int.from_bytes(asked[:2], "big"), 0x8180 | code, 1, len(values), 0, 0)
    records = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, 60, len(value)) + value for value in values)
    return header + asked[12:] + records


async def test_addresses_of_a_name_and_names_of_an_address() -> None:
    def reply(asked: bytes) -> list[bytes]:
        if b"\x04arpa" in asked:
            return [answer(asked, resolver.PTR, b"\x06NODE01\x07example\x03com\0")]
        return [answer(asked, resolver.A, b"\x0a\x00\xc8\x0a")]

    _, port = await datagrams(reply)
    assert await resolver.ask("127.0.0.1", port, NAME, resolver.A) == resolver.Answer("NOERROR", ("10.0.200.10",))
    reverse = resolver.reverse_name("10.0.200.10")
    assert reverse == "10.200.0.10.in-addr.arpa"
    assert (await resolver.ask("127.0.0.1", port, reverse, resolver.PTR)).values == (NAME,)


async def test_other_answers_are_not_taken() -> None:
    def reply(asked: bytes) -> list[bytes]:
        other = resolver.question("node02.example.com", resolver.A, int.from_bytes(asked[:2], "big"))
        wrong_number = bytes([asked[0] ^ 1]) + asked[1:]
        return [
            b"", asked, answer(wrong_number, 1, b"\x01\x01\x01\x01"), answer(other, 1, b"\x02\x02\x02\x02"),
            answer(asked, 1, code=3),
        ]  # fmt: skip

    _, port = await datagrams(reply)
    assert await resolver.ask("127.0.0.1", port, NAME, resolver.A, limit=2.0) == resolver.Answer("NXDOMAIN", ())


async def test_silence_and_odd_names() -> None:
    _, port = await datagrams(lambda _: [])
    with pytest.raises(TimeoutError):
        await resolver.ask("127.0.0.1", port, NAME, resolver.A, limit=0.1, resend=0.03)
    with pytest.raises(ValueError):
        await resolver.ask("127.0.0.1", port, "a" * 64, resolver.A)


ASKED = resolver.question(NAME, resolver.PTR, 5)


@pytest.mark.parametrize("value", [b"\xc0\x0c" * 3, b"\xff\xff", b"\x3fshort", b"\x05ab", b""])
def test_names_that_lead_in_circles_or_out_are_survived(value: bytes) -> None:
    found = resolver.read(answer(ASKED, resolver.PTR, value), ASKED, resolver.PTR)
    assert found is not None


def test_a_name_that_points_at_itself_ends() -> None:
    here = len(ASKED) + 12
    found = resolver.read(answer(ASKED, resolver.PTR, b"\x01a" + struct.pack("!H", 0xC000 | here)), ASKED, resolver.PTR)
    assert found is not None
    assert found.values == ()


@given(st.binary(max_size=200), st.integers(0, 65535))
def test_no_bytes_upset_the_reader(data: bytes, count: int) -> None:
    head = ASKED[:2] + b"\x81\x80" + struct.pack("!4H", 1, count, 0, 0)
    for each in (data, head + ASKED[12:] + data):
        found = resolver.read(each, ASKED, resolver.PTR)
        assert found is None or all(isinstance(value, str) for value in found.values)
