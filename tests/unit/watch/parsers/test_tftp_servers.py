"""atftpd and tftpd-hpa."""

from __future__ import annotations

import pytest

from tests.unit.watch.parsers.reading import read


def _atftpd(*texts: str, thread: str = "77.1") -> list[str]:
    return read("atftpd", *(f"Nov 21 00:44:58 vm atftpd[{thread}]: {text}" for text in texts))


def test_atftpd_tells_of_a_size_probe_and_the_transfer_after_it() -> None:
    assert _atftpd(
        "Serving ipxe.efi to 10.0.100.50:1333",
        "tsize option -> 850528",
        "blksize option -> 1468",
        "received ERROR <code: 8, msg: User aborted the transfer>",
        "Aborting transfer",
        "Server thread exiting",
        "Serving ipxe.efi to 10.0.100.50:1334",
        "tsize option -> 850528",
        "End of transfer",
        "Server thread exiting",
    ) == [
        "1 tftp-request ip=10.0.100.50 file=ipxe.efi",
        "5 tftp-error ip=10.0.100.50 file=ipxe.efi code=aborted text=error 8 User aborted the transfer",
        "7 tftp-request ip=10.0.100.50 file=ipxe.efi",
        "9 tftp-done ip=10.0.100.50 file=ipxe.efi bytes=850528 total=850528",
    ]


def test_atftpd_threads_stay_apart() -> None:
    lines = (
        "atftpd[77.1]: Serving a.efi to 10.0.100.1:1",
        "atftpd[77.2]: Serving b.efi to 10.0.100.2:1",
        "atftpd[77.1]: File /srv/tftp/a.efi not found",
        "atftpd[77.2]: End of transfer",
    )
    assert read("atftpd", *lines)[2:] == [
        "3 tftp-error ip=10.0.100.1 file=a.efi code=not-found",
        "4 tftp-done ip=10.0.100.2 file=b.efi",
    ]


def test_atftpd_gives_up_on_a_silent_client_once() -> None:
    assert _atftpd(
        "Serving ipxe.efi to 10.0.100.50:1333",
        "timeout: retrying...",
        "timeout block 12: retrying ...",
        "client (10.0.100.50) not responding",
        "Aborting transfer",
    )[1:] == ["4 tftp-error ip=10.0.100.50 file=ipxe.efi code=timeout text=client (10.0.100.50) not responding"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Serving boot file.efi to ::ffff:10.0.100.50:1333", "tftp-request ip=10.0.100.50 file=boot file.efi"),
        ("Serving ipxe.efi to fe80::1:1333", "tftp-request ip=fe80::1 file=ipxe.efi"),
        (
            "Connection refused from 10.0.100.50",
            "tftp-error ip=10.0.100.50 code=denied text=Connection refused from 10.0.100.50",
        ),
        ("File /srv/tftp/x not found", "tftp-error file=/srv/tftp/x code=not-found"),
        ("Advanced Trivial FTP server started (0.8.0)", "server-up"),
        ("atftpd terminating after 300 seconds", "server-down"),
        ("End of transfer", ""),
        ("PCRE mapped a -> b", ""),
    ],
)
def test_atftpd_line(text: str, told: str) -> None:
    assert _atftpd(text) == ([f"1 {told}"] if told else [])


def test_atftpd_denies() -> None:
    for text in ("File name with /../ are forbidden", "sent ERROR <code: 2, msg: Access violation>"):
        assert "code=denied" in _atftpd("Serving ../x to 10.0.100.50:1", text)[1]


def _hpa(*texts: str, pid: int = 5) -> list[str]:
    return read("tftpd-hpa", *(f"Nov 21 00:44:58 vm in.tftpd[{pid}]: {text}" for text in texts))


def test_hpa_joins_a_refusal_with_its_request() -> None:
    lines = (
        "<29>Nov 21 00:44:58 in.tftpd[5]: RRQ from 10.0.100.50 filename missing.efi",
        "<29>Nov 21 00:44:58 in.tftpd[6]: RRQ from 10.0.100.51 filename ipxe.efi",
        "<30>Nov 21 00:44:58 in.tftpd[5]: sending NAK (1, File not found) to 10.0.100.50",
        "<28>Nov 21 00:44:58 in.tftpd[6]: tftp: client does not accept options",
    )
    assert read("tftpd-hpa", *lines) == [
        "1 tftp-request ip=10.0.100.50 file=missing.efi",
        "2 tftp-request ip=10.0.100.51 file=ipxe.efi",
        "3 tftp-error ip=10.0.100.50 file=missing.efi code=not-found text=File not found",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "RRQ from 10.0.100.50 filename \\x\\ipxe.efi remapped to /x/ipxe.efi",
            "tftp-request ip=10.0.100.50 file=\\x\\ipxe.efi text=remapped to /x/ipxe.efi",
        ),
        ("RRQ from ::ffff:10.0.100.50 filename a b", "tftp-request ip=10.0.100.50 file=a b"),
        (
            "sending NAK (0, Permission denied) to 10.0.100.50",
            "tftp-error ip=10.0.100.50 code=denied text=Permission denied",
        ),
        (
            "sending NAK (2, Only absolute filenames allowed) to 10.0.100.50",
            "tftp-error ip=10.0.100.50 code=denied text=Only absolute filenames allowed",
        ),
        ("tftpd: read: Connection refused", "tftp-error code=aborted text=tftpd: read: Connection refused"),
        ("Client ::ffff:10.0.100.50 finished pxelinux.0", "tftp-done ip=10.0.100.50 file=pxelinux.0"),
        ("Client 10.0.100.50 timed out", "tftp-error ip=10.0.100.50 code=timeout"),
        ("Client 10.0.100.50 File not found x.efi", "tftp-error ip=10.0.100.50 file=x.efi code=not-found"),
        ("WRQ from 10.0.100.50 filename x", ""),
        ("tftp: client does not accept options", ""),
    ],
)
def test_hpa_line(text: str, told: str) -> None:
    assert _hpa(text) == ([f"1 {told}"] if told else [])
