"""A machine: what the inventory says of it (`Node`) and what is known of it now (`NodeState`)."""

from __future__ import annotations

import msgspec

from plasmatui.model.bmc import BootDevice
from plasmatui.model.words import BmcStatus, ConsoleStatus, Health, Lifecycle, Power, Severity, Stage


class Node(msgspec.Struct, frozen=True):
    """What the inventory says of a machine, without secrets. Safe to show: all text is clean."""

    name: str
    profile: str = ""
    macs: tuple[str, ...] = ()
    bmc_address: str = ""  # host:port for people; empty when there is no BMC
    bmc_driver: str = ""  # "ipmi" | "redfish" | ""
    provisioning_ip: str = ""
    production_ip: str = ""
    disks: tuple[str, ...] = ()
    rack: str = ""
    unit: int | None = None
    tags: tuple[str, ...] = ()
    voter: bool = False


class PowerState(msgspec.Struct, frozen=True):
    """Power with since (Unix seconds), source ("ipmi", "redfish") and by whom (an operator, or "" for itself)."""

    value: Power = Power.UNKNOWN
    since: float = 0.0
    source: str = ""
    by: str = ""


class BmcState(msgspec.Struct, frozen=True):
    """Standing with the BMC.

    Attributes:
        status: see `BmcStatus`.
        since: Unix seconds of the last change of status.
        finding: id of the finding that explains a status that is not `up` (`bmc-auth` ...), else "".
        message: one clean line for people: what happened.
        retry_at: Unix seconds of the next try, 0 when none is planned.
        failures: tries that failed in a row; the visible breaker.
        latency_ms: round trip of a recent command, 0 when unknown. Updated only when it changes notably.
        sessions: True while a session is open.
    """

    status: BmcStatus = BmcStatus.UNKNOWN
    since: float = 0.0
    finding: str = ""
    message: str = ""
    retry_at: float = 0.0
    failures: int = 0
    latency_ms: float = 0.0
    sessions: bool = False


class PenHolder(msgspec.Struct, frozen=True):
    """Who may write to a console: the client's number, its user and terminal, since when."""

    client: int
    user: str
    terminal: str
    since: float


class ConsoleState(msgspec.Struct, frozen=True):
    """Standing with the serial console.

    Attributes:
        end: total bytes received since the recording began; an offset into it names a byte for ever.
        start: offset of the oldest byte that is still kept.
        recording: False when the recording failed (full disk); `message` says why.
        readers: clients that read it now.
    """

    status: ConsoleStatus = ConsoleStatus.CLOSED
    since: float = 0.0
    finding: str = ""
    message: str = ""
    retry_at: float = 0.0
    recording: bool = False
    readers: int = 0
    pen: PenHolder | None = None
    end: int = 0
    start: int = 0


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong with a node, from the catalogue in `model.findings`."""

    id: str
    severity: Severity
    cause: str
    remedy: str
    since: float
    evidence: tuple[str, ...] = ()


class StageState(msgspec.Struct, frozen=True):
    """Stage of the current boot or install.

    Attributes:
        percent: of what it transfers, None where it is not known.
        usual: seconds that it takes usually, None when not known.
        state: "running", "done", "failed"; a boot that is over stands in its last stage.
        outcome: of the boot: "running", "stopped", "installer-up", "healthy".
    """

    stage: Stage
    since: float
    percent: float | None = None
    usual: float | None = None
    state: str = "running"
    outcome: str = "running"


class NodeLock(msgspec.Struct, frozen=True):
    """A person keeps everybody else's acts from a node.

    Attributes:
        by: who locked it; `uid`: the same as the kernel knows it.
        since, until: Unix seconds; `until` 0: until it is unlocked.
    """

    by: str
    uid: int
    reason: str
    since: float
    until: float = 0.0


class NodeNote(msgspec.Struct, frozen=True):
    """What a person wrote about a node, at `wall` (Unix seconds). Clean text of one line."""

    by: str
    wall: float
    text: str


class NodeState(msgspec.Struct, frozen=True):
    """Everything that is known of a machine now. Replaced as a whole by the reducer, never changed in place."""

    name: str
    power: PowerState = PowerState()
    bmc: BmcState = BmcState()
    console: ConsoleState = ConsoleState()
    boot: BootDevice | None = None
    boot_verified: bool | None = None  # read back: True same, False reverted, None the BMC cannot tell
    identify: bool = False
    stage: StageState | None = None
    lifecycle: Lifecycle = Lifecycle.ENROLLED
    health: Health = Health.UNKNOWN
    flags: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    operation: int = 0  # number of the operation that holds the node, 0 for none
    last_event: str = ""
    last_event_at: float = 0.0
    lock: NodeLock | None = None
    notes: tuple[NodeNote, ...] = ()
