"""Our TFTP client, boot loaders' headers and DHCP offers: what well-behaved and hostile servers send."""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.pxe.preflight import dhcp, loader, tftp
from tests.unit.checks.servers import Tftp, datagrams, pe

BIG = bytes(range(256)) * 3000


async def test_beginning_and_size_of_a_file_and_the_rest_is_not_asked_for() -> None:
    server = await Tftp({"ipxe.efi": BIG}).start()
    got = await tftp.fetch("127.0.0.1", "ipxe.efi", port=server.port)
    assert (got.size, got.told, got.block_size) == (len(BIG), True, tftp.BLOCK_SIZE)
    assert tftp.ENOUGH <= len(got.data) < tftp.ENOUGH + tftp.BLOCK_SIZE
    assert got.data == BIG[: len(got.data)]
    server.stop()


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 70_000])
async def test_server_without_options_is_read_to_the_end(length: int) -> None:
    server = await Tftp({"undionly.kpxe": BIG[:length]}, options=False).start()
    got = await tftp.fetch("127.0.0.1", "undionly.kpxe", port=server.port)
    assert (got.data, got.size, got.told, got.block_size) == (BIG[:length], length, False, 512)
    server.stop()


async def test_lost_packets_are_sent_again() -> None:
    server = await Tftp({"a": b"x" * 2000}, lose=2).start()
    got = await tftp.fetch("127.0.0.1", "a", port=server.port, resend=0.02)
    assert got.size == 2000
    server.stop()


async def test_missing_file_is_the_servers_own_words() -> None:
    server = await Tftp({}).start()
    with pytest.raises(tftp.TftpError, match="file not found") as raised:
        await tftp.fetch("127.0.0.1", "a", port=server.port)
    assert raised.value.code == 1
    server.stop()


async def test_silence_ends_in_time() -> None:
    _, port = await datagrams(lambda _: [])
    with pytest.raises(TimeoutError):
        await tftp.fetch("127.0.0.1", "a", port=port, limit=0.1, resend=0.03)


async def test_a_flood_does_not_keep_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.monotonic()

    async def recvfrom(*_: object) -> tuple[bytes, tuple[str, int]]:
        assert time.monotonic() - begin < 60, "nothing else came to its turn"
        return b"\0\3\0\x07wrong", ("127.0.0.1", 9)  # always there at once, as under a flood

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_recvfrom", recvfrom)
    with pytest.raises(TimeoutError):
        await tftp.fetch("127.0.0.1", "a", port=9, limit=0.2)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"\0\6blksize\x0099999\0", "wants blocks of 99999"),
        (b"\0\6tsize\0-1\0", "no number"),
        (b"\0\6blksize\0\xc2\xb2\0", "no number"),
        (b"\0\3\0\1" + b"x" * 1400, "1400 bytes, 512 were agreed"),
        (b"\0\5\0\2\x1b]0;owned\x07\0", "access violation"),
        (b"\0\5\xff\xff\0", "error 65535"),
    ],
)
async def test_server_that_breaks_the_protocol_is_named(answer: bytes, told: str) -> None:
    _, port = await datagrams(lambda _: [answer])
    with pytest.raises(tftp.TftpError) as raised:
        await tftp.fetch("127.0.0.1", "a", port=port, limit=2.0)
    assert told in str(raised.value)
    assert "\x1b" not in str(raised.value)


async def test_strangers_and_wrong_blocks_are_not_taken_for_the_file() -> None:
    answers = [b"", b"\0\4\0\1", b"\0\3\0\x07wrong", b"\0\3\0\0wrong", b"\0\3\0\1right"]
    _, port = await datagrams(lambda data: answers if data[1] == 1 else [])
    got = await tftp.fetch("127.0.0.1", "a", port=port, limit=2.0)
    assert got.data == b"right"


async def test_names_that_cannot_be_asked_for() -> None:
    for name in ("", "a\0b"):
        with pytest.raises(ValueError):
            await tftp.fetch("127.0.0.1", name)
    with pytest.raises(ValueError):
        await tftp.fetch("pxe01", "a")


