"""What the catalogue of findings says of one, and how it is recognised."""

from __future__ import annotations

import msgspec

from plasmatui.model.words import Severity


class FindingKind(msgspec.Struct, frozen=True):
    """An entry of the catalogue. `remedy` is a sentence that an operator can act on, with the key or command."""

    id: str
    severity: Severity
    cause: str
    remedy: str


class Sign(msgspec.Struct, frozen=True):
    """How a finding is recognised: `seen` in a sentence or two, `example` as lines of logs, consoles and programs."""

    seen: str
    example: tuple[str, ...]
