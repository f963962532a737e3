"""What a machine writes to its serial console from power-on to the login prompt, as steps in machine time.

The shapes (escape sequences, carriage returns, wording) are those of real boots: SeaBIOS and EDK II firmware, iPXE,
Linux, NixOS. A function that yields steps is a part of a boot; `boot` puts the parts together.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from plasmatui.model.bmc import Device
from plasmatui.sim.identity import BOOT_SERVER, GATEWAY, Identity
from plasmatui.sim.kernellog import KERNEL_LINES

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


def boot(facts: Boot) -> Iterator[Step]:
    """The whole boot up to the login prompt; the firmware's setup screen for device `bios`."""
    yield from _uefi_post(facts) if facts.identity.uefi else _bios_post(facts)
    if facts.device is Device.BIOS:
        yield Step(facts.around(0.6), setup_screen(facts.identity))
        return
    if facts.device is Device.PXE:
        yield from _uefi_pxe(facts) if facts.identity.uefi else _bios_pxe(facts)
        yield from _ipxe(facts)
    else:
        yield from _disk_loader(facts)
    yield from _kernel(facts)
    yield from _stage1(facts)
    yield from _stage2(facts)


def _line(delay: float, text: str) -> Step:
    return Step(delay, text.encode() + b"\r\n")


