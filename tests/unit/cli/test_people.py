"""`plasmatui who|audit|note|lock|unlock`, and roles and locks where orders are given."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from plasmatui.cli.people import _later
from plasmatui.model import wire
from plasmatui.model.event import AuditLine
from plasmatui.model.node import NodeNote
from plasmatui.model.words import Role
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_engine import FakeEngine


def test_who_lists_clients(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("who")
    assert outcome.code == 0
    header, line = outcome.out.splitlines()
    assert header.split() == ["USER", "ROLE", "CLIENT", "TERMINAL", "FROM", "SINCE", "LOOKS", "AT"]
    assert line.split()[:4] == ["anna", "admin", "cli", "pts/3"]
    assert cli("who", "--json").json["clients"][0]["role"] == "admin"


def test_who_without_an_engine_starts_none(cli: Cli) -> None:
    assert cli("who").code == 5


def test_audit_asks_for_what_is_wanted_and_prints_the_oldest_first(cli: Cli, engine: FakeEngine) -> None:
    lines = (
        AuditLine(
            2, 20.0, "anna", "node01", "power on\x1b[31m", "done", 1000, "cli pts/3 from 10.0.0.7", 7, "off", "on"
        ),
        AuditLine(1, 10.0, "", "", "the lock ended", "done"),
    )
    engine.answers[wire.ListAudit] = wire.Audit(lines)
    outcome = cli("audit", "node[01-02]", "--since", "2h", "--user", "anna", "--limit", "5")
    assert outcome.code == 0
    first, second = outcome.out.splitlines()
    assert " engine: the lock ended: done" in first
    assert " anna(1000) [cli pts/3 from 10.0.0.7] node01: power on" in second
    assert second.endswith("off -> on")
    assert "\x1b" not in outcome.out
    (asked,) = engine.asked(wire.ListAudit)
    assert (asked.limit, asked.nodes, asked.user) == (5, ("node01", "node02"), "anna")
    assert abs(asked.since - (time.time() - 7200)) < 60
    assert [line["number"] for line in cli("audit", "--json").json["lines"]] == [1, 2]


def test_notes_are_written_printed_and_cleared(cli: Cli, engine: FakeEngine) -> None:
    engine.states["node01"] = replace(engine.states["node01"], notes=(NodeNote("ben", time.time(), "loud\x1b[2J"),))
    outcome = cli("note", "node01")
    assert outcome.code == 0
    assert outcome.out.rstrip().endswith("ben: loud")
    assert engine.asked(wire.PutNote) == []
    assert cli("note", "node01", "new fan").code == 0
    assert cli("note", "node01", "--clear", "--json").json["nodes"]["node01"]["ok"]
    assert engine.asked(wire.PutNote) == [wire.PutNote("node01", "new fan"), wire.PutNote("node01", "", True)]
    assert cli("note", "node01", "x", "--clear").code == 2


def test_lock_and_unlock(cli: Cli, engine: FakeEngine) -> None:
    assert cli("lock", "node[01-02]", "--reason", "mains", "--until", "2h").out.startswith("node[01-02]: locked until")
    (asked,) = engine.asked(wire.LockNodes)
    assert (asked.nodes, asked.reason) == (("node01", "node02"), "mains")
    assert abs(asked.until - (time.time() + 7200)) < 60
    assert cli("unlock", "node01", "--break-lock").code == 0
    assert engine.asked(wire.UnlockNodes) == [wire.UnlockNodes(("node01",), True)]
    assert cli("lock", "node01").code == 2
    assert cli("lock", "node01", "--reason", "x", "--until", "tomorrow").code == 2
    engine.answers[wire.LockNodes] = wire.Problem("locked", "node01 is locked by ben")
    outcome = cli("lock", "node01", "--reason", "mine")
    assert outcome.code == 4
    assert "locked by ben" in outcome.err


def test_a_time_of_day_that_is_over_is_tomorrows() -> None:
    now = time.time()
    over = time.strftime("%H:%M:%S", time.localtime(now - 5))
    assert now + 80000 < _later(over) < now + 90001


def test_a_role_that_is_too_small_is_said_before_anything_is_asked(cli: Cli, engine: FakeEngine) -> None:
    engine.role = Role.OPERATOR
    outcome = cli("reprovision", "node01", "--yes", "--confirm", "node01")
    assert outcome.code == 4
    assert "needs the role admin, and you are operator here" in outcome.err
    assert cli("power", "on", "node01", "--yes", "--break-lock").code == 4
    assert engine.asked(wire.StartOrder) == []
    assert cli("power", "on", "node01", "--yes").code == 0


@pytest.mark.parametrize("problem", ["role", "locked"])
def test_the_engines_refusal_ends_with_exit_code_4(cli: Cli, engine: FakeEngine, problem: str) -> None:
    engine.answers[wire.StartOrder] = wire.Problem(problem, "not for you")
    outcome = cli("power", "on", "node01", "--yes")
    assert outcome.code == 4
    assert "not for you" in outcome.err


def test_a_lock_of_somebody_else_stops_an_order_unless_it_is_broken(cli: Cli, engine: FakeEngine) -> None:
    engine.locked = "node01 is locked by ben since 10:00: new disk"
    outcome = cli("power", "on", "node01", "--yes")
    assert outcome.code == 4
    assert "locked by ben" in outcome.err
    plan = cli("power", "on", "node01", "--plan", "--json")
    assert plan.code == 4
    assert plan.json["locked"] == engine.locked
    assert engine.asked(wire.StartOrder) == []
    assert cli("power", "on", "node01", "--yes", "--break-lock").code == 0
    assert engine.asked(wire.StartOrder)[0].break_lock
