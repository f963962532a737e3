"""Readers of text against long inputs: eight times as much may not take far more than eight times as long.

An input is `HEAD \\0 UNIT \\0 TAIL`; it is fed twice, with UNIT repeated to two lengths, both below what the reader
looks at of one line. Ratios of CPU time are compared, never times; what is quick at the larger length is not looked at,
since a clock's grain is no finding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from plasmatui.inventory.nodesets import NodeSetError, resolve
from plasmatui.inventory.tree import parse
from plasmatui.model.node import Node
from plasmatui.nix.failures import explain
from plasmatui.nix.jsonlog import BuildLog
from plasmatui.nix.progress import AnywhereProgress
from plasmatui.nix.trials import grub_entry
from plasmatui.text import clean_text, decode
from plasmatui.ui.vt import Vt
from plasmatui.watch.console.reader import ConsoleReader
from plasmatui.watch.parsers import FORMATS, make_parser
from tests.fuzz.target import Target
from tests.fuzz.targets import data, logs

TIMES: Final = 8
WORTH: Final = 0.06
"""Seconds at the larger length below which nothing is compared."""
MOST: Final = 24.0
"""How many times as long the larger may take: linear is 8, a square 64."""

_UNITS: Final = (
    b"a", b" ", b".", b"/", b'"', b"\\", b"[", b"]", b"(", b")", b"=", b":", b"0", b"1.", b"a ", b"a:", b"a=", b"a/",
    b"ab:", b"- ", b"00:", b"1.1", b'\\"', b'" "', b"\x1b", b"\x1b[", b"\x1b[1;", b"\x1b]", b"\x1bP", b"\r", b"\n",
    b"\t", b"\b", b"\xff", b"\xc3\xa9", b"...", b"%", b"{", b"}", b"&a", b"?a=b&", b"<", b">", b"'", b"[a]", b" to ",
    b" not found", b": ", b"(http", b"#", b"\x1b[1;1H", b"A" * 80, b"\n ", b"- - ", b"\xf0\x9f\x92\xa9", b"\x9b",
    b"\xc2\x9b",
)  # fmt: skip


def grows(read: Callable[[bytes], object], size: int, raw: bytes) -> None:
    head, _, rest = raw.partition(b"\0")
    unit, _, tail = rest.partition(b"\0")
    unit = unit or b"a"
    head, unit, tail = head[: size // 2], unit[: size // 8], tail[: size // 2]
    short, long = (head + unit * (length // len(unit)) + tail for length in (size, TIMES * size))
    longer = _seconds(read, long)
    if longer < WORTH:
        return
    ratio = min(_seconds(read, long) for _ in range(2)) / max(min(_seconds(read, short) for _ in range(3)), 1e-4)
    assert ratio < MOST, f"{len(long)} bytes take {ratio:.0f} times as long as {len(short)} ({longer:.1f} s)"


def _seconds(read: Callable[[bytes], object], raw: bytes) -> float:
    begin = time.process_time()
    read(raw)
    return time.process_time() - begin


def corpus(lines: Callable[[], list[bytes]]) -> list[bytes]:
    return [line + b"\0a\0" for piece in lines() for line in piece.split(b"\n") if line][:400]


def make(lines: Callable[[], list[bytes]], random: Random) -> bytes:
    """A line cut somewhere, what repeats, and the line's rest."""
    line = random.choice(random.choice(lines()).split(b"\n"))
    cut = random.randint(0, len(line))
    unit = random.choice(_UNITS)
    if random.random() < 0.3:
        unit = (
            (random.choice(_UNITS) + random.choice(_UNITS)) if random.random() < 0.5 else line[cut : cut + 12] or unit
        )
    return b"\0".join(part.replace(b"\0", b"") for part in (line[:cut], unit, line[cut:]))


def _log(name: str, raw: bytes) -> None:
    parser = make_parser(name, "fuzzed", reference=1_700_000_000.0)
    for number, line in enumerate(decode(raw).split("\n"), 1):
        parser.repeats(line)
        parser.feed(line, number)


def _console(raw: bytes) -> None:
    for booted in (b"", b"iPXE initialising devices...\r\n", b"[    0.000000] Linux version 6\r\n"):
        reader = ConsoleReader("node01", "console")
        reader.feed(booted + raw, 1.0)
        reader.flush()


def _anywhere(raw: bytes) -> None:
    progress = AnywhereProgress()
    progress.feed(raw)
    progress.finish()


def _build(raw: bytes) -> None:
    log = BuildLog()
    log.feed(raw)
    log.finish()
    _ = log.progress


def _screen(raw: bytes) -> None:
    Vt(80, 25, 100).feed(raw)


def _nodes(raw: bytes) -> None:
    try:
        resolve(decode(raw), (Node(name="node01", profile="worker"), Node(name="node02")))
    except NodeSetError:
        return


def _tools() -> list[bytes]:
    return [
        b"### Formatting hard drive with disko ###\n+ device=/dev/sda\ncopying 12 paths...\n"
        b"copying path '/nix/store/abc-glibc-2.40' from 'https://cache'\n"
        b'@nix {"action":"start","id":1,"level":3,"type":105,"text":"building x","fields":["x.drv","",1,1]}\n'
        b"error: flake 'git+file:///srv' does not provide attribute 'packages.x86_64-linux.node01'\n"
        b"error: builder for '/nix/store/abc.drv' failed with exit code 1\nPermission denied (publickey,password).\n"
        b"Problem opening /dev/sda for reading! Error is 2.\nREMOTE HOST IDENTIFICATION HAS CHANGED\n"
    ]


def _menus() -> list[bytes]:
    return [
        b'submenu "NixOS - All configurations" {\nmenuentry "NixOS - Configuration 12 (2026-11-28 - 25.11)" {\n}\n}\n',
    ]


def _yaml() -> list[bytes]:
    return [b"version: 1\ncluster: {name: c1, domain: example.com}\nnodes:\n  worker[01-05]: {bmc: 10.0.10.60+}\n"]


def _target(name: str, lines: Callable[[], list[bytes]], read: Callable[[bytes], object], size: int = 4000) -> Target:
    return Target(f"growth-{name}", partial(corpus, lines), partial(grows, read, size), partial(make, lines), quick=12)


TARGETS: Final = (
    *(_target(f"log-{name}", partial(logs.corpus, name), partial(_log, name)) for name in FORMATS),
    _target("console", data.consoles, _console, 500),
    _target("screen", data.consoles, _screen),
    _target("text", data.consoles, lambda raw: clean_text(decode(raw), 200, 50)),
    _target("nixos-anywhere", _tools, _anywhere),
    _target("nix-log", _tools, _build),
    _target("grub-menu", _menus, lambda raw: grub_entry(decode(raw), 12)),
    _target("failures", _tools, lambda raw: explain(1, raw)),
    _target("yaml", _yaml, lambda raw: parse(decode(raw))),
    _target("node-set", lambda: [b"node[01-03],@worker!node04"], _nodes),
)
