"""From bare machines to members of a cluster: provisioned together, joined later, provisioned again; what may fail."""

from __future__ import annotations

import pytest

from plasmatui.model import wire
from plasmatui.model.operation import Pace, ProvisionOrder, ReprovisionOrder
from plasmatui.model.words import Lifecycle, OperationState
from tests.support.operator import Operator, node_of, told
from tests.support.site import Site, site, wait_for

DONE, FAILED = OperationState.DONE, OperationState.FAILED
VOTERS = ("node01", "node02", "node03")


def wipes(rack: Site, node: str) -> int:
    """How often the disks of a node were wiped."""
    return sum(disk.wipes for disk in rack.rack.rack.nodes[node].machine.disks)


def done_stages(operator: Operator, node: str) -> set[str]:
    """Stages of the last boots of a node that were seen to be done."""
    return {str(span.stage) for boot in operator.boots(node) for span in boot.stages if span.state == "done"}


def test_three_bare_nodes_become_a_cluster_and_a_fourth_joins() -> None:
    with site(nodes=4, port=0, on=0) as rack:
        rack.engine()
        rack.consoles_open(4)
        operator = Operator(rack)
        plan = operator.plan(ProvisionOrder(), *VOTERS)
        assert (plan.confirm, plan.phrase, plan.refused) == (3, "wipe 3", "")
        assert all(disk.name.startswith("/dev/disk/by-id/") for node in plan.nodes for disk in node.disks)
        record = operator.run(ProvisionOrder(), *VOTERS)
        assert record.state is DONE, told(record)
        cluster = rack.rack.rack.cluster
        for group in cluster.groups.values():
            assert {member for member in group.voters if group.healthy(member)} == set(VOTERS)
            assert group.losses == []
        assert [wipes(rack, node) for node in VOTERS] == [1, 1, 1]
        assert all(operator.states()[node].lifecycle is Lifecycle.ACTIVE for node in VOTERS)
        wanted = {"installer-up", "ssh-ready", "disko", "closure-copy", "bootloader", "disk-boot", "voter"}
        wait_for("every stage in the timelines", lambda: wanted <= done_stages(operator, "node01"))

        fourth = operator.run(ProvisionOrder(), "node04")
        assert fourth.state is DONE, told(fourth)
        assert operator.states()["node04"].lifecycle is Lifecycle.ACTIVE
        assert all(group.healthy("node04") for group in cluster.groups.values()), "a member without a vote"

        again = operator.run(ReprovisionOrder(), "node02")
        assert again.state is DONE, told(again)
        assert wipes(rack, "node02") == 2
        for group in cluster.groups.values():
            assert group.splits == []
            assert group.losses == []
            assert {member for member in group.voters if group.healthy(member)} == set(VOTERS)


FAULTS = {
    "node04": ("install-flake-missing", "install-flake-missing", "check-flake"),
    "node05": ("", "secrets", "check-secrets"),
    "node06": ("kernel-missing", "kernel-missing", "wait-installer"),
    "node07": ("ssh-refused", "ssh-refused", "wait-ssh"),
    "node08": ("not-an-installer", "not-an-installer", "check-installer"),
    "node09": ("disko-device-missing", "disko-device-missing", "check-disks"),
    "node10": ("install-no-space", "install-no-space", "install"),
    "node11": ("power-lost", "install-copy-failed", "install"),
    "node12": ("bootloader-failed", "bootloader-failed", "install"),
    "node03": ("join-refused", "join-refused", "wait-first-boot"),
}
"""By node: the rack's fault ("": its secrets are open to others), what it must fail with, and in which step."""


def test_each_failure_has_its_finding_and_a_further_try_works() -> None:
    with site(nodes=12, port=0, on=2) as rack:
        for node, (fault, _, _) in FAULTS.items():
            if fault:
                rack.rack.fault(node, fault)
        secrets = rack.inventory.parent / "secrets" / "node05"
        secrets.chmod(0o755)
        rack.engine()
        rack.consoles_open(12)
        operator = Operator(rack)
        record = operator.run(ProvisionOrder(), *FAULTS)
        for node, (_, finding, step) in FAULTS.items():
            part = node_of(record, node)
            assert (part.state, part.error, part.steps[-1].id) == (FAILED, finding, step), told(record)
            assert node in part.message
        untouched = [node for node, (_, _, step) in FAULTS.items() if wipes(rack, node) == 0]
        assert untouched == ["node04", "node05", "node06", "node07", "node08", "node09"]
        assert any("error" in line for line in node_of(record, "node10").evidence)
        assert f"chmod 700 {secrets}" in node_of(record, "node05").message
        secrets.chmod(0o700)

        for node in FAULTS:
            rack.rack.clear(node)
        reply = operator.ask(wire.RetryOperation(record.number))
        assert isinstance(reply, wire.OperationReply)
        again = operator.ended(reply.operation.number)
        assert again.state is DONE, told(again)
        assert {node: wipes(rack, node) for node in FAULTS} == dict.fromkeys(FAULTS, 1), "nothing is wiped twice"


BAD = {
    "node05": "kernel-missing",
    "node17": "disko-device-missing",
    "node29": "install-no-space",
    "node33": "install-flake-missing",
    "node48": "no-dhcp-answer",
    "node61": "bootloader-failed",
}


@pytest.mark.timeout(600)
def test_sixty_four_nodes_and_six_that_fail() -> None:
    """Sixteen at once; nothing waits for those that fail."""
    nodes = [f"node{number:02}" for number in range(1, 65)]
    with site(nodes=64, port=0, on=0, speed=10.0) as rack:  # a first boot waits two minutes of the rack for its peers
        for node, fault in BAD.items():
            rack.rack.fault(node, fault)
        rack.engine()
        rack.consoles_open(64)
        operator = Operator(rack)
        number = operator.start(ProvisionOrder(), *nodes, pace=Pace(16))
        record = operator.ended(number, 500.0)
        failed = {node.node: node.error for node in record.nodes if node.state is not DONE}
        assert failed == BAD, told(record)
        assert all(node.message for node in record.nodes if node.node in BAD)
        most = max(
            sum(other.steps[0].begin <= node.steps[0].begin < other.steps[-1].end for other in record.nodes)
            for node in record.nodes
        )
        assert most == 16
        cluster = rack.rack.rack.cluster
        assert all(group.losses == [] for group in cluster.groups.values())
        assert sum(wipes(rack, node) for node in nodes) == 64 - 4, "two fail after their disks were wiped"
