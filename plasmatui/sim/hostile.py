"""Console output that breaks careless terminals, parsers and markup."""

from __future__ import annotations

import random

FRAGMENTS: tuple[bytes, ...] = (
    b"\x1b]0;owned title\x07",
    b"\x1b]52;c;cm0gLXJmIH4=\x07",  # clipboard
    b"\x1b]8;;https://example.com/\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b[8;200;10t\x1b[3;0;0t",  # resize and move the window
    b"\x1b[6n\x1b[c\x1b[>q\x1b]10;?\x07\x1bP+q544e\x1b\\",  # questions that a terminal answers as if typed
    b"\x1b[?1049h\x1b[?1000h\x1b[?2004h\x1b[?25l",  # modes that outlive a careless reader
    b"[/] [bold red]markup[/bold red] [@click=app.quit]press[/] [link=https://example.com]x[/link]\r\n",
    b"\x00\x00NUL\x00\r\n\x07\x07\x07",
    b"\x9b31mC1 CSI\x9d0;C1 OSC\x9c\x90q\x9c\r\n",
    b"\xff\xfe\xc3\x28 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 broken UTF-8\r\n",
    "\u202eright to left\u202c \u200bzero width e\u0301\u0301\u0301\u0301 \U0001f469\u200d\U0001f680\r\n".encode(),
    b"\x1b[999999999;999999999H\x1b[2147483648A\x1b[;;;;;;;;;;;;;;;;;;;;m\x1b[38;5m\x1b[38;2;1m",
    b"\x1b(0lqqqk\x1b(B\x0e\x0f\x1b#8\x1b[1000000b\x1bc",
    b"\x1b]0;never ended " + b"A" * 300,
    b"\x18\x1bP1$r never ended\x1b[",
    b"\r\n\x18=danger\r\n-rf\r\n../../etc/passwd\r\n",
)
LONG_LINE = b"A" * 100_000 + b"\r\n"


def everything() -> bytes:
    """All of it at once."""
    return b"".join(FRAGMENTS) + LONG_LINE


def fragment(numbers: random.Random) -> bytes:
    """A piece of it; seldom the long line."""
    return LONG_LINE if numbers.random() < 0.02 else numbers.choice(FRAGMENTS)
