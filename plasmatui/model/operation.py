"""Orders, plans and records of operations."""

from __future__ import annotations

import msgspec

from plasmatui.model.bmc import BootDevice
from plasmatui.model.system import Disk
from plasmatui.model.words import OperationState, PowerAction, RebootRule, StepResult


class PowerOrder(msgspec.Struct, frozen=True, tag="power"):
    """Change the power of nodes and wait until the BMC says that it is so."""

    action: PowerAction


class BootDeviceOrder(msgspec.Struct, frozen=True, tag="bootdev"):
    """Set the boot override of nodes and read it back."""

    boot: BootDevice


class IdentifyOrder(msgspec.Struct, frozen=True, tag="identify"):
    """Switch the chassis' identify light: on for `seconds`; 0 switches it off, -1 leaves it on."""

    seconds: int = 15


class BootOrder(msgspec.Struct, frozen=True, tag="boot"):
    """Boot nodes from the network and watch them until the installer answers on SSH, or from the disk to the login.

    Attributes:
        disk: from the disk. uefi: firmware mode of the override; None leaves it as it is.
    """

    disk: bool = False
    uefi: bool | None = None


class NodeDisks(msgspec.Struct, frozen=True):
    """The disks of one node that would be wiped, as a person saw and confirmed them."""

    node: str
    disks: tuple[Disk, ...]


class InstallOrder(msgspec.Struct, frozen=True, tag="install"):
    """Install NixOS on nodes whose installer is up.

    Attributes:
        disks: what was shown and confirmed, filled in by the plan; a node that has other disks is not touched.
    """

    disks: tuple[NodeDisks, ...] = ()


class ProvisionOrder(msgspec.Struct, frozen=True, tag="provision"):
    """Boot the installer, install, boot the new system, see it join the cluster. Disks: as the inventory names them."""

    uefi: bool | None = None


class ReprovisionOrder(msgspec.Struct, frozen=True, tag="reprovision"):
    """Drain a node, take it out of the raft groups, and provision it anew under the same name."""

    uefi: bool | None = None


class AddOrder(msgspec.Struct, frozen=True, tag="add"):
    """Provision nodes of the inventory that are not in the cluster yet, and see them join it. It must live."""

    uefi: bool | None = None


class ReplaceOrder(msgspec.Struct, frozen=True, tag="replace"):
    """Take dead nodes out of the raft groups, and install machines under their names, the same ones or new ones.

    Attributes:
        mac, bmc: of the new machine; empty where they stay. They become the inventory's. One node only.
    """

    uefi: bool | None = None
    mac: str = ""
    bmc: str = ""


class DecommissionOrder(msgspec.Struct, frozen=True, tag="decommission"):
    """Drain nodes, take them out of the raft groups for good, switch them off, and take them out of the inventory."""


class RecoverOrder(msgspec.Struct, frozen=True, tag="recover"):
    """See what is wrong with nodes, and do the smallest thing that mends them: switch on, start failed units, boot, go
    back to the generation before."""


class DrainOrder(msgspec.Struct, frozen=True, tag="drain"):
    """Take nodes out of service: balancer, VMs moved, services stopped in order."""


class UndrainOrder(msgspec.Struct, frozen=True, tag="undrain"):
    """Bring drained nodes back into service."""


class RollbackOrder(msgspec.Struct, frozen=True, tag="rollback"):
    """Go back to a generation of the system.

    Attributes:
        to: number of the generation; 0: the one before the current.
        next_boot: take effect at the next boot only.
    """

    to: int = 0
    next_boot: bool = False


class CertsRotateOrder(msgspec.Struct, frozen=True, tag="certs-rotate"):
    """Give nodes new certificates from the cluster's CA, their services one after the other.

    Attributes:
        passphrase: where that of the CA's key is found: "env:NAME" or "file:PATH"; empty for none.
    """

    passphrase: str = ""


