"""What the screen knows of the PXE side: the last answers, why one did not come, and what is asked now."""

from __future__ import annotations

from dataclasses import dataclass, field

from plasmatui.model import wire
from plasmatui.model.pxe import PxeReply, PxeRequest

Look = wire.AskPxeServices | wire.AskImages | wire.AskDrift

EVERY: dict[type[Look], float] = {wire.AskPxeServices: 30.0, wire.AskImages: 15.0, wire.AskDrift: 15.0}
"""Seconds between two looks while somebody watches."""


@dataclass
class PxeSide:
    """See the module.

    Attributes:
        asked: when each was asked last, Unix seconds.
        problems: why the last answer did not come.
        verified: what reading a version showed, by version; reading: versions that are read now, and bytes so far.
    """

    services: wire.PxeServices | None = None
    images: wire.Images | None = None
    drift: wire.Drift | None = None
    asked: dict[type[PxeRequest], float] = field(default_factory=dict)
    problems: dict[type[PxeRequest], str] = field(default_factory=dict)
    verified: dict[str, wire.ImageVerified] = field(default_factory=dict)
    reading: dict[str, int] = field(default_factory=dict)

    def take(self, answer: PxeReply) -> None:
        """An answer came."""
        if isinstance(answer, wire.PxeServices):
            self.services = answer
            self.problems.pop(wire.AskPxeServices, None)
        elif isinstance(answer, wire.Images):
            self.images = answer
            self.problems.pop(wire.AskImages, None)
        elif isinstance(answer, wire.Drift):
            self.drift = answer
            self.problems.pop(wire.AskDrift, None)
        elif isinstance(answer, wire.ImageVerified):
            self.verified[answer.version] = answer

    def due(self, now: float) -> list[type[Look]]:
        """What is to be asked again."""
        return [kind for kind, every in EVERY.items() if now - self.asked.get(kind, 0.0) >= every]

    def version(self, name: str) -> wire.ImageVersion | None:
        """A published version by its name."""
        versions = self.images.versions if self.images is not None else ()
        return next((each for each in versions if each.name == name), None)

    def file(self, relative: str) -> wire.DriftFile | None:
        """A file that is not deployed as rendered."""
        files = self.drift.files if self.drift is not None else ()
        return next((each for each in files if each.relative == relative), None)
