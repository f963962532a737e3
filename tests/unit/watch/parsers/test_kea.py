# ruff: noqa: E501  (log lines are as long as they are)
"""Kea: messages of several versions, several messages for one thing."""

from __future__ import annotations

import pytest

from tests.unit.watch.parsers.reading import MAC, MIDNIGHT, expected, one, read

_CLIENT = f"[hwtype=1 {MAC}], cid=[01:{MAC}], tid=0x1835303c"
_WHO = f"mac={MAC}"


def _line(text: str, logger: str = "leases", level: str = "INFO ", thread: int = 1) -> str:
    return f"2026-11-21 00:55:43.295 {level} [kea-dhcp4.{logger}/22678.{thread}] {text}"


def _read(*texts: str) -> list[str]:
    return read("kea", *(_line(text) for text in texts))


def test_a_full_pool_is_told_once() -> None:
    assert _read(
        f"DHCP4_PACKET_RECEIVED {_CLIENT}: DHCPDISCOVER (type 1) received from 0.0.0.0 to 255.255.255.255 on interface t0",
        f"ALLOC_ENGINE_V4_ALLOC_FAIL_SUBNET {_CLIENT}: failed to allocate an IPv4 lease in the subnet 10.0.100.0/24, "
        "subnet-id 1, shared network (none)",
        f"ALLOC_ENGINE_V4_ALLOC_FAIL {_CLIENT}: failed to allocate an IPv4 address after 101 attempt(s)",
        f"ALLOC_ENGINE_V4_ALLOC_FAIL_CLASSES {_CLIENT}: Failed to allocate an IPv4 address for client with classes: "
        "ALL, VENDOR_CLASS_PXEClient:Arch:00007:UNDI:003000, UNKNOWN",
        f"DHCP4_PACKET_NAK_0003 {_CLIENT}: failed to advertise a lease, client sent ciaddr 0.0.0.0, "
        "requested-ip-address (no address)",
    ) == expected(f"""
        1 dhcp-discover {_WHO} xid=1835303c
        3 dhcp-ignored {_WHO} code=pool-exhausted text=failed to allocate an IPv4 address after 101 attempt(s) xid=1835303c
    """)


def test_classes_tell_vendor_and_architecture_of_the_next_try() -> None:
    told = _read(
        f"ALLOC_ENGINE_V4_ALLOC_FAIL_CLASSES {_CLIENT}: Failed to allocate an IPv4 address for client with classes: "
        "ALL, VENDOR_CLASS_PXEClient:Arch:00007:UNDI:003000, UNKNOWN",
        f"DHCP4_LEASE_OFFER {_CLIENT}: lease 10.0.100.50 will be offered",
    )
    assert told == [f"2 dhcp-offer {_WHO} ip=10.0.100.50 arch=7 vendor=PXEClient:Arch:00007:UNDI:003000 xid=1835303c"]