def _bios_post(facts: Boot) -> Iterator[Step]:
    identity, hardware = facts.identity, facts.identity.hardware
    yield Step(0.4, b"\x1bc\x1b[?7l\x1b[2J\x1b[0m")
    yield _line(facts.around(0.8), f"{hardware.maker} {hardware.product} BIOS 2.4a (C) 2025")
    yield _line(0.1, f"CPU: {hardware.cpu} x{hardware.sockets}")
    total = hardware.memory_gib * 1024
    for part in range(0, total + 1, max(1, total // 12)):
        yield Step(0.12, f"\rMemory Test: {part:>7} MB".encode())
    yield _line(0.1, f"\rMemory Test: {total:>7} MB OK")
    yield _line(facts.around(0.9), "Initializing USB Controllers .. Done")
    yield _line(facts.around(0.6), f"Serial number {identity.serial}  BMC firmware 2.10")
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
    yield _line(0.1, f"  Server IP address is {BOOT_SERVER}")
    yield _line(0.02, "  NBP filename is ipxe.efi")
    yield _line(0.1, "  NBP filesize is 1060864 Bytes")
    yield Step(0.05, b" Downloading NBP file...\r\n")
    yield _line(facts.around(0.9), "\r\n  NBP file downloaded successfully.")
    yield _line(0.1, f'BdsDxe: loading Boot0001 "UEFI PXEv4 (MAC:{mac})" from {path}')
    yield _line(0.05, f'BdsDxe: starting Boot0001 "UEFI PXEv4 (MAC:{mac})" from {path}')


def _bios_pxe(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    mac = identity.macs[0].replace(":", " ").upper()
    yield Step(0.3, b"\r\nIntel(R) Boot Agent GE v1.5.88\r\nCopyright (C) 1997-2022, Intel Corporation\r\n\r\n")
    yield _line(0.2, f"CLIENT MAC ADDR: {mac}  GUID: {str(identity.guid).upper()}")
    yield Step(0.1, b"DHCP.")
    for spinner in b"/-\\|" * 3:
        yield Step(facts.around(0.18), b"\x08" + bytes([spinner]))
    yield _line(0.1, f"\rCLIENT IP: {identity.provisioning}  MASK: 255.255.0.0  DHCP IP: {BOOT_SERVER}")
    yield _line(0.05, f"GATEWAY IP: {GATEWAY}")
    yield _line(0.2, "TFTP.")
    yield _line(facts.around(0.7), "PXE->EB: !PXE at 9CE2:0070, entry point at 9CE2:0106")


def _ipxe(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    mac, nic = identity.macs[0], identity.hardware.nic
    yield _line(facts.around(0.5), "iPXE initialising devices...ok")
    yield Step(0.05, b"\r\n\r\n\r\n\x1b[1m\x1b[37m\x1b[40miPXE 1.21.1+git\x1b[0m\x1b[37m\x1b[40m")
    yield Step(0, b" -- Open Source Network Boot Firmware -- \x1b[0m\x1b[36m\x1b[40mhttps://ipxe.org")
    features = (
        "DNS HTTP HTTPS iSCSI NFS TFTP SRP VLAN AoE EFI Menu"
        if identity.uefi
        else "DNS HTTP iSCSI TFTP AoE bzImage Menu PXEXT"
    )
    yield _line(0, f"\x1b[0m\x1b[37m\x1b[40m\r\nFeatures: {features}\r\n")
    prompt = b"Press Ctrl-B for the iPXE command line..."
    yield Step(0.02, prompt)
    yield Step(facts.around(1.6), b"\x08 \x08" * len(prompt))
    yield _line(0.02, f"net0: {mac} using {nic} on 0000:01:00.0 (Ethernet) [open]")
    yield _line(0.02, "  [Link:up, TX:0 TXE:0 RX:0 RXE:0]")
    yield Step(0.05, f"Configuring (net0 {mac})".encode())
    for _ in range(18):
        yield Step(facts.around(0.06), b".")
    yield _line(0.02, " ok")
    yield _line(0.01, f"net0: {identity.provisioning}/255.255.0.0 gw {GATEWAY}")
    yield _line(0.01, f"Next server: {BOOT_SERVER}")
    yield _line(0.01, f"Filename: {HTTP}/ipxe/boot.ipxe")
    yield _line(facts.around(0.2), f"{HTTP}/ipxe/boot.ipxe... ok")
    yield _line(0.01, "boot.ipxe : 755 bytes [script]")
    yield _line(0.05, f"Hostname {identity.name}")
    yield _line(0.02, f"Booting profile {facts.profile} for {identity.name}")
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


def _disk_loader(facts: Boot) -> Iterator[Step]:
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


def _command_line(facts: Boot) -> str:
    console = "console=tty0 console=ttyS0,115200n8"
    if facts.device is Device.PXE:
        system = f"initrd=initrd init=/nix/store/8f2x-nixos-system-installer-{RELEASE}/init"
        return f"{system} {console} loglevel=7 plasma.profile={facts.profile} plasma.hostname={facts.identity.name}"
    system = f"init=/nix/store/3kq9-nixos-system-{facts.identity.name}-{RELEASE}/init"
    return f"{system} {console} loglevel=7 root=fstab"


def _kernel(facts: Boot) -> Iterator[Step]:
    identity, hardware = facts.identity, facts.identity.hardware
    memory = hardware.memory_gib << 30
    values = {
        "kernel": KERNEL,
        "cmdline": _command_line(facts),
        "memory_end": memory + (1 << 32) - 1,
        "efi": "efi: EFI v2.8 by American Megatrends" if identity.uefi else "DMI: BIOS boot, no EFI",
        "maker": hardware.maker,
        "product": hardware.product,
        "board": hardware.board,
        "bios": "3.07" if identity.uefi else "2.4a",
        "last_pfn": (memory + (1 << 32)) >> 12,
        "oem": hardware.maker[:6].upper(),
        "cpu": hardware.cpu,
        "cpus": hardware.cores * hardware.sockets * 2,
        "memory_total": memory >> 10,
        "memory_free": (memory >> 10) * 97 // 100,
        "initrd": 412_996 if facts.device is Device.PXE else 21_548,
    }
    if identity.uefi:
        yield _line(0.3, "EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path")
    else:
        yield Step(0.3, b"Probing EDD (edd=off to disable)... o\x1bc\x1b[?7l\x1b[2J")
    yield Step(facts.around(1.0), b"")
    before = 0.0
    for seconds, text in KERNEL_LINES:
        yield _line(seconds - before, f"[{seconds:12.6f}] {text.format_map(values)}")
        before = seconds


def _stage1(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    yield Step(0.3, b"\r\n<<< NixOS Stage 1 >>>\r\n\r\n")
    yield _line(facts.around(0.4), "loading module dm_mod...")
    yield _line(0.1, "running udev...")
    yield _line(0.2, "Starting systemd-udevd version 257.7")
    nic = identity.hardware.nic
    yield _line(facts.around(0.5), f"[{3.612:12.6f}] {nic} 0000:01:00.0: added PHC on eth0")
    yield _line(0.05, f"[{3.641:12.6f}] {nic} 0000:01:00.0: (PCIe:5.0Gb/s:Width x4) {identity.macs[0]}")
    if identity.uefi:
        yield _line(0.1, f"[{3.702:12.6f}] nvme nvme0: pci function 0000:41:00.0")
        yield _line(0.1, f"[{3.888:12.6f}]  nvme0n1: p1 p2 p3")
    else:
        yield _line(0.1, f"[{3.702:12.6f}] ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)")
        yield _line(0.1, f"[{3.888:12.6f}]  sda: sda1 sda2 sda3")
    if facts.device is Device.PXE:
        yield _line(facts.around(0.3), "mounting tmpfs on /...")
        yield _line(0.1, "mounting nix-store.squashfs on /nix/.ro-store...")
    else:
        yield _line(0.1, "kbd_mode: KDSKBMODE: Inappropriate ioctl for device")
        yield _line(facts.around(0.4), "mounting /dev/disk/by-label/nixos on /...")
        yield _line(0.2, f"[{4.302:12.6f}] EXT4-fs (nvme0n1p2): mounted filesystem r/w with ordered data mode.")
    yield Step(facts.around(0.5), b"\r\n<<< NixOS Stage 2 >>>\r\n\r\n")
    yield _line(0.2, "running activation script...")
    yield _line(facts.around(0.8), "setting up /etc...")
    yield _line(0.2, "starting systemd...")


_UNITS = (
    "Created slice|Slice /system/getty",
    "Started|Dispatch Password Requests to Console Directory Watch",
    "Reached target|Path Units",
    "Reached target|Remote File Systems",
    "Listening on|Journal Sockets",
    "Listening on|udev Kernel Socket",
    "Mounted|Huge Pages File System",
    "Mounted|Kernel Debug File System",
    "Started|Journal Service",
    "Finished|Apply Kernel Variables",
    "Finished|Coldplug All udev Devices",
    "Started|Rule-based Manager for Device Events and Files",
    "Reached target|Local File Systems",
    "Finished|Create System Files and Directories",
    "Started|Network Time Synchronization",
    "Reached target|System Initialization",
    "Started|Daily Cleanup of Temporary Directories",
    "Listening on|D-Bus System Message Bus Socket",
    "Started|D-Bus System Message Bus",
    "Started|Network Configuration",
    "Started|Name Service Cache Daemon (nsncd)",
    "Reached target|Network",
    "Started|User Login Management",
    "Reached target|Network is Online",
    "Finished|SSH Host Keys Generation",
    "Started|SSH Daemon",
)


def unit_line(verb: str, unit: str) -> str:
    """A status line of systemd, coloured as on a terminal."""
    return f"[\x1b[0;32m  OK  \x1b[0m] {verb} \x1b[0;1;39m{unit}\x1b[0m."


def _stage2(facts: Boot) -> Iterator[Step]:
    identity = facts.identity
    yield _line(
        facts.around(0.6),
        f"[{6.114:12.6f}] systemd[1]: systemd 257.7 running in system mode (+PAM +AUDIT -SELINUX +APPARMOR)",
    )
    yield _line(0.1, f"[{6.118:12.6f}] systemd[1]: Detected architecture x86-64.")
    name = identity.name if facts.device is Device.DISK else "nixos"
    yield _line(0.2, f"\r\nWelcome to \x1b[0;38;2;126;186;228mNixOS {RELEASE[:5]} (Warbler)\x1b[0m!\r\n")
    yield _line(0.1, f"[{6.132:12.6f}] systemd[1]: Hostname set to <{name}>.")
    for entry in _UNITS:
        verb, _, unit = entry.partition("|")
        if unit == "Network is Online":
            yield _line(
                facts.around(1.2),
                f"[{9.018:12.6f}] {identity.hardware.nic} 0000:01:00.0 eth0: NIC Link is Up 10000 Mbps Full Duplex",
            )
            yield Step(facts.around(0.9), b"")
        yield _line(facts.around(0.09), unit_line(verb, unit))
    if facts.device is Device.DISK:
        for service in services(facts.profile):
            yield Step(
                facts.around(0.5), b"         Starting \x1b[0;1;39m" + service.encode() + b" service\x1b[0m...\r\n"
            )
            yield _line(facts.around(0.4), unit_line("Started", f"{service} service"))
    else:
        yield _line(0.1, f"SSH host key fingerprint: SHA256:{host_key(identity)} (ED25519)")
    yield _line(0.2, unit_line("Reached target", "Multi-User System"))
    yield Step(0.4, b"\r\n\r\n" + banner(facts) + login_prompt(facts))


def services(profile: str) -> tuple[str, ...]:
    """Units of an installed machine."""
    return (
        ("chainfire", "flaredb", "iam", "plasmavmc", "prismnet")
        if profile == "control-plane"
        else ("plasmavmc", "prismnet")
    )


def host_key(identity: Identity) -> str:
    numbers = identity.random("host-key")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return "".join(numbers.choice(letters) for _ in range(43))


def banner(facts: Boot) -> bytes:
    text = f"<<< Welcome to NixOS {RELEASE} (x86_64) - ttyS0 >>>\r\n"
    if facts.device is Device.PXE:
        text += '\r\nThe "nixos" and "root" accounts have empty passwords.\r\n'
    return text.encode() + b"\r\n"


def login_prompt(facts: Boot) -> bytes:
    return (facts.identity.name if facts.device is Device.DISK else "nixos").encode() + b" login: "


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


def shutdown(facts: Boot, verb: str) -> Iterator[Step]:
    """What systemd writes while it stops the machine; `verb` is "Power Off" or "Reboot". About three seconds."""
    yield Step(0.1, b"\r\n")
    for service in services(facts.profile) if facts.device is Device.DISK else ():
        yield _line(0.05, f"         Stopping \x1b[0;1;39m{service} service\x1b[0m...")
    for verb_done, unit in (
        ("Stopped target", "Multi-User System"),
        ("Stopped", "SSH Daemon"),
        ("Stopped", "Network Time Synchronization"),
        ("Stopped target", "Network"),
        ("Unmounted", "/boot"),
        ("Reached target", "Unmount All Filesystems"),
        ("Reached target", f"System {verb}"),
    ):
        yield _line(facts.around(0.25), unit_line(verb_done, unit))
    yield _line(facts.around(0.5), "[  512.004417] systemd-shutdown[1]: Syncing filesystems and block devices.")
    yield _line(0.2, "[  512.219004] systemd-shutdown[1]: Sending SIGTERM to remaining processes...")
    yield _line(0.3, "[  512.402114] systemd-shutdown[1]: All filesystems unmounted.")
    yield _line(0.1, f"[  512.508851] reboot: {'Power down' if verb == 'Power Off' else 'Restarting system'}")
