"""A round of power status over many Redfish BMCs with open sessions, beside the same over IPMI."""

from __future__ import annotations

import asyncio

from plasmatui.bmc.controller import Controller
from plasmatui.bmc.ipmi import IpmiController
from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from tests.bench.rack import rack_process
from tests.bench.report import Figure, Report, median, own_cpu, timed

SIZE, ROUNDS = 256, 5
AT_ONCE = 64


async def rounds(report: Report) -> None:
    async with rack_process(nodes=SIZE, on=SIZE, speed=1000, redfish=SIZE) as rack:
        tls = TlsContexts()
        redfish = await _rounds([RedfishController(target, tls=tls) for target in rack.targets])
    async with rack_process(nodes=SIZE, on=SIZE, speed=1000) as rack:
        ipmi = await _rounds([IpmiController(target) for target in rack.targets])
    report.add(Figure(f"Redfish power status of {SIZE}, warm", redfish[0], "ms", ipmi[0], "IPMI"))
    report.add(
        Figure(
            f"Redfish power status of {SIZE}, warm: our CPU per request", redfish[1], "ms", ipmi[1], "IPMI", goal=1.2
        )
    )


async def _rounds(controllers: list[RedfishController] | list[IpmiController]) -> tuple[float, float]:
    """Milliseconds of a warm round and of CPU time per request, medians."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(controller: Controller) -> None:
        async with gate:
            await controller.power()

    async def round_() -> None:
        await asyncio.gather(*(ask(controller) for controller in controllers))

    await round_()
    walls, cpus = [], []
    for _ in range(ROUNDS):
        before = own_cpu()
        walls.append(await timed(round_) * 1000)
        cpus.append((own_cpu() - before) / len(controllers) * 1000)
    await asyncio.gather(*(controller.close() for controller in controllers))
    return median(walls), median(cpus)
