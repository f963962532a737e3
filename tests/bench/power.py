"""BMC power status: of many BMCs at once, cold and warm, beside FreeIPMI's `ipmipower --stat` on the same rack."""

from __future__ import annotations

import asyncio
import shutil
import time

from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.ipmi import IpmiController
from plasmatui.model.words import Power
from plasmatui.sim.identity import node_name
from tests.bench.rack import BenchRack, rack_process
from tests.bench.report import Figure, LagProbe, Report, median, percentile

COLD_GOAL, WARM_GOAL = 0.8, 0.25
ROUNDS = 5


async def beside_ipmipower(report: Report, sizes: tuple[int, ...] = (1, 64, 256, 1000)) -> None:
    """Cold (logon, status, close) and warm (status on an open session) for each size."""
    for size in sizes:
        async with rack_process(nodes=size, on=size, speed=1000, port=623, address="127.61.0.1") as rack:
            await _one_size(report, rack, size)


async def _one_size(report: Report, rack: BenchRack, size: int) -> None:
    cold, warm, reference = [], [], []
    for _ in range(ROUNDS):
        controllers = [IpmiController(target) for target in rack.targets]
        before = time.perf_counter()
        answers = await asyncio.gather(*(_once(controller) for controller in controllers))
        cold.append(time.perf_counter() - before)
        assert all(answer is Power.ON for answer in answers), answers[:3]
        reference.append(await _ipmipower(rack, size))
    controllers = [IpmiController(target) for target in rack.targets]
    await asyncio.gather(*(controller.power() for controller in controllers))
    for _ in range(ROUNDS):
        before = time.perf_counter()
        await asyncio.gather(*(controller.power() for controller in controllers))
        warm.append(time.perf_counter() - before)
    await asyncio.gather(*(controller.close() for controller in controllers))
    beside = median(reference) * 1000
    for word, values, goal in (("cold", cold, COLD_GOAL), ("warm", warm, WARM_GOAL)):
        report.add(
            Figure(f"power status of {size} BMCs, {word}", median(values) * 1000, "ms", beside, "ipmipower", goal, True)
        )


async def _once(controller: IpmiController) -> Power:
    power = await controller.power()
    await controller.close()
    return power


async def _ipmipower(rack: BenchRack, size: int) -> float:
    program = shutil.which("ipmipower")
    assert program is not None, "ipmipower (Debian package freeipmi-tools) is needed"
    hosts = ",".join(target.address for target in rack.targets)
    before = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(program, "-D", "LAN_2_0", "-h", hosts, "-u", "admin", "-p", "password", "--stat"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    seconds = time.perf_counter() - before
    assert output.count(b": on") == size, output[:300]
    return seconds


async def with_dead_ones(report: Report, live: int = 900, dead: int = 100) -> None:
    """`live` BMCs 20 ms away and `dead` ones: when the last live one is known, when the dead are named, loop lag."""
    names = [node_name(index, live + dead) for index in range(live + dead)]
    faults = [f"{name}=bmc-latency=20" for name in names[:live]] + [f"{name}=bmc-dead" for name in names[live:]]
    async with rack_process(nodes=live + dead, on=live, speed=1000, faults=faults) as rack:
        controllers = [IpmiController(target) for target in rack.targets]
        for word, goal in (("cold", 0.7), ("warm", 0.25)):
            found, missing, _ = await _all(controllers)
            assert len(found) == live
            report.add(Figure(f"{live} live at 20 ms + {dead} dead, last live, {word}", max(found), "s", goal=goal))
            report.add(
                Figure(f"{live} live at 20 ms + {dead} dead, last dead named, {word}", max(missing), "s", goal=3.5)
            )
        await _staggered(report, controllers[:live])
        await asyncio.gather(*(controller.close() for controller in controllers))


async def _all(controllers: list[IpmiController], spread: float = 0.0) -> tuple[list[float], list[float], list[float]]:
    """Seconds until each live one answered, until each dead one was given up, and each one's own time."""
    found: list[float] = []
    missing: list[float] = []
    own: list[float] = []
    begin = time.perf_counter()

    async def ask(controller: IpmiController, at: float) -> None:
        await asyncio.sleep(max(0.0, begin + at - time.perf_counter()))
        start = time.perf_counter()
        try:
            await controller.power()
        except BmcError:
            missing.append(time.perf_counter() - begin)
        else:
            found.append(time.perf_counter() - begin)
            own.append(time.perf_counter() - start)

    await asyncio.gather(*(ask(c, spread * i / len(controllers)) for i, c in enumerate(controllers)))
    return found, missing, own


async def _staggered(report: Report, controllers: list[IpmiController]) -> None:
    async with LagProbe() as probe:
        _, _, own = await _all(controllers, spread=5.0)
    report.add(
        Figure("staggered over 5 s: loop lag p99", percentile(probe.samples, 0.99), "ms", goal=15, note=f"n={len(own)}")
    )
    report.add(Figure("staggered over 5 s: answer p99", percentile(own, 0.99) * 1000, "ms", note="round trip is 20 ms"))
