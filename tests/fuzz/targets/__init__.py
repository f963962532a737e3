"""All targets by name: one module for each kind of input, each with a tuple `TARGETS`."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import consoles, engine, growth, ipmi, lies, logs, settings, sources, stores, web

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (logs, sources, lies, consoles, settings, stores, growth, engine, ipmi, web)
    for target in module.TARGETS
}
