"""The engine is killed in every step of an installation: the next one goes on, and no disk is wiped twice."""

from __future__ import annotations

import signal

import pytest

from plasmatui.model import wire
from plasmatui.model.operation import BootOrder, InstallOrder, OperationRecord, ProvisionOrder
from plasmatui.model.words import OperationState, StepResult
from tests.support.operator import Operator, node_of, step_of, told
from tests.support.site import Site, site

STEPS = (
    "check-flake", "build", "check-secrets", "check-installer", "check-disks", "disko", "install", "reboot",
    "wait-system", "check-system",
)  # fmt: skip
"""Every step of an installation; `mount` is for a further try alone."""


def under_way(step: str):  # type: ignore[no-untyped-def]
    """Whether an operation is in this step; those that last a moment count when they are just over."""

    def met(record: OperationRecord) -> bool:
        found = step_of(record.nodes[0], step)
        return found is not None

    return met


def wipes(rack: Site, node: str) -> int:
    return sum(disk.wipes for disk in rack.rack.rack.nodes[node].machine.disks)


@pytest.mark.timeout(600)
def test_an_engine_killed_in_any_step_of_an_installation_is_followed_by_one_that_goes_on() -> None:
    nodes = [f"node{number:02}" for number in range(2, 2 + len(STEPS))]
    with site(nodes=len(nodes) + 1, port=0, on=1) as rack:
        rack.engine()
        rack.consoles_open(len(nodes) + 1)
        operator = Operator(rack)
        booted = operator.run(BootOrder(), *nodes)
        assert booted.state is OperationState.DONE, told(booted)
        for step, node in zip(STEPS, nodes, strict=True):
            number = operator.start(InstallOrder(), node)
            operator.wait(number, f"{node} in {step}", under_way(step))
            rack.stop_engine(signal.SIGKILL)
            rack.engine()
            record = operator.ended(number)
            part = node_of(record, node)
            assert part.state is OperationState.DONE, f"killed in {step}: {told(record)}"
            assert wipes(rack, node) == 1, f"killed in {step}"
            assert step_of(part, "disko").result is StepResult.DONE


def test_consoles_of_a_dead_engine_are_taken_back_at_once() -> None:
    """Otherwise a BMC holds them for a minute, and the fingerprint of a booting installer is lost with what it says."""
    with site(nodes=2, port=0, on=0, speed=4.0) as rack:
        rack.engine()
        rack.consoles_open(2)
        operator = Operator(rack)
        number = operator.start(ProvisionOrder(), "node01")
        operator.wait(number, "the boot", under_way("wait-installer"))
        rack.stop_engine(signal.SIGKILL)
        rack.engine()
        record = operator.ended(number)
        assert record.state is OperationState.DONE, told(record)
        assert wipes(rack, "node01") == 1
        rack.consoles_open(2)
        events = operator.ask(wire.ListEvents("node02"))
        assert isinstance(events, wire.Events)
        assert any("taken back" in line.text for line in events.events)
