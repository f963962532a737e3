"""One node in full."""

from __future__ import annotations

from textual.app import ComposeResult

from plasmatui.ui import glyphs
from plasmatui.ui.lines import Part
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.screens.detail import NodeDetail
from plasmatui.ui.store import Dirt


class NodeView(ActingView):
    """The detail pane over the whole view."""

    SCOPE = "node"
    can_focus = True

    def compose(self) -> ComposeResult:
        self.detail = NodeDetail()
        self.detail.add_class("full")
        self.node_name = ""
        yield self.detail

    def focus_view(self) -> None:
        self.focus()

    def show(self, name: str, tab: str = "") -> None:
        """Show this node."""
        self.node_name = name
        self.detail.show(name, tab)
        self.main.refresh_bars()

    def shown(self) -> None:
        super().shown()
        self.detail.show(self.node_name)

    def hidden(self) -> None:
        super().hidden()
        self.detail.show("")

    def update_view(self, dirt: Dirt) -> None:
        self.detail.refresh_detail(dirt)

    def crumbs(self) -> list[Part]:
        state = self.context.store.state(self.node_name)
        power, role = glyphs.POWER[state.power.value]
        parts: list[Part] = [
            (" nodes ", "role-muted"),
            (f"{self.context.glyphs['sep']} {self.node_name} ", "bold"),
            (f" {self.context.glyphs[power]} {state.power.value}", f"role-{role}"),
        ]
        for finding in state.findings:
            glyph, role = glyphs.SEVERITY[finding.severity]
            parts.append((f"  {self.context.glyphs[glyph]} {finding.id}", f"role-{role}"))
        return parts

    def targets(self) -> tuple[str, ...]:
        return (self.node_name,) if self.node_name in self.context.store.nodes else ()

    def place(self) -> str:
        return f"node {self.node_name}"

    def copy_source(self) -> str:
        return self.node_name

    async def action_console(self) -> None:
        await self.main.open_consoles(self.targets())

    def action_tab(self, step: int) -> None:
        self.detail.next_tab(step)

    def action_evidence(self) -> None:
        self.detail.toggle_evidence()

    def ask_again(self) -> bool:
        return self.detail.ask_again()
