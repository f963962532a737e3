"""From bare machines to members of a cluster: provisioned together, joined later, provisioned again; what may fail."""

from __future__ import annotations

from plasmatui.model.operation import ProvisionOrder, ReprovisionOrder
from plasmatui.model.words import Lifecycle, OperationState
from tests.support.operator import Operator, told
from tests.support.site import Site, site, wait_for

DONE, FAILED, HELD = OperationState.DONE, OperationState.FAILED, OperationState.HELD
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

        again = operator.run(ReprovisionOrder(), "node02")
        assert again.state is DONE, told(again)
        assert wipes(rack, "node02") == 2
        for group in cluster.groups.values():
            assert group.losses == []
            assert {member for member in group.voters if group.healthy(member)} == set(VOTERS)
