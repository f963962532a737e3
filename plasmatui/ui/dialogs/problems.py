"""All findings, the gravest first, and the ways from one to its node, its log lines and its remedy."""

from __future__ import annotations

from dataclasses import dataclass

from plasmatui.model.node import Finding
from plasmatui.ui import clipboard, glyphs
from plasmatui.ui.bars import age
from plasmatui.ui.dialogs.lists import ListDialog
from plasmatui.ui.lines import TextLine, text_line


@dataclass(frozen=True)
class Jump:
    """Where to go: to the node, or to its log lines from the time (Unix seconds) when the finding came up."""

    node: str
    since: float
    logs: bool = False


class ProblemsDialog(ListDialog[Jump]):
    """See the module."""

    def __init__(self) -> None:
        super().__init__("Problems   enter: node  l: log lines  y: copy remedy  esc: close")

    def on_mount(self) -> None:
        self.pane.set_lines(self.lines())
        self.pane.ends(-1)

    def _findings(self) -> dict[str, tuple[str, Finding]]:
        """The findings with their nodes, by the keys of their lines."""
        found = [(state.name, finding) for state in self.context.store.states.values() for finding in state.findings]
        found.sort(key=lambda pair: (-glyphs.rank(pair[1].severity), pair[0], pair[1].id))
        return {f"{name} {finding.id}": (name, finding) for name, finding in found}

    def chosen(self) -> Jump | None:
        found = self._findings().get(self.pane.cursor)
        return Jump(found[0], found[1].since) if found is not None else None

    async def pressed(self, key: str) -> bool:
        found = self._findings().get(self.pane.cursor)
        if key == "l" and found is not None:
            self.dismiss(Jump(found[0], found[1].since, logs=True))
        elif key == "y" and found is not None:
            self.notify(clipboard.copy(self.app, found[1].remedy), markup=False)
        else:
            return await super().pressed(key)
        return True

    def lines(self) -> list[TextLine]:
        store, now = self.context.store, self.context.clock()
        lines: list[TextLine] = []
        if not store.link.online:
            lines.append(text_line((f"{self.context.glyphs['error']} engine not connected: ", "role-error"),
                                   (store.link.reason, "")))  # fmt: skip
        for key, (name, finding) in self._findings().items():
            glyph, role = glyphs.SEVERITY[finding.severity]
            lines.append(
                text_line(
                    (f"{self.context.glyphs[glyph]} {finding.severity:<8} ", f"role-{role}"),
                    (f"{name:<14} ", "bold"),
                    (f"{finding.id}: {finding.cause}", ""),
                    (f"  {age(now - finding.since)}", "role-muted"),
                    key=key,
                )
            )
            if finding.evidence:
                lines.append(text_line((f"    {self.context.glyphs['sep']} {finding.evidence[0]}", "role-muted")))
            lines.append(text_line((f"    {self.context.glyphs['arrow']} {finding.remedy}", "role-muted")))
        for notice in store.notices:
            lines.append(text_line((f"{self.context.glyphs['warning']} notice   ", "role-warning"), (notice, "")))
        return lines or [text_line((f"{self.context.glyphs['ok']} no problems are known", "role-ok"))]