class UpdateOrder(msgspec.Struct, frozen=True, tag="update"):
    """Bring nodes to the systems that the flake describes, a few at a time, and back where one is not well.

    Attributes:
        batch: nodes without a vote that are updated at once; voters always go one at a time.
        reboot: when a node is rebooted.
        drain: take a node out of the balancer and move its VMs before it is touched.
        settle: seconds that a node's services get to be as well as they were.
        confirm: seconds after the activation in which the node must answer on SSH; else it goes back by itself.
        leaders: nodes that lead a raft group and go last, filled in by the plan.
    """

    batch: int = 1
    reboot: RebootRule = RebootRule.AUTO
    drain: bool = True
    settle: int = 300
    confirm: int = 90
    leaders: tuple[str, ...] = ()

    def turns(self, copies: int) -> str:
        """How fast it goes, in words; `copies` are made at once."""
        return f"{self.batch} at once behind a canary, voters one by one; {copies} copied at once"


class SshKeysRotateOrder(msgspec.Struct, frozen=True, tag="sshkeys-rotate"):
    """Replace the key that nodes are logged in to with: the new one added and tried everywhere, the inventory switched,
    the old one taken out.

    Attributes:
        old, new: files of the private keys, filled in by the plan; a new one that is not there is made.
    """

    old: str = ""
    new: str = ""


class BackupOrder(msgspec.Struct, frozen=True, tag="backup"):
    """Bring the data of services and the configuration of nodes to the engine's host, one node at a time.

    Attributes:
        directory: absolute, on the engine's host; backups get a directory of their own there. Empty: `backups` beside
            the inventory, filled in by the plan.
        services: whose data; none: of all that have a known data directory.
        live: do not stop them: what is read is then as after a power failure.
        secrets: with /etc/nixos/secrets.
        name: of the backup. leaders: nodes that lead a raft group and go last. Both are filled in by the plan.
    """

    directory: str = ""
    services: tuple[str, ...] = ()
    live: bool = False
    secrets: bool = False
    name: str = ""
    leaders: tuple[str, ...] = ()


class RestoreOrder(msgspec.Struct, frozen=True, tag="restore"):
    """Put data of a backup in the place of those that nodes have, which are moved aside.

    Attributes:
        backup: its directory on the engine's host, absolute. Empty: the newest of `backups` beside the inventory,
            filled in by the plan. services: whose data; none: all that it has of a node.
    """

    backup: str = ""
    services: tuple[str, ...] = ()


class RecoverClusterOrder(msgspec.Struct, frozen=True, tag="recover-cluster"):
    """Restore the raft services of voters that have all lost their data, and let them begin together.

    Attributes:
        backup: a backup's directory on the engine's host, or one that holds several: the newest that can be used is
            taken, and filled in by the plan. Empty: `backups` beside the inventory.
    """

    backup: str = ""


Order = (
    PowerOrder
    | BootDeviceOrder
    | IdentifyOrder
    | BootOrder
    | InstallOrder
    | ProvisionOrder
    | ReprovisionOrder
    | AddOrder
    | ReplaceOrder
    | DecommissionOrder
    | RecoverOrder
    | DrainOrder
    | UndrainOrder
    | RollbackOrder
    | CertsRotateOrder
    | UpdateOrder
    | SshKeysRotateOrder
    | BackupOrder
    | RestoreOrder
    | RecoverClusterOrder
)


class Pace(msgspec.Struct, frozen=True):
    """How fast an operation goes.

    Attributes:
        parallel: nodes at once. stagger: seconds between two starts.
        per_rack: nodes of one rack at once; 0: no limit.
        bandwidth: bits per second that network boots may take together; 0: no limit.
    """

    parallel: int = 16
    stagger: float = 0.0
    per_rack: int = 0
    bandwidth: int = 0


class Step(msgspec.Struct, frozen=True):
    """A step of a plan.

    Attributes:
        id: short word ("power-off", "wait-off").
        text: what is done, for people.
        command: the exact command or call ("IPMI chassis control 1 to 10.0.10.50:623").
        limit: seconds after which it has failed.
        disruptive: a running system notices it.
        destroys: it deletes data; it is never done again without a person.
        settles: once it is done, a further try goes on behind it instead of beginning anew.
        precondition: what must hold before it is done, for people.
        proof: how it is seen that it is done (already), for people.
    """

    id: str
    text: str
    command: str
    limit: float
    disruptive: bool = False
    destroys: bool = False
    settles: bool = False
    precondition: str = ""
    proof: str = ""


