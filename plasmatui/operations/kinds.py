"""The kinds of operations: one entry for each order, with what runner, plans and command line need to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from plasmatui.model.operation import (
    AddOrder,
    BackupOrder,
    BootDeviceOrder,
    BootOrder,
    CertsRotateOrder,
    DecommissionOrder,
    DrainOrder,
    IdentifyOrder,
    InstallOrder,
    NodePlan,
    Order,
    PowerOrder,
    ProvisionOrder,
    RecoverClusterOrder,
    RecoverOrder,
    ReplaceOrder,
    ReprovisionOrder,
    RestoreOrder,
    RollbackOrder,
    SshKeysRotateOrder,
    Step,
    UndrainOrder,
    UpdateOrder,
)
from plasmatui.operations import (
    add,
    backup,
    boot,
    bootdev,
    certificates,
    decommission,
    drain,
    identify,
    install,
    power,
    provision,
    recover,
    recovercluster,
    replace,
    restore,
    rollback,
    sshkeys,
    update,
)
from plasmatui.operations.ports import Absence
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Kind:
    """What is to be known of one kind of order.

    Attributes:
        act: does a node's part.
        steps: the steps for one node, without asking anybody.
        command: words of the command line before and after the node set.
        level: of confirmation: 1 reversible, 2 disruptive, 3 destructive.
        bmc: it is of no use to a node without a BMC that answers. One that `powers` needs a BMC in any case.
        powers: machines are switched on by it, so that starts are staggered.
        downloads: nodes fetch a boot image, which counts against the bandwidth.
        resumes: a restarted engine goes on with it; else what was under way is marked.
        look: completes the plan by asking nodes and services: the order with what was found, and each node's plan.
        waves: nodes take turns: which go together, one wave after the other; when one fails, nothing more is begun.
        judge: asked in the guard's place: why it is refused, and what was seen.
        by_cluster: level 3 is confirmed by the cluster's name.
        verb: for the phrase that confirms level 3 on many nodes.
        absence: how it takes nodes out of the raft groups.
    """

    act: Callable[[NodeWork, Any], Awaitable[None]]
    steps: Callable[[Any, str, Site], Steps]
    command: Callable[[Any], tuple[str, str]]
    level: Callable[[Any], int]
    bmc: bool = True
    powers: bool = False
    downloads: bool = False
    resumes: bool = True
    look: Callable[[Any, tuple[NodePlan, ...], Site], Awaitable[tuple[Order, tuple[NodePlan, ...]]]] | None = None
    waves: Callable[[Any, tuple[str, ...], Site], tuple[tuple[str, ...], ...]] | None = None
    judge: Callable[[Site], Awaitable[tuple[str, tuple[str, ...]]]] | None = None
    by_cluster: bool = False
    verb: str = ""
    absence: Absence = Absence.AWAY


KINDS: dict[type, Kind] = {
    PowerOrder: Kind(power.change_power, power.steps, power.command, power.level, powers=True, resumes=False),
    BootDeviceOrder: Kind(bootdev.set_boot_device, bootdev.steps, bootdev.command, bootdev.level, resumes=False),
    IdentifyOrder: Kind(identify.identify, identify.steps, identify.command, lambda _: 1, resumes=False),
    BootOrder: Kind(boot.boot, boot.steps, boot.command, lambda _: 2, powers=True, downloads=True),
    InstallOrder: Kind(
        install.install, install.steps, install.command, lambda _: 3, bmc=False, look=install.look, verb="wipe"
    ),
    ProvisionOrder: Kind(
        provision.provision,
        provision.provision_steps,
        provision.provision_command,
        lambda _: 3,
        powers=True,
        downloads=True,
        look=provision.look,
        verb="wipe",
    ),
    ReprovisionOrder: Kind(
        provision.reprovision,
        provision.reprovision_steps,
        provision.reprovision_command,
        lambda _: 3,
        powers=True,
        downloads=True,
        look=provision.look_again,
        verb="wipe",
        absence=Absence.REJOINS,
    ),
    AddOrder: Kind(
        add.add, add.steps, add.command, lambda _: 3, powers=True, downloads=True, look=add.look, verb="wipe"
    ),
    ReplaceOrder: Kind(
        replace.replace,
        replace.steps,
        replace.command,
        lambda _: 3,
        bmc=False,
        powers=True,
        downloads=True,
        look=replace.look,
        verb="wipe",
        absence=Absence.REJOINS,
    ),
    DecommissionOrder: Kind(
        decommission.decommission,
        decommission.steps,
        decommission.command,
        lambda _: 3,
        bmc=False,
        look=decommission.look,
        absence=Absence.RETIRES,
    ),
    RecoverOrder: Kind(recover.recover, recover.steps, recover.command, lambda _: 2, bmc=False, look=recover.look),
    DrainOrder: Kind(drain.drain, drain.drain_steps, drain.drain_command, lambda _: 2, bmc=False, look=drain.look),
    UndrainOrder: Kind(drain.undrain, drain.undrain_steps, drain.undrain_command, lambda _: 1, bmc=False),
    RollbackOrder: Kind(
        rollback.rollback, rollback.steps, rollback.command, lambda _: 2, bmc=False, look=rollback.look
    ),
    SshKeysRotateOrder: Kind(
        sshkeys.rotate,
        sshkeys.steps,
        sshkeys.command,
        lambda _: 2,
        bmc=False,
        look=sshkeys.look,
        waves=sshkeys.waves,
    ),
    CertsRotateOrder: Kind(
        certificates.rotate, certificates.steps, certificates.command, lambda _: 2, bmc=False, look=certificates.look
    ),
    UpdateOrder: Kind(
        update.update,
        update.steps,
        update.command,
        lambda _: 2,
        bmc=False,
        look=update.look,
        waves=update.waves_of,
    ),
    BackupOrder: Kind(
        backup.back_up, backup.steps, backup.command, lambda _: 2, bmc=False, look=backup.look, waves=backup.waves_of
    ),
    RestoreOrder: Kind(
        restore.restore,
        restore.steps,
        restore.command,
        lambda _: 3,
        bmc=False,
        look=restore.look,
        waves=restore.waves_of,
        verb="restore",
    ),
    RecoverClusterOrder: Kind(
        recovercluster.recover_cluster,
        recovercluster.steps,
        recovercluster.command,
        lambda _: 3,
        bmc=False,
        look=recovercluster.look,
        waves=recovercluster.waves_of,
        judge=recovercluster.judge,
        by_cluster=True,
    ),
}


def kind_of(order: Order) -> Kind:
    """The entry of an order's kind."""
    return KINDS[type(order)]


def word_of(order: Order) -> str:
    """The kind's name, as on the command line: "power", "install" ..."""
    return str(order.__struct_config__.tag)
