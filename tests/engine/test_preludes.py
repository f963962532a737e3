"""What we did to a machine, joined with the boot that follows: orders that fail, power cycles, and orders in a row."""

from __future__ import annotations

import time

import msgspec
import pytest

from plasmatui.engine.preludes import Preludes
from plasmatui.inventory.inventory import Inventory
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.event import PowerSeen
from plasmatui.model.operation import PowerOrder
from plasmatui.model.words import Power, PowerAction, Stage
from tests.engine.bootserver import S, Server, boots, following, stage
from tests.engine.conftest import Start, until

TOLD = Evidence("operation 1", 0, "power on")


def heard(number: int, begin: float) -> BootTimeline:
    """A boot as the logs and the console tell it."""
    span = StageSpan(S.FIRMWARE, begin, None, "running")
    return BootTimeline("n1", number, begin, None, "running", (span,))


def told(preludes: Preludes, boot: BootTimeline | None) -> tuple[int, list[tuple[Stage, str]], str]:
    whole = preludes.complete("n1", boot)
    assert whole is not None
    return whole.number, [(span.stage, span.state) for span in whole.stages], whole.outcome


def test_an_order_that_failed_is_a_boot_that_stopped_and_the_next_order_takes_its_place() -> None:
    preludes = Preludes()
    preludes.power("n1", 100.0, TOLD, 0, on=False)
    assert told(preludes, None) == (1, [(S.POWERING_ON, "running")], "running")
    preludes.failed("n1", Evidence("operation 1", 0, "n1 is off"))
    assert told(preludes, None) == (1, [(S.POWERING_ON, "failed")], "stopped")
    preludes.power("n1", 130.0, TOLD, 1, on=False)
    assert told(preludes, None) == (1, [(S.POWERING_ON, "running")], "running")
    preludes.power("n1", 131.0, TOLD, 1, on=True)
    assert told(preludes, None) == (1, [(S.POWERING_ON, "done")], "running")
    assert told(preludes, heard(1, 134.0)) == (1, [(S.POWERING_ON, "done"), (S.FIRMWARE, "running")], "running")


def test_a_machine_that_is_cycled_goes_on_with_its_boot_until_it_is_off() -> None:
    preludes = Preludes()
    runs = heard(1, 90.0)
    preludes.power("n1", 100.0, TOLD, 1, on=False, runs=True)
    assert preludes.complete("n1", runs) == runs, "an order of now is no part of the boot before it"
    preludes.off("n1", 1)
    assert told(preludes, runs) == (2, [(S.POWERING_ON, "running")], "running")
    preludes.power("n1", 102.0, TOLD, 2, on=True)
    assert told(preludes, heard(2, 104.0))[1] == [(S.POWERING_ON, "done"), (S.FIRMWARE, "running")]


def test_a_reset_that_is_refused_leaves_the_boot_as_it_is() -> None:
    preludes = Preludes()
    runs = heard(1, 90.0)
    preludes.power("n1", 100.0, TOLD, 1, on=False, runs=True)
    preludes.failed("n1", TOLD)
    assert preludes.complete("n1", runs) == runs
    assert told(preludes, heard(2, 200.0)) == (2, [(S.FIRMWARE, "running")], "running")


@pytest.mark.parametrize("late", [0.0, 20.0])
def test_what_a_bmc_tells_late_belongs_to_the_boot_that_was_heard(late: float) -> None:
    preludes = Preludes()
    preludes.power("n1", 100.0 + late, Evidence("ipmi", 0, "power on"), 1, on=True)
    assert told(preludes, heard(1, 100.0))[:2] == (1, [(S.POWERING_ON, "done"), (S.FIRMWARE, "running")])


def test_a_machine_that_is_switched_off_and_on_within_a_second_begins_another_boot() -> None:
    preludes = Preludes()
    preludes.power("n1", 100.0, TOLD, 0, on=False)
    preludes.power("n1", 100.1, TOLD, 1, on=True)
    assert told(preludes, heard(1, 100.2))[:2] == (1, [(S.POWERING_ON, "done"), (S.FIRMWARE, "running")])
    preludes.off("n1", 1)
    preludes.power("n1", 100.9, TOLD, 1, on=False)
    assert told(preludes, heard(1, 100.2))[:2] == (2, [(S.POWERING_ON, "running")])
    assert told(preludes, heard(2, 101.1))[:2] == (2, [(S.POWERING_ON, "done"), (S.FIRMWARE, "running")])


async def test_a_cycle_of_a_machine_that_is_off_says_so_and_is_no_boot_that_goes_on(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    states = running.engine._store.states
    async with await running.client() as client:
        await until(lambda: states["n1"].power.value == "off")
        await client.ask(wire.StartOrder(PowerOrder(PowerAction.CYCLE), ("n1",)))
        await until(lambda: states["n1"].stage is not None and states["n1"].stage.outcome == "stopped")
        await client.ask(wire.StartOrder(PowerOrder(PowerAction.ON), ("n1",)))
        await until(lambda: running.backend.machines["n1"].power_is == "on")
    begun = time.time()
    server.boot("n1")
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    (boot,) = await boots(running, "n1")
    assert (boot.number, boot.outcome) == (1, "running")
    assert boot.begin is not None
    assert boot.begin < begun
    assert (boot.stages[0].stage, boot.stages[0].state) == (S.POWERING_ON, "done")


async def test_a_machine_that_was_off_while_its_bmc_was_silent_begins_a_new_boot(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    server.boot("n1", upto=0)
    await until(lambda: stage(running, "n1") is S.DHCP_LOADER)
    for power in (Power.UNKNOWN, Power.OFF, Power.ON):
        running.backend.tell("n1", PowerSeen(power))
    server.boot("n1")
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    new, old = await boots(running, "n1")
    assert (old.number, old.outcome, old.reached) == (1, "stopped", S.DHCP_LOADER)
    assert (new.number, new.outcome) == (2, "running")


async def test_machines_that_nobody_knows_stay_known_when_another_is_enrolled(
    start: Start, inventory: Inventory, server: Server
) -> None:
    running = await start(inventory=inventory)
    await following(running)
    for number in (1, 2):
        server.ask(f"52:54:00:00:00:9{number}", answered=False)
    store = running.engine._store
    await until(lambda: len(store.unknown) == 2)
    first = running.engine._watch.boots._identity.unknown_clients()
    named = inventory.nodes["n1"]
    nodes = [msgspec.structs.replace(named, macs=(*named.macs, "52:54:00:00:00:91"))]
    await running.engine._watch.boots.replace(nodes)
    await until(lambda: len(store.unknown) == 1)
    assert store.unknown == first[1:]
