"""A simulated rack whose BMCs are driven by controllers of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from plasmatui.bmc.controller import BmcTarget
from plasmatui.bmc.ipmi import IpmiController
from plasmatui.inventory.secrets import Secret
from plasmatui.sim.rack import Rack


class LabRack(Rack):
    """A rack that lends controllers and closes them before its BMCs go."""

    def targets(self) -> dict[str, BmcTarget]:
        """The IPMI side of every node."""
        secret = Secret(literal=self.password)
        return {
            name: BmcTarget(name, "ipmi", node.entry.address, node.entry.port, self.options.username, secret)
            for name, node in self.nodes.items()
        }

    def controller(self, node: str = "node01", **changes: object) -> IpmiController:
        """A controller for the node, with `changes` to its target."""
        controller = IpmiController(replace(self.targets()[node], **changes))  # type: ignore[arg-type]
        self.__dict__.setdefault("lent", []).append(controller)
        return controller

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(controller.close() for controller in self.__dict__.get("lent", [])))
        await super().__aexit__(kind, error, trace)


async def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    """Wait for something that the test can only look at."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - the simulator has no event for it
            await asyncio.sleep(0.01)