def test_pools_that_are_closed_to_a_client_mean_that_it_is_unknown() -> None:
    no_pools = f"ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS {_CLIENT}: no pools were available for the address allocation"
    (told,) = _read(no_pools)
    assert "code=unknown-mac" in told
    shared = (
        f"ALLOC_ENGINE_V4_ALLOC_FAIL_SHARED_NETWORK {_CLIENT}: failed to allocate an IPv4 address in the shared network"
    )
    assert (
        "code=unknown-mac"
        in _read(f"{shared} x: 0 subnets have no available addresses, 2 subnets have no matching pools", no_pools)[0]
    )
    assert (
        "code=pool-exhausted"
        in _read(f"{shared} x: 1 subnets have no available addresses, 1 subnets have no matching pools", no_pools)[0]
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"DHCP4_PACKET_DROP_0002 {_CLIENT}, from interface t0: no suitable subnet configured for a direct client",
            "dhcp-ignored {who} code=no-subnet text=no suitable subnet configured for a direct client xid=1835303c",
        ),
        (
            f"DHCP4_PACKET_DROP_0013 dropped as member of the special class 'DROP' after host reservation lookup: "
            f"{_CLIENT}, DHCPDISCOVER",
            f"dhcp-ignored {{who}} code=unknown-mac text={_CLIENT}, DHCPDISCOVER xid=1835303c",
        ),
        (
            f"DHCP4_LEASE_REUSE {_CLIENT}: lease 10.0.100.50 has been reused for 312 seconds",
            "dhcp-ack {who} ip=10.0.100.50 xid=1835303c",
        ),
        (
            f"DHCP4_INIT_REBOOT {_CLIENT}: client is in INIT-REBOOT state and requests address 10.0.100.7",
            "dhcp-request {who} ip=10.0.100.7 xid=1835303c",
        ),
        (
            f"DHCP4_RELEASE {_CLIENT}: address 10.0.100.50 was released properly.",
            "dhcp-release {who} ip=10.0.100.50 xid=1835303c",
        ),
        (
            f"DHCP4_DECLINE_LEASE Received DHCPDECLINE for addr 10.0.100.50 from client {_CLIENT}. "
            "The lease will be unavailable for 86400 seconds.",
            "dhcp-release {who} ip=10.0.100.50 code=declined xid=1835303c",
        ),
        (
            f"ALLOC_ENGINE_V4_LEASE_RECLAIM [hwtype=1 {MAC}], cid=[no info]: reclaiming expired lease for address 10.0.100.9",
            "dhcp-release {who} ip=10.0.100.9 code=expired",
        ),
        (
            f"DHCP4_PACKET_NAK_0002 {_CLIENT}: invalid address 10.0.9.1 requested by INIT-REBOOT",
            "dhcp-nak {who} ip=10.0.9.1 xid=1835303c",
        ),
        (
            "DHCP4_STARTED Kea DHCPv4 server version 3.0.4 started",
            "server-up text=Kea DHCPv4 server version 3.0.4 started",
        ),
        ("DHCP4_SHUTDOWN server shutdown", "server-down text=server shutdown"),
        (
            f"ALLOC_ENGINE_V4_DISCOVER_ADDRESS_CONFLICT {_CLIENT}: conflicting reservation for address 10.0.100.50 with "
            "existing lease Address: 10.0.100.50",
            "",
        ),
        ("COMMAND_RECEIVED Received command 'config-set'", ""),
        (f"DHCP4_QUERY_LABEL received query: {_CLIENT}", ""),
    ],
)
def test_a_message(text: str, told: str) -> None:
    assert _read(text) == ([f"1 {told.format(who=_WHO)}"] if told else [])


def test_a_refusal_that_is_told_twice_counts_once() -> None:
    assert _read(
        f"DHCP4_SUBNET_SELECTION_FAILED {_CLIENT}: failed to select subnet for the client",
        f"DHCP4_PACKET_NAK_0001 {_CLIENT}: failed to select a subnet for incoming packet, src 0.0.0.0, type DHCPDISCOVER",
    ) == [f"1 dhcp-ignored {_WHO} code=no-subnet text=failed to select subnet for the client xid=1835303c"]
    nak = (
        f"DHCP4_PACKET_SEND {_CLIENT}: trying to send packet DHCPNAK (type 6) from 10.0.100.10:67 to 255.255.255.255:68"
    )
    assert _read(
        f"DHCP4_PACKET_NAK_0004 {_CLIENT}: failed to grant a lease, client sent ciaddr 0.0.0.0, "
        "requested-ip-address 10.0.9.1",
        nak,
    ) == [f"1 dhcp-nak {_WHO} ip=10.0.9.1 xid=1835303c"]
    assert _read(nak) == [f"1 dhcp-nak {_WHO} xid=1835303c server=10.0.100.10"]


def test_a_request_after_a_reboot_is_told_once() -> None:
    assert _read(
        f"DHCP4_PACKET_RECEIVED {_CLIENT}: DHCPREQUEST (type 3) received from 0.0.0.0 to 255.255.255.255 on interface t0",
        f"DHCP4_INIT_REBOOT {_CLIENT}: client is in INIT-REBOOT state and requests address 10.0.100.7",
    ) == [f"1 dhcp-request {_WHO} xid=1835303c"]


