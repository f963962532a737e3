"""What operations need of the outside, as small interfaces; the engine provides them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from plasmatui.bmc.controller import Controller
from plasmatui.model.bmc import BootDevice
from plasmatui.model.event import Payload
from plasmatui.model.operation import OperationRecord
from plasmatui.model.wire import Problem
from plasmatui.model.words import Power, PowerAction


class Machines(Protocol):
    """The nodes and their BMCs."""

    def controller(self, node: str, by: str = "") -> Controller:
        """The node's controller; power that it changes was ordered by `by`. Raises `BmcError` without a BMC."""

    def unusable(self, node: str) -> Problem | None:
        """Why an order to `node` is of no use (no BMC, refused), None when it is worth a try."""

    def describe(self, node: str, action: PowerAction | BootDevice | str) -> str:
        """The exact call that an order makes, for a plan."""

    async def wait_power(self, node: str, wanted: Power, limit: float) -> bool:
        """Whether the BMC says `wanted` within `limit` seconds. Raises `BmcError` when it cannot be asked."""


class Ledger(Protocol):
    """Where operations write down what they do."""

    async def intent(self, record: OperationRecord) -> None:
        """Keep `record` and wait until it is kept (or cannot be): called before a step is begun."""

    def changed(self, record: OperationRecord) -> None:
        """The operation changed: keep it and tell the clients."""

    def tell(self, node: str, source: str, payload: Payload) -> None:
        """A fact about a node."""

    def audit(self, by: str, node: str, text: str, result: str = "") -> None: ...


class Locks(Protocol):
    """Which operation holds a node. Two operations never share one."""

    def take(self, nodes: Iterable[str], number: int) -> dict[str, int]:
        """Lock the free ones; return the others with the operation that has them."""

    def release(self, node: str, number: int) -> None: ...

    def holder(self, node: str) -> int:
        """0 for none."""
