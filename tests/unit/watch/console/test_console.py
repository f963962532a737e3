"""Serial consoles as evidence: real excerpts with what a person would pick, and texts of many programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import is_clean
from plasmatui.watch.console import ConsoleReader
from plasmatui.watch.console.screen import GLANCES, LINE_CAP

DATA = Path(__file__).parents[3] / "data" / "consoles"
K = SignalKind
FIELDS = ("mac", "ip", "host", "file", "bytes", "total", "percent", "code", "server", "uuid")


def read(data: bytes, wall: float | None = 5.0) -> list[Signal]:
    reader = ConsoleReader("node01", "console node01")
    return [*reader.feed(data, wall), *reader.flush()]


def kinds(text: str | bytes) -> list[SignalKind]:
    return [s.kind for s in read(text.encode() if isinstance(text, str) else text)]


def only(text: str, kind: SignalKind) -> Signal:
    found = [s for s in read(text.encode()) if s.kind is kind]
    assert len(found) == 1, found
    return found[0]


def picked(name: str) -> list[tuple[int, str, str]]:
    """Line, kind and the most telling field; percents between the first and the last are left out."""
    result = []
    for signal in read((DATA / f"{name}.raw").read_bytes()):
        if signal.percent is not None and 1 < signal.percent < 100:
            continue
        detail = signal.code or signal.file.rsplit("/", 1)[-1] or signal.ip
        result.append((signal.evidence.line, signal.kind.value, detail))
    return result


BIOS_START = [(1, "firmware", ""), (9, "firmware", ""), (11, "ipxe-start", "")]
UEFI_START = [
    (2, "pxe-start", ""),
    (3, "pxe-address", "10.0.100.50"),
    (6, "pxe-file", "ipxe.efi"),
    (7, "pxe-file", "ipxe.efi"),
    (10, "pxe-loaded", "ipxe.efi"),
    (11, "firmware", ""),
    (13, "ipxe-start", ""),
    (23, "ipxe-address", "10.0.100.50"),
]
NO_DISK = [(30, "firmware", ""), (33, "firmware", ""), (35, "firmware", ""), (38, "no-boot-device", "")]

GOLDEN: dict[str, list[tuple[int, str, str]]] = {
    "bios-no-dhcp": [
        *BIOS_START,
        (21, "ipxe-no-address", "040ee119"),
        (25, "firmware", ""),
        (28, "firmware", ""),
        (30, "firmware", ""),
        (33, "no-boot-device", ""),
    ],
    "bios-http-timeout": [
        *BIOS_START,
        (22, "ipxe-address", "10.0.100.50"),
        (26, "ipxe-fetch", "boot.ipxe"),
        (26, "ipxe-error", "4c0a6035"),
        *NO_DISK,
    ],
    "uefi-bad-kernel": [
        *UEFI_START,
        (27, "ipxe-fetch", "badkernel.ipxe"),
        (27, "ipxe-fetched", "badkernel.ipxe"),
        (28, "ipxe-fetched", "badkernel.ipxe"),
        (29, "ipxe-fetch", "garbage.ipxe"),
        (29, "ipxe-fetched", "garbage.ipxe"),
        (30, "ipxe-error", "2e008081"),
        (31, "ipxe-error", "2e008081"),
    ],
    "uefi-kernel-404": [
        *[(line, kind, detail.replace(".50", ".51")) for line, kind, detail in UEFI_START],
        (27, "ipxe-fetch", "boot.ipxe"),
        (27, "ipxe-fetched", "boot.ipxe"),
        (28, "ipxe-fetched", "boot.ipxe"),
        (31, "ipxe-fetch", "bzImage"),
        (31, "ipxe-error", "2d0c618e"),
        (33, "ipxe-shell", ""),
    ],
    "uefi-tftp-missing": [
        (2, "pxe-start", ""),
        (3, "pxe-address", "10.0.100.51"),
        (6, "pxe-file", "missing.efi"),
        (7, "pxe-file", "missing.efi"),
        (8, "pxe-error", "PXE-E23"),
        (9, "firmware", ""),
        (11, "pxe-start", ""),
    ],
    "uefi-http-boot": [
        (2, "pxe-start", ""),
        (3, "pxe-error", "PXE-E18"),
        (4, "firmware", ""),
        (6, "pxe-start", ""),
        (8, "firmware", ""),
        (10, "pxe-start", ""),
        (11, "pxe-address", "10.0.100.157"),
        (13, "pxe-file", "ipxe.efi"),
        (14, "pxe-file", "ipxe.efi"),
        (15, "pxe-file", "ipxe.efi"),
        (15, "pxe-file", "ipxe.efi"),
        (15, "pxe-loaded", "ipxe.efi"),
        (17, "ipxe-start", ""),
        (27, "ipxe-address", "10.0.100.157"),
        (31, "ipxe-fetch", "boot.ipxe"),
        (31, "ipxe-fetched", "boot.ipxe"),
        (32, "ipxe-fetched", "boot.ipxe"),
        (34, "ipxe-fetch", "bzImage"),
        (34, "ipxe-fetched", "bzImage"),
        (35, "ipxe-fetch", "initrd"),
        (35, "ipxe-fetched", "initrd"),
        (36, "kernel", ""),
        (37, "kernel", ""),
    ],
    "kernel-panic": [(112, "panic", "rootfs")],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_excerpts_of_real_consoles(name: str) -> None:
    assert picked(name) == GOLDEN[name]


def test_evidence_is_the_line_of_the_file() -> None:
    for path in sorted(DATA.glob("*.raw")):
        lines = path.read_bytes().split(b"\n")
        for signal in read(path.read_bytes()):
            raw = (
                lines[signal.evidence.line - 1]
                + b"\n"
                + b"".join(lines[signal.evidence.line : signal.evidence.line + 1])
            )
            first = signal.evidence.text.split(" ")[0].encode()
            assert first in raw, (path.name, signal)


def test_an_installers_shell_is_an_installer_that_is_up() -> None:
    found = read(b"[    0.000000] Linux version 6.12.1 (x)\r\n" + (DATA / "uefi-installer.raw").read_bytes())
    assert [s.kind for s in found] == [K.KERNEL, K.INITRD, K.INITRD, K.STAGE2, K.SSH_UP, K.LOGIN]
    assert found[-1].code == "installer"


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(p.stem for p in DATA.glob("*.raw"))))
def test_chunks_do_not_matter(data: st.DataObject, name: str) -> None:
    raw = (DATA / f"{name}.raw").read_bytes()
    whole = [s.evidence.text + s.kind + str(s.percent) + str(s.evidence.line) for s in read(raw)]
    reader, found, position = ConsoleReader("node01", "console node01"), [], 0
    size = data.draw(st.integers(1, 60))
    while position < len(raw):
        step = data.draw(st.integers(1, size)) if position < 2000 else size
        found += reader.feed(raw[position : position + step], 5.0)
        position += step
    found += reader.flush()
    assert [s.evidence.text + s.kind + str(s.percent) + str(s.evidence.line) for s in found] == whole


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b"\x1b[",
                    b"\x1b]0;",
                    b"\x1bP",
                    b"\x1b",
                    b"\x1b[5;3H",
                    b"\x1b[2J",
                    b"\r",
                    b"\n",
                    b"\x08",
                    b"\x1b[99999999C",
                ]
            ),
            st.sampled_from(
                [b"PXE-E18: x", b"http://a/b... 12%", b"x login: ", b"iPXE> ", b"Kernel panic - not syncing: "]
            ),
            st.sampled_from(
                [b"CLIENT MAC ADDR: 52 54 00 12 34 56 GUID: " + b"-" * 40, b"a : 9" + b"9" * 60 + b" bytes"]
            ),
        ),
        max_size=40,
    )
)
def test_never_raises_and_shows_clean_text_only(parts: list[bytes]) -> None:
    reader = ConsoleReader("node01", "console node01")
    found: list[Signal] = []
    for wall, part in enumerate(parts):
        found += reader.feed(part, float(wall))
    found += reader.flush()
    assert all(is_clean(s.evidence.text) and is_clean(s.text) and is_clean(s.file) for s in found)
    walls = [s.wall for s in found if s.wall is not None]
    assert walls == sorted(walls)
    lines = b"".join(parts).count(b"\n") + 1
    assert all(1 <= s.evidence.line <= lines for s in found)


def test_prompts_and_progress_are_seen_without_a_newline() -> None:
    reader = ConsoleReader("node01", "c")
    assert reader.feed(b"iPXE initialising devices...ok\r\n", 1.0)
    (begin,) = reader.feed(b"http://h/initrd...", 2.0)
    assert (begin.kind, begin.file, begin.percent, begin.wall) == (K.IPXE_FETCH, "http://h/initrd", None, 2.0)
    (share,) = reader.feed(b" 37%", 3.0)
    assert (share.kind, share.percent) == (K.IPXE_FETCH, 37.0)
    (share,) = reader.feed(b"\x08\x08\x0838%\x08\x08\x08", 4.0)
    assert share.percent == 38.0
    (done,) = reader.feed(b"    \x08\x08\x08\x08ok\r\n", 5.0)
    assert (done.kind, done.evidence.text) == (K.IPXE_FETCHED, "http://h/initrd... ok")
    assert reader.feed(b"\r\nnode07 login: ", 6.0)[0].host == "node07"
    assert reader.feed(b"root\r\n\r\nnode07 login: ", 7.0) == ()
    assert reader.flush() == ()


def test_escapes_cut_anywhere_and_endless_strings() -> None:
    reader = ConsoleReader("n", "c")
    found: list[Signal] = []
    for byte in b"\x1b[1;31mPXE-\x1b[0mE61: Media test failure\x1b[5;1Hx\n":
        found += reader.feed(bytes([byte]), None)
    assert [s.code for s in found] == ["PXE-E61"]
    for _ in range(300):
        reader.feed(b"\x1b]0;" + b"x" * 4000, None)
    assert reader.feed(b"\nPXE-E51: No DHCP\n", None)[0].evidence.line == 3
    reader.feed(b"\x1b[" + b"1;" * 10_000, None)
    assert reader.feed(b"\nPXE-E53: No boot filename\n", None)[0].code == "PXE-E53"


def test_memory_is_bounded() -> None:
    reader = ConsoleReader("n", "c")
    for number in range(30):
        reader.feed(f"Kernel panic - not syncing: {number} {'x' * LINE_CAP}".encode() + b"y\x08" * (GLANCES + 9), None)
        reader.feed(b"\r\n" if number % 2 else b"z" * 9000, None)
    reader.feed(b"".join(b"\nPXE-E18: %d" % number for number in range(5000)), None)
    assert len(reader._seen) <= 4096
    assert len(reader._screen._buffer) <= LINE_CAP


def test_a_screen_that_is_drawn_again_says_nothing_new() -> None:
    screen = b"\x1b[2J\x1b[01;01H\x1b[44mAptio Setup Utility - (C) American Megatrends, Inc.\x1b[02;01H Main"
    assert kinds(screen * 5) == [K.FIRMWARE, K.CONSOLE_WAITS]
    menu = b"\x1b[9;10HNixOS (Generation 3)\x1b[12;10HReboot Into Firmware Interface\x1b[20;10H"
    assert kinds(menu + b"Boot in 3 s.\x1b[20;10HBoot in 2 s.\x1b[20;10HBoot in 1 s." + menu) == [K.DISK_LOADER]


def test_a_row_drawn_letter_by_letter_is_one_text() -> None:
    drawn = b"".join(
        f"\x1b[5;{column}H{letter}".encode() for column, letter in enumerate("PXE-E61: Media test failure", 3)
    )
    (signal,) = read(drawn + b"\x1b[7;1Hother")
    assert (signal.code, signal.text) == ("PXE-E61", "Media test failure")


def test_a_second_boot_tells_everything_again() -> None:
    raw = (DATA / "uefi-bad-kernel.raw").read_bytes()
    once, twice = kinds(raw), kinds(raw + raw)
    assert twice == once * 2
    raw = (DATA / "bios-no-dhcp.raw").read_bytes()
    assert kinds(raw * 3) == kinds(raw) * 3


def test_debians_shell_without_a_root_is_no_installer() -> None:
    text = (
        "[    0.0] Linux version 6.1.0-18-amd64\r\nLoading, please wait...\r\n"
        "Gave up waiting for root file system device.  Common problems:\r\n"
        "ALERT!  UUID=12 does not exist.  Dropping to a shell!\r\n\r\n"
        "BusyBox v1.35.0 (Debian 1:1.35.0-4+b3) built-in shell (ash)\r\n\r\n(initramfs) "
    )
    assert K.EMERGENCY in kinds(text)
    assert K.LOGIN not in kinds(text)


@pytest.mark.parametrize(
    "first", ["\x1b[1;32m<<< NixOS Stage 1 >>>\x1b[0m", "Begin: Loading essential drivers ... done."]
)
def test_a_quiet_kernel_is_seen_by_its_init(first: str) -> None:
    text = f"iPXE initialising devices...ok\r\nhttp://10.0.0.1/initrd... ok\r\n\r\n{first}\r\nnixos login: "
    assert kinds(text)[-2:] == [K.INITRD, K.LOGIN]


def test_a_transfer_that_stands_still() -> None:
    begin = b"iPXE initialising devices...ok\r\nhttp://10.0.0.1/initrd..."
    drawn = b" 15%\b\b\b\b    \b\b\b\b"
    assert [s.code for s in read(begin + drawn * 60) if s.kind is K.IPXE_FETCH] == ["", ""]
    last = read(begin + drawn * 200)[-1]
    assert (last.kind, last.code, last.percent, last.file) == (K.IPXE_FETCH, "stalled", 15.0, "http://10.0.0.1/initrd")
    moving = b"".join(drawn.replace(b"15", b"%2d" % n) * 40 for n in range(10, 60))
    assert "stalled" not in {s.code for s in read(begin + moving)}


def test_a_loader_that_came_whole_and_cannot_be_loaded() -> None:
    came = ">>Start PXE over IPv4.\r\n  NBP filename is undionly.kpxe\r\n  NBP file downloaded successfully.\r\n"
    failed = 'BdsDxe: failed to load Boot0001 "UEFI PXEv4 (MAC:0200000000BB)" from PciRoot(0x0): Not Found\r\n'
    assert only(came + failed, K.BOOT_REFUSED).code == ""
    silent = ">>Start PXE over IPv4.\r\n  PXE-E18: Server response timeout.\r\n"
    assert K.BOOT_REFUSED not in kinds(silent + failed)
    assert K.BOOT_REFUSED not in kinds(came + "iPXE initialising devices...ok\r\n" + failed)


def test_an_error_over_ipv6_says_so_or_nothing() -> None:
    six = ">>Start PXE over IPv6.\r\n  PXE-E16: No valid offer received.\r\n"
    assert only(six, K.PXE_ERROR).text == "No valid offer received. (over IPv6)"
    four = ">>Start PXE over IPv4.\r\n  PXE-E18: Server response timeout.\r\n"
    assert only(four + six, K.PXE_ERROR).code == "PXE-E18"


@pytest.mark.parametrize(
    "text",
    [
        'BdsDxe: loading Boot0001 "UEFI PXEv4 (MAC:0200000000BB)" from PciRoot(0x0)/Pci(0x1,0x0)/MAC(0200000000BB,0x1)',
        'BdsDxe: failed to load Boot0003 "Network" from PciRoot(0x0)/MAC(0200000000BB,0x1)/IPv4(0.0.0.0): Not Found',
        ">>Start PXE over IPv4 on MAC: 02-00-00-00-00-BB. Press ESC key to abort PXE boot.",
    ],
)
def test_firmware_names_the_card_that_it_boots_from(text: str) -> None:
    assert "02:00:00:00:00:bb" in {signal.mac for signal in read(text.encode() + b"\r\n")}


def test_ipxe_that_starts_again_counts_again() -> None:
    start = b"iPXE initialising devices...ok\r\n\r\niPXE 1.21.1+ (g1) -- Open Source Network Boot Firmware -- https://ipxe.org\r\n"
    tail = b"net0: 10.0.0.5/255.255.255.0 gw 10.0.0.1\r\nhttp://h/ipxe.efi... ok\r\n"
    assert kinds((start + tail) * 3).count(K.IPXE_START) == 3


FIRMWARE = [
    ("PXE-E16: No valid offer received.", K.PXE_ERROR, "PXE-E16"),
    ("PXE-E53: No boot filename received", K.PXE_ERROR, "PXE-E53"),
    ("PXE-E3B: TFTP Error - File Not found", K.PXE_ERROR, "PXE-E3B"),
    ("PXE-M0F: Exiting Intel Boot Agent.", K.PXE_ERROR, "PXE-M0F"),
    ("  Error: Could not retrieve NBP file size from HTTP server.", K.PXE_ERROR, ""),
    ('BdsDxe: failed to start Boot0001 "UEFI PXEv4" from PciRoot(0x0): Access Denied', K.BOOT_REFUSED, "secure-boot"),
    (
        'BdsDxe: failed to load Boot0001 "UEFI PXEv4" from PciRoot(0x0): Security Violation',
        K.BOOT_REFUSED,
        "secure-boot",
    ),
    ("Secure Boot Violation", K.BOOT_REFUSED, "secure-boot"),
    ('BdsDxe: failed to start Boot0001 "UEFI PXEv4" from PciRoot(0x0): Unsupported', K.BOOT_REFUSED, ""),
    ("BdsDxe: No bootable option or device was found.", K.NO_BOOT_DEVICE, ""),
    ("Reboot and Select proper Boot device", K.NO_BOOT_DEVICE, ""),
    ("Press <DEL> to run Setup", K.FIRMWARE, ""),
    ("Supermicro X11 BIOS", K.FIRMWARE, ""),
    ("ProLiant System BIOS P89 BIOS Version 2.80", K.FIRMWARE, ""),
    ("Dell PowerEdge R640", K.FIRMWARE, ""),
    ("iPXE> ", K.IPXE_SHELL, ""),
    ("Nothing to boot: No such file or directory (http://ipxe.org/2d03e13b)", K.IPXE_ERROR, "2d03e13b"),
    ("GRUB loading.", K.DISK_LOADER, ""),
    ('BdsDxe: starting Boot0000 "Linux Boot Manager" from HD(1,GPT)/\\EFI\\x.efi', K.DISK_LOADER, ""),
]


@pytest.mark.parametrize(("text", "kind", "code"), FIRMWARE)
def test_what_firmware_and_loaders_say(text: str, kind: SignalKind, code: str) -> None:
    assert only(text + "\r\n", kind).code == code


SYSTEM = [
    ("[    1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100", K.PANIC, ""),
    ("[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)", K.PANIC, "rootfs"),
    ("[    1.0][    T1] ---[ end Kernel panic - not syncing: Requested init /x failed (error -2). ]---", K.PANIC, ""),
    ("[   12.0] Out of memory: Killed process 12 (nix) total-vm:1kB", K.OUT_OF_MEMORY, ""),
    ("[    1.0] Initramfs unpacking failed: write error", K.OUT_OF_MEMORY, ""),
    ("You are in emergency mode. After logging in, type", K.EMERGENCY, ""),
    ("An error occurred in stage 1 of the boot process, which must mount the", K.EMERGENCY, ""),
    ("[\x1b[0;1;31mFAILED\x1b[0m] Failed to start \x1b[0;1;39mDHCP client\x1b[0m.", K.UNIT_FAILED, ""),
    ("[\x1b[0;1;31m TIME \x1b[0m] Timed out waiting for device /dev/sda1.", K.UNIT_FAILED, ""),
    ("[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mSSH Daemon\x1b[0m.", K.SSH_UP, ""),
    ("[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mMulti-User System\x1b[0m.", K.SYSTEMD, ""),
    ('The "nixos" and "root" accounts have empty passwords.', K.LOGIN, "installer"),
    ("[nixos@nixos:~]$ ", K.LOGIN, "installer"),
    ("nixos login: ", K.LOGIN, "installer"),
    ("node01 login: ", K.LOGIN, ""),
    ("[  512.5] reboot: Restarting system", K.REBOOT, ""),
    ("[  512.5] kexec_core: Starting new kernel", K.REBOOT, ""),
    ("[  512.5] reboot: Power down", K.POWER_OFF, ""),
]


@pytest.mark.parametrize(("text", "kind", "code"), SYSTEM)
def test_what_kernels_and_systems_say(text: str, kind: SignalKind, code: str) -> None:
    assert only(f"[    0.000000] Linux version 6.12.1 (b)\r\n{text}\r\n", kind).code == code


def test_what_says_nothing() -> None:
    system = "[    0.000000] Linux version 6.12.1 (b)\r\n[    1.5] Run /init as init process\r\n"
    quiet = (
        "[    0.1] DMI: Dell Inc. PowerEdge R640, BIOS Version 2.1\r\n"
        "Last login: Fri Nov 20 from 10.0.0.1\r\n"
        "[   99.1] Memory cgroup out of memory: Killed process 7 (x)\r\n"
        "sshd[9]: Accepted publickey for root: ED25519 SHA256:" + "a" * 43 + "\r\n"
        "$ dmidecode: Supermicro BIOS Version 3\r\n"
        "$ cat x: PXE-E18 and (http://ipxe.org/2d0c618e)\r\n"
    )
    assert kinds(system + quiet) == [K.KERNEL, K.INITRD]


def test_legacy_pxe_fields() -> None:
    text = (
        "Intel(R) Boot Agent GE v1.5.88\r\n"
        "CLIENT MAC ADDR: 52 54 00 12 34 56  GUID: 11111111-2222-3333-4444-555555555555\r\n"
        "DHCP.\x08/\x08-\x08|\rCLIENT IP: 10.0.100.50  MASK: 255.255.0.0  DHCP IP: 10.0.100.10\r\n"
        "PXE-E32: TFTP open timeout\r\n"
    )
    firmware, start, address, error = read(text.encode())
    assert firmware.kind is K.FIRMWARE
    assert (start.mac, start.uuid) == ("52:54:00:12:34:56", "11111111-2222-3333-4444-555555555555")
    assert (address.ip, address.server, address.evidence.line) == ("10.0.100.50", "10.0.100.10", 3)
    assert (error.code, error.text) == ("PXE-E32", "TFTP open timeout")


def test_host_keys_belong_to_the_boot() -> None:
    key = "SHA256:" + "Ab1+" * 10 + "xyz"
    system = f"[    0.000000] Linux version 6.12.1 (b)\r\nSSH host key fingerprint: {key} (ED25519)\r\n"
    assert only(system, K.HOST_KEY).text == key
    assert kinds(system * 2).count(K.HOST_KEY) == 2


def test_a_shell_of_last_resort_is_no_installer() -> None:
    text = (
        "[    0.000000] Linux version 6.12.1 (b)\r\nAn error occurred in stage 1 of the boot process, which must\r\n"
        "BusyBox v1.36.1 () built-in shell (ash)\r\n\r\n/ # "
    )
    assert kinds(text) == [K.KERNEL, K.EMERGENCY]
