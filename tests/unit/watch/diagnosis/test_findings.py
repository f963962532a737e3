"""Every finding of the boot domain, from what servers log and consoles show of it; and none on good boots."""

from __future__ import annotations

import pytest

from plasmatui.model.boot import BootTimeline, Signal
from plasmatui.model.findings import FINDINGS
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.rules import RULES
from plasmatui.watch.timeline import Correlator
from tests.unit.watch.timeline.signals import (
    SERVER,
    A,
    B,
    K,
    console,
    console_boot,
    http,
    lease,
    net_boot,
    signal,
    tftp,
)

IP = A.ips[0]
MAC = A.macs[0]
PXE = {"arch": 7, "vendor": "PXEClient:Arch:00007:UNDI:003000"}
IPXE = {"ipxe": True}
SCRIPT, KERNEL, INITRD = (f"{SERVER}/{name}" for name in ("boot.ipxe", "bzImage", "initrd"))
LOADER = [*lease(A, 1, **PXE), tftp(IP, 2)]
RAN = [console(K.PXE_START), console(K.PXE_ADDRESS, ip=IP), console(K.PXE_FILE, file="ipxe.efi"), console(K.IPXE_START)]
UP = [*RAN, console(K.IPXE_ADDRESS, ip=IP)]
FETCHED = [*UP, console(K.IPXE_FETCHED, file=SCRIPT)]
KERNEL_RUNS = [
    *FETCHED,
    console(K.IPXE_FETCHED, file=KERNEL),
    console(K.IPXE_FETCHED, file=INITRD),
    console(K.KERNEL),
]
RUNS = [*KERNEL_RUNS, console(K.INITRD), console(K.SYSTEMD)]
ASKS = [signal(K.DHCP_DISCOVER, float(n), mac=MAC, **PXE) for n in range(4)]


def failed(file: str, code: str, text: str = "") -> Signal:
    return console(K.IPXE_ERROR, file=file, code=code, text=text)


