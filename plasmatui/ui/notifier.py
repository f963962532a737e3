"""Tells when a node stops, reaches the installer or is healthy, and when its services are unwell and well again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plasmatui.model.health import service_word
from plasmatui.model.node import NodeState
from plasmatui.model.words import Health, Severity
from plasmatui.ui.context import Context

SHOWN = 3
"""News of this many nodes in one toast; the others are counted."""

_REACHED = {"installer-up": "the installer is up", "healthy": "healthy"}


@dataclass(frozen=True)
class _Seen:
    errors: frozenset[str]
    outcome: str
    health: Health


class Notifier:
    """Compares the states of nodes with those before. The first look tells nothing, nor the first after a break or of
    another moment."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[str, _Seen] = {}
        self._since = (-1.0, 0.0)

    def news(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Texts of toasts and their severity."""
        store = self._context.store
        quiet = (store.link.since, store.at) != self._since
        if quiet:
            self._seen.clear()
            self._since = (store.link.since, store.at)
            names = tuple(store.nodes)
        bad: list[str] = []
        odd: list[str] = []
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
            if now.health is Health.DEGRADED and before.health is not Health.DEGRADED:
                odd.append(f"{name}: {self._odd(name)}")
            elif now.health is Health.OK and before.health in (Health.DEGRADED, Health.FAILED):
                good.append(f"{name}: its services are well again")
        told = ((bad, "error"), (odd, "warning"), (good, "information"))
        return [(_text(lines), severity) for lines, severity in told if lines]

    def _odd(self, name: str) -> str:
        """Which services keep a node from being well."""
        store = self._context.store
        services = store.services.get(name)
        power = store.state(name).power.value
        named = [
            f"{each.service} {service_word(each, power)}"
            for each in (services.services if services is not None else ())
            if each.askable and each.status is not Health.OK
        ]
        return f"services degraded: {', '.join(named)}" if named else "services degraded"

    def _why(self, state: NodeState, finding_id: str) -> str:
        finding = next(finding for finding in state.findings if finding.id == finding_id)
        where = f"stopped at {state.stage.stage}: " if state.stage and state.stage.outcome == "stopped" else ""
        return f"{where}{finding.cause} {self._context.glyphs['arrow']} {finding.remedy}"


def _seen(state: NodeState) -> _Seen:
    errors = frozenset(finding.id for finding in state.findings if finding.severity is Severity.ERROR)
    return _Seen(errors, state.stage.outcome if state.stage is not None else "", state.health)


def _text(lines: list[str]) -> str:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
