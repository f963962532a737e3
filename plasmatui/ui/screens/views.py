"""The views of the main screen by their names."""

from __future__ import annotations

from plasmatui.ui.screens.base import View


def make_view(name: str) -> View:
    """A view; its module is imported when it is first opened, so that the screen starts fast."""
    if name == "nodes":
        from plasmatui.ui.screens.nodes import NodesView

        return NodesView(id="nodes")
    if name == "consoles":
        from plasmatui.ui.screens.consoles import ConsolesView

        return ConsolesView(id="consoles")
    if name == "logs":
        from plasmatui.ui.screens.logs import LogsView

        return LogsView(id="logs")
    if name == "operations":
        from plasmatui.ui.screens.operations import OperationsView

        return OperationsView(id="operations")
    if name == "health":
        from plasmatui.ui.screens.health import HealthView

        return HealthView(id="health")
    if name == "boot":
        from plasmatui.ui.screens.boot import BootView

        return BootView(id="boot")
    if name == "checks":
        from plasmatui.ui.screens.checks import ChecksView

        return ChecksView(id="checks")
    from plasmatui.ui.screens.node import NodeView

    return NodeView(id="node")
