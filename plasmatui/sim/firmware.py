"""What firmware writes to a serial console: self-test, network boot and iPXE, boot menus, the setup screen."""

from __future__ import annotations

from collections.abc import Iterator

from plasmatui.sim.identity import BOOT_SERVER, GATEWAY, Identity
from plasmatui.sim.steps import HTTP, KERNEL, RELEASE, Boot, Step, line


def self_test(facts: Boot) -> Iterator[Step]:
    """From power-on to the choice of a boot device."""
    yield from _uefi_post(facts) if facts.identity.uefi else _bios_post(facts)


def network_boot(facts: Boot) -> Iterator[Step]:
    """PXE, iPXE, and its downloads of kernel and initrd."""
    yield from _uefi_pxe(facts) if facts.identity.uefi else _bios_pxe(facts)
    yield from _ipxe(facts)


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


def _uefi_pxe(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    mac = identity.macs[0].replace(":", "").upper()
    path = f"PciRoot(0x0)/Pci(0x1,0x0)/MAC({mac},0x1)/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)"
    yield Step(0.3, b"\r\n>>Start PXE over IPv4.")
    yield Step(facts.around(2.6), f"\r\n  Station IP address is {identity.provisioning}\r\n\r\n".encode())
    yield line(0.1, f"  Server IP address is {BOOT_SERVER}")
    yield line(0.02, "  NBP filename is ipxe.efi")
    yield line(0.1, "  NBP filesize is 1060864 Bytes")
    yield Step(0.05, b" Downloading NBP file...\r\n")
    yield line(facts.around(0.9), "\r\n  NBP file downloaded successfully.")
    yield line(0.1, f'BdsDxe: loading Boot0001 "UEFI PXEv4 (MAC:{mac})" from {path}')
    yield line(0.05, f'BdsDxe: starting Boot0001 "UEFI PXEv4 (MAC:{mac})" from {path}')


def _bios_pxe(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    mac = identity.macs[0].replace(":", " ").upper()
    yield Step(0.3, b"\r\nIntel(R) Boot Agent GE v1.5.88\r\nCopyright (C) 1997-2022, Intel Corporation\r\n\r\n")
    yield line(0.2, f"CLIENT MAC ADDR: {mac}  GUID: {str(identity.guid).upper()}")
    yield Step(0.1, b"DHCP.")
    for spinner in b"/-\\|" * 3:
        yield Step(facts.around(0.18), b"\x08" + bytes([spinner]))
    yield line(0.1, f"\rCLIENT IP: {identity.provisioning}  MASK: 255.255.0.0  DHCP IP: {BOOT_SERVER}")
    yield line(0.05, f"GATEWAY IP: {GATEWAY}")
    yield line(0.2, "TFTP.")
    yield line(facts.around(0.7), "PXE->EB: !PXE at 9CE2:0070, entry point at 9CE2:0106")


def _ipxe(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    mac, nic = identity.macs[0], identity.hardware.nic
    yield line(facts.around(0.5), "iPXE initialising devices...ok")
    yield Step(0.05, b"\r\n\r\n\r\n\x1b[1m\x1b[37m\x1b[40miPXE 1.21.1+git\x1b[0m\x1b[37m\x1b[40m")
    yield Step(0, b" -- Open Source Network Boot Firmware -- \x1b[0m\x1b[36m\x1b[40mhttps://ipxe.org")
    features = (
        "DNS HTTP HTTPS iSCSI NFS TFTP SRP VLAN AoE EFI Menu"
        if identity.uefi
        else "DNS HTTP iSCSI TFTP AoE bzImage Menu PXEXT"
    )
    yield line(0, f"\x1b[0m\x1b[37m\x1b[40m\r\nFeatures: {features}\r\n")
    prompt = b"Press Ctrl-B for the iPXE command line..."
    yield Step(0.02, prompt)
    yield Step(facts.around(1.6), b"\x08 \x08" * len(prompt))
    yield line(0.02, f"net0: {mac} using {nic} on 0000:01:00.0 (Ethernet) [open]")
    yield line(0.02, "  [Link:up, TX:0 TXE:0 RX:0 RXE:0]")
    yield Step(0.05, f"Configuring (net0 {mac})".encode())
    for _ in range(18):
        yield Step(facts.around(0.06), b".")
    yield line(0.02, " ok")
    yield line(0.01, f"net0: {identity.provisioning}/255.255.0.0 gw {GATEWAY}")
    yield line(0.01, f"Next server: {BOOT_SERVER}")
    yield line(0.01, f"Filename: {HTTP}/ipxe/boot.ipxe")
    yield line(facts.around(0.2), f"{HTTP}/ipxe/boot.ipxe... ok")
    yield line(0.01, "boot.ipxe : 755 bytes [script]")
    yield line(0.05, f"Hostname {identity.name}")
    yield line(0.02, f"Booting profile {facts.profile} for {identity.name}")
    yield from _download(facts, "bzImage", 0.9)
    yield from _download(facts, "initrd", 4.2)


def _download(facts: Boot, name: str, seconds: float) -> Iterator[Step]:
    """iPXE's progress: a percentage that is overwritten with backspaces."""
    yield Step(0.1, f"{HTTP}/nixos/{facts.profile}/{name}... ".encode())
    share = 0
    pace = facts.around(seconds) / 100
    while share < 100:
        step = min(facts.numbers.randint(3, 9), 100 - share)
        share += step
        text = f"{share}%".encode()
        yield Step(pace * step, text + b"\x08" * len(text))
    yield Step(0.02, b"    \x08\x08\x08\x08ok\r\n")


def disk_loader(facts: Boot) -> Iterator[Step]:
    """The menu of systemd-boot, or of GRUB on BIOS machines, with its countdown."""
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
    entries = [
        f"NixOS (Generation {n} NixOS {RELEASE[:5]}.20250{8 - i}01 (Linux {KERNEL}))" for i, n in enumerate((3, 2, 1))
    ]
    entries.append("Reboot Into Firmware Interface")
    for row, entry in enumerate(entries, 9):
        colours = "\x1b[30m\x1b[47m" if row == 9 else "\x1b[37m\x1b[40m"
        yield Step(0.01, f"\x1b[{row:02d};10H{colours}{entry:^60}\x1b[0m".encode())
    for left in (3, 2, 1):
        yield Step(1.0 if left < 3 else 0.1, f"\x1b[20;10H\x1b[37m\x1b[40m{f'Boot in {left} s.':^60}".encode())
    yield Step(1.0, b"\x1b[0m\x1b[37m\x1b[40m\x1b[2J\x1b[01;01H")


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
