"""What stands in place of the nodes when no engine has ever answered this screen."""

from __future__ import annotations

from plasmatui.paths import engine_paths
from plasmatui.ui.context import Context
from plasmatui.ui.lines import TextLine, text_line


def no_engine_lines(context: Context) -> list[TextLine]:
    """Why there is no engine, in full, and what can be done about it."""
    path = context.options.inventory
    key = context.keymap.first("global.refresh")
    return [
        text_line(("", "")),
        text_line((" No engine answers, so that nothing is known of any node.", "bold role-error")),
        text_line((f"   {context.store.link.reason}", "")),
        text_line(("", "")),
        text_line((f"   inventory   {path}", "role-muted")),
        text_line((f"   engine log  {engine_paths(path).log}", "role-muted")),
        text_line(("", "")),
        text_line(
            (f"   {key:<10}", "bold role-busy"), ("start it and try now; it is looked for by itself as well", "")
        ),
        text_line(("   :docs     ", "bold role-busy"), ("the documentation: operations, When something is wrong", "")),
        text_line(("   in a shell", "bold role-busy"), ("  plasmatui engine status   and   plasmatui info", "")),
    ]