class NodePlan(msgspec.Struct, frozen=True):
    """The steps for one node, or the reason why it is left out (no BMC, refused).

    Attributes:
        notes: what a person should know before (waits for another operation; VMs and where they go).
        disks: disks that would be wiped, as far as they are known.
        diff: how the inventory file would be changed; empty where it stays.
        error: id of what keeps it out ("bmc-auth", "no-bmc"), where that has one.
    """

    node: str
    steps: tuple[Step, ...] = ()
    skipped: str = ""
    notes: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()
    diff: str = ""
    error: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What an order would do. Shown and confirmed before anything is done.

    Attributes:
        cli: the command line that does the same.
        order: what to start; the plan may have filled in what it found out (the disks of an installation).
        confirm: 1 reversible, 2 disruptive, 3 destructive.
        phrase: what must be typed on level 3: the node's name, or "wipe 12".
        refused: why the guard refuses it; empty when it does not. Only the cluster's name typed overrides it.
        notes: what the guard found, in words.
        locked: which nodes others have locked, who and why; empty when none. Only an admin may go on all the same.
    """

    order: Order
    nodes: tuple[NodePlan, ...]
    pace: Pace
    cli: str
    confirm: int
    refused: str = ""
    phrase: str = ""
    notes: tuple[str, ...] = ()
    locked: str = ""


class StepRecord(msgspec.Struct, frozen=True):
    """A step that was begun: its intent is journalled before, its result after. Times are Unix seconds.

    Attributes:
        progress: what it does now, and `percent` of the whole, where they are known.
        usual: seconds that it takes usually, 0 when not known.
    """

    id: str
    text: str
    command: str
    begin: float
    end: float = 0.0
    result: StepResult | None = None
    message: str = ""
    progress: str = ""
    percent: float | None = None
    usual: float = 0.0


class NodeRecord(msgspec.Struct, frozen=True):
    """One node of an operation.

    Attributes:
        before, after: power or boot device as words, where the order changes them.
        error: id ("timeout", "bmc-auth", ...) of what went wrong, empty when nothing did; `message` says it in words,
            or what the node waits for.
        question: while it is held: what a person must decide; `answers` are the words that `ops release` takes.
        planned: number of steps of its plan.
        evidence: lines that show what went wrong.
    """

    node: str
    state: OperationState = OperationState.PLANNED
    steps: tuple[StepRecord, ...] = ()
    before: str = ""
    after: str = ""
    error: str = ""
    message: str = ""
    question: str = ""
    answers: tuple[str, ...] = ()
    planned: int = 0
    evidence: tuple[str, ...] = ()


class Origin(msgspec.Struct, frozen=True):
    """Where an order came from, besides the user's name.

    Attributes:
        uid: the Unix user as the kernel knows it; -1: not known, or the engine itself.
        client: the kind of client, its terminal and the address it came from ("tui pts/3 from 10.0.0.7").
    """

    uid: int = -1
    client: str = ""


NOWHERE = Origin()
"""Of the engine itself, or not known."""


class OperationRecord(msgspec.Struct, frozen=True):
    """An operation, from plan to end. Replaced as a whole at every change.

    Attributes:
        override: the guard was overridden by typing the cluster's name.
        retry_of: the operation whose failed nodes it tries again; 0: none.
        held: why nothing new is begun; empty while it runs.
        origin: where `by` ordered it from.
        break_lock: an admin said that locks of others on its nodes do not count.
    """

    number: int
    order: Order
    by: str
    cli: str
    begin: float
    state: OperationState
    nodes: tuple[NodeRecord, ...]
    pace: Pace
    end: float = 0.0
    override: bool = False
    retry_of: int = 0
    held: str = ""
    origin: Origin = Origin()
    break_lock: bool = False