def test_the_class_for_ipxe_is_joined_by_thread_where_the_client_is_not_named() -> None:
    offer = "DHCP4_LEASE_ADVERT [hwtype=1 52:54:00:12:34:{0}], cid=[no info], tid=0x{0}: lease 10.0.100.{0} will be advertised"
    lines = [
        _line("EVAL_RESULT Expression ipxe evaluated to 1", "options", thread=7),
        _line("EVAL_RESULT Expression efi64 evaluated to 1", "options", thread=8),
        _line(offer.format(11), thread=8),
        _line(offer.format(12), thread=7),
    ]
    assert read("kea", *lines) == [
        "3 dhcp-offer mac=52:54:00:12:34:11 ip=10.0.100.11 xid=11",
        "4 dhcp-offer mac=52:54:00:12:34:12 ip=10.0.100.12 ipxe=True xid=12",
    ]


def test_a_class_that_hands_ipxe_out_is_not_ipxe() -> None:
    told = _read(
        f"EVAL_RESULT {_CLIENT}: Expression ipxe_efi_x64 evaluated to true",
        f"DHCP4_LEASE_OFFER {_CLIENT}: lease 10.0.100.50 will be offered",
    )
    assert told == [f"2 dhcp-offer {_WHO} ip=10.0.100.50 xid=1835303c"]


_OPTIONS = """  type=012, len=006: "node01" (string)
  type=053, len=001: 3 (uint8)
  type=060, len=032: "PXEClient:Arch:00007:UNDI:003010" (string)
  type=077, len=004: 69:50:58:45
  type=093, len=002: 00:07
  type=097, len=017: 00:78:56:34:12:bc:9a:f0:de:01:02:03:04:05:06:07:08"""
_DETAILS = (
    f"mac={MAC} ip=10.0.100.50 uuid=12345678-9abc-def0-0102-030405060708 host=node01 arch=7 "
    "vendor=PXEClient:Arch:00007:UNDI:003010 ipxe=True xid=1835303c"
)


def test_options_of_a_packet_at_debug_level() -> None:
    query = _line(f"DHCP4_QUERY_DATA {_CLIENT}, packet details: local_address=255.255.255.255:67,", level="DEBUG")
    lines = [
        query,
        "msg_type=DHCPREQUEST (3), trans_id=0x1835303c,",
        "options:",
        *_OPTIONS.splitlines(),
        _line(f"DHCP4_LEASE_ALLOC {_CLIENT}: lease 10.0.100.50 has been allocated for 600 seconds"),
    ]
    assert read("kea", *lines) == [f"10 dhcp-ack {_DETAILS}"]
    in_a_journal = one("kea", "\n".join(lines[:-1]), lines[-1])
    assert in_a_journal.uuid == "12345678-9abc-def0-0102-030405060708"


def test_the_boot_file_of_an_offer_is_told_by_what_follows() -> None:
    lines = [
        _line(f"DHCP4_LEASE_OFFER {_CLIENT}: lease 10.0.100.50 will be offered"),
        _line(f"DHCP4_RESPONSE_DATA {_CLIENT}: responding with packet DHCPOFFER (type 2), packet details: x,"),
        '  type=067, len=008: "ipxe.efi" (string)',
        _line(f"DHCP4_LEASE_ALLOC {_CLIENT}: lease 10.0.100.50 has been allocated for 600 seconds"),
    ]
    assert read("kea", *lines)[1] == f"4 dhcp-ack {_WHO} ip=10.0.100.50 file=ipxe.efi xid=1835303c"


def test_through_syslog() -> None:
    text = f"INFO  [kea-dhcp4.leases.0x834f58200] DHCP4_LEASE_ALLOC {_CLIENT}: lease 10.0.100.50 has been allocated"
    for head in (
        "Nov 21 00:55:43 fw kea-dhcp4[91064]: ",
        '<134>1 2026-11-21T00:55:43+00:00 fw kea-dhcp4 91064 - [meta sequenceId="17351"] ',
    ):
        signal = one("kea", head + text)
        assert (signal.kind, signal.mac, signal.ip) == ("dhcp-ack", MAC, "10.0.100.50")
        assert signal.wall == MIDNIGHT + 55 * 60 + 43


def test_another_daemon_of_kea_is_not_read() -> None:
    assert read("kea", f"Nov 21 00:55:43 fw kea-dhcp6[1]: INFO [kea-dhcp4.x/1.1] DHCP4_SHUTDOWN {_CLIENT}") == []
    assert read("kea", "2026-11-21 00:55:43.295 INFO  [kea-dhcp6.dhcp6/1.1] DHCP6_STARTED x") == []
