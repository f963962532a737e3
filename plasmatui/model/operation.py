"""Orders, plans and records of operations."""

from __future__ import annotations

import msgspec

from plasmatui.model.bmc import BootDevice
from plasmatui.model.words import OperationState, PowerAction, StepResult


class PowerOrder(msgspec.Struct, frozen=True, tag="power"):
    """Change the power of nodes and wait until the BMC says that it is so."""

    action: PowerAction


class BootDeviceOrder(msgspec.Struct, frozen=True, tag="bootdev"):
    """Set the boot override of nodes and read it back."""

    boot: BootDevice


class IdentifyOrder(msgspec.Struct, frozen=True, tag="identify"):
    """Switch the chassis' identify light: on for `seconds`; 0 switches it off, -1 leaves it on."""

    seconds: int = 15


Order = PowerOrder | BootDeviceOrder | IdentifyOrder


class Pace(msgspec.Struct, frozen=True):
    """How many nodes at once, and how many seconds between two starts."""

    parallel: int = 16
    stagger: float = 0.0


class Step(msgspec.Struct, frozen=True):
    """A step of a plan.

    Attributes:
        id: short word ("power-off", "wait-off").
        text: what is done, for people.
        command: the exact command or call ("IPMI chassis control 1 to 10.0.10.50:623").
        limit: seconds after which it has failed.
        disruptive: a running system notices it.
    """

    id: str
    text: str
    command: str
    limit: float
    disruptive: bool = False


class NodePlan(msgspec.Struct, frozen=True):
    """The steps for one node, or the reason why it is left out (no BMC, locked)."""

    node: str
    steps: tuple[Step, ...] = ()
    skipped: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What an order would do. Shown and confirmed before anything is done.

    Attributes:
        cli: the command line that does the same.
        confirm: 1 reversible, 2 disruptive, 3 destructive.
        refused: why the guard refuses it; empty when it does not.
    """

    order: Order
    nodes: tuple[NodePlan, ...]
    pace: Pace
    cli: str
    confirm: int
    refused: str = ""


class StepRecord(msgspec.Struct, frozen=True):
    """A step that was begun: its intent is journalled before, its result after. Times are Unix seconds."""

    id: str
    text: str
    command: str
    begin: float
    end: float = 0.0
    result: StepResult | None = None
    message: str = ""


class NodeRecord(msgspec.Struct, frozen=True):
    """One node of an operation.

    Attributes:
        before, after: power or boot device as words, where the order changes them.
        error: id ("timeout", "bmc-auth", ...) of what went wrong, empty when nothing did; `message` says it in words.
    """

    node: str
    state: OperationState = OperationState.PLANNED
    steps: tuple[StepRecord, ...] = ()
    before: str = ""
    after: str = ""
    error: str = ""
    message: str = ""


class OperationRecord(msgspec.Struct, frozen=True):
    """An operation, from plan to end. Replaced as a whole at every change."""

    number: int
    order: Order
    by: str
    cli: str
    begin: float
    state: OperationState
    nodes: tuple[NodeRecord, ...]
    pace: Pace
    end: float = 0.0
