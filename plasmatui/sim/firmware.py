"""What firmware writes to a serial console: self-test, boot menus, the setup screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

from plasmatui.sim.boot import Boot
from plasmatui.sim.identity import Identity
from plasmatui.sim.steps import Step, line
from plasmatui.sim.system import Generation, InstalledSystem

_MENU_ROWS = 8


def self_test(facts: Boot) -> Iterator[Step]:
    """From power-on to the choice of a boot device."""
    yield from _uefi_post(facts) if facts.identity.uefi else _bios_post(facts)


def _bios_post(facts: Boot) -> Iterator[Step]:
    identity, hardware = facts.identity, facts.identity.hardware
    yield Step(0.4, b"\x1bc\x1b[?7l\x1b[2J\x1b[0m")
    yield line(facts.around(0.8), f"{hardware.maker} {hardware.product} BIOS 2.4a (C) 2025")
    yield line(0.1, f"CPU: {hardware.cpu} x{hardware.sockets}")
    total = hardware.memory_gib * 1024
    for part in range(0, total + 1, max(1, total // 12)):
        yield Step(0.12, f"\rMemory Test: {part:>7} MB".encode())
    yield line(0.1, f"\rMemory Test: {total:>7} MB OK")
    yield line(facts.around(0.9), "Initializing USB Controllers .. Done")
    yield line(facts.around(0.6), f"Serial number {identity.serial}  BMC firmware 2.10")
    yield Step(0.2, b"\r\nPress <DEL> to enter Setup, <F11> Boot Menu, <F12> Network Boot\r\n")
    yield Step(facts.around(2.2), b"\x1b[2J\x1b[1;1H")


def _uefi_post(facts: Boot) -> Iterator[Step]:
    hardware = facts.identity.hardware
    yield Step(0.5, b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2J\x1b[01;01H")
    yield Step(
        facts.around(1.6),
        f"\x1b[0m\x1b[37m\x1b[40m{hardware.maker} {hardware.product}  UEFI firmware 3.07\r\n".encode()
        + f"\x1b[01;02H\r\n{hardware.cpu}\r\n{hardware.memory_gib} GB DDR4 3200 MT/s\r\n".encode(),
    )
    for code in ("15", "32", "4F", "61", "92", "A0", "B2"):
        yield Step(facts.around(0.35), f"\x1b[25;70H\x1b[36m\x1b[40mPOST {code}\x1b[0m".encode())
    yield Step(0.2, b"\x1b[06;01H\x1b[37m\x1b[40mF2 Setup   F11 Boot Menu   F12 PXE\r\n")
    yield Step(facts.around(2.0), b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2J\x1b[01;01H")


def disk_loader(facts: Boot, system: InstalledSystem) -> Iterator[Step]:
    """The menu of systemd-boot, or of GRUB on BIOS machines, with its countdown; the entry that it boots is marked."""
    if not facts.identity.uefi:
        yield Step(facts.around(0.6), b"\r\nBooting from Hard Disk...\r\n")
        yield Step(
            facts.around(0.8), b"GRUB loading.\r\nWelcome to GRUB!\r\n\r\n\x1b[0m\x1b[37m\x1b[40m\x1b[2J\x1b[1;1H"
        )
    else:
        yield Step(
            facts.around(0.6),
            b'BdsDxe: loading Boot0000 "Linux Boot Manager" from HD(1,GPT)/\\EFI\\systemd\\systemd-bootx64.efi\r\n',
        )
        yield Step(0.2, b"\x1b[0m\x1b[37m\x1b[40m\x1b[2J\x1b[01;01H")
    numbers = sorted(system.bootable | {system.chosen}, reverse=True)[:_MENU_ROWS]
    entries = [_entry(system.generations[number]) for number in numbers]
    entries.append("Reboot Into Firmware Interface")
    marked = _entry(system.generations[system.chosen])
    for row, entry in enumerate(entries, 9):
        colours = "\x1b[30m\x1b[47m" if entry == marked else "\x1b[37m\x1b[40m"
        yield Step(0.01, f"\x1b[{row:02d};10H{colours}{entry[:60]:^60}\x1b[0m".encode())
    for left in (3, 2, 1):
        yield Step(1.0 if left < 3 else 0.1, f"\x1b[20;10H\x1b[37m\x1b[40m{f'Boot in {left} s.':^60}".encode())
    yield Step(1.0, b"\x1b[0m\x1b[37m\x1b[40m\x1b[2J\x1b[01;01H")


def _entry(generation: Generation) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(generation.date))
    build = generation.build
    return f"NixOS (Generation {generation.number} NixOS {build.version[:5]} (Linux {build.kernel}), built on {day})"


def setup(facts: Boot) -> Iterator[Step]:
    """The firmware's setup instead of a boot."""
    yield Step(facts.around(0.6), setup_screen(facts.identity))


def setup_screen(identity: Identity) -> bytes:
    """A full-screen firmware setup, drawn with cursor addressing."""
    hardware = identity.hardware
    rows = [
        ("Main", ""),
        ("System Product Name", hardware.product),
        ("System Serial Number", identity.serial),
        ("Processor", hardware.cpu[:30]),
        ("Total Memory", f"{hardware.memory_gib} GB"),
        ("Network Stack", "[Enabled]"),
        ("Boot Mode", "[UEFI]" if identity.uefi else "[Legacy]"),
        ("Serial Console Redirection", "[COM1 115200 8n1]"),
    ]
    text = "\x1b[0m\x1b[2J\x1b[01;01H\x1b[37m\x1b[44m" + f"{hardware.maker} Setup Utility".center(80)
    text += (
        "\x1b[02;01H\x1b[30m\x1b[47m"
        + "  Main   Advanced   Boot   Security   Save & Exit".ljust(80)
        + "\x1b[37m\x1b[44m"
    )
    text += "\x1b[03;01H/" + "-" * 78 + "\\"
    for row in range(4, 23):
        label, value = rows[row - 4] if row - 4 < len(rows) else ("", "")
        text += f"\x1b[{row:02d};01H|  {label:<32}{value:<44}|"
    text += "\x1b[23;01H\\" + "-" * 78 + "/"
    text += (
        "\x1b[24;01H\x1b[30m\x1b[47m" + " F10 Save & Exit    ESC Exit    F9 Defaults".ljust(79) + "\x1b[0m\x1b[05;36H"
    )
    return text.encode()
