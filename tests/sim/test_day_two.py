"""Operations on a running cluster of a simulated rack: drained with its VMs moved, rolled back, and guarded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from plasmatui.client import EngineError
from plasmatui.model import wire
from plasmatui.model.operation import BootOrder, DrainOrder, PowerOrder, RollbackOrder, UndrainOrder
from plasmatui.model.words import Lifecycle, OperationState, PowerAction
from tests.support.operator import Operator, node_of, step_of, told
from tests.support.site import Site, site

DONE = OperationState.DONE


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    with site(nodes=7, port=0, on=5) as made:
        made.engine()
        made.consoles_open(7)
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


def test_systems_tell_what_they_run_over_ssh(rack: Site, operator: Operator) -> None:
    operator.ask(wire.LookSystems(("node02", "node05"), declared=True))
    snapshot = operator.ask(wire.Watch())
    assert isinstance(snapshot, wire.Snapshot)
    seen = {system.node: system for system in snapshot.systems}
    voter, worker = seen["node02"], seen["node05"]
    assert (voter.problem, voter.drift, voter.failed) == ("", "", ())
    assert voter.active == voter.next == voter.booted != ""
    assert {join.group: join.state for join in voter.joins} == {"chainfire": "joined", "flaredb": "joined"}
    assert worker.joins == ()
    assert worker.differs, "the flake is ahead of the rack"
    journal = operator.ask(wire.AskJournal("node02", "chainfire"))
    assert isinstance(journal, wire.Journal)
    assert any("Cluster join complete" in line for line in journal.lines)
    found = rack.cli("health", "--systems", "--replication", "--json").json()
    assert found["nodes"]["node02"]["system"]["active"] == voter.active
    assert found["replication"]["chainfire"]["ok"], found["replication"]


def test_a_voter_is_drained_and_a_second_one_refused(rack: Site, operator: Operator) -> None:
    cluster = rack.rack.rack.cluster
    before = {vm.id for vm in cluster.vms.on("node01")}
    assert before, "there is something to move"
    plan = operator.plan(DrainOrder(), "node01")
    assert not plan.refused
    assert any("3 of 3 voters healthy" in note for note in plan.notes)
    assert sum("goes to" in note for note in plan.nodes[0].notes) == len(before)
    record = operator.run(DrainOrder(), "node01")
    assert record.state is DONE, told(record)
    assert [step.id for step in record.nodes[0].steps] == [
        "balancer-drain", "move-vms", "stop-plasmavmc", "stop-chainfire", "stop-flaredb",
    ]  # fmt: skip
    assert cluster.vms.on("node01") == []
    assert cluster.vms.lost == []
    assert operator.states()["node01"].lifecycle is Lifecycle.DRAINED
    assert operator.states()["node01"].flags == ("cordoned",)

    refused = operator.plan(DrainOrder(), "node02").refused
    assert "chainfire: 2 of 3 voters healthy (node01" in refused
    assert "2 are needed" in refused
    for order in (DrainOrder(), PowerOrder(PowerAction.CYCLE), RollbackOrder()):
        record = operator.run(order, "node02")
        assert (record.nodes[0].state, record.nodes[0].error) == (OperationState.FAILED, "refused"), told(record)
        assert not [step for step in record.nodes[0].steps if not step.id.startswith("read-")]
    with pytest.raises(EngineError, match="by the cluster's name only"):
        operator.start(DrainOrder(), "node02", override="yes")
    for group in cluster.groups.values():
        assert group.losses == []

    record = operator.run(UndrainOrder(), "node01")
    assert record.state is DONE, told(record)
    assert operator.states()["node01"].lifecycle is Lifecycle.ACTIVE
    assert operator.plan(DrainOrder(), "node02").refused == ""


def test_workers_are_drained_together_and_none_takes_the_others_vms(rack: Site, operator: Operator) -> None:
    cluster = rack.rack.rack.cluster
    record = operator.run(DrainOrder(), "node04", "node05")
    assert record.state is DONE, told(record)
    assert cluster.vms.on("node04") == cluster.vms.on("node05") == []
    assert cluster.vms.lost == []
    assert operator.run(UndrainOrder(), "node04", "node05").state is DONE


def test_a_rollback_is_read_back_with_its_boot_loader(rack: Site, operator: Operator) -> None:
    plan = operator.plan(RollbackOrder(), "node03")
    assert "generation 3 to 2" in plan.nodes[0].notes[0]
    record = operator.run(RollbackOrder(), "node03")
    assert record.state is DONE, told(record)
    assert (record.nodes[0].before, record.nodes[0].after) == ("generation 3", "generation 2")
    system = rack.rack.rack.nodes["node03"].machine.system
    assert system is not None
    assert (system.profile, system.default) == (2, 2)
    assert system.current is system.generations[2].build
    later = operator.run(RollbackOrder(to=3, next_boot=True), "node03")
    assert later.state is DONE, told(later)
    assert (system.profile, system.default) == (3, 3)
    assert system.current is system.generations[2].build, "until it is booted"
    missing = operator.plan(RollbackOrder(to=9), "node03")
    assert "has no generation 9; it has 3, 2, 1" in missing.nodes[0].skipped


def test_voters_take_turns_and_the_quorum_is_never_lost(rack: Site, operator: Operator) -> None:
    cluster = rack.rack.rack.cluster
    plan = operator.plan(RollbackOrder(to=1), "node01", "node02", "node03")
    assert not plan.refused
    assert any("take turns" in note for note in plan.notes)
    record = operator.run(RollbackOrder(to=1), "node01", "node02", "node03")
    assert record.state is DONE, told(record)
    spans = sorted((step_of(node, "choose").begin, node.steps[-1].end) for node in record.nodes)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), "one after the other"
    both = operator.run(DrainOrder(), "node01", "node02")
    assert sorted(node.error for node in both.nodes) == ["", "refused"], told(both)
    out = next(node.node for node in both.nodes if not node.error)
    assert operator.run(UndrainOrder(), out).state is DONE
    assert all(group.losses == [] for group in cluster.groups.values())


def test_a_slow_bmc_does_not_hide_the_boot_that_it_began(rack: Site, operator: Operator) -> None:
    """The override is set seconds before the power is switched: the boot is the order's all the same."""
    rack.rack.fault("node07", "bmc-latency=700")
    number = operator.start(BootOrder(), "node07")
    operator.wait(number, "the power", lambda record: any(step.id == "power-up" for step in record.nodes[0].steps))
    rack.rack.clear("node07")
    record = operator.ended(number)
    assert record.state is DONE, told(record)
    begun = {step.id: step.begin for step in node_of(record, "node07").steps}
    assert begun["power-up"] - begun["set-boot"] > 2.0, "else nothing was tried"


