"""Tells when a node stops, and when one reaches the installer or is healthy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plasmatui.model.node import NodeState
from plasmatui.model.words import Severity
from plasmatui.ui.context import Context

SHOWN = 3
"""News of this many nodes in one toast; the others are counted."""

_REACHED = {"installer-up": "the installer is up", "healthy": "healthy"}


@dataclass(frozen=True)
class _Seen:
    errors: frozenset[str]
    outcome: str


class Notifier:
    """Compares the states of nodes with those before. The first look, and the first after a break, tell nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[str, _Seen] = {}
        self._since = -1.0

    def news(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Texts of toasts and their severity."""
        store = self._context.store
        quiet = store.link.since != self._since
        if quiet:
            self._seen.clear()
            self._since = store.link.since
            names = tuple(store.nodes)
        bad: list[str] = []
        good: list[str] = []
        for name in sorted(names):
            state = store.state(name)
            before, now = self._seen.get(name), _seen(state)
            self._seen[name] = now
            if before is None or quiet:
                continue
            bad += [f"{name}: {self._why(state, finding)}" for finding in sorted(now.errors - before.errors)]
            if now.outcome != before.outcome and now.outcome in _REACHED:
                good.append(f"{name}: {_REACHED[now.outcome]}")
        return [(_text(lines), severity) for lines, severity in ((bad, "error"), (good, "information")) if lines]

    def _why(self, state: NodeState, finding_id: str) -> str:
        finding = next(finding for finding in state.findings if finding.id == finding_id)
        where = f"stopped at {state.stage.stage}: " if state.stage and state.stage.outcome == "stopped" else ""
        return f"{where}{finding.cause} {self._context.glyphs['arrow']} {finding.remedy}"


def _seen(state: NodeState) -> _Seen:
    errors = frozenset(finding.id for finding in state.findings if finding.severity is Severity.ERROR)
    return _Seen(errors, state.stage.outcome if state.stage is not None else "")


def _text(lines: list[str]) -> str:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
