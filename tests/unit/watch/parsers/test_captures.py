# ruff: noqa: E501  (log lines are as long as they are)
"""Logs of real boots give the signals that a person would list."""

from __future__ import annotations

import pytest

from tests.unit.watch.parsers.reading import LOGS, MIDNIGHT, expected, read_log, signals

_M56 = "mac=52:54:00:12:34:56"
_M57 = "mac=52:54:00:12:34:57"
_AGENT = "text=iPXE/1.0.0+git-20190125.36a4c85-5.1 ipxe=True"
_HTTP = "arch=16 vendor=HTTPClient:Arch:00016:UNDI:003000 ipxe=False xid=2796900696"
_IPXE = "arch=7 vendor=PXEClient:Arch:00007:UNDI:003010 ipxe=True xid=1457310054"
_PXE = "arch=7 vendor=PXEClient:Arch:00007:UNDI:003000 ipxe=False xid=2796900693"
_EFI = "file=http://10.0.100.10:8080/boot/ipxe/ipxe.efi"
_SCRIPT = "file=http://10.0.100.10:8080/boot/ipxe/boot.ipxe"

CAPTURES = {
    ("dhcpd", "dhcpd-bios.log"): f"""
        14 server-up
        15 dhcp-discover {_M56}
        16 dhcp-offer {_M56} ip=10.0.100.50
        17 dhcp-discover {_M56}
        18 dhcp-offer {_M56} ip=10.0.100.50
        19 dhcp-request {_M56} ip=10.0.100.50 server=10.0.100.10
        20 dhcp-ack {_M56} ip=10.0.100.50
    """,
    ("dhcpd", "dhcpd-uefi.log"): f"""
        14 server-up
        15 dhcp-discover {_M57}
        16 dhcp-offer {_M57} ip=10.0.100.51
        17 dhcp-request {_M57} ip=10.0.100.51 server=10.0.100.10
        18 dhcp-ack {_M57} ip=10.0.100.51
        19 dhcp-discover {_M57}
        20 dhcp-offer {_M57} ip=10.0.100.51
        21 dhcp-discover {_M57}
        22 dhcp-offer {_M57} ip=10.0.100.51
        23 dhcp-request {_M57} ip=10.0.100.51 server=10.0.100.10
        24 dhcp-ack {_M57} ip=10.0.100.51
        25 dhcp-discover {_M57}
        26 dhcp-offer {_M57} ip=10.0.100.51
        27 dhcp-request {_M57} ip=10.0.100.51 server=10.0.100.10
        28 dhcp-ack {_M57} ip=10.0.100.51
    """,
    ("kea", "kea-2.2-uefi.log"): f"""
        10 server-up text=Kea DHCPv4 server version 2.2.0 started
        12 dhcp-offer {_M57} ip=10.0.100.51 xid=b453ff8d
        14 dhcp-ack {_M57} ip=10.0.100.51 xid=b453ff8d
        16 dhcp-offer {_M57} ip=10.0.100.51 ipxe=True xid=8239c6a
        18 dhcp-offer {_M57} ip=10.0.100.51 ipxe=True xid=8239c6a
        20 dhcp-ack {_M57} ip=10.0.100.51 ipxe=True xid=8239c6a
        21 dhcp-offer {_M57} ip=10.0.100.51 xid=2c475243
        22 dhcp-ack {_M57} ip=10.0.100.51 xid=2c475243
        23 server-down text=server shutdown
    """,
    ("kea", "kea-2.6-uefi.log"): f"""
        4 server-up text=Kea DHCPv4 server version 2.6.3 started
        8 dhcp-discover {_M56} xid=1835303c
        9 dhcp-offer {_M56} ip=10.0.100.50 xid=1835303c
        13 dhcp-request {_M56} xid=1835303c
        14 dhcp-ack {_M56} ip=10.0.100.50 xid=1835303c
        18 dhcp-discover {_M56} ipxe=True xid=56dcc966
        19 dhcp-offer {_M56} ip=10.0.100.50 ipxe=True xid=56dcc966
        23 dhcp-discover {_M56} ipxe=True xid=56dcc966
        24 dhcp-offer {_M56} ip=10.0.100.50 ipxe=True xid=56dcc966
        28 dhcp-request {_M56} ipxe=True xid=56dcc966
        29 dhcp-ack {_M56} ip=10.0.100.50 ipxe=True xid=56dcc966
        32 server-down text=server shutdown
    """,
    ("dnsmasq", "dnsmasq-uefi-http.log"): f"""
        1 server-up
        7 dhcp-discover {_M56} {_PXE}
        7 dhcp-ignored {_M56} code=unknown-mac text=ignored {_PXE}
        10 dhcp-discover {_M56} {_HTTP}
        12 dhcp-offer {_M56} ip=10.0.100.157 {_HTTP}
        21 dhcp-request {_M56} ip=10.0.100.157 {_EFI} {_HTTP} server=10.0.100.10
        23 dhcp-ack {_M56} ip=10.0.100.157 {_EFI} {_HTTP} server=10.0.100.10
        33 dhcp-discover {_M56} {_IPXE}
        35 dhcp-offer {_M56} ip=10.0.100.157 {_IPXE}
        43 dhcp-discover {_M56} {_IPXE}
        45 dhcp-offer {_M56} ip=10.0.100.157 {_SCRIPT} {_IPXE} server=10.0.100.10
        53 dhcp-request {_M56} ip=10.0.100.157 {_SCRIPT} {_IPXE} server=10.0.100.10
        55 dhcp-ack {_M56} ip=10.0.100.157 {_SCRIPT} {_IPXE} server=10.0.100.10
        60 server-down
    """,
    ("atftpd", "atftpd-uefi.log"): """
        1 server-up
        2 tftp-request ip=10.0.100.51 file=ipxe.efi
        3 tftp-request ip=10.0.100.51 file=ipxe.efi
        6 server-down
    """,
    ("atftpd", "atftpd-missing.log"): """
        1 server-up
        2 tftp-request ip=10.0.100.51 file=missing.efi
        5 server-down
    """,
    ("tftpd-hpa", "tftpd-hpa-uefi.log"): """
        1 tftp-request ip=10.0.100.51 file=ipxe.efi
        5 tftp-request ip=10.0.100.51 file=ipxe.efi
    """,
    ("nginx-access", "nginx-access-uefi-http.log"): f"""
        1 http-request ip=10.0.100.157 file=/boot/ipxe/ipxe.efi bytes=0 status=200 code=HEAD text=UefiHttpBoot/1.0 ipxe=False
        2 http-request ip=10.0.100.157 file=/boot/ipxe/ipxe.efi bytes=850528 status=200 text=UefiHttpBoot/1.0 ipxe=False
        3 http-request ip=10.0.100.157 file=/boot/ipxe/boot.ipxe bytes=418 status=200 {_AGENT}
        4 http-request ip=10.0.100.157 file=/boot/nixos/control-plane/bzImage bytes=14186432 status=200 {_AGENT}
        5 http-request ip=10.0.100.157 file=/boot/nixos/control-plane/initrd bytes=1028203 status=200 {_AGENT}
    """,
    ("nginx-access", "nginx-access-404.log"): f"""
        1 http-request ip=10.0.100.51 file=/boot/ipxe/boot.ipxe bytes=755 status=200 {_AGENT}
        2 http-request ip=10.0.100.51 file=/boot/nixos/control-plane/bzImage bytes=153 status=404 {_AGENT}
    """,
    ("nginx-access", "nginx-access-no-initrd.log"): f"""
        1 http-request ip=10.0.100.51 file=/boot/ipxe/boot.ipxe bytes=755 status=200 {_AGENT}
        2 http-request ip=10.0.100.51 file=/boot/nixos/control-plane/bzImage bytes=14186432 status=200 {_AGENT}
        3 http-request ip=10.0.100.51 file=/boot/nixos/control-plane/initrd bytes=0 status=200 {_AGENT}
    """,
    ("nginx-error", "nginx-error-404.log"): (
        "1 http-error ip=10.0.100.51 file=/boot/nixos/control-plane/bzImage code=not-found "
        'text=open() "/var/lib/pxe-boot/boot/nixos/control-plane/bzImage" failed (2: No such file or directory)'
    ),
}


