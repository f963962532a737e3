"""All targets by name: one module for each kind of input, each with a tuple `TARGETS`."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import consoles, logs, settings

TARGETS: Final[dict[str, Target]] = {
    target.name: target for module in (logs, consoles, settings) for target in module.TARGETS
}
