"""What the fuzzers found, mended, and fed again."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fuzz.target import fault
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.stores import impossible_archive, journal_with, sparse_archive

_MERGED: Final = "".join(f"a{n + 1}: &a{n + 1}\n  <<: [{', '.join([f'*a{n}'] * 6)}]\n" for n in range(20))

FINDS: Final = {
    "a flake in the home of nobody": ("inventory", b"version: 1\ncluster: {name: c}\nflake: ~nobodyhere/x\nnodes: {}"),
    "a manifest's number of base 60": ("bundle-manifest", b"version: 1" + b":00" * 5000),
    "a manifest's number of base 60 with a fraction": ("bundle-manifest", b"version: 1" + b":00" * 5000 + b".5"),
    "a manifest whose merge keys explode": ("bundle-manifest", f"a0: &a0 {{x: y}}\n{_MERGED}".encode()),
    "a bundle's node that would write the terminal": (
        "bundle-manifest",
        b'version: 1\nnodes: {"\\e[2J": 1, "\\u202E": {}}\nfiles: [{path: x.log, format: kea, node: n1}]',
    ),
    "a keymap that is nested deeply": ("keymap", b"[" * 50_000),
    "a theme that is nested deeply": ("theme", b"[" * 60_000),
    "a theme's date that is none": ("theme", b"name: 2001-99-99"),
    "a theme's endless number": ("theme", b"name: " + b"9" * 5000),
    "a journal whose schema is no text, which held up the engine's start for ever": (
        "journal",
        journal_with(b"CREATE TABLE positions", b"CREATE TABLE po\xa8itions"),
    ),
    "a console's line of dots": ("growth-console", b"n\0.\0"),
    "a console's line of blanks": ("growth-console", b"iPXE\r\nF2\0 \0"),
    "a console's iPXE that never ends": ("growth-console", b"iPXE 1\0a\0"),
    "a boot menu of blank lines": ("growth-grub-menu", b"\0\n\0"),
    "a backup's head that is nested deeply": ("backup-manifest", b'{"x":' * 3000),
    "a backup's file of a hole that takes years to read": ("backup-archive", sparse_archive()),
    "what a job left, nested deeply": ("records", b'{"a":' * 3000),
    "an archive's member of an impossible size": ("backup-archive", impossible_archive()),
    "a build of more derivations than a number holds": (
        "tools",
        b'@nix {"action":"start","id":1,"type":104,"level":3}\n'
        b'@nix {"action":"result","id":1,"type":105,"fields":[1,18446744073709551615,18446744073709551615,1]}\n' * 3,
    ),
    "a journal's entry at a time that is no number": (
        "journal-entries",
        b'{"__REALTIME_TIMESTAMP":"\xc2\xb2","MESSAGE":"x"}\n{"__REALTIME_TIMESTAMP":"' + b"9" * 400 + b'"}',
    ),
    "a journal's entry that is nested deeply": ("journal-entries", b'{"MESSAGE":' + b"[" * 900 + b"]" * 900 + b"}"),
    "a theme's colour that is no number": ("theme", b'name: x\ncolors: {primary: "rgb(' + b"1" * 400 + b',1,1)"}'),
}


@pytest.mark.parametrize("what", FINDS)
def test_is_mended(what: str) -> None:
    name, data = FINDS[what]
    assert fault(TARGETS[name], data) is None
