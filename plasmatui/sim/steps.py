"""The material of a boot's console text: steps in machine time, and what one boot is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

from plasmatui.model.bmc import Device
from plasmatui.sim.identity import BOOT_SERVER, Identity

KERNEL = "6.12.41"
RELEASE = "25.05.20250801.c7ab75f"
HTTP = f"http://{BOOT_SERVER}:8080/boot"


class Step(NamedTuple):
    """Wait `delay` machine seconds, then write `data`."""

    delay: float
    data: bytes


@dataclass(frozen=True)
class Boot:
    """One boot.

    Attributes:
        device: what the firmware boots from: pxe, disk or bios.
        profile: of the inventory; part of kernel paths and command line.
        numbers: jitter.
    """

    identity: Identity
    device: Device
    profile: str
    numbers: random.Random

    def around(self, seconds: float) -> float:
        return seconds * self.numbers.uniform(0.85, 1.2)


def line(delay: float, text: str) -> Step:
    """A line of text."""
    return Step(delay, text.encode() + b"\r\n")
