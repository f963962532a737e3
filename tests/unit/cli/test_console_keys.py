"""The escape prefix: what is typed reaches the machine unchanged unless it is a command."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cli.console_keys import Command, PrefixParser


def parse(*pieces: bytes) -> list[bytes | Command]:
    parser = PrefixParser()
    joined: list[bytes | Command] = []
    for item in (item for piece in pieces for item in parser.feed(piece)):
        if joined and isinstance(item, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += item
        else:
            joined.append(item)
    return joined


@given(st.binary().filter(lambda data: b"\x05" not in data))
def test_without_the_prefix_everything_is_sent(data: bytes) -> None:
    assert b"".join(item for item in parse(data) if isinstance(item, bytes)) == data


@given(st.lists(st.sampled_from([b"\x05", b"c", b".", b"b", b"o", b"?", b"x", b"\r"]), max_size=30))
def test_cuts_change_nothing(pieces: list[bytes]) -> None:
    assert parse(*pieces) == parse(b"".join(pieces))


def test_commands() -> None:
    assert parse(b"ls\x05c.") == [b"ls", Command.LEAVE]
    assert parse(b"\x05.") == [Command.LEAVE]
    assert parse(b"\x05cb\x05co\x05c?") == [Command.BREAK, Command.REOPEN, Command.HELP]


def test_prefix_that_no_command_follows_is_sent_with_the_next_key() -> None:
    assert parse(b"\x05") == []
    assert parse(b"\x05x") == [b"\x05x"]
    assert parse(b"\x05\x05.") == [b"\x05."]
    assert parse(b"a\x05b") == [b"a\x05b"]


def test_unknown_command_shows_the_list_and_sends_nothing() -> None:
    assert parse(b"\x05cz") == [Command.HELP]
