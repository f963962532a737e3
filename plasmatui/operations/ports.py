"""What operations need of the outside, as small interfaces; the engine provides them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from plasmatui.bmc.controller import Controller
from plasmatui.model.bmc import BootDevice
from plasmatui.model.boot import BootTimeline
from plasmatui.model.event import Payload
from plasmatui.model.operation import OperationRecord, Origin
from plasmatui.model.wire import Problem
from plasmatui.model.words import Power, PowerAction, Stage


class Machines(Protocol):
    """The nodes and their BMCs."""

    def controller(self, node: str, by: str = "") -> Controller:
        """The node's controller; power that it changes was ordered by `by`. Raises `BmcError` without a BMC."""

    def unusable(self, node: str) -> Problem | None:
        """Why an order to `node` is of no use (no BMC, refused), None when it is worth a try."""

    def retry(self, node: str) -> None:
        """Try the node's BMC now that is waited for or was refused. Raises `BmcError` without a BMC."""

    def describe(self, node: str, action: PowerAction | BootDevice | str) -> str:
        """The exact call that an order makes, for a plan."""

    async def wait_power(self, node: str, wanted: Power, limit: float) -> bool:
        """Whether the BMC says `wanted` within `limit` seconds. Raises `BmcError` when it cannot be asked."""


class Ledger(Protocol):
    """Where operations write down what they do."""

    async def intent(self, record: OperationRecord) -> bool:
        """Keep `record` and wait until it is kept, or cannot be (False): called before a step is begun."""

    def changed(self, record: OperationRecord) -> None:
        """The operation changed: keep it and tell the clients."""

    def progress(self, record: OperationRecord) -> None:
        """A step came on: tell the clients. It need not be kept."""

    def log(self, number: int, node: str, text: str) -> None:
        """Clean lines that a step printed, for who follows it."""

    def tell(self, node: str, source: str, payload: Payload) -> None:
        """A fact about a node."""

    def audit(
        self,
        by: str,
        node: str,
        text: str,
        result: str = "",
        *,
        origin: Origin,
        operation: int = 0,
        before: str = "",
        after: str = "",
    ) -> None:
        """Who ordered what, or what became of it."""

    def standing(self, node: str) -> str:
        """How a node stands, in words, for what an order changed: its lifecycle and flags."""

    def usual(self, word: str, step: str) -> float:
        """Seconds that a step of such an operation takes usually, 0 when not known."""


class Locks(Protocol):
    """Which operation holds a node. Two operations never share one."""

    def take(self, nodes: Iterable[str], number: int) -> dict[str, int]:
        """Lock the free ones; return the others with the operation that has them."""

    def release(self, node: str, number: int) -> None: ...

    def holder(self, node: str) -> int:
        """0 for none."""


class Boots(Protocol):
    """What boot watch knows of a node."""

    def current(self, node: str) -> BootTimeline | None:
        """The boot that runs or ran last."""

    async def news(self, node: str, limit: float) -> None:
        """Wait until the node's timeline changes, at most `limit` seconds."""

    def fingerprints(self, node: str) -> frozenset[str]:
        """SSH host keys (SHA256:...) that the machine printed on its serial console in the current boot."""

    def vouch(self, node: str, fingerprint: str, text: str) -> None:
        """A person believes this host key for the node's current boot; `text` says who."""

    def stage(self, node: str, stage: Stage, state: str, text: str) -> None:
        """An operation sees a stage begin ("running"), end ("done") or fail ("failed"); `text` is its evidence."""

    def boot_bytes(self, node: str) -> int:
        """Bytes that a network boot of the node's profile transfers, as seen in past boots; 0: not known."""


class Absence(Enum):
    """How an operation takes a node away."""

    AWAY = "away"
    """It stays a member of the raft groups."""

    REJOINS = "rejoins"
    """It is removed, and joins again as a new member."""

    RETIRES = "retires"
    """It is removed for good."""


class Guard(Protocol):
    """Refuses what would take a raft group below its majority."""

    async def look(self, nodes: frozenset[str], absence: Absence = Absence.AWAY) -> tuple[str, tuple[str, ...]]:
        """For a plan: why disturbing one of `nodes` would be refused now ("": it would not), and what was seen. Nodes
        that retire are judged together, since none of them comes back."""

    async def enter(self, node: str, number: int, *, override: bool, absence: Absence = Absence.AWAY) -> str:
        """Before a node is disturbed: why it must not be ("": it may; from now on it counts as lost until `leave`). The
        members of the groups are changed for one voter at a time, even when the majority is overridden."""

    async def turn(self, node: str) -> bool:
        """Wait until another node that counts as lost by an operation is given back; False when there is none."""

    def resume(self, node: str, number: int) -> None:
        """The node was disturbed before the engine's restart: it counts as lost until `leave`."""

    def leave(self, node: str, number: int) -> None:
        """The node is not disturbed any more."""