CASES: list[tuple[str, str, list[Signal], Stage | None]] = [
    ("no-dhcp-answer", "UEFI", [console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E18")], Stage.FIRMWARE),
    ("no-dhcp-answer", "legacy", [console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E51")], Stage.FIRMWARE),
    ("no-dhcp-answer", "proxy only", [console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E52")], Stage.FIRMWARE),
    ("no-dhcp-answer", "iPXE", [*RAN, console(K.IPXE_NO_ADDRESS)], Stage.TFTP_LOADER),
    ("no-dhcp-answer", "iPXE by code", [*RAN, failed("", "040ee119")], Stage.TFTP_LOADER),
    ("no-dhcp-answer", "log only", ASKS, Stage.FIRMWARE),
    ("no-boot-filename", "UEFI", [*lease(A, **PXE), console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E16")], None),
    ("no-boot-filename", "legacy", [console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E53")], None),
    ("no-boot-filename", "iPXE", [*UP, failed("", "2d03e13b", "Nothing to boot")], Stage.DHCP_IPXE),
    ("wrong-arch-loader", "UEFI gets BIOS", [*lease(A, 1, **PXE), tftp(IP, 2, "undionly.kpxe")], Stage.DHCP_LOADER),
    ("wrong-arch-loader", "BIOS gets EFI", [*lease(A, 1, arch=0, vendor="PXEClient:Arch:00000"), tftp(IP, 2)], None),
    ("wrong-arch-loader", "refused", [*LOADER, console(K.BOOT_REFUSED)], Stage.DHCP_LOADER),
    ("wrong-arch-loader", "iPXE gets EFI on BIOS", [console(K.IPXE_START), console(K.IPXE_ADDRESS, ip=IP), console(K.IPXE_FETCHED, file="tftp://10.0.0.10/ipxe.efi"), failed("", "2e008001", "Could not select: Exec format error")], Stage.DHCP_IPXE),  # noqa: E501 - one case, one line
    ("pool-exhausted", "", [signal(K.DHCP_IGNORED, mac=MAC, code="pool-exhausted")], None),
    ("unknown-mac", "", [signal(K.DHCP_DISCOVER, mac=MAC), signal(K.DHCP_IGNORED, mac=MAC, code="unknown-mac")], None),
    ("rogue-dhcp", "", [*lease(A, **PXE), console(K.PXE_START), console(K.PXE_ADDRESS, ip="192.168.1.50")], None),
    ("rogue-dhcp", "another offer taken", [*lease(A, 1, **PXE)[:2], signal(K.DHCP_REQUEST, 2, mac=MAC, ip="10.0.0.66", server="10.0.0.9", **PXE)], None),  # noqa: E501 - one case, one line
    ("rogue-dhcp", "refused by ours", [signal(K.DHCP_REQUEST, 2, mac=MAC, ip="192.168.1.5", server="192.168.1.1"), signal(K.DHCP_NAK, 2, mac=MAC, ip="192.168.1.5")], None),  # noqa: E501 - one case, one line
    ("rogue-dhcp", "two logs", [*lease(A, 1), signal(K.DHCP_OFFER, 1.15, "other", mac=MAC, ip="10.0.0.66")], None),
    ("rogue-dhcp", "refused by the other", [*lease(A, 1), signal(K.DHCP_NAK, 1.4, "other", mac=MAC, ip=IP)], None),
    ("rogue-dhcp", "refused, unlogged", [*lease(A, 1), console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E07")], None),  # noqa: E501 - one case, one line
    ("no-dhcp-answer", "IPv6 after IPv4", [console(K.PXE_ERROR, code="PXE-E18"), console(K.PXE_ERROR, code="PXE-E16")], None),  # noqa: E501 - one case, one line
    ("no-dhcp-answer", "IPv6 alone", [console(K.PXE_ERROR, code="PXE-E16", text="No valid offer received. (over IPv6)")], None),  # noqa: E501 - one case, one line
    ("no-dhcp-answer", "E16 but never offered", [*ASKS, console(K.PXE_ERROR, code="PXE-E16")], None),
    ("tftp-unreachable", "legacy", [*lease(A, **PXE), console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E32")], None),  # noqa: E501 - one case, one line
    ("tftp-unreachable", "timeout", [*LOADER, tftp(IP, 60, kind=K.TFTP_ERROR, code="timeout")], Stage.DHCP_LOADER),
    ("tftp-file-missing", "server", [*LOADER, tftp(IP, 3, kind=K.TFTP_ERROR, code="not-found")], Stage.DHCP_LOADER),
    ("tftp-file-missing", "denied", [*LOADER, tftp(IP, 3, kind=K.TFTP_ERROR, code="denied")], Stage.DHCP_LOADER),
    ("tftp-file-missing", "console", [*LOADER, console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E23")], None),
    ("http-unreachable", "times out", [*UP, failed(SCRIPT, "4c0a6035")], Stage.DHCP_IPXE),
    ("http-unreachable", "refused", [*FETCHED, failed(KERNEL, "0f0a6039")], Stage.IPXE_SCRIPT),
    ("http-unreachable", "no name", [*UP, failed("http://pxe/boot.ipxe", "3e11618e")], Stage.DHCP_IPXE),
    ("http-unreachable", "certificate", [*UP, failed("https://pxe/boot.ipxe", "0216eb8f")], Stage.DHCP_IPXE),
    ("http-unreachable", "500", [*lease(A, 1, **IPXE), http(IP, "/boot.ipxe", 2, 502)], Stage.DHCP_IPXE),
    ("http-unreachable", "UEFI", [*lease(A, 1, **PXE), http(IP, "/ipxe.efi", 2, 404, ipxe=False, text="UefiHttpBoot/1.0")], None),  # noqa: E501 - one case, one line
    ("boot-script-missing", "log", [*lease(A, 1, **IPXE), http(IP, "/boot.ipxe", 2, 404)], Stage.DHCP_IPXE),
    ("boot-script-missing", "console", [*UP, failed(SCRIPT, "2d0c613b")], Stage.DHCP_IPXE),
    ("boot-script-missing", "chained", [*FETCHED, failed(f"{SERVER}/node.ipxe", "2d0c613b")], Stage.IPXE_SCRIPT),
    ("boot-script-error", "page", [*FETCHED, failed("", "2e008081", "Could not boot image")], Stage.IPXE_SCRIPT),
    ("boot-script-error", "argument", [*FETCHED, failed("", "1c0de002", "Invalid argument")], Stage.IPXE_SCRIPT),
    ("boot-script-error", "typo", [*FETCHED, console(K.IPXE_FETCHED, file=KERNEL), failed("", "", "intird: command not found"), failed("", "2e022081", "Could not boot image: Exec format error")], None),  # noqa: E501 - one case, one line
    ("boot-script-error", "typo, old iPXE", [*FETCHED, console(K.IPXE_FETCHED, file=KERNEL), failed("", "", "intird: command not found"), failed("", "2d02808e", "Could not boot image")], None),  # noqa: E501 - one case, one line
    ("kernel-missing", "after an unknown command", [*FETCHED, failed("", "", "colour: command not found"), failed(KERNEL, "2d0c618e"), failed("", "2d0c618e", "Could not boot image")], None),  # noqa: E501 - one case, one line
    ("boot-script-error", "shell", [*FETCHED, console(K.IPXE_SHELL)], Stage.IPXE_SCRIPT),
    ("ipxe-loop", "banners", [*RAN, *[console(K.IPXE_START) for _ in range(3)]], None),
    ("ipxe-loop", "logs", [s for n in range(4) for s in (*lease(A, 10.0 * n), tftp(IP, 10.0 * n + 1))], None),
    ("ipxe-loop", "sent", [s for n in range(4) for s in (*lease(A, 10.0 * n), tftp(IP, 10.0 * n + 1, f"/tftp/{n % 2}/ipxe.efi", K.TFTP_DONE))], None),  # noqa: E501 - one case, one line
    ("ipxe-loop", "DHCP alone", [s for n in range(4) for s in lease(A, 10.0 * n, file="ipxe.efi", **(IPXE if n else PXE))], None),  # noqa: E501 - one case, one line
    ("ipxe-loop", "UEFI HTTP", [s for n in range(4) for s in (*lease(A, 10.0 * n), http(IP, "/ipxe.efi", 10.0 * n + 1))], None),  # noqa: E501 - one case, one line
    ("boot-script-missing", "firmware retries", [s for n in range(4) for s in (*lease(A, 10.0 * n), tftp(IP, 10.0 * n + 1), *lease(A, 10.0 * n + 2), http(IP, "/boot.ipxe", 10.0 * n + 4, 404))], None),  # noqa: E501 - one case, one line
    ("boot-script-missing", "script retries", [*lease(A, 1, **IPXE), http(IP, "/boot.ipxe", 2), *[http(IP, "/node.ipxe", 3.0 + n, 404) for n in range(6)]], None),  # noqa: E501 - one case, one line
    ("ipxe-loop", "script", [*lease(A, 1, **IPXE), *[http(IP, "/boot.ipxe", 2.0 + n) for n in range(6)]], None),
    ("ipxe-unsupported", "", [*UP, failed("https://pxe/boot.ipxe", "3c092083")], Stage.DHCP_IPXE),
    ("kernel-missing", "log", [*lease(A, 1, **IPXE), http(IP, "/boot.ipxe", 2), http(IP, "/bzImage", 3, 404)], None),
    ("kernel-missing", "forbidden", [*lease(A, 1, **IPXE), http(IP, "/b.ipxe", 2), http(IP, "/vmlinuz-6", 3, 403)], None),  # noqa: E501 - one case, one line
    ("kernel-missing", "console", [*FETCHED, failed(KERNEL, "2d0c618e")], Stage.IPXE_SCRIPT),
    ("kernel-not-executable", "", [*FETCHED, console(K.IPXE_FETCHED, file=KERNEL), failed("", "2e008081")], None),
    ("initrd-missing", "log", [*net_boot(A)[:12], http(IP, "/initrd", 1012, 404)], Stage.HTTP_KERNEL),
    ("initrd-missing", "and it asks again", [*lease(A, 1), tftp(IP, 2), *lease(A, 3), http(IP, "/boot.ipxe", 6), http(IP, "/bzImage", 7), http(IP, "/initrd", 9, 404), *lease(A, 30)], Stage.HTTP_KERNEL),  # noqa: E501 - one case, one line
    ("kernel-missing", "and it asks again", [*lease(A, 1), *lease(A, 3), http(IP, "/boot.ipxe", 6), http(IP, "/bzImage", 7, 404), *lease(A, 30), *lease(A, 60)], Stage.IPXE_SCRIPT),  # noqa: E501 - one case, one line
    ("initrd-missing", "console", [*FETCHED, console(K.IPXE_FETCHED, file=KERNEL), failed(INITRD, "2d0c613b")], None),
    ("initrd-missing", "empty", [*net_boot(A)[:12], http(IP, "/initrd", 1012, size=0), console(K.KERNEL, 1013), console(K.PANIC, 1014, code="rootfs")], Stage.KERNEL_START),  # noqa: E501 - one case, one line
    ("initrd-truncated", "", [*net_boot(B), *net_boot(A)[:12], http(IP, "/initrd", 1012, size=77), console(K.KERNEL, 1013), console(K.PANIC, 1014, code="rootfs")], Stage.KERNEL_START),  # noqa: E501 - one case, one line
    ("initrd-truncated", "server says", [*net_boot(A)[:12], signal(K.HTTP_ERROR, 1030, ip=IP, file="/initrd", text="sendfile() reported that /srv/initrd was truncated")], None),  # noqa: E501 - one case, one line
    ("http-unreachable", "stands still", [*FETCHED, console(K.IPXE_FETCHED, file=KERNEL), console(K.IPXE_FETCH, file=INITRD, percent=15.0, code="stalled"), http(IP, "/initrd", size=77)], Stage.HTTP_KERNEL),  # noqa: E501 - one case, one line
    ("kernel-panic-rootfs", "", [*KERNEL_RUNS, console(K.PANIC, code="rootfs")], Stage.KERNEL_START),
    ("kernel-panic", "", [*RUNS, console(K.PANIC, text="Attempted to kill init!")], None),
    ("out-of-memory", "", [*RUNS, console(K.OUT_OF_MEMORY), console(K.PANIC, text="System is deadlocked on memory")], None),  # noqa: E501 - one case, one line
    ("out-of-memory", "iPXE", [*FETCHED, console(K.IPXE_FETCHED, file=KERNEL), failed(INITRD, "31852006", "Not enough space")], None),  # noqa: E501 - one case, one line
    ("secure-boot-refused", "kernel", [*KERNEL_RUNS[:-1], failed("", "7f048283", "Could not boot")], Stage.HTTP_INITRD),
    ("no-dhcp-answer", "no link", [*RAN, failed("", "38086193", "Waiting for link-up on net0... Down")], None),
    ("emergency-shell", "", [*RUNS, console(K.UNIT_FAILED, text="Failed to mount /boot."), console(K.EMERGENCY)], None),
    ("secure-boot-refused", "", [*LOADER, console(K.BOOT_REFUSED, code="secure-boot")], Stage.DHCP_LOADER),
    ("installer-no-network", "", [*RUNS, console(K.UNIT_FAILED, text="Failed to start systemd-networkd-wait-online.service")], None),  # noqa: E501 - one case, one line
]  # fmt: skip


def judged(signals: list[Signal]) -> BootTimeline:
    correlator = Correlator([A, B])
    for one in signals:
        correlator.feed(one, one.wall or 0.0)
    boot = correlator.timeline("node01", at_end=True)
    assert boot is not None
    return boot


def errors(boot: BootTimeline) -> list[str]:
    return [finding.id for finding in boot.findings if finding.severity is Severity.ERROR]


@pytest.mark.parametrize(("expected", "how", "signals", "reached"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_finding(expected: str, how: str, signals: list[Signal], reached: Stage | None) -> None:
    boot = judged(signals)
    assert errors(boot) == [expected]
    assert boot.outcome == "stopped"
    finding = next(f for f in boot.findings if f.id == expected)
    assert finding.cause
    if how == "stands still":  # its server was reached
        assert "stands still at 15 %: what the server sends no longer arrives" in finding.cause
        assert "cable" in finding.remedy
    else:
        assert finding.remedy == FINDINGS[expected].remedy
    assert finding.evidence
    own = {f"{s.evidence.file}:{s.evidence.line}: {s.evidence.text}" for s in signals}
    assert set(finding.evidence) <= own
    if reached is not None:
        assert boot.reached is reached


def test_every_rule_is_in_the_catalogue() -> None:
    assert {rule.id for rule in RULES} <= set(FINDINGS)


GOOD: list[tuple[str, list[Signal]]] = [
    ("both witnesses", [*console_boot(None), *net_boot(A)]),
    ("size probe refused", [*LOADER, tftp(IP, 2.1, kind=K.TFTP_ERROR, code="aborted"), tftp(IP, 2.2), *UP]),
    ("first file missing", [*LOADER, tftp(IP, 2.1, kind=K.TFTP_ERROR, code="not-found"), tftp(IP, 2.2, "b.efi"), *UP]),
    ("IPv4 fails, HTTP boot works", [console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E18"), console(K.PXE_ERROR, code="PXE-E16"), *console_boot(None)]),  # noqa: E501 - one case, one line
    ("ignored, then answered", [signal(K.DHCP_IGNORED, mac=MAC, code="unknown-mac"), *net_boot(A)]),
    ("script falls back", [*FETCHED, failed(f"{SERVER}/node.ipxe", "2d0c613b"), *KERNEL_RUNS[6:], *RUNS[-2:], console(K.LOGIN, code="installer")]),  # noqa: E501 - one case, one line
    ("autoexec.ipxe", [*UP, failed("tftp://10.0.0.10/autoexec.ipxe", "2d12613b"), *FETCHED[-1:], *KERNEL_RUNS[6:]]),
    ("iPXE asks twice", [*RAN, console(K.IPXE_NO_ADDRESS), *console_boot(None)[5:]]),
    ("curl in the installer", [*console_boot(None), http(IP, "/initrd-missing", 1100, 404, ipxe=False, text="curl/8")]),
    ("a transfer stands still, then goes on", [*console_boot(None)[:8], console(K.IPXE_FETCH, file=INITRD, code="stalled"), *console_boot(None)[8:]]),  # noqa: E501 - one case, one line
    ("two servers of a pair", [*net_boot(A), signal(K.DHCP_OFFER, 1000.15, "peer", mac=MAC, ip=IP)]),
    ("a unit failed, login all the same", [*RUNS, console(K.UNIT_FAILED, text="Failed to start x"), console(K.LOGIN)]),
]  # fmt: skip


@pytest.mark.parametrize(("how", "signals"), GOOD, ids=[name for name, _ in GOOD])
def test_good_boots_have_no_error(how: str, signals: list[Signal]) -> None:
    assert errors(judged(signals)) == []


def test_consequences_are_told_as_such() -> None:
    boot = judged(next(signals for _, how, signals, _ in CASES if how == "empty"))
    assert [(f.id, f.severity) for f in boot.findings] == [
        ("initrd-missing", Severity.ERROR),
        ("kernel-panic-rootfs", Severity.INFO),
    ]
    assert "0 bytes" in boot.findings[0].cause


def test_disagreement_of_the_witnesses_is_said() -> None:
    boot = judged(
        [*lease(A, 1, **IPXE), http(IP, "/boot.ipxe", 2), http(IP, "/bzImage", 3), failed(KERNEL, "4c0a6035")]
    )
    assert errors(boot) == ["http-unreachable"]
    assert "although the server's log shows the request" in boot.findings[0].cause
    assert [text.split(":")[0] for text in boot.findings[0].evidence] == ["http", "console"]


def test_booting_the_installer_again_is_told() -> None:
    def again(times: int, end: K = K.REBOOT) -> list[Signal]:
        boots = [
            (*net_boot(A, 1000.0 * n), *console_boot(1000.0 * n), console(end, 1000.0 * n + 90))
            for n in range(1, times + 1)
        ]
        return sorted((s for boot in boots for s in boot), key=lambda s: s.wall or 0)

    assert [f.id for f in judged(again(2)).findings] == ["rebooted-to-network"]
    assert [f.id for f in judged(again(3)).findings] == ["install-loop"]
    assert judged(again(3, K.POWER_OFF)).findings == (), "somebody switched it off and on"


def test_clocks_far_apart_are_told() -> None:
    boot = judged([*console_boot(5000.0), *net_boot(A, 1000.0)])
    assert "clock-skew" in {f.id for f in boot.findings}
    assert errors(boot) == []


def test_a_slow_loader_is_told() -> None:
    signals = [*lease(A, 1, **PXE), tftp(IP, 2), tftp(IP, 200, kind=K.TFTP_DONE), *lease(A, 210, **IPXE)]
    assert [f.id for f in judged(signals).findings] == ["tftp-slow"]


def test_first_boot_that_does_not_come_up() -> None:
    correlator = Correlator([A])
    for one in [console(K.FIRMWARE, 10), console(K.DISK_LOADER, 20), console(K.KERNEL, 30)]:
        correlator.feed(one, one.wall or 0.0)
    boot = correlator.timeline("node01", 2000.0)
    assert boot is not None
    assert [f.id for f in boot.findings][:1] == ["first-boot-timeout"]
