"""Inputs that are right, from the tests' data."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.fuzz.mutate import LIMIT

DATA: Final = Path(__file__).parents[2] / "data"


def logs(name: str) -> list[bytes]:
    """The server logs whose file names begin so; a long one as several inputs."""
    return [piece for path in sorted((DATA / "logs").glob(f"{name}*")) for piece in _pieces(path.read_bytes())]


def consoles() -> list[bytes]:
    """The raw bytes of serial consoles."""
    return [piece for path in sorted((DATA / "consoles").iterdir()) for piece in _pieces(path.read_bytes())]


def _pieces(data: bytes) -> list[bytes]:
    return [data[place : place + LIMIT // 2] for place in range(0, len(data), LIMIT // 2)]
