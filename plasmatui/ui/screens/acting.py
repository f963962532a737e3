"""Views whose keys act on nodes, and copy from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.ui.screens.base import View
from plasmatui.ui.widgets.drawing import fit

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen


class ActingView(View):
    """The actions that Nodes, Node detail and Consoles share."""

    @property
    def main(self) -> MainScreen:
        from plasmatui.ui.screens.main import MainScreen

        return next(screen for screen in self.app.screen_stack if isinstance(screen, MainScreen))

    def action_power(self) -> None:
        self.main.orders.power(self.targets())

    def action_bootdev(self) -> None:
        self.main.orders.bootdev(self.targets())

    def action_boot(self) -> None:
        self.main.orders.boot(self.targets())

    def action_install(self) -> None:
        self.main.orders.install(self.targets())

    def action_drain(self) -> None:
        self.main.orders.drain(self.targets())

    def action_undrain(self) -> None:
        self.main.orders.undrain(self.targets())

    def action_update(self) -> None:
        self.main.orders.update(self.targets())

    def action_rollback(self) -> None:
        self.main.orders.rollback(self.targets())

    def action_backup(self) -> None:
        self.main.orders.backup(self.targets())

    def action_restore(self) -> None:
        self.main.orders.restore(self.targets())

    def action_recover(self) -> None:
        self.main.orders.recover(self.targets())

    def action_reprovision(self) -> None:
        self.main.orders.replace(self.targets())

    def action_rotate_certs(self) -> None:
        self.main.orders.rotate_certs(self.targets())

    def action_lock(self) -> None:
        self.main.people.lock(self.targets())

    def action_note(self) -> None:
        self.main.people.note(self.targets())

    def action_rotate_keys(self) -> None:
        self.main.orders.rotate_keys(self.targets())

    def action_all_actions(self) -> None:
        self.main.orders.menu(self.targets())

    async def action_console(self) -> None:
        await self.main.open_consoles()

    async def action_logs(self) -> None:
        await self.main.open_logs(self.targets())

    def copy_source(self) -> str:
        """The node that the copy menu is about."""
        return self.context.current

    def row_text(self, name: str) -> str:
        """The node's row as text, "" when the view has none."""
        return ""

    def action_copy(self) -> None:
        from plasmatui.ui.dialogs.menu import MenuDialog, MenuItem

        name = self.copy_source()
        node = self.context.store.nodes.get(name)
        if node is None:
            return
        texts = {
            "name": name,
            "BMC address": node.bmc_address,
            "address": node.provisioning_ip or node.production_ip,
            "MAC": "\n".join(node.macs),
            "row": self.row_text(name),
            "CLI command: state": self.context.cli("nodes", name),
            "CLI command: console": self.context.cli("console", name),
            "CLI command: power on": self.context.cli("power", "on", ",".join(self.targets()) or name),
        }
        items = [MenuItem(key, key, fit(text.replace("\t", "  "), 44).rstrip()) for key, text in texts.items() if text]

        def chosen(key: str | None) -> None:
            if key:
                self.copy(texts[key])

        self.app.push_screen(MenuDialog(f"Copy from {name}", items), chosen)

    def copy(self, text: str) -> None:
        """To the terminal's clipboard and to a file."""
        from plasmatui.ui import clipboard

        self.main.tell(clipboard.copy(self.app, text))
