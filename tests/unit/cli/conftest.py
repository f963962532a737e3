"""A fake engine beside an inventory file, and a way to run a command line as the program does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plasmatui.cli.main import run
from tests.unit.cli.fake_engine import FakeEngine


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def inventory(private_directories: Path) -> Path:
    path = private_directories / "inventory.yaml"
    path.write_text("version: 1\ncluster: {name: lab}\nnodes: {}\n")
    return path


@pytest.fixture
def engine(inventory: Path) -> Iterator[FakeEngine]:
    with FakeEngine(inventory) as fake:
        yield fake


@pytest.fixture
def cli(inventory: Path, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run `plasmatui -i INVENTORY arguments...` in this process."""

    def call(*arguments: str) -> Outcome:
        code = run(["-i", str(inventory), *arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
