"""Pieces that inputs are made of, and a way to draw them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.mutate import TOKENS

WORDS = ("node01", "n", "worker", "a b", "é", "true", "no", "null", "~", "1", "0", "-5", "1e9", "2026-01-01", "<<", "")


def odd(random: Random) -> str:
    """A word, or what readers stumble over."""
    if random.random() < 0.7:
        return random.choice(WORDS)
    return random.choice(TOKENS).decode("utf-8", "replace")


def yaml_text(random: Random, keys: Sequence[str], scalars: Sequence[str], depth: int = 4) -> str:
    """YAML of any shape, with anchors, aliases, merge keys and tags, of these keys and values where it fits."""
    return _Yaml(random, keys, scalars).block("", depth)


class _Yaml:
    def __init__(self, random: Random, keys: Sequence[str], scalars: Sequence[str]) -> None:
        self._random = random
        self._keys = keys
        self._scalars = scalars
        self._anchors = 0

    def block(self, indent: str, depth: int) -> str:
        """Lines of a mapping."""
        lines = []
        for _ in range(self._random.randint(1, 6)):
            key = self._random.choice(self._keys) if self._random.random() < 0.9 else odd(self._random) or "k"
            mark = self._mark()
            if depth and self._random.random() < 0.4:
                lines.append(f"{indent}{key}:{mark}\n{self.block(indent + '  ', depth - 1)}")
            else:
                lines.append(f"{indent}{key}:{mark} {self.flow(depth)}\n")
        return "".join(lines)

    def flow(self, depth: int) -> str:
        """A value on one line."""
        random = self._random
        kind = random.random()
        if depth and kind < 0.15:
            return "[" + ", ".join(self.flow(depth - 1) for _ in range(random.randint(0, 4))) + "]"
        if depth and kind < 0.3:
            pairs = (f"{random.choice(self._keys)}: {self.flow(depth - 1)}" for _ in range(random.randint(0, 4)))
            return "{" + ", ".join(pairs) + "}"
        if kind < 0.35 and self._anchors:
            return f"*a{random.randrange(self._anchors + 1)}"
        if kind < 0.4:
            return '"' + odd(random).replace("\\", "").replace('"', "") + '"'
        return random.choice(self._scalars) if kind < 0.9 else odd(random)

    def _mark(self) -> str:
        kind = self._random.random()
        if kind < 0.05:
            self._anchors += 1
            return f" &a{self._anchors - 1}"
        return self._random.choice((" !!str", " !x", " !!binary", " |", " >-")) if kind < 0.08 else ""


def bomb(random: Random) -> str:
    """Aliases of aliases, deep nesting, endless numbers: small to write, huge to make."""
    kind = random.randrange(5)
    if kind == 0:
        lines = [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(20)]
        return "\n".join(["a0: &a0 [x, x]", *lines, "version: *a20", "nodes: *a20"])
    if kind == 1:
        lines = [f"a{n + 1}: &a{n + 1}\n  <<: [{', '.join([f'*a{n}'] * 6)}]" for n in range(20)]
        return "\n".join(["a0: &a0 {x: y}", *lines, "nodes: *a20"])
    if kind == 2:
        return random.choice("[{") * random.choice((40, 2000, 100_000))
    if kind == 3:
        return "version: " + random.choice(
            ("1" + ":00" * 5000, "9" * 6000, "1e99999", "0x" + "f" * 9000, "1" + "_" * 9000)
        )
    return "version: &v\n  nodes: *v\nnodes: &n {node01: *n}\n" + "? " * 500
