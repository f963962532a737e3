"""VMs: lists of any kind, where they fit, and when a migration has ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.shapes import Altered, cleaned
from plasmatui.cluster.vms import (
    Capacity,
    Migration,
    Vm,
    choose_targets,
    judge_migration,
    list_vms,
    merged,
    migrate,
    migration,
    parse_vms,
    read_capacities,
)
from tests.unit.cluster.stub import Issuer, Reply, inventory, rig, steady

INVENTORY = inventory({"node01": "10.0.0.1", "node02": "10.0.0.2", "node03": "10.0.0.3"}, {"plasmavmc": 9090}, "")


@pytest.mark.parametrize(
    "body",
    [
        {"vms": [{"id": "vm-1", "node": "node02", "status": "running", "memory": 2048, "cores": 2}]},
        [{"id": "vm-1", "host": "node02.example.com", "state": "running", "memory_mb": 2048, "vcpus": 2}],
        {"vms": {"vm-1": {"node": "10.0.0.2", "status": "running", "memory": 2048, "cores": 2}}},
    ],
)
def test_lists_of_any_shape(body: object) -> None:
    found = parse_vms(cleaned(body), INVENTORY)
    assert found is not None
    vm = found[0]
    assert (vm.id, vm.node, vm.status, vm.memory, vm.cores, vm.present) == ("vm-1", "node02", "running", 2048, 2, True)


def test_fields_may_miss_and_what_has_no_id_cannot_be_named() -> None:
    found = parse_vms(cleaned({"vms": [{"id": "vm-1"}, {"status": "running"}, 7]}), INVENTORY)
    assert found is not None
    assert [(vm.id, vm.node, vm.memory) for vm in found] == [("vm-1", "", None)]
    assert parse_vms(cleaned({"error": "x"}), INVENTORY) is None


def test_a_list_of_one_node_places_its_vms_and_one_of_the_cluster_does_not() -> None:
    a, b = Vm("a"), Vm("b")
    own = merged({"node01": [a], "node02": [b]}, {})
    assert {vm.id: vm.node for vm in own.vms} == {"a": "node01", "b": "node02"}
    assert [vm.id for vm in own.on("node01")] == ["a"]
    whole = merged({"node01": [a, b], "node02": [a, b]}, {})
    assert [vm.node for vm in whole.vms] == ["", ""]


def test_a_vm_that_lists_place_differently_may_be_on_either() -> None:
    told = merged({"node01": [Vm("a", "node01")], "node02": [Vm("a", "node02")]}, {})
    assert [vm.id for vm in told.on("node01")] == [vm.id for vm in told.on("node02")] == ["a"]
    assert judge_migration(told, "a", "node01", "node02").state is Migration.RUNNING


def test_the_largest_first_each_to_the_most_room() -> None:
    vms = [Vm("s", "node01", memory=1000), Vm("l", "node01", memory=8000), Vm("m", "node01", memory=3000)]
    room = [Capacity("node01", 64000), Capacity("node02", 9000), Capacity("node03", 10000)]
    placed = choose_targets(vms, room, vms, {"node01"})
    assert [(move.vm.id, move.target) for move in placed.moves] == [("l", "node03"), ("m", "node02"), ("s", "node02")]
    assert placed.homeless == ()


def test_without_figures_they_spread_by_number() -> None:
    vms = [Vm(f"vm-{i}", "node01") for i in range(4)]
    existing = [*vms, Vm("x", "node02")]
    placed = choose_targets(vms, [Capacity("node02"), Capacity("node03")], existing, {"node01"})
    assert [move.target for move in placed.moves] == ["node03", "node02", "node03", "node02"]


def test_who_has_no_place_is_named_with_why() -> None:
    vms = [Vm("big", "node01", memory=9000, cores=2), Vm("wide", "node01", memory=1, cores=16)]
    room = [Capacity("node02", 8000, 8), Capacity("node03", 90000, 90)]
    placed = choose_targets(vms, room, vms, {"node01", "node03"})
    assert placed.moves == ()
    assert {vm.id: why for vm, why in placed.homeless} == {
        "big": "it needs 9000 MiB and 2 cores, but node02 has 8000 MiB left",
        "wide": "it needs 1 MiB and 16 cores, but node02 has 8 cores left",
    }
    alone = choose_targets(vms, room, vms, {"node01", "node02", "node03"})
    assert {why for _, why in alone.homeless} == {"no other node can take VMs"}


def test_room_that_others_take_or_are_on_their_way_to_take_is_not_there() -> None:
    vm = Vm("a", "node01", memory=4000)
    there = [Vm("b", "node02", memory=3000), Vm("c", "node01", target="node02", memory=2000)]
    gone = [Vm("d", "node02", status="stopped", memory=8000)]
    assert choose_targets([vm], [Capacity("node02", 8000)], [vm, *there], set()).moves == ()
    assert choose_targets([vm], [Capacity("node02", 8000)], [vm, there[0], *gone], set()).moves != ()


def test_an_id_that_was_altered_is_not_moved() -> None:
    vm = Vm(Altered("vm-1"), "node01")
    assert choose_targets([vm], [Capacity("node02")], [vm], set()).homeless == (
        (vm, "its id cannot stand in a request"),
    )


sizes = st.none() | st.integers(0, 9000)
vms_ = st.lists(
    st.builds(Vm, id=st.uuids().map(str), node=st.sampled_from(["node01", "node02", ""]), memory=sizes, cores=sizes),
    max_size=12,
    unique_by=lambda vm: vm.id,
)
rooms = st.lists(
    st.builds(Capacity, node=st.sampled_from(["node01", "node02", "node03", "node04"]), memory=sizes, cores=sizes),
    max_size=4,
    unique_by=lambda each: each.node,
)


@steady
@given(vms_, rooms, st.frozensets(st.sampled_from(["node01", "node02", "node03"])))
def test_every_vm_is_placed_where_it_fits_or_named(
    vms: list[Vm], capacities: list[Capacity], unavailable: frozenset[str]
) -> None:
    placed = choose_targets(vms, capacities, vms, unavailable)
    assert sorted([m.vm.id for m in placed.moves] + [vm.id for vm, _ in placed.homeless]) == sorted(v.id for v in vms)
    by_node = {each.node: each for each in capacities}
    for move in placed.moves:
        assert move.target not in unavailable
        assert move.target != move.vm.node
        room = by_node[move.target]
        arriving = [m.vm for m in placed.moves if m.target == move.target]
        staying = [vm for vm in vms if vm.node == move.target]
        if room.memory is not None and move.vm.memory:
            assert sum(vm.memory or 0 for vm in arriving) <= room.memory - sum(v.memory or 0 for v in staying)
    assert choose_targets(list(reversed(vms)), list(reversed(capacities)), vms, unavailable) == placed


@pytest.mark.parametrize(
    ("vm", "state"),
    [
        (Vm("a", "node02", status="running"), Migration.DONE),
        (Vm("a", "node02", status=""), Migration.DONE),
        (Vm("a", "node01", status="migrating", target="node02"), Migration.RUNNING),
        (Vm("a", "node01", status="running"), Migration.RUNNING),
        (Vm("a", "node02", status="migrating"), Migration.RUNNING),
        (Vm("a", "node01", status="running", error="did not converge"), Migration.FAILED),
        (Vm("a", "node03", status="running"), Migration.FAILED),
        (Vm("a", "node02", status="stopped"), Migration.FAILED),
        (Vm("a", "node02", status="error"), Migration.FAILED),
        (Vm("a", "", status="running"), Migration.UNKNOWN),
        (Vm("b", "node02", status="running"), Migration.UNKNOWN),
    ],
)
def test_a_migration_is_done_only_when_the_target_runs_it(vm: Vm, state: Migration) -> None:
    told = merged({"node03": [vm], "node01": [vm]}, {})
    assert judge_migration(told, "a", "node01", "node02").state is state


def test_silence_is_no_success() -> None:
    assert judge_migration(merged({}, {"node01": "gone"}), "a", "node01", "node02").state is Migration.UNKNOWN


async def test_over_the_api(issuer: Issuer) -> None:
    async with rig(issuer, ("plasmavmc",)) as it:
        place = {"id": "vm-1", "node": "node01", "status": "running", "memory": 2048}
        it.answer("plasmavmc", "GET /api/vms", lambda _: Reply(200, {"vms": [dict(place)]}))
        it.answer("plasmavmc", "POST /api/vms/vm-1/migrate", Reply(202, {}))
        it.answer("plasmavmc", "GET /health", {"status": "healthy", "vms_running": 1, "memory": 65536, "cores": 16})
        it.answer("plasmavmc", "GET /health", Reply(503, {"status": "unhealthy"}), "node03")
        await it.kill("node01")
        told = await list_vms(it.clients, ("node01",))
        assert [vm.id for vm in told.on("node01")] == ["vm-1"]
        assert list(told.unknown) == ["node01"]
        assert await read_capacities(it.clients, ("node01", "node02", "node03")) == (Capacity("node02", 65536, 16, 1),)
        answer = await migrate(it.clients, "vm-1", "node02", ("node01", "node02", "node03"))
        assert (answer.node, answer.status) == ("node02", 202)
        assert it.servers["node02", "plasmavmc"].asked[-1].body == {"target_node": "node02"}
        assert (await migration(it.clients, "vm-1", "node01", "node02")).state is Migration.RUNNING
        place["node"] = "node02"
        assert (await migration(it.clients, "vm-1", "node01", "node02")).state is Migration.DONE
        it.answer("plasmavmc", "POST /api/vms/vm-1/migrate", Reply(409, {"error": "not enough memory"}))
        with pytest.raises(ServiceError, match="HTTP 409: not enough memory"):
            await migrate(it.clients, "vm-1", "node03", ("node02", "node03"))
        assert "POST /api/vms/vm-1/migrate" not in it.asked("node03", "plasmavmc")
        with pytest.raises(ValueError):
            await migrate(it.clients, "../admin", "node03", ("node02",))
