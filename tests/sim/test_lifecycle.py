"""Members come, are replaced and go: added, dead ones replaced one at a time, decommissioned; engines that die."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from plasmatui.client import EngineError
from plasmatui.inventory.loader import load
from plasmatui.model import wire
from plasmatui.model.operation import AddOrder, DecommissionOrder, OperationRecord, ReplaceOrder
from plasmatui.model.words import Lifecycle, OperationState, PowerAction
from tests.support.operator import Operator, node_of, step_of, told
from tests.support.site import Site, site

NEW_MAC = "3c:ec:ef:00:00:99"
DONE, HELD, FAILED = OperationState.DONE, OperationState.HELD, OperationState.FAILED


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    """Four of five voters run; the fifth and a worker are bare."""
    with site(nodes=6, port=0, on=4, voters=5, speed=40.0) as made:
        text = made.inventory.read_text()
        made.inventory.write_text(text.replace("  node06:", "  # bought last\n  node06:  # the last one"))
        made.engine()
        made.consoles_open(6)
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


def healthy_voters(rack: Site) -> list[set[str]]:
    return [set(filter(group.healthy, group.voters)) for group in rack.rack.rack.cluster.groups.values()]


def whole(rack: Site) -> None:
    """Nobody ever lost the majority, and nobody began a cluster of its own."""
    for group in rack.rack.rack.cluster.groups.values():
        assert (group.losses, group.splits, group.incarnation) == ([], [], 1)


def wipes(rack: Site, node: str) -> int:
    return sum(disk.wipes for disk in rack.rack.rack.nodes[node].machine.disks)


def die(rack: Site, node: str) -> None:
    """A machine loses its power."""

    async def off() -> None:
        rack.rack.rack.machines[node].order(PowerAction.OFF)

    rack.rack.run(off())


def come_back(rack: Site, node: str) -> None:
    """A machine is put in place: its BMC answers, and knows of no session."""

    async def reset() -> None:
        rack.rack.rack.nodes[node].ipmi.cold_reset(pause=False)

    rack.rack.run(reset())
    rack.rack.clear(node)


def other_card(rack: Site, node: str) -> None:
    """Another machine is in the node's place: it has another network card."""
    machine = rack.rack.rack.machines[node]

    async def change() -> None:
        machine.identity = replace(machine.identity, macs=(NEW_MAC,))

    rack.rack.run(change())


def asks(word: str):  # type: ignore[no-untyped-def]
    """Whether the first node asks something that has `word` among its answers."""

    def met(record: OperationRecord) -> bool:
        return record.nodes[0].state is HELD and word in record.nodes[0].answers

    return met


def answer(operator: Operator, number: int, node: str, word: str) -> None:
    operator.ask(wire.ReleaseOperation(number, node, word))


def test_nodes_are_added_to_the_cluster_that_lives(rack: Site, operator: Operator) -> None:
    plan = operator.plan(AddOrder(), "node01", "node05", "node06")
    taken, voter, worker = plan.nodes
    assert "has a member node01 already" in taken.skipped
    assert any("node05 joins by https://node0" in note for note in voter.notes)
    assert [step.id for step in voter.steps][-4:] == ["start-join", "wait-first-boot", "see-health", "see-joined"]
    assert worker.steps[-1].id == "see-listed"
    record = operator.run(AddOrder(), "node05", "node06")
    assert record.state is DONE, told(record)
    assert healthy_voters(rack) == [{f"node0{number}" for number in range(1, 6)}] * 2
    for group in rack.rack.rack.cluster.groups.values():
        assert group.healthy("node06")
        assert "node06" not in group.voters
    whole(rack)


