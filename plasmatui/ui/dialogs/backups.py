"""Dialogs of backups: taking one, restoring nodes from one, recovering a cluster that is lost."""

from __future__ import annotations

import msgspec

from plasmatui.model.operation import BackupOrder, Order, RecoverClusterOrder, RestoreOrder
from plasmatui.ui.dialogs.order import Option
from plasmatui.ui.dialogs.system import SystemDialog


class BackupDialog(SystemDialog):
    """Back nodes up, one at a time. The plan's notes say what there is and who comes last."""

    PACED = False

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: BackupOrder | None = None) -> None:
        super().__init__("Back up", targets, hidden)
        self._given = given = order if order is not None else BackupOrder()
        self.live = Option("services", ("stopped meanwhile", "left running: as after a power failure"), "r", given.live)
        self.secrets = Option("private keys", ("left out", "taken along"), "k", given.secrets)

    def options(self) -> list[Option]:
        return [self.live, self.secrets]

    def order(self) -> Order:
        return msgspec.structs.replace(self._given, live=bool(self.live.chosen), secrets=bool(self.secrets.chosen))


Restoring = RestoreOrder | RecoverClusterOrder


class RestoreDialog(SystemDialog):
    """Put data of a backup back on nodes whose cluster lives, or on all voters of one that is lost."""

    PACED = False

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], order: Restoring | None = None) -> None:
        super().__init__("Restore", targets, hidden)
        values = ("restore: the others live", "recover the cluster: all is lost")
        kinds = (RestoreOrder, RecoverClusterOrder)
        self.what = Option("", values, "rc", kinds.index(type(order)) if order is not None else -1)
        self._backup = order.backup if order is not None else ""
        self._services = order.services if isinstance(order, RestoreOrder) else ()

    def options(self) -> list[Option]:
        return [self.what]

    def order(self) -> Order | None:
        orders = (RestoreOrder(self._backup, self._services), RecoverClusterOrder(self._backup), None)
        return orders[self.what.chosen]
