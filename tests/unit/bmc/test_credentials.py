"""Passwords that many BMCs share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plasmatui.bmc import credentials
from plasmatui.bmc.credentials import reveal
from plasmatui.inventory.secrets import Secret, SecretError


def counting(path: Path, then: str = "echo secret") -> Secret:
    return Secret(command=("sh", "-c", f"echo x >> {path}; {then}"))


async def test_a_command_is_run_once_for_all_who_ask_together(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    secret = counting(runs)
    assert await asyncio.gather(*(reveal(secret) for _ in range(50))) == ["secret"] * 50
    assert runs.read_text() == "x\n"


async def test_a_failure_is_told_to_all_and_soon_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = counting(tmp_path / "runs", "exit 3")
    results = await asyncio.gather(reveal(secret), reveal(secret), return_exceptions=True)
    assert all(isinstance(result, SecretError) and "code 3" in str(result) for result in results)
    monkeypatch.setattr(credentials, "SHARED", 0.0)
    with pytest.raises(SecretError):
        await reveal(secret)
    assert (tmp_path / "runs").read_text() == "x\nx\n"


async def test_one_who_gives_up_does_not_take_it_from_the_others(tmp_path: Path) -> None:
    secret = counting(tmp_path / "runs", "sleep 0.2; echo secret")
    first = asyncio.create_task(reveal(secret), name="first")
    second = asyncio.create_task(reveal(secret), name="second")
    await asyncio.sleep(0.05)
    first.cancel()
    assert await second == "secret"
    assert first.cancelled()


async def test_a_literal_needs_no_thread() -> None:
    assert await reveal(Secret(literal="x")) == "x"