def test_dead_voters_are_replaced_one_at_a_time_by_engines_that_die(rack: Site, operator: Operator) -> None:
    die(rack, "node02")
    rack.rack.fault("node02", "bmc-dead")
    die(rack, "node05")
    first = operator.start(ReplaceOrder(), "node02")
    record = operator.wait(first, "the question whether it is off", asks("off"))
    assert "no answer within" in record.nodes[0].question
    assert step_of(record.nodes[0], "power-off").result == "done"
    other_card(rack, "node05")
    second = operator.start(ReplaceOrder(mac=NEW_MAC), "node05")

    def waits(record: OperationRecord) -> bool:
        return f"node02 is in the hands of operation {first}" in record.nodes[0].message

    operator.wait(second, "its turn", waits)
    groups = rack.rack.rack.cluster.groups.values()
    assert all({"node02", "node05"} <= set(group.members) for group in groups)

    answer(operator, first, "node02", "off")
    operator.wait(first, "the question for the machine", asks("again"))
    assert all("node02" not in group.members for group in groups)
    rack.stop_engine(signal.SIGKILL)
    rack.engine()
    record = operator.wait(first, "the same question of the next engine", asks("again"))
    assert step_of(record.nodes[0], "leave-flaredb").result == "done"
    operator.wait(second, "its turn", waits)
    come_back(rack, "node02")
    answer(operator, first, "node02", "again")
    record = operator.ended(first)
    assert record.state is DONE, told(record)
    assert wipes(rack, "node02") == 1

    record = operator.ended(second)
    assert record.state is DONE, told(record)
    assert load(rack.inventory).nodes["node05"].macs == (NEW_MAC,)
    assert healthy_voters(rack) == [{f"node0{number}" for number in range(1, 6)}] * 2
    whole(rack)


def test_a_healthy_voter_is_replaced_only_when_a_person_wants_it(rack: Site, operator: Operator) -> None:
    plan = operator.plan(ReplaceOrder(), "node03")
    assert any("is a healthy member of chainfire and flaredb" in note for note in plan.nodes[0].notes)
    number = operator.start(ReplaceOrder(), "node03")
    operator.wait(number, "the question", asks("replace"))
    answer(operator, number, "node03", "stop")
    record = operator.ended(number)
    assert record.state is OperationState.CANCELLED, told(record)
    assert "node03" in healthy_voters(rack)[0]


def test_a_worker_is_decommissioned_with_its_guests_moved(rack: Site, operator: Operator) -> None:
    cluster = rack.rack.rack.cluster
    guest = cluster.vms.on("node01")[0].id
    lost = list(cluster.vms.lost)

    async def move() -> None:
        cluster.vms.migrate(guest, "node06")

    rack.rack.run(move())
    plan = operator.plan(DecommissionOrder(), "node06")
    (node,) = plan.nodes
    assert (plan.confirm, plan.phrase) == (3, "node06")
    assert "-  node06:  # the last one" in node.diff
    assert any("nsupdate: update delete node06.sim.example.com. A" in note for note in node.notes)
    assert any("certificate to revoke" in note for note in node.notes)
    record = operator.run(DecommissionOrder(), "node06")
    assert record.state is DONE, told(record)
    assert record.nodes[0].after == "retired"
    assert cluster.vms.on("node06") == []
    assert cluster.vms.lost == lost
    assert all("node06" not in group.members for group in cluster.groups.values())
    assert not rack.rack.rack.machines["node06"].powered
    assert "node06" not in load(rack.inventory).nodes
    assert "node06" not in operator.states()
    events = operator.ask(wire.ListEvents("node06"))
    assert isinstance(events, wire.Events)
    assert any(str(Lifecycle.RETIRED) in line.text for line in events.events)
    with pytest.raises(EngineError, match="node06"):
        operator.plan(DecommissionOrder(), "node06")


def test_voters_are_decommissioned_as_long_as_one_more_may_be_lost(rack: Site, operator: Operator) -> None:
    refused = operator.plan(DecommissionOrder(), "node03", "node04", "node05").refused
    assert "without node03, node04 and node05 2 voters would be left, which may not lose one more" in refused
    told_off = rack.cli("decommission", "node0[3-5]", "--confirm", "decommission 3")
    assert told_off.code == 4, told_off.err
    plan = operator.plan(DecommissionOrder(), "node05")
    assert any("an even number that bears no more losses than 3" in note for note in plan.notes)
    record = operator.run(DecommissionOrder(), "node05")
    assert record.state is DONE, told(record)
    record = operator.run(DecommissionOrder(), "node04")
    assert record.state is DONE, told(record)
    record = operator.run(DecommissionOrder(), "node03")
    assert (node_of(record, "node03").state, node_of(record, "node03").error) == (FAILED, "refused"), told(record)
    assert [step.id for step in record.nodes[0].steps] == ["see-state"]
    assert healthy_voters(rack) == [{"node01", "node02", "node03"}] * 2
    whole(rack)
