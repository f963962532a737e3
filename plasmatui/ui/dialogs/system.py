"""Dialogs of the orders that work on whole systems: boot, install, drain, roll back ..."""

from __future__ import annotations

from plasmatui.model.operation import (
    AddOrder,
    BootOrder,
    CertsRotateOrder,
    DecommissionOrder,
    DrainOrder,
    InstallOrder,
    Order,
    ProvisionOrder,
    RecoverOrder,
    ReplaceOrder,
    ReprovisionOrder,
    RollbackOrder,
    SshKeysRotateOrder,
    UndrainOrder,
    UpdateOrder,
)
from plasmatui.model.words import RebootRule
from plasmatui.ui.dialogs.order import Option, OrderDialog
from plasmatui.ui.lines import Part

BATCHES = (1, 2, 4, 8, 16)
"""Workers that are updated at once."""

MODES = (None, True, False)
"""Firmware modes in the order in which `u` goes through them: as it is, UEFI, BIOS."""


def _firmware(uefi: bool | None) -> Option:
    return Option("firmware", ("as it is", "uefi", "bios"), "u", MODES.index(uefi))


class SystemDialog(OrderDialog):
    """Shows what is known of each node's system beside its power."""

    def now(self, name: str) -> Part:
        state = self.context.store.state(name)
        power, role = super().now(name)
        return ("  ".join((power, str(state.lifecycle), *state.flags)), role)


class BootDialog(SystemDialog):
    """Boot nodes and watch them until they are up."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: BootOrder | None = None) -> None:
        super().__init__("Boot", targets, hidden)
        values = ("installer, from the network", "system, from the disk")
        self.source = Option("", values, "id", int(order.disk) if order is not None else -1)
        self.firmware = _firmware(order.uefi if order is not None else None)

    def options(self) -> list[Option]:
        return [self.source, self.firmware]

    def order(self) -> Order | None:
        if self.source.chosen < 0:
            return None
        return BootOrder(bool(self.source.chosen), MODES[self.firmware.chosen])


Installing = InstallOrder | ProvisionOrder | AddOrder
Exchanging = ReplaceOrder | ReprovisionOrder | DecommissionOrder


class InstallDialog(SystemDialog):
    """Install nodes whose installer is up, provision them from power to member, or add them to a cluster that lives."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: Installing | None = None) -> None:
        super().__init__("Install or provision", targets, hidden)
        values = ("install: it is up", "provision: in one", "add: cluster lives")
        kinds = (InstallOrder, ProvisionOrder, AddOrder)
        self.what = Option("", values, "ipd", kinds.index(type(order)) if order is not None else -1)
        self.firmware = _firmware(order.uefi if isinstance(order, ProvisionOrder | AddOrder) else None)

    def options(self) -> list[Option]:
        return [self.what, *([self.firmware] if self.what.chosen > 0 else [])]

    def order(self) -> Order | None:
        mode = MODES[self.firmware.chosen]
        return (InstallOrder(), ProvisionOrder(mode), AddOrder(mode), None)[self.what.chosen]


class ReplaceDialog(SystemDialog):
    """Put a machine in a dead one's place, provision a node anew under its name, or take it out for good."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: Exchanging | None = None) -> None:
        super().__init__("Replace, reprovision or decommission", targets, hidden)
        values = ("replace: dead", "reprovision: anew", "decommission: for good")
        kinds = (ReplaceOrder, ReprovisionOrder, DecommissionOrder)
        self.what = Option("", values, "rpd", kinds.index(type(order)) if order is not None else -1)
        self.firmware = _firmware(order.uefi if isinstance(order, ReplaceOrder | ReprovisionOrder) else None)
        self._machine = (order.mac, order.bmc) if isinstance(order, ReplaceOrder) else ("", "")

    def options(self) -> list[Option]:
        return [self.what, *([self.firmware] if self.what.chosen in (0, 1) else [])]

    def order(self) -> Order | None:
        mode = MODES[self.firmware.chosen]
        orders = (ReplaceOrder(mode, *self._machine), ReprovisionOrder(mode), DecommissionOrder(), None)
        return orders[self.what.chosen]


class RecoverDialog(SystemDialog):
    """Mend nodes. The plan's notes say what is wrong, and what would be done first."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str]) -> None:
        super().__init__("Recover", targets, hidden)

    def order(self) -> Order:
        return RecoverOrder()


class DrainDialog(SystemDialog):
    """Take nodes out of service. The plan's notes say which VMs go where."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str]) -> None:
        super().__init__("Drain", targets, hidden)

    def order(self) -> Order:
        return DrainOrder()


class UndrainDialog(SystemDialog):
    """Bring drained nodes back into service."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str]) -> None:
        super().__init__("Undrain", targets, hidden)

    def order(self) -> Order:
        return UndrainOrder()


class CertsRotateDialog(SystemDialog):
    """Give nodes new certificates. The plan's notes say what they have."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str]) -> None:
        super().__init__("Rotate certificates", targets, hidden)

    def order(self) -> Order:
        return CertsRotateOrder()


class UpdateDialog(SystemDialog):
    """Bring nodes to the systems that the flake describes. The plan's notes say whose turn is when."""

    PACED = False

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: UpdateOrder | None = None) -> None:
        super().__init__("Update", targets, hidden)
        self._given = given = order if order is not None else UpdateOrder()
        self._batches = tuple(sorted({*BATCHES, given.batch}))
        self.at_once = Option("workers at once", tuple(map(str, self._batches)), "b", self._batches.index(given.batch))
        self.reboot = Option("reboot", tuple(RebootRule), "r", tuple(RebootRule).index(given.reboot))
        self.drain = Option("move VMs away first", ("yes", "no"), "d", int(not given.drain))

    def options(self) -> list[Option]:
        return [self.at_once, self.reboot, self.drain]

    def order(self) -> Order:
        batch, reboot = self._batches[self.at_once.chosen], tuple(RebootRule)[self.reboot.chosen]
        return UpdateOrder(batch, reboot, not self.drain.chosen, self._given.settle, self._given.confirm)


class SshKeysRotateDialog(SystemDialog):
    """Replace the key that nodes are logged in to with. The notes of the plan say which file it will be."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str]) -> None:
        super().__init__("Rotate the provisioning key", targets, hidden)

    def order(self) -> Order:
        return SshKeysRotateOrder()


class RollbackDialog(SystemDialog):
    """Go back to a generation that was picked."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: RollbackOrder) -> None:
        goal = f"to generation {order.to}" if order.to else "to the generation before the current one"
        super().__init__(f"Roll back {goal}", targets, hidden)
        self._to = order.to
        self.when = Option("takes effect", ("now", "at the next boot"), "w", int(order.next_boot))

    def options(self) -> list[Option]:
        return [self.when]

    def order(self) -> Order:
        return RollbackOrder(self._to, bool(self.when.chosen))