@pytest.mark.parametrize(
    ("data", "made_for", "told"),
    [
        (pe(0x8664), "efi-x64", "EFI application"),
        (pe(0x14C), "efi-ia32", "EFI application"),
        (pe(0xAA64), "efi-arm64", "EFI application"),
        (pe(0x8664, 3), "", "no EFI application"),
        (pe(0x5064), "", "machine 0x5064"),
        (b"MZ" + bytes(62), "", "cut off"),
        (b"\xea\x05\x00\xc0\x07".ljust(1024, b"\0"), "bios", "BIOS"),
        (b"\x7fELF".ljust(1024, b"\0"), "", "ELF"),
        (b"<html><head><title>404", "", "text"),
        (b"#!ipxe\n", "", "text"),
        (b"", "", "empty"),
    ],
)
def test_architecture_of_boot_loaders(data: bytes, made_for: str, told: str) -> None:
    found, words = loader.architecture(data)
    assert found == made_for
    assert told in words


@pytest.mark.parametrize(
    ("file", "made_for"),
    [
        pytest.param(f"/usr/lib/ipxe/{name}", made_for, marks=pytest.mark.needs(f"/usr/lib/ipxe/{name}"))
        for name, made_for in (
            ("undionly.kpxe", "bios"),
            ("ipxe.pxe", "bios"),
            ("ipxe.efi", "efi-x64"),
            ("snponly.efi", "efi-x64"),
        )
    ],
)
def test_real_loaders(file: str, made_for: str) -> None:
    """Of Debian's package ipxe."""
    assert loader.architecture(Path(file).read_bytes()[: tftp.ENOUGH])[0] == made_for


@given(st.binary(max_size=400))
def test_no_bytes_upset_the_reader_of_headers(data: bytes) -> None:
    for each in (data, b"MZ" + data, pe(0x8664)[: len(data)]):
        assert loader.architecture(each)[1]
        loader.is_kernel(each)


MAC = bytes([2, 1, 2, 3, 4, 5])


def offer(transaction: int, options: bytes, file: bytes = b"") -> bytes:
    packet = bytearray(dhcp.discover(MAC, transaction)[:236])
    packet[0] = 2
    packet[16:20] = IPv4Address("10.0.100.120").packed
    packet[20:24] = IPv4Address("10.0.100.10").packed
    packet[108 : 108 + len(file)] = file
    return bytes(packet) + b"\x63\x82\x53\x63" + options


def test_offers_are_read_and_others_conversations_are_not() -> None:
    said = b"\x35\x01\x02\x36\x04\x0a\x00\x64\x0a\x00\x43\x08ipxe.efi\xff"
    found = dhcp.read_offer(offer(7, said), MAC, 7)
    assert found is not None
    assert (str(found.server), str(found.address), found.boot_file) == ("10.0.100.10", "10.0.100.120", "ipxe.efi")
    assert dhcp.read_offer(offer(8, said), MAC, 7) is None
    assert dhcp.read_offer(offer(7, said), bytes(6), 7) is None
    assert dhcp.read_offer(offer(7, said.replace(b"\x35\x01\x02", b"\x35\x01\x05")), MAC, 7) is None
    in_header = dhcp.read_offer(offer(7, said[:9] + b"\xff", b"undionly.kpxe"), MAC, 7)
    assert in_header is not None
    assert in_header.boot_file == "undionly.kpxe"


def test_a_discover_is_as_firmware_sends_it() -> None:
    packet = dhcp.discover(MAC, 0x01020304)
    assert packet[:8] == b"\x01\x01\x06\x00\x01\x02\x03\x04"
    assert packet[10:12] == b"\x80\x00"
    assert packet[28:34] == MAC
    assert packet[236:243] == b"\x63\x82\x53\x63\x35\x01\x01"
    assert packet.endswith(b"\xff")


@given(st.binary(max_size=600))
def test_no_offer_upsets_us(data: bytes) -> None:
    dhcp.read_offer(data, MAC, 7)
    dhcp.read_offer(offer(7, data), MAC, 7)
