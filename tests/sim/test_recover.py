"""One node is mended with the smallest thing that does, and what would delete data is named, not done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from plasmatui.model.operation import OperationRecord, RecoverOrder
from plasmatui.model.words import OperationState, PowerAction, StepResult
from plasmatui.sim.system import InstalledSystem
from tests.support.operator import Operator, told
from tests.support.site import Site, site, wait_for

DONE, FAILED = OperationState.DONE, OperationState.FAILED


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    with site(nodes=3, port=0, on=3, speed=40.0) as made:
        made.engine()
        made.consoles_open(3)
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


def do(rack: Site, what) -> None:  # type: ignore[no-untyped-def]
    """Something that the rack's own loop must do."""

    async def run() -> None:
        what()

    rack.rack.run(run())


def cures(record: OperationRecord) -> list[str]:
    """The acts that were done, in order."""
    acts = ("power-on", "restart-units", "reboot", "choose", "activate")
    return [step.id for step in record.nodes[0].steps if step.id in acts and step.result is StepResult.DONE]


def test_a_node_that_is_well_is_left_alone(rack: Site, operator: Operator) -> None:
    plan = operator.plan(RecoverOrder(), "node01")
    assert "node01 is well: power: on; SSH: answers; services: healthy" in plan.nodes[0].skipped


def test_units_that_failed_are_started(rack: Site, operator: Operator) -> None:
    machine = rack.rack.rack.machines["node02"]
    assert machine.system is not None
    do(rack, lambda: machine.system.units.fail("chainfire"))
    plan = operator.plan(RecoverOrder(), "node02")
    notes = " ".join(plan.nodes[0].notes)
    assert "units that do not run: chainfire.service" in notes
    assert "what may do: starting its units" in notes
    record = operator.run(RecoverOrder(), "node02")
    assert record.state is DONE, told(record)
    assert cures(record) == ["restart-units"]
    assert all(group.healthy("node02") for group in rack.rack.rack.cluster.groups.values())


def test_a_node_that_is_off_is_switched_on(rack: Site, operator: Operator) -> None:
    machine = rack.rack.rack.machines["node02"]
    do(rack, lambda: machine.order(PowerAction.OFF))
    record = operator.run(RecoverOrder(), "node02")
    assert record.state is DONE, told(record)
    assert cures(record) == ["power-on"]
    assert record.nodes[0].after == "well after: power-on"


def test_a_node_that_hangs_is_booted(rack: Site, operator: Operator) -> None:
    machine = rack.rack.rack.machines["node03"]
    rack.rack.fault("node03", "generation-unbootable=0")
    do(rack, lambda: machine.order(PowerAction.CYCLE))
    wait_for("the emergency", lambda: machine.powered and machine.host is None)
    wait_for("the boot that stopped", lambda: operator.boots("node03")[0].outcome == "stopped")
    rack.rack.clear("node03")
    record = operator.run(RecoverOrder(), "node03")
    assert record.state is DONE, told(record)
    assert cures(record) == ["reboot"]


def test_a_system_whose_services_do_not_come_up_goes_back_to_the_one_before(rack: Site, operator: Operator) -> None:
    machine = rack.rack.rack.machines["node02"]
    system = machine.system
    assert system is not None
    broken = system.profile
    flawed = system.generations[broken].build

    def spoil(run: InstalledSystem | None) -> None:
        if run is None:
            return
        units = run.units

        def changed(unit: str, active: bool) -> None:
            if unit == "chainfire.service" and active and run.current is flawed:
                asyncio.get_running_loop().call_soon(units.fail, unit)

        units.on_change(changed)

    def begin() -> None:
        machine.on_system(spoil)
        spoil(system)
        system.units.fail("chainfire")

    do(rack, begin)
    record = operator.run(RecoverOrder(), "node02")
    assert record.state is DONE, told(record)
    assert cures(record) == ["restart-units", "reboot", "choose", "activate"]
    assert system.profile == broken - 1


def test_what_only_a_person_may_do_is_named_and_not_done(rack: Site, operator: Operator) -> None:
    rack.rack.fault("node01", "ssh-refused")
    record = operator.run(RecoverOrder(), "node01")
    assert (record.nodes[0].state, record.nodes[0].error) == (FAILED, "not-recovered"), told(record)
    assert "plasmatui console node01" in record.nodes[0].message
    assert cures(record) == [], "its services are well, and a boot would harm them"
    rack.rack.clear("node01")

    cluster = rack.rack.rack.cluster
    do(rack, lambda: [group.remove("node03", cluster.now()) for group in cluster.groups.values()])
    record = operator.run(RecoverOrder(), "node03")
    assert (record.nodes[0].state, record.nodes[0].error) == (FAILED, "not-recovered"), told(record)
    assert "plasmatui replace node03, which wipes its disks" in record.nodes[0].message
    assert cures(record) == []
    assert sum(disk.wipes for disk in rack.rack.rack.nodes["node03"].machine.disks) == 0
