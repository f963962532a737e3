"""What makes one simulated machine differ from another: name, addresses, serial numbers, hardware. From a seed."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from plasmatui.sim.fru import Fru

PROVISIONING = IPv4Network("127.100.0.0/16")
"""Loopback, so that nobody who looks for the boot server asks the operator's real network."""

PRODUCTION = IPv4Network("10.200.0.0/16")
BOOT_SERVER = PROVISIONING[10]
GATEWAY = PROVISIONING[1]
POOL = (PROVISIONING[0xFA01], PROVISIONING[0xFAC8])

_FIRST_HOST = 1025  # x.x.4.1
_BOARD_MINUTES = 15_000_000  # July 2024, as minutes since 1996


@dataclass(frozen=True)
class Hardware:
    """A model of machine that a rack may be made of."""

    maker: str
    product: str
    board: str
    cpu: str
    cores: int
    sockets: int
    memory_gib: int
    nic: str
    disk: str
    uefi: bool


MODELS = (
    Hardware(
        "Contoso",
        "PR-2200",
        "PRB22-C",
        "AMD EPYC 7443P 24-Core Processor",
        24,
        1,
        256,
        "igb",
        "SAMSUNG_MZQL21T9HCJR-00A07",
        True,
    ),
    Hardware(
        "Contoso",
        "PR-1100",
        "PRB11-A",
        "Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz",
        16,
        2,
        128,
        "i40e",
        "INTEL_SSDPE2KX010T8",
        True,
    ),
    Hardware(
        "Fabrikam",
        "FX40",
        "FX40-MB",
        "Intel(R) Xeon(R) E-2336 CPU @ 2.90GHz",
        6,
        1,
        64,
        "igb",
        "SAMSUNG_MZ7L3960HCJR",
        False,
    ),
)


@dataclass(frozen=True)
class Identity:
    """One machine. `index` counts from 0. A rack that serves its nodes gives them other production addresses."""

    index: int
    name: str
    hardware: Hardware
    macs: tuple[str, ...]
    serial: str
    guid: uuid.UUID
    provisioning: IPv4Address
    production: IPv4Address
    disk: str
    seed: int

    @property
    def uefi(self) -> bool:
        return self.hardware.uefi

    @property
    def stranger_mac(self) -> str:
        """Of a network card that no inventory names."""
        numbers = self.random("stranger")
        return "3c:ec:ef:" + ":".join(f"{numbers.randrange(256):02x}" for _ in range(3))

    @property
    def board_serial(self) -> str:
        return f"B{self.serial[1:]}"

    def random(self, purpose: str) -> random.Random:
        """A source of numbers that depends on seed, machine and purpose alone."""
        return random.Random(f"{self.seed}/{self.name}/{purpose}")  # noqa: S311 - jitter, not secrets

    def fru(self) -> Fru:
        hardware = self.hardware
        return Fru(
            chassis_part=f"{hardware.product}-CH",
            chassis_serial=f"C{self.serial[1:]}",
            board_maker=hardware.maker,
            board_name=hardware.board,
            board_serial=self.board_serial,
            board_part=f"{hardware.board}-R2",
            board_minutes=_BOARD_MINUTES + self.index * 17,
            maker=hardware.maker,
            product=hardware.product,
            part=f"{hardware.product}-01",
            version="1.2",
            serial=self.serial,
            asset=f"AT-{self.index + 1:05d}",
        )


def node_name(index: int, count: int) -> str:
    """`node01`, `node02` ...; at least two digits, as many as `count` needs."""
    return f"node{index + 1:0{max(2, len(str(count)))}d}"


def make_identity(index: int, count: int, seed: int) -> Identity:
    """The machine number `index` of `count`. The same arguments give the same machine."""
    name = node_name(index, count)
    numbers = random.Random(f"{seed}/{name}")  # noqa: S311 - hardware, not secrets
    hardware = MODELS[numbers.randrange(len(MODELS))]
    serial = f"S{numbers.randrange(16**4):04X}{index + 1:05d}"
    mac = f"52:54:{numbers.randrange(256):02x}:{seed & 0xFF:02x}:{index >> 8 & 0xFF:02x}:{index & 0xFF:02x}"
    drive = f"S6{numbers.randrange(36**6):08X}"
    bus = "nvme" if hardware.uefi else "ata"
    return Identity(
        index=index,
        name=name,
        hardware=hardware,
        macs=(mac,),
        serial=serial,
        guid=uuid.uuid5(uuid.NAMESPACE_DNS, f"{seed}.{name}.sim.example.com"),
        provisioning=PROVISIONING[_FIRST_HOST + index],
        production=PRODUCTION[_FIRST_HOST + index],
        disk=f"/dev/disk/by-id/{bus}-{hardware.disk}_{drive}",
        seed=seed,
    )
