"""How services did at the last looks: what sparklines are made of."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from plasmatui.cluster.health import ServiceHealth
from plasmatui.model.health import Trend
from plasmatui.model.words import Health

KEPT: Final = 40
"""Looks that are remembered: some minutes."""

_Point = tuple[float, int]


class Trends:
    """Collects looks. Of one node by service, and of each service over all nodes."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, deque[_Point]]] = {}
        self._services: dict[str, deque[_Point]] = {}
        self._look: dict[str, list[_Point]] = {}

    def take(self, node: str, found: Iterable[ServiceHealth]) -> None:
        """A node was looked at."""
        kept = self._nodes.setdefault(node, {})
        for each in found:
            if not each.askable:
                continue
            point = (round((each.latency or 0.0) * 1000, 1), int(each.status is not Health.OK))
            kept.setdefault(each.service, deque(maxlen=KEPT)).append(point)
            self._look.setdefault(each.service, []).append(point)

    def end_look(self) -> tuple[Trend, ...]:
        """A look has ended: how each service did up to it, over all nodes."""
        for service, points in self._look.items():
            answered = sorted(latency for latency, _ in points if latency)
            slow = answered[math.ceil(len(answered) * 0.95) - 1] if answered else 0.0
            point = (slow, sum(unwell for _, unwell in points))
            self._services.setdefault(service, deque(maxlen=KEPT)).append(point)
        self._look.clear()
        return tuple(_trend(service, points) for service, points in self._services.items())

    def of(self, node: str) -> tuple[Trend, ...]:
        """How the services of a node did."""
        return tuple(_trend(service, points) for service, points in self._nodes.get(node, {}).items())

    def forget(self, nodes: Collection[str], services: Collection[str]) -> None:
        """Remember nothing of other nodes and services than these."""
        self._nodes = {node: kept for node, kept in self._nodes.items() if node in nodes}
        self._services = {service: points for service, points in self._services.items() if service in services}


def _trend(service: str, points: deque[_Point]) -> Trend:
    return Trend(service, tuple(latency for latency, _ in points), tuple(unwell for _, unwell in points))