def test_nodes_are_booted_to_the_installer_or_told_why_not(rack: Site, operator: Operator) -> None:
    rack.rack.fault("node07", "kernel-missing")
    record = operator.run(BootOrder(), "node06", "node07")
    good, bad = node_of(record, "node06"), node_of(record, "node07")
    assert (good.state, good.after) == (DONE, "installer"), told(record)
    assert (bad.state, bad.error) == (OperationState.FAILED, "kernel-missing")
    assert any("404" in line for line in bad.evidence)
    assert "ssh-ready" in [span["stage"] for span in _stages(rack, "node06")]


def _stages(rack: Site, node: str) -> list[dict[str, str]]:
    boots = rack.cli("timeline", node, "--json").json()["nodes"][node]["boots"]
    return [span for span in boots[0]["stages"] if span["state"] == "done"]


def test_a_host_key_that_no_console_showed_is_for_a_person_to_believe(rack: Site, operator: Operator) -> None:
    rack.rack.clear("node07")
    rack.rack.fault("node07", "console-silent")
    number = operator.start(BootOrder(), "node07")
    record = operator.wait(number, "the question", lambda record: record.nodes[0].state is OperationState.HELD, 75.0)
    host = rack.rack.rack.nodes["node07"].machine.host
    assert host is not None
    assert host.fingerprint().split()[1] in record.nodes[0].question
    assert record.nodes[0].answers == ("trust", "stop")
    operator.ask(wire.ReleaseOperation(number, "node07", "trust"))
    ended = operator.ended(number)
    assert ended.state is DONE, told(ended)
