"""Rolling updates of a simulated cluster: all well, a bad build, no network, a kernel that panics, a dead engine."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from plasmatui.model import wire
from plasmatui.model.operation import OperationRecord, UpdateOrder
from plasmatui.model.words import Lifecycle, OperationState, RebootRule
from plasmatui.sim import toyflake
from plasmatui.sim.steps import KERNEL
from plasmatui.sim.system import InstalledSystem
from tests.support.operator import Operator, node_of, step_of, told
from tests.support.site import Site, site, wait_for

DONE, FAILED, CANCELLED = OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED
VOTERS = ("node01", "node02", "node03")
SPEED = 60.0


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    with site(nodes=12, port=0, on=12, speed=SPEED) as made:
        made.engine()
        made.consoles_open(12)
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


def system_of(rack: Site, node: str) -> InstalledSystem:
    disk = rack.rack.rack.nodes[node].machine.system_disk
    assert disk is not None
    assert disk.system is not None
    return disk.system


def release(rack: Site, day: int, kernel: str = KERNEL) -> str:
    """Change the flake for all nodes; the version that they get now."""
    directory = rack.rack.rack.provisioning.flake
    flake = toyflake.load(directory)
    flake.version, flake.kernel = f"25.05.202512{day:02}.aaaaaaa", kernel
    toyflake.save(directory, flake)
    return flake.version


def workers(rack: Site, *, uefi: bool) -> list[str]:
    """Workers with systemd-boot (UEFI), or with GRUB."""
    machines = rack.rack.rack.machines
    return [name for name, machine in machines.items() if machine.identity.uefi is uefi and name not in VOTERS]


def quorum_kept(rack: Site) -> bool:
    return all(group.losses == [] for group in rack.rack.rack.cluster.groups.values())


def spans(record: OperationRecord, nodes: tuple[str, ...]) -> list[tuple[float, float]]:
    """From the first disturbance of each node to its end."""
    found = (node_of(record, node) for node in nodes)
    return sorted((step_of(node, "arm").begin, node.steps[-1].end) for node in found)


def one_by_one(found: list[tuple[float, float]]) -> bool:
    return all(end <= begin for (_, end), (begin, _) in itertools.pairwise(found))


def test_workers_go_in_batches_behind_a_canary_and_voters_one_by_one(rack: Site, operator: Operator) -> None:
    version = release(rack, 1)
    names = tuple(rack.rack.rack.nodes)
    order = UpdateOrder(batch=8, settle=30, confirm=600)
    plan = operator.plan(order, *names)
    notes = {node.node: node.notes for node in plan.nodes}
    assert "node04: wave 1 of 5, alone: the canary" in notes["node04"]
    assert any(
        "leads chainfire" in note and "no call to hand leadership over" in note
        for each in notes.values()
        for note in each
    )
    record = operator.run(order, *names)
    assert record.state is DONE, told(record)
    assert [node.after for node in record.nodes] == ["generation 4"] * 12
    for name in names:
        system = system_of(rack, name)
        assert system.current is not None
        assert (system.current.version, system.profile, system.default) == (version, 4, 4), name
    assert one_by_one(spans(record, VOTERS))
    workers = names[3:]
    canary, others = spans(record, workers[:1])[0], spans(record, workers[1:])
    assert canary[1] <= others[0][0]
    assert not one_by_one(others), "workers of a batch go together"
    assert others[-1][1] <= spans(record, VOTERS)[0][0]
    last = max(VOTERS, key=lambda node: step_of(node_of(record, node), "arm").begin)
    assert last in plan.order.leaders  # type: ignore[union-attr]
    assert all(step_of(node, "check-reboot").message == "nothing that a reboot changes" for node in record.nodes)
    assert quorum_kept(rack)
    assert rack.rack.rack.cluster.vms.lost == []
    states = operator.states()
    assert {states[name].lifecycle for name in names} == {Lifecycle.ACTIVE}
    again = operator.run(order, "node01", "node04")
    assert {node.message for node in again.nodes} == {"it runs this system already"}


def test_a_bad_build_goes_back_by_itself_and_the_rest_is_not_begun(rack: Site, operator: Operator) -> None:
    release(rack, 2)
    order = UpdateOrder(settle=4, confirm=600)
    leaders = operator.plan(order, *VOTERS).order.leaders  # type: ignore[union-attr]
    first = next(node for node in VOTERS if node not in leaders)
    rack.rack.fault(first, "update-unhealthy")
    before = system_of(rack, first).profile
    record = operator.run(order, *VOTERS)
    rack.rack.clear(first)
    assert record.state is FAILED, told(record)
    bad = node_of(record, first)
    assert (bad.state, bad.error) == (FAILED, "service-silent"), told(record)
    assert f"it went back to generation {before} and is as before" in bad.message
    assert "chainfire" in " ".join(bad.evidence)
    rest = [node for node in record.nodes if node.node != first]
    assert all(node.state is CANCELLED and f"not begun, since {first} failed" in node.message for node in rest), told(
        record
    )
    assert all(step_of(node, "arm") is None for node in rest)
    system = system_of(rack, first)
    assert system.current is system.generations[before].build
    assert (system.profile, system.default) == (before, before)
    assert quorum_kept(rack)


def test_a_node_whose_network_dies_comes_back_by_itself(rack: Site, operator: Operator) -> None:
    release(rack, 3)
    rack.rack.fault("node05", "update-unreachable")
    machine = rack.rack.rack.machines["node05"]
    orders, boots = machine.counters.orders, machine.counters.boots
    record = operator.run(UpdateOrder(settle=30, confirm=120), "node05")
    rack.rack.clear("node05")
    part = record.nodes[0]
    assert (part.state, part.error) == (FAILED, "ssh-lost"), told(record)
    assert "went back by itself" in part.message
    assert "is as before" in part.message
    assert (machine.counters.orders, machine.counters.boots) == (orders, boots), "nobody had to touch it"
    system = system_of(rack, "node05")
    assert system.current is system.generations[system.profile].build


@pytest.mark.parametrize("uefi", [True, False], ids=["systemd-boot", "grub"])
def test_a_kernel_that_panics_is_left_by_the_bmc_for_the_old_generation(
    rack: Site, operator: Operator, *, uefi: bool
) -> None:
    name = workers(rack, uefi=uefi)[1]
    release(rack, 4, f"6.12.9{uefi:d}")
    rack.rack.fault(name, "update-panics")
    before = system_of(rack, name).profile
    record = operator.run(UpdateOrder(settle=30, confirm=600), name)
    rack.rack.clear(name)
    part = record.nodes[0]
    assert (part.state, part.error) == (FAILED, "kernel-panic"), told(record)
    assert f"it went back to generation {before} and is as before" in part.message, told(record)
    assert step_of(part, "power-cycle") is not None
    system = system_of(rack, name)
    assert system.booted is system.current is system.generations[before].build
    assert (system.profile, system.default) == (before, before)


def _begun(step: str, record: OperationRecord) -> bool:
    return any(step_of(node, step) is not None for node in record.nodes)


def test_a_build_that_fails_leaves_every_node_alone(rack: Site, operator: Operator) -> None:
    release(rack, 6)
    rack.rack.fault("node06", "build-fails")
    record = operator.run(UpdateOrder(batch=4), "node05", "node06", "node01")
    rack.rack.clear("node06")
    assert record.state is FAILED, told(record)
    assert (node_of(record, "node06").state, node_of(record, "node06").error) == (FAILED, "build-failed")
    others = [node_of(record, name) for name in ("node05", "node01")]
    assert all(node.state is CANCELLED and "not begun, since node06 failed" in node.message for node in others)
    assert not [step for node in record.nodes for step in node.steps if step.id in ("balancer-drain", "arm", "test")]


def test_a_cancel_brings_what_was_begun_to_its_end(rack: Site, operator: Operator) -> None:
    version = release(rack, 7, "6.12.92")
    number = operator.start(UpdateOrder(reboot=RebootRule.NEVER, settle=60, confirm=1200), "node04", "node05")
    operator.wait(number, "the activation", partial(_begun, "test"))
    operator.ask(wire.CancelOperation(number))
    record = operator.ended(number)
    assert record.state is CANCELLED, told(record)
    begun, waiting = node_of(record, "node04"), node_of(record, "node05")
    assert (begun.state, begun.message) == (DONE, "its kernel takes a reboot"), told(record)
    assert waiting.state is CANCELLED
    system = system_of(rack, "node04")
    assert system.current is not None
    assert system.current.version == system.generations[system.default].build.version == version
    assert system.booted is not system.current


def test_a_voter_keeps_its_new_system_when_the_guard_refuses_the_reboot(rack: Site, operator: Operator) -> None:
    version = release(rack, 8, "6.12.93")
    number = operator.start(UpdateOrder(settle=60, confirm=1200), "node01")
    operator.wait(number, "the step before the reboot", partial(_begun, "boot-once"))
    rack.rack.fault("node02", "raft-lagging")
    record = operator.ended(number)
    rack.rack.clear("node02")
    part = record.nodes[0]
    assert (part.state, part.error) == (FAILED, "refused"), told(record)
    assert "waits for its reboot" in part.message
    system = system_of(rack, "node01")
    assert system.current is not None
    assert system.current.version == system.generations[system.default].build.version == version
    assert system.booted is not system.current
    assert quorum_kept(rack)


def test_a_way_back_that_was_taken_without_an_engine_is_followed_by_another_trial(
    rack: Site, operator: Operator
) -> None:
    version = release(rack, 9)
    old = system_of(rack, "node06").current
    number = operator.start(UpdateOrder(settle=60, confirm=400), "node06")
    wait_for("the trial", lambda: system_of(rack, "node06").current is not old, 90)
    rack.stop_engine(signal.SIGKILL)  # before it looks at the trial once more
    wait_for("the way back", lambda: system_of(rack, "node06").current is old, 90)
    rack.engine()
    record = operator.ended(number)
    assert record.state is DONE, told(record)
    current = system_of(rack, "node06").current
    assert current is not None
    assert current.version == version


@pytest.mark.timeout(300)
def test_an_engine_killed_in_the_middle_is_followed_by_one_that_goes_on(rack: Site, operator: Operator) -> None:
    version = release(rack, 5, "6.12.91")
    names = workers(rack, uefi=True)[:2]
    number = operator.start(UpdateOrder(batch=2, settle=60, confirm=1200), *names)
    for step in ("arm", "test", "boot-once", "reboot", "switch"):
        operator.wait(number, step, partial(_begun, step))
        rack.stop_engine(signal.SIGKILL)
        rack.engine()
    record = operator.ended(number)
    assert record.state is DONE, told(record)
    for name in names:
        system = system_of(rack, name)
        assert system.booted is system.current is system.generations[system.profile].build
        assert system.current.version == version
        assert system.default == system.profile
        assert [each.build.version for each in system.generations.values()].count(version) == 1
    assert rack.rack.rack.cluster.vms.lost == []
