"""From a key to an order: opens the dialogs of everything that acts on nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice
from plasmatui.model.operation import BackupOrder, BootOrder, RollbackOrder, UpdateOrder
from plasmatui.model.words import PowerAction
from plasmatui.ui.actions import BY_ID
from plasmatui.ui.works import order_text

if TYPE_CHECKING:
    from plasmatui.ui.dialogs.backups import Restoring
    from plasmatui.ui.dialogs.order import OrderDialog
    from plasmatui.ui.dialogs.system import Exchanging, Installing
    from plasmatui.ui.screens.main import MainScreen


class Orders:
    """The main screen's hand for everything that acts."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main

    # Dialogs

    def power(self, targets: tuple[str, ...], action: PowerAction | None = None) -> None:
        """Ask for a power order on these nodes."""
        from plasmatui.ui.dialogs.order import PowerDialog

        self._ask(targets, lambda hidden: PowerDialog(targets, hidden, action))

    def bootdev(self, targets: tuple[str, ...], boot: BootDevice | None = None) -> None:
        """Ask for a boot device."""
        from plasmatui.ui.dialogs.order import BootDeviceDialog

        self._ask(targets, lambda hidden: BootDeviceDialog(targets, hidden, boot))

    def identify(self, targets: tuple[str, ...], chosen: int = -1) -> None:
        """Ask for the identify light."""
        from plasmatui.ui.dialogs.order import IdentifyDialog

        self._ask(targets, lambda hidden: IdentifyDialog(targets, hidden, chosen))

    def boot(self, targets: tuple[str, ...], order: BootOrder | None = None) -> None:
        """Ask for a boot of these nodes."""
        from plasmatui.ui.dialogs.system import BootDialog

        self._ask(targets, lambda hidden: BootDialog(targets, hidden, order))

    def install(self, targets: tuple[str, ...], order: Installing | None = None) -> None:
        """Ask for an installation, a provisioning, or for nodes to be added."""
        from plasmatui.ui.dialogs.system import InstallDialog

        self._ask(targets, lambda hidden: InstallDialog(targets, hidden, order))

    def replace(self, targets: tuple[str, ...], order: Exchanging | None = None) -> None:
        """Ask for nodes to be replaced, provisioned anew, or taken out for good."""
        from plasmatui.ui.dialogs.system import ReplaceDialog

        self._ask(targets, lambda hidden: ReplaceDialog(targets, hidden, order))

    def backup(self, targets: tuple[str, ...], order: BackupOrder | None = None) -> None:
        """Ask for a backup."""
        from plasmatui.ui.dialogs.backups import BackupDialog

        self._ask(targets, lambda hidden: BackupDialog(targets, hidden, order))

    def restore(self, targets: tuple[str, ...], order: Restoring | None = None) -> None:
        """Ask for data of a backup to be restored."""
        from plasmatui.ui.dialogs.backups import RestoreDialog

        self._ask(targets, lambda hidden: RestoreDialog(targets, hidden, order))

    def recover(self, targets: tuple[str, ...]) -> None:
        """Ask for nodes to be mended."""
        from plasmatui.ui.dialogs.system import RecoverDialog

        self._ask(targets, lambda hidden: RecoverDialog(targets, hidden))

    def drain(self, targets: tuple[str, ...]) -> None:
        """Ask for nodes to be taken out of service."""
        from plasmatui.ui.dialogs.system import DrainDialog

        self._ask(targets, lambda hidden: DrainDialog(targets, hidden))

    def undrain(self, targets: tuple[str, ...]) -> None:
        """Ask for nodes to be brought back into service."""
        from plasmatui.ui.dialogs.system import UndrainDialog

        self._ask(targets, lambda hidden: UndrainDialog(targets, hidden))

    def update(self, targets: tuple[str, ...], order: UpdateOrder | None = None) -> None:
        """Ask for a rolling update."""
        from plasmatui.ui.dialogs.system import UpdateDialog

        self._ask(targets, lambda hidden: UpdateDialog(targets, hidden, order))

    def rollback(self, targets: tuple[str, ...], order: RollbackOrder | None = None) -> None:
        """Ask for a generation, unless it is given, and then for the way back to it."""
        from plasmatui.ui.dialogs.generations import GenerationsDialog
        from plasmatui.ui.dialogs.system import RollbackDialog

        def picked(number: str | None) -> None:
            if number is not None:
                self.rollback(targets, RollbackOrder(int(number)))

        if order is None and targets:
            self._main.app.push_screen(GenerationsDialog(targets), picked)
        else:
            self._ask(targets, lambda hidden: RollbackDialog(targets, hidden, order or RollbackOrder()))

    def rotate_certs(self, targets: tuple[str, ...]) -> None:
        """Ask for new certificates."""
        from plasmatui.ui.dialogs.system import CertsRotateDialog

        self._ask(targets, lambda hidden: CertsRotateDialog(targets, hidden))

    def rotate_keys(self, targets: tuple[str, ...]) -> None:
        """Ask for a new provisioning key."""
        from plasmatui.ui.dialogs.system import SshKeysRotateDialog

        self._ask(targets, lambda hidden: SshKeysRotateDialog(targets, hidden))

    def menu(self, targets: tuple[str, ...]) -> None:
        """All acts on these nodes."""
        from plasmatui.ui.dialogs.menu import ActionMenu, MenuItem

        if not targets:
            self._main.tell("no node is marked or under the cursor", "warning")
            return
        acts: dict[str, tuple[str, str, Callable[[], None]]] = {
            "power": ("Power ...", "on, off, soft, cycle, reset; level 2", lambda: self.power(targets)),
            "bootdev": ("Boot device ...", "pxe, disk, bios, none; level 1", lambda: self.bootdev(targets)),
            "identify": ("Identify light ...", "level 1", lambda: self.identify(targets)),
            "boot": ("Boot ...", "the installer, or the system on the disk; level 2", lambda: self.boot(targets)),
            "install": ("Install or provision ...", "wipes disks; level 3", lambda: self.install(targets)),
            "drain": ("Drain ...", "VMs moved, services stopped; level 2", lambda: self.drain(targets)),
            "undrain": ("Undrain ...", "back into service; level 1", lambda: self.undrain(targets)),
            "update": ("Update ...", "to what the flake has, rolling; level 2", lambda: self.update(targets)),
            "rollback": ("Roll back ...", "to a generation; level 2", lambda: self.rollback(targets)),
            "backup": ("Back up ...", "beside the inventory, one at a time; level 2", lambda: self.backup(targets)),
            "restore": ("Restore ...", "from the newest backup; level 3", lambda: self.restore(targets)),
            "recover": ("Recover ...", "what is wrong, and the smallest cure; level 2", lambda: self.recover(targets)),
            "reprovision": (
                "Replace, reprovision, decommission ...",
                "dead, anew, or for good; level 3",
                lambda: self.replace(targets),
            ),
            "certs": ("Rotate certificates ...", "one service at a time; level 2", lambda: self.rotate_certs(targets)),
            "sshkeys": ("Rotate the SSH key ...", "of all nodes, best; level 2", lambda: self.rotate_keys(targets)),
            "reopen": ("Close and open the console ...", "level 1", lambda: self.reopen(targets[0])),
        }
        items = []
        for name, (title, note, _) in acts.items():
            key = self._main.context.keymap.first(f"nodes.{name}") if f"nodes.{name}" in BY_ID else ""
            alone = "one node only" if name == "reopen" and len(targets) > 1 else ""
            items.append(MenuItem(name, title, f"{key}: {note}" if key else note, alone))

        def chosen(what: str | None) -> None:
            if what:
                acts[what][2]()

        names = targets[0] if len(targets) == 1 else f"{len(targets)} nodes"
        self._main.app.push_screen(ActionMenu(f"All actions: {names}", items), chosen)

    def reopen(self, name: str) -> None:
        """Ask whether a console is to be closed and opened, and another client's session with it."""
        from plasmatui.ui.dialogs.base import ConfirmDialog

        lines = (
            f"The console of {name} is closed and opened again.",
            "If another client of the BMC holds it, that client's session is ended.",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._main.spawn(self._reopen(name), f"reopen {name}")

        self._main.app.push_screen(ConfirmDialog(f"Reopen the console of {name}", lines), answered)

    async def _reopen(self, name: str) -> None:
        await self._main.context.link.ask(wire.ConsoleReopen(name, takeover=True))
        self._main.tell(f"{name}: the console is opened again")

    def ask_to_leave(self) -> None:
        """Ask before the screen is left, and say what goes on without it."""
        from plasmatui.ui.dialogs.base import ConfirmDialog

        running = self._main.context.store.running
        lines = ["The engine goes on without the screen: it keeps the recordings and finishes what runs."]
        lines += [f"  operation {record.number}: {order_text(record)}, {record.state}" for record in running]
        lines += ["", "`plasmatui` shows all of it again; `plasmatui engine stop` ends it."]

        def answered(yes: bool | None) -> None:
            if yes:
                self._main.app.exit(0)

        self._main.app.push_screen(ConfirmDialog("Leave the screen", lines, level=0), answered)

    # Starting

    def _ask(self, targets: tuple[str, ...], dialog: Callable[[frozenset[str]], OrderDialog]) -> None:
        """Open the dialog of an order; it is told which targets the filter hides."""
        if not targets:
            self._main.tell("no node is marked or under the cursor", "warning")
            return
        self._main.app.push_screen(dialog(self._main.context.hidden), self._main.operations.start)

    def refresh(self, names: tuple[str, ...]) -> None:
        """Ask the BMCs of these nodes now."""
        self._main.spawn(self._refresh(names), "refresh")

    async def _refresh(self, names: tuple[str, ...]) -> None:
        problems: list[str] = []
        async for answer in self._main.context.link.stream(wire.Query("refresh", names)):
            if answer.problem is not None:
                problems.append(f"{answer.node}: {answer.problem.message}")
        done = len(names) - len(problems)
        text = "\n".join([f"{done} of {len(names)} BMCs answered", *problems[:5]])
        self._main.tell(text, "warning" if problems else "information")
