"""Findings that one watcher raised, and clears when they are over."""

from __future__ import annotations

from collections.abc import Mapping

from plasmatui.engine.store import Store
from plasmatui.model.event import FindingCleared, FindingRaised
from plasmatui.model.node import Finding


class Raised:
    """What a watcher raised; what others raised is theirs. `source`: whose events these are."""

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._source = source
        self._raised: dict[tuple[str, str], Finding] = {}

    def forget(self) -> None:
        """Remember nothing of nodes that the inventory no longer names."""
        for key in [key for key in self._raised if key[0] not in self._store.nodes]:
            del self._raised[key]

    def settle(self, node: str, ids: tuple[str, ...], found: Mapping[str, Finding]) -> None:
        """Raise what was found and clear what is over, of these ids."""
        bmc = self._store.states[node].bmc.finding
        for id_ in ids:
            before, after = self._raised.get((node, id_)), found.get(id_)
            if id_ == bmc or (before is None and after is None):
                continue
            if after is None:
                del self._raised[node, id_]
                self._store.tell(node, self._source, FindingCleared(id_))
            elif before is None or (before.evidence, before.severity) != (after.evidence, after.severity):
                self._raised[node, id_] = after
                self._store.tell(node, self._source, FindingRaised(after))
