"""Consoles that attack the terminal, and the independent judge of what reached it."""

from __future__ import annotations

import re

HOSTILE: tuple[bytes, ...] = (
    b"\x1b]52;c;ZXZpbA==\x07",  # writes the clipboard
    b"\x1b]52;c;?\x1b\\",  # reads the clipboard
    b"\x1b]0;pwned\x07\x1b]2;pwned\x1b\\",  # titles
    b"\x1b]8;;http://evil.example/\x1b\\link\x1b]8;;\x1b\\",  # hyperlinks
    b"\x1b]10;?\x07\x1b]4;1;?\x07",  # colour queries: the answer would be typed into the console
    b"\x1b]1337;File=inline=1:AAAA\x07\x1b]777;notify;a;b\x07\x1b]9;hi\x07",  # images and notifications
    b"\x1bP$qm\x1b\\\x1bP+q544e\x1b\\",  # DECRQSS, XTGETTCAP
    b"\x1bPq#0;2;0;0;0#0~~\x1b\\",  # sixel
    b"\x1bP1000p\x1b\\",  # tmux control mode
    b"\x1b_Gi=1,a=q;AAAA\x1b\\",  # kitty graphics
    b"\x1b^private\x1b\\\x1bXstring\x1b\\",
    b"\x1b[6n\x1b[5n\x1b[?6n",  # position and status queries
    b"\x1b[c\x1b[>c\x1b[=c\x1b[0c\x1bZ",  # who are you
    b"\x1b[>q\x1b[?1$p\x1b[18t\x1b[21t\x1b[x",  # version, mode, size, title, parameters
    b"\x1b[?1049h\x1b[?47h\x1b[?1047h",  # the other screen
    b"\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h\x1b[?1015h",  # mouse
    b"\x1b[?2004h\x1b[?1004h\x1b[?2026h\x1b[?25l\x1b[?1h\x1b[?7l",  # paste, focus, sync, cursor, keys, wrap
    b"\x1b[>4;2m\x1b[>1u\x1b[=5u\x1b=",  # keyboard protocols
    b"\x1b[4h\x1b[20h\x1b[12l",  # insert, newline, echo
    b"\x1b[3J",  # the operator's scrollback
    b"\x1bc\x1b[!p",  # resets
    b"\x1b[1;1r\x1b[?69h\x1b[5;6s",  # margins
    b"\x1b[5i\x1b[?5i\x1b[4i",  # printer
    b"\x1b(0\x1b)0\x0e",  # line drawing left on
    b"\x1b#8",  # screen of E
    b"\x1b%@\x1b%G",  # leaves UTF-8
    b"\x1b[2;2t\x1b[8;500;500t\x1b[3;0;0t",  # window moves
    b"\x1b[99999999999999999999A\x1b[" + b"9;" * 4000 + b"H",
    b"\xc2\x9b6n\xc2\x9d52;c;AAAA\xc2\x9c\xc2\x90x\xc2\x9c\xc2\x85",  # C1 in UTF-8
    b"\x9b6n\x9d52;c;AAAA\x9c\x90$qm\x9c",  # C1 as bytes
    b"\x00" * 64 + b"\x07" * 64 + b"\x05\x7f",  # NUL, BEL, ENQ (answerback), DEL
    "\u202eevil\u2066\u200f\ufeff\u200b".encode(),  # direction overrides, invisible characters
    b"\xed\xa0\x80\xf8\x88\x80\x80\x80\xc0\x80\xff\xfe",  # not UTF-8
    b"[@click=app.quit]x[/][/foo][red]",  # markup
    b"\x1b]0;a\x1b]0;b\x1bP\x1b[\x1b]never",  # nested and open
    b"x" * 100_000,
    b"\x1b[" * 1000 + b"6n",
)

_ALLOWED = re.compile(
    rb"[ -~\r\n\t\x08]"
    rb"|[\xc2-\xf4][\x80-\xbf]{1,3}"
    rb"|\x1b[78DEM]"
    rb"|\x1b\[[0-9]{0,4}[ABCDEFGXade`@LMP]"
    rb"|\x1b\[[0-9]{0,4}(?:;[0-9]{0,4})?[Hf]"
    rb"|\x1b\[[0-2]?[JK]"
    rb"|\x1b\[[su]"
    rb"|\x1b\[[0-9;:]{0,120}m"
)


def forbidden(data: bytes) -> list[bytes]:
    """What of `data` no console may write to a terminal."""
    rest = _ALLOWED.sub(b"", data)
    bad = [rest] if rest else []
    text = data.decode("utf-8", "replace")
    bad += [
        char.encode() for char in text if "\x80" <= char <= "\x9f" or char in "\u202a\u202b\u202d\u202e\u2066\u2067"
    ]
    return bad
