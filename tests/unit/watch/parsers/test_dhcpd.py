"""ISC dhcpd: every form that server/dhcp.c prints about a client."""

from __future__ import annotations

import pytest

from tests.unit.watch.parsers.reading import MAC, expected, read

_FROM = f"from {MAC} via eth0"
LINES = {
    "a client that tells a name": (
        f"DHCPDISCOVER from {MAC} (node 01 (a)) via eth0",
        f"1 dhcp-discover mac={MAC} host=node 01 (a)",
    ),
    "through a relay": (f"DHCPDISCOVER from {MAC} via 10.0.50.1", f"1 dhcp-discover mac={MAC}"),
    "an acknowledgement with a name": (
        f"DHCPACK on 10.0.100.50 to {MAC} (node01) via eth0",
        f"1 dhcp-ack mac={MAC} ip=10.0.100.50 host=node01",
    ),
    "capitals and single digits in a MAC": (
        "DHCPDISCOVER from 52:54:0:AB:C:D via eth0",
        "1 dhcp-discover mac=52:54:00:ab:0c:0d",
    ),
    "an exhausted pool": (
        f"DHCPDISCOVER {_FROM}: network 10.0.100.0/24: no free leases",
        f"1 dhcp-discover mac={MAC}\n"
        f"1 dhcp-ignored mac={MAC} code=pool-exhausted text=network 10.0.100.0/24: no free leases",
    ),
    "a failover peer that holds the rest": (
        f"DHCPDISCOVER {_FROM}: peer holds all free leases",
        f"1 dhcp-discover mac={MAC}\n1 dhcp-ignored mac={MAC} code=pool-exhausted text=peer holds all free leases",
    ),
    "a failover peer that will answer": (
        f"DHCPDISCOVER {_FROM}: load balance to peer west",
        f"1 dhcp-discover mac={MAC}",
    ),
    "an unknown client": (
        f"DHCPDISCOVER {_FROM}: unknown client",
        f"1 dhcp-discover mac={MAC}\n1 dhcp-ignored mac={MAC} code=unknown-mac text=unknown client",
    ),
    "a request for another network": (
        f"DHCPREQUEST for 192.168.1.5 {_FROM}: wrong network.",
        f"1 dhcp-request mac={MAC} ip=192.168.1.5",
    ),
    "a refusal": (f"DHCPNAK on 192.168.1.5 to {MAC} via eth0", f"1 dhcp-nak mac={MAC} ip=192.168.1.5"),
    "a request that another server may answer": (
        f"DHCPREQUEST for 192.168.1.5 (192.168.1.1) {_FROM}: ignored (not authoritative).",
        f"1 dhcp-request mac={MAC} ip=192.168.1.5 server=192.168.1.1\n"
        f"1 dhcp-ignored mac={MAC} ip=192.168.1.5 text=ignored (not authoritative). server=192.168.1.1",
    ),
    "a request from an unknown subnet": (
        f"DHCPREQUEST for 192.168.1.5 {_FROM}: ignored (unknown subnet).",
        f"1 dhcp-request mac={MAC} ip=192.168.1.5\n"
        f"1 dhcp-ignored mac={MAC} ip=192.168.1.5 code=no-subnet text=ignored (unknown subnet).",
    ),
    "a lease that is gone": (
        f"DHCPREQUEST for 10.0.100.9 {_FROM}: unknown lease 10.0.100.9.",
        f"1 dhcp-request mac={MAC} ip=10.0.100.9\n"
        f"1 dhcp-ignored mac={MAC} ip=10.0.100.9 text=unknown lease 10.0.100.9.",
    ),
    "a release": (
        f"DHCPRELEASE of 10.0.100.50 from {MAC} (node01) via eth0 (found)",
        f"1 dhcp-release mac={MAC} ip=10.0.100.50 host=node01",
    ),
    "a release of nothing": (f"DHCPRELEASE of 10.0.100.50 from {MAC} via eth0 (not found)", ""),
    "an address that the client finds in use": (
        f"DHCPDECLINE of 10.0.100.50 from {MAC} via eth0: abandoned",
        f"1 dhcp-release mac={MAC} ip=10.0.100.50 code=declined",
    ),
    "an address that answers to a ping": (
        "Abandoning IP address 10.0.100.50: pinged before offer",
        "1 dhcp-release ip=10.0.100.50 code=abandoned text=pinged before offer",
    ),
    "a relay that no subnet is for": (
        "Packet from unknown subnet: 10.9.0.1",
        "1 dhcp-ignored code=no-subnet text=Packet from unknown subnet: 10.9.0.1",
    ),
    "an inform gives no address": ("DHCPINFORM from 10.0.100.50 via eth0", ""),
    "and neither does its answer": (f"DHCPACK to 10.0.100.50 ({MAC}) via eth0", ""),
    "the server starts": ("Server starting service.", "1 server-up"),
    "the server cannot": ("Configuration file errors encountered -- exiting", "1 server-down"),
    "DHCPv6": ("Solicit message from fe80::1 port 546, transaction ID 0x1", ""),
    "a client of another program": ("DHCPDISCOVER on eth0 to 255.255.255.255 port 67 interval 3", ""),
    "an uid lease": (f"uid lease 10.0.100.3 for client {MAC} is duplicate on 10.0.100.0/24", ""),
}


@pytest.mark.parametrize("case", list(LINES))
def test_a_line(case: str) -> None:
    line, told = LINES[case]
    assert read("dhcpd", line) == (expected(told) if told else [])
    assert read("dhcpd", f"Nov 21 00:00:00 vm dhcpd[1]: {line}") == (expected(told) if told else [])


@pytest.mark.parametrize(("before", "code"), [(0, "unknown-mac"), (7, "pool-exhausted")])
def test_pools_without_a_lease_are_not_full(before: int, code: str) -> None:
    """What `deny unknown-clients` in a pool says."""
    refused = f"DHCPDISCOVER {_FROM}: network 10.0.100.0/24: no free leases"
    start = f"Wrote {before} leases to leases file."
    assert read("dhcpd", start, refused)[-1].endswith(f"code={code} text=network 10.0.100.0/24: no free leases")
    given = "DHCPACK on 10.0.100.77 to 02:00:00:00:00:01 via eth0"
    assert "code=pool-exhausted" in read("dhcpd", start, given, refused)[-1]
