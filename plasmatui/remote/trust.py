"""Whom to believe that he is the node: values that the caller of a connection chooses."""

from __future__ import annotations

from dataclasses import dataclass

from plasmatui.remote.hostkeys import Fingerprint


@dataclass(frozen=True)
class Strict:
    """The keys that are known already: the system's and the user's known_hosts, and the engine's own file."""


@dataclass(frozen=True)
class Pinned:
    """Only keys with these fingerprints: those that an installer printed on its serial console in this boot."""

    fingerprints: frozenset[Fingerprint]


@dataclass(frozen=True)
class AcceptNew:
    """Whatever key comes first, and then only that one. For installers, and only where the inventory allows it.

    Attributes:
        boot: what names this boot, such as the id of the operation that made it; another boot may bring another key.
    """

    boot: str


Trust = Strict | Pinned | AcceptNew
