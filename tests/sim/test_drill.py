"""Fire drills: every fault that a drill may choose is found by the engine, under the name that the drill expects."""

from __future__ import annotations

from random import Random

import pytest

from plasmatui.model.findings import FINDINGS
from plasmatui.sim.drill import BOOT_FAULTS, RUNNING_FAULTS, Drill, Score, begin, choose, finish
from plasmatui.sim.faults import CATALOGUE
from plasmatui.sim.rack import Rack, RackOptions


def test_faults_and_findings_of_drills_exist() -> None:
    assert set(BOOT_FAULTS) | set(RUNNING_FAULTS) <= set(CATALOGUE)
    assert set(BOOT_FAULTS) | set(RUNNING_FAULTS.values()) <= set(FINDINGS)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("node05 kernel-missing", ""),
        ("kernel-missing  node05", ""),
        ("node05 initrd-missing", "node05 it is, but that is not its trouble"),
        ("node06 kernel-missing", "kernel-missing it is, but on another node"),
        ("node06 initrd-missing", "neither the node nor the finding is right"),
    ],
)
def test_answers(answer: str, problem: str) -> None:
    drill, score = Drill("node05", "kernel-missing", "kernel-missing", ("node05", "node06")), Score()
    assert score.judge(drill, answer) == problem
    assert len(score.wrong) == bool(problem)
    assert [*drill.hints()][1] == "it is node05"


async def test_a_drill_breaks_one_node_and_is_mended_afterwards() -> None:
    async with Rack(RackOptions(nodes=6, on=3, speed=200)) as rack:
        seen = set()
        for seed in range(40):
            drill = choose(rack, Random(seed))
            assert drill is not None
            assert drill == choose(rack, Random(seed)), "another one of the same seed"
            assert drill.node in drill.nodes
            seen.add(drill.boots)
            if seed < 4:
                await begin(rack, drill)
                assert [name for name, machine in rack.machines.items() if machine.faults.names()] == [drill.node]
                await finish(rack, drill)
                assert not rack.machines[drill.node].faults.names()
        assert seen == {True, False}


async def test_a_rack_without_a_free_machine_has_no_drill() -> None:
    async with Rack(RackOptions(nodes=1, on=0, faults={"node01": "bmc-dead"})) as rack:
        assert choose(rack, Random(1)) is None