@pytest.mark.parametrize(("format_", "name"), list(CAPTURES))
def test_a_capture_gives_the_signals_that_a_person_would_list(format_: str, name: str) -> None:
    assert read_log(format_, name) == expected(CAPTURES[format_, name])


def test_every_copied_log_is_listed() -> None:
    assert {path.name for path in LOGS.glob("*.log")} == {name for _, name in CAPTURES}


@pytest.mark.parametrize(
    ("format_", "name", "number", "seconds"),
    [
        ("kea", "kea-2.2-uefi.log", 12, 29 * 60 + 33.571),
        ("kea", "kea-2.6-uefi.log", 29, 55 * 60 + 57.817),
        ("atftpd", "atftpd-uefi.log", 2, 28 * 60 + 9),
        ("tftpd-hpa", "tftpd-hpa-uefi.log", 1, 29 * 60 + 37),
        ("nginx-access", "nginx-access-404.log", 2, 39 * 60 + 11),
        ("nginx-error", "nginx-error-404.log", 1, 39 * 60 + 11),
    ],
)
def test_a_capture_has_the_times_of_its_lines(format_: str, name: str, number: int, seconds: float) -> None:
    told = signals(format_, (LOGS / name).read_text().splitlines())
    (wall,) = [signal.wall for signal in told if signal.evidence.line == number]
    assert wall is not None
    assert wall - MIDNIGHT == pytest.approx(seconds, abs=1e-4)


def test_a_daemon_in_the_foreground_writes_no_times() -> None:
    for name, format_ in (("dhcpd-uefi.log", "dhcpd"), ("dnsmasq-uefi-http.log", "dnsmasq")):
        told = signals(format_, (LOGS / name).read_text().splitlines())
        assert told
        assert {signal.wall for signal in told} == {None}


def test_evidence_is_the_line_itself() -> None:
    lines = (LOGS / "dhcpd-uefi.log").read_text().splitlines()
    for signal in signals("dhcpd", lines):
        assert signal.evidence.file == "log"
        assert signal.evidence.text == lines[signal.evidence.line - 1]
