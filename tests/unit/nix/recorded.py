"""Real output of the real tools (nixos-anywhere of July 2026, disko 1.13, nix 2.8, 2.26, 2.34), as it came."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

CAPTURES = Path(__file__).parent / "captures"


@cache
def anywhere(name: str, run: str = "") -> bytes:
    """A run of nixos-anywhere, both outputs merged. `run`: its title where a file holds several."""
    text = (CAPTURES / f"cap-nxa-{name}.txt").read_text()
    if run:
        text = text.partition(f"### {run}\n")[2].partition("\n\n### ")[0]
        assert text
    lines = re.findall(r"^ +[\d.]+ [OE] (.*)$", text, re.MULTILINE)
    return b"".join(ast.literal_eval(line).encode() + b"\n" for line in lines)


@cache
def nix(version: str, command: str) -> bytes:
    """stderr of a command of nix. `command`: a part of it that no other has."""
    text = (CAPTURES / f"nix-{version}.txt").read_text()
    found = re.search(rf"^\$ .*{re.escape(command)}.*\n(?:.*\n)*?-- stderr:\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    assert found is not None
    return found.group(1).encode()


@cache
def nix_stdout(version: str, command: str) -> bytes:
    """stdout of a command of nix."""
    text = (CAPTURES / f"nix-{version}.txt").read_text()
    found = re.search(rf"^\$ .*{re.escape(command)}.*\n-- rc=.*\n((?:(?!-- ).*\n)*)", text, re.MULTILINE)
    assert found is not None
    return found.group(1).encode()


@cache
def disko() -> bytes:
    return (CAPTURES / "disko-loop-ext4.txt").read_bytes()


@cache
def nix_2_8() -> bytes:
    return (CAPTURES / "nix-2.8.0-internal-json.txt").read_bytes()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in chunks of these sizes, again and again."""
    chunks, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        chunks.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return chunks
