"""What a person would say of a boot that stopped, asked of small bundles: the stage, the finding, its words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plasmatui.model.words import Severity
from plasmatui.watch.replay import replay_all

MAC, IP, SERVER = "3c:ec:ef:11:22:33", "172.20.4.31", "172.20.4.1"
NODE = "rack3-07"

AMI = "Version 2.20.1271. Copyright (C) 2024 American Megatrends, Inc.\nPress <DEL> to run Setup"
PXE = ">>Start PXE over IPv4 on MAC: 3C-EC-EF-11-22-33."
NAMED = f"  Station IP address is {IP}\n\n  Server IP address is {SERVER}\n  NBP filename is ipxe.efi"
LOADED = f"{NAMED}\n  NBP filesize is 1033216 Bytes\n Downloading NBP file...\n\n  NBP file downloaded successfully."
ROM = (
    "Intel(R) Boot Agent GE v1.5.43\nCLIENT MAC ADDR: 3C EC EF 11 22 33  GUID: 00000000 0000 0000 0000 3CECEF112233\n"
    f"CLIENT IP: {IP}  MASK: 255.255.255.0  DHCP IP: {SERVER}"
)
IPXE = (
    "iPXE initialising devices...ok\n\niPXE 1.21.1+ (g4fd4) -- Open Source Network Boot Firmware -- https://ipxe.org\n"
    f"Configuring (net0 {MAC})...... ok\nnet0: {IP}/255.255.255.0 gw {SERVER}\nNext server: {SERVER}"
)
URL = f"http://{SERVER}"
SCRIPT = f"{URL}/boot.ipxe... ok\nboot.ipxe : 512 bytes [script]"
FILES = f"{URL}/nixos/bzImage... ok\n{URL}/nixos/initrd... ok"
KERNEL = "[    0.000000] Linux version 6.12.30 (nixbld@localhost)\n[    2.881204] Run /init as init process"
STAGE1 = "<<< NixOS Stage 1 >>>\n\nloading module loop...\nrunning udev..."
UP = (
    '<<< NixOS Stage 2 >>>\n\nstarting systemd...\n\nThe "nixos" and "root" accounts have empty passwords.\n'
    "nixos login: "
)
TO_IPXE, TO_SCRIPT = (AMI, PXE, LOADED, IPXE), (AMI, PXE, LOADED, IPXE, SCRIPT)
RUNNING = (*TO_SCRIPT, FILES, KERNEL)


def asked(*lines: str) -> str:
    return "".join(f"Nov 28 09:20:{2 * second:02} pxe dhcpd[812]: {line}\n" for second, line in enumerate(lines))


OFFERED = (f"DHCPDISCOVER from {MAC} via eno1", f"DHCPOFFER on {IP} to {MAC} via eno1")
GIVEN = (*OFFERED, f"DHCPREQUEST for {IP} ({SERVER}) from {MAC} via eno1", f"DHCPACK on {IP} to {MAC} via eno1")
DECLINED = (*GIVEN, f"DHCPDECLINE of {IP} from {MAC} via eno1: abandoned", f"Abandoning IP address {IP}: declined.")
REFUSED = (
    f"DHCPREQUEST for 192.168.1.44 from {MAC} via eno1: wrong network.",
    f"DHCPNAK on 192.168.1.44 to {MAC} via eno1",
)

Verdict = tuple[str, str, str, str]
"""Stage reached, finding, severity, words of its cause."""

CASES: dict[str, tuple[tuple[str, ...], str, Verdict]] = {
    "an address that is refused": (
        (AMI, PXE, "  PXE-E18: Server response timeout."),
        asked(*REFUSED, *REFUSED, *REFUSED),
        ("firmware", "no-dhcp-answer", "error", "refuses the address 192.168.1.44"),
    ),
    "an address that another machine has": (
        (AMI, PXE, NAMED),
        asked(*DECLINED, *DECLINED, *DECLINED),
        ("dhcp-ipxe", "address-in-use", "error", f"given {IP} and declined it 3 times"),
    ),
    "UEFI waits for a file, not for an address": (
        (AMI, PXE, NAMED, "  NBP filesize is 0 Bytes", "  PXE-E18: Server response timeout."),
        asked(*GIVEN),
        ("dhcp-loader", "tftp-unreachable", "error", "PXE-E18"),
    ),
    "a card that is not the one": (
        (AMI, PXE.replace("33", "32"), "  PXE-E18: Server response timeout."),
        "",
        (
            "firmware",
            "no-dhcp-answer",
            "error",
            "asks is 3c:ec:ef:11:22:32; the one that is known is 3c:ec:ef:11:22:33",
        ),
    ),
    "a menu that is none": (
        (ROM, "PXE-E74: Bad or missing PXE menu and/or prompt information."),
        "",
        ("dhcp-loader", "no-boot-filename", "error", "options 43 and 60"),
    ),
    "a name that nobody knows": (
        (*TO_IPXE, "http://boot.corp.example/boot.ipxe... Error 0x3e11623b (http://ipxe.org/3e11623b)"),
        "",
        ("dhcp-ipxe", "http-unreachable", "error", "cannot resolve the name boot.corp.example"),
    ),
    "a server that takes the request and says nothing": (
        (*TO_IPXE, f"{URL}/boot.ipxe{'.' * 52}", "." * 80, "." * 30),
        "",
        ("dhcp-ipxe", "http-unreachable", "error", "does not begin"),
    ),
    "TLS that ends with an alert": (
        (*TO_IPXE, "https://boot.corp.example/b.ipxe... Operation not permitted (http://ipxe.org/410de18f)"),
        "",
        ("dhcp-ipxe", "http-unreachable", "error", "certificate or the clock"),
    ),
    "HTTPS that this iPXE does not know": (
        (
            *TO_IPXE,
            "Filename: https://boot.corp.example/b.ipxe",
            "Could not start download: Operation not supported (http://ipxe.org/3c092083)",
        ),
        "",
        ("dhcp-ipxe", "ipxe-unsupported", "error", "https://boot.corp.example/b.ipxe"),
    ),
    "a page instead of a script, on a BIOS": (
        (*TO_IPXE, f"{URL}/boot.ipxe... ok", "boot.ipxe : 56 bytes [PXE-NBP]"),
        "",
        ("ipxe-script", "boot-script-error", "error", "boot.ipxe is no iPXE script"),
    ),
    "a page instead of a kernel, found at the end": (
        (*TO_SCRIPT, FILES, "Could not select: Exec format error (http://ipxe.org/2e008081)"),
        "",
        ("http-initrd", "kernel-not-executable", "error", "bzImage is no kernel"),
    ),
    "a script that begins anew because its kernel is gone": (
        (
            *TO_SCRIPT,
            *(f"{URL}/nixos/bzImage... No such file or directory (http://ipxe.org/2d0c618e)", f"{URL}/boot.ipxe... ok")
            * 6,
        ),
        "",
        ("ipxe-script", "kernel-missing", "error", "bzImage"),
    ),
    "no memory on a BIOS": (
        (*TO_SCRIPT, FILES, "Could not boot: Requested memory not available (http://ipxe.org/46038101)"),
        "",
        ("http-initrd", "out-of-memory", "error", "nixos/initrd"),
    ),
    "no memory on UEFI": (
        (
            *TO_SCRIPT,
            FILES,
            "EFI stub: ERROR: Failed to allocate memory for files",
            "EFI stub: ERROR: Failed to load initrd: 0x8000000000000009",
            "Could not boot: Error 0x7f048289 (http://ipxe.org/7f048289)",
        ),
        "",
        ("http-initrd", "out-of-memory", "error", "7f048289"),
    ),
    "no memory for the kernel": (
        (
            *TO_SCRIPT,
            FILES,
            KERNEL.splitlines()[0],
            "[    1.1] Kernel panic - not syncing: System is deadlocked on memory",
        ),
        "",
        ("kernel-start", "out-of-memory", "error", "ran out of memory"),
    ),
    "an initrd by another name": (
        (*TO_SCRIPT, FILES, "EFI stub: ERROR: Failed to open file: other", "Could not boot: Error 0x7f04828e"),
        "",
        ("http-initrd", "initrd-missing", "error", "name the initrd other"),
    ),
    "HTTP boot without a URL, after PXE was ignored": (
        (
            *(AMI, PXE, "  PXE-E18: Server response timeout."),
            ">>Start HTTP Boot over IPv4.....",
            "  Error: Could not retrieve NBP file size from HTTP server.",
            "  Error: Server response timeout.",
        ),
        asked(f"DHCPDISCOVER from {MAC} via eno1: unknown client", *OFFERED),
        ("firmware", "no-boot-filename", "error", "no http:// URL"),
    ),
    "Secure Boot in another vendor's words": (
        (AMI, PXE, LOADED, "Image failed to verify with * ACCESS DENIED *.", "Press any key to continue."),
        "",
        ("tftp-loader", "secure-boot-refused", "error", "Secure Boot"),
    ),
    "a network that does not come up": (
        (*RUNNING, STAGE1, "[FAILED] Failed to start Wait for Network to be Configured.", UP),
        "",
        ("installer-up", "installer-no-network", "error", "has no address"),
    ),
    "memory that ran out later": (
        (*RUNNING, UP, "[  900.1] Out of memory: Killed process 812 (nix) total-vm:12000000kB"),
        "",
        ("installer-up", "out-of-memory", "warning", "after it had come up"),
    ),
    "a disk that wants its passphrase": (
        (*RUNNING, STAGE1, "Passphrase for /dev/disk/by-partlabel/luks: "),
        "",
        ("initrd-start", "stalled", "warning", "waits for a person: Passphrase for /dev/disk/by-partlabel/luks"),
    ),
    "firmware that wants a key": (
        (AMI, "CMOS checksum bad", "Press F1 to Run SETUP"),
        "",
        ("firmware", "stalled", "warning", "Press F1 to Run SETUP"),
    ),
    "memory that is broken": (
        (AMI, "Memory training failure on P1-DIMMA1. DIMM disabled", "System halted!"),
        "",
        ("firmware", "stalled", "warning", "Memory training failure on P1-DIMMA1"),
    ),
    "a machine that never tried the network": (
        ("SeaBIOS (version 1.16.2-1)", "Booting from Hard Disk...", "No bootable device."),
        "",
        ("firmware", "stalled", "warning", "did not boot from the network"),
    ),
    "a machine that starts again and again": (
        (*(*TO_SCRIPT, FILES, "[    3.1] reboot: Restarting system") * 3, AMI, PXE),
        "",
        ("firmware", "boot-loop", "error", "3 times in a row"),
    ),
}


def bundle(directory: Path, console: str, dhcpd: str = "") -> Path:
    (directory / "console.raw").write_bytes(console.replace("\n", "\r\n").encode())
    (directory / "dhcpd.log").write_text(dhcpd)
    files = [{"path": "dhcpd.log", "format": "dhcpd"}] if dhcpd else []
    manifest = {
        "version": 1,
        "nodes": {NODE: {"mac": MAC, "ip": IP}},
        "files": [*files, {"path": "console.raw", "format": "console", "node": NODE}],
    }
    (directory / "bundle.yaml").write_text(json.dumps(manifest))
    return directory


@pytest.mark.parametrize("name", CASES)
def test_verdict(name: str, tmp_path: Path) -> None:
    console, dhcpd, (reached, finding, severity, words) = CASES[name]
    boot = replay_all(bundle(tmp_path, "\n".join((*console, "")), dhcpd))[NODE][-1]
    assert [(each.id, str(each.severity)) for each in boot.findings if each.severity is not Severity.INFO] == [
        (finding, severity)
    ]
    assert words in boot.findings[0].cause
    assert boot.findings[0].evidence
    assert boot.reached == reached


QUIET = {
    "errors of the hardware that it lives with": (
        *TO_SCRIPT,
        FILES,
        KERNEL,
        "[    1.2] pcieport 0000:00:1c.0: AER: Corrected error received",
        "[    1.3] mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 5",
        STAGE1,
        "[FAILED] Failed to start Load Kernel Modules.",
        UP,
    ),
    "a key that it waited for, and got": (AMI, "Press F1 to Run SETUP", *RUNNING, UP),
    "a passphrase that was given": (*RUNNING, STAGE1, "Passphrase for /dev/sda2: ", UP),
    "two restarts, and then it came up": (*(*RUNNING, "[    3.1] reboot: Restarting system") * 2, *RUNNING, UP),
    "memory errors that memory corrects": (AMI, "DIMM A1: 3 correctable errors logged", *RUNNING, UP),
    "a loader that was probed for its size": (AMI, PXE, LOADED, *TO_IPXE[3:], SCRIPT, FILES, KERNEL, UP),
}


@pytest.mark.parametrize("name", QUIET)
def test_a_good_boot_with_odd_noise(name: str, tmp_path: Path) -> None:
    boot = replay_all(bundle(tmp_path, "\n".join(QUIET[name])))[NODE][-1]
    assert (boot.findings, boot.outcome) == ((), "installer-up")


@pytest.mark.parametrize("stamp", ["[2026-11-28 09:20:00] ", "2026-11-28T09:20:00.125+00:00 ", "Nov 28 09:20:00 "])
def test_a_console_server_writes_times_before_lines(stamp: str, tmp_path: Path) -> None:
    gone = f"{URL}/nixos/bzImage... No such file or directory (http://ipxe.org/2d0c618e)"
    lines = "\n".join((*TO_SCRIPT, gone, "")).splitlines()
    boot = replay_all(bundle(tmp_path, "".join(f"{stamp}{line}\n" for line in lines)))[NODE][-1]
    assert [finding.id for finding in boot.findings] == ["kernel-missing"]
    assert boot.findings[0].evidence[0].endswith(f": {gone}")


def test_a_line_of_another_speed_is_named(tmp_path: Path) -> None:
    bundle(tmp_path, "")
    (tmp_path / "console.raw").write_bytes(bytes(0x80 | each * 37 & 0xFF for each in range(400)))
    warnings: list[str] = []
    assert replay_all(tmp_path, warnings.append) == {}
    assert len(warnings) == 1
    assert "speed" in warnings[0]


def test_a_file_of_any_name_is_one_file_to_both_witnesses(tmp_path: Path) -> None:
    gone = f"{URL}/images/k... No such file or directory (http://ipxe.org/2d0c618e)"
    bundle(tmp_path, "\n".join((*TO_IPXE, f"{URL}/boot.php?serial=X... ok", "boot.php : 512 bytes [script]", gone, "")))
    (tmp_path / "access.log").write_text(
        f'{IP} - - [28/Nov/2026:09:20:25 +0000] "GET /boot.php?serial=X HTTP/1.1" 200 512 "-" "iPXE/1.21.1"\n'
        f'{IP} - - [28/Nov/2026:09:20:27 +0000] "GET /images/k HTTP/1.1" 404 153 "-" "iPXE/1.21.1"\n'
    )
    manifest = json.loads((tmp_path / "bundle.yaml").read_text())
    manifest["files"].append({"path": "access.log", "format": "nginx-access"})
    (tmp_path / "bundle.yaml").write_text(json.dumps(manifest))
    boot = replay_all(tmp_path)[NODE][-1]
    assert (boot.reached, [finding.id for finding in boot.findings]) == ("ipxe-script", ["kernel-missing"])
