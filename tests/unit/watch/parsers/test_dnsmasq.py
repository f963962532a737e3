"""dnsmasq: refusals, proxy-DHCP, logs without `log-dhcp`, TFTP."""

from __future__ import annotations

import pytest

from tests.unit.watch.parsers.reading import MAC, expected, read

_VENDOR = "PXEClient:Arch:00007:UNDI:003000"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"DHCPDISCOVER(eth0) {MAC} ", f"1 dhcp-discover mac={MAC}"),
        (f"DHCPDISCOVER(eth0) 10.0.100.50 {MAC} ", f"1 dhcp-discover mac={MAC} ip=10.0.100.50"),
        (f"DHCPOFFER(eth0) 10.0.100.50 {MAC} ", f"1 dhcp-offer mac={MAC} ip=10.0.100.50"),
        (f"DHCPREQUEST(eth0) 10.0.100.50 {MAC}", f"1 dhcp-request mac={MAC} ip=10.0.100.50"),
        (f"DHCPACK(eth0) 10.0.100.50 {MAC} node01", f"1 dhcp-ack mac={MAC} ip=10.0.100.50 host=node01"),
        (f"DHCPNAK(eth0) 10.0.9.1 {MAC} wrong network", f"1 dhcp-nak mac={MAC} ip=10.0.9.1 text=wrong network"),
        (f"DHCPRELEASE(eth0) 10.0.100.50 {MAC} ", f"1 dhcp-release mac={MAC} ip=10.0.100.50"),
        (f"DHCPRELEASE(eth0) 10.0.100.50 {MAC} unknown lease", ""),
        (
            f"DHCPDECLINE(eth0) 10.0.100.50 {MAC} in use",
            f"1 dhcp-release mac={MAC} ip=10.0.100.50 code=declined text=in use",
        ),
        (f"DHCPDECLINE(eth0) 10.0.100.50 {MAC} ", f"1 dhcp-release mac={MAC} ip=10.0.100.50 code=declined"),
        (
            f"DHCPDISCOVER(eth0) {MAC} no address available",
            f"1 dhcp-discover mac={MAC}\n1 dhcp-ignored mac={MAC} code=pool-exhausted text=no address available",
        ),
        (
            f"DHCPDISCOVER(eth0) {MAC} ignored",
            f"1 dhcp-discover mac={MAC}\n1 dhcp-ignored mac={MAC} code=unknown-mac text=ignored",
        ),
        (
            f"DHCPDISCOVER(eth0) {MAC} no leases left",
            f"1 dhcp-discover mac={MAC}\n1 dhcp-ignored mac={MAC} code=pool-exhausted text=no leases left",
        ),
        (f"DHCPDISCOVER(ib0) 20-{MAC} ", f"1 dhcp-discover mac={MAC}"),
        (f"PXE(eth0) {MAC} proxy", f"1 dhcp-proxy mac={MAC}"),
        (f"PXE(eth0) {MAC} proxy-ignored", f"1 dhcp-ignored mac={MAC} code=unknown-mac text=proxy-ignored"),
        (f"PXE(eth0) 10.0.100.50 {MAC} ipxe.efi", f"1 dhcp-proxy mac={MAC} ip=10.0.100.50 file=ipxe.efi"),
        (
            "no address range available for DHCP request via eth0",
            "1 dhcp-ignored code=no-subnet text=no address range available for DHCP request via eth0",
        ),
        (
            "DHCP packet received on eth1 which has no address",
            "1 dhcp-ignored code=no-subnet text=DHCP packet received on eth1 which has no address",
        ),
        (f"abandoning lease to {MAC} of 10.0.100.50", f"1 dhcp-release mac={MAC} ip=10.0.100.50 code=abandoned"),
        ("not giving name node01 to the DHCP lease of 10.0.100.50 because the name exists", ""),
        ("DHCP, IP range 10.0.100.100 -- 10.0.100.200, lease time 10m", ""),
        ("query[A] cache.nixos.org from 10.0.100.50", ""),
    ],
)
def test_dhcp(line: str, told: str) -> None:
    wanted = expected(told) if told else []
    assert read("dnsmasq", line) == wanted
    assert read("dnsmasq", f"Nov 21 00:00:00 vm dnsmasq-dhcp[7]: {line}") == wanted
    # With `log-dhcp` a number stands before what is about a client.
    if line[:4] in ("DHCP", "PXE(") and "(" in line[:16] and wanted:
        with_number = [part.replace(" xid=4711", "") for part in read("dnsmasq", f"dnsmasq-dhcp[7]: 4711 {line}")]
        assert with_number == wanted


def test_a_closed_network_names_its_clients() -> None:
    """`dhcp-range=10.0.100.0,static`: there is no pool that could be exhausted."""
    told = read(
        "dnsmasq",
        "dnsmasq-dhcp[7]: 1 available DHCP subnet: 10.0.100.0/255.255.255.0",
        f"dnsmasq-dhcp[7]: 1 DHCPDISCOVER(eth0) {MAC} no address available",
    )
    assert "code=unknown-mac" in told[1]


def test_a_proxy_beside_another_server() -> None:
    told = read(
        "dnsmasq",
        "dnsmasq-dhcp[7]: 1 available DHCP subnet: 10.0.100.0/255.255.255.0",
        f"dnsmasq-dhcp[7]: 1 vendor class: {_VENDOR}",
        f"dnsmasq-dhcp[7]: 1 PXE(eth0) {MAC} proxy",
        "dnsmasq-dhcp[7]: 1 tags: efi64, eth0",
        "dnsmasq-dhcp[7]: 1 bootfile name: ipxe.efi",
        "dnsmasq-dhcp[7]: 1 server name: 10.0.100.10",
    )
    assert told == [f"3 dhcp-proxy mac={MAC} arch=7 vendor={_VENDOR} ipxe=False xid=1"]


def test_transactions_that_are_mixed_stay_apart() -> None:
    other = "52:54:00:00:00:02"
    told = read(
        "dnsmasq",
        "dnsmasq-dhcp[7]: 1 available DHCP range: 10.0.100.100 -- 10.0.100.200",
        "dnsmasq-dhcp[7]: 2 available DHCP range: 10.0.100.100 -- 10.0.100.200",
        f"dnsmasq-dhcp[7]: 1 vendor class: {_VENDOR}",
        "dnsmasq-dhcp[7]: 2 vendor class: PXEClient:Arch:00000:UNDI:002001",
        "dnsmasq-dhcp[7]: 2 user class: iPXE",
        f"dnsmasq-dhcp[7]: 1 DHCPDISCOVER(eth0) {MAC} ",
        f"dnsmasq-dhcp[7]: 2 DHCPDISCOVER(eth0) {other} ",
        "dnsmasq-dhcp[7]: 1 bootfile name: ipxe.efi",
        f"dnsmasq-dhcp[7]: 2 DHCPREQUEST(eth0) 10.0.100.51 {other} ",
        f"dnsmasq-dhcp[7]: 1 DHCPREQUEST(eth0) 10.0.100.50 {MAC} ",
    )
    assert told == [
        f"6 dhcp-discover mac={MAC} arch=7 vendor={_VENDOR} ipxe=False xid=1",
        f"7 dhcp-discover mac={other} arch=0 vendor=PXEClient:Arch:00000:UNDI:002001 ipxe=True xid=2",
        f"9 dhcp-request mac={other} ip=10.0.100.51 arch=0 vendor=PXEClient:Arch:00000:UNDI:002001 ipxe=True xid=2",
        f"10 dhcp-request mac={MAC} ip=10.0.100.50 file=ipxe.efi arch=7 vendor={_VENDOR} ipxe=False xid=1",
    ]


def test_the_answer_to_an_inform_is_no_lease() -> None:
    told = read(
        "dnsmasq",
        f"DHCPINFORM(eth0) 10.0.100.50 {MAC} ",
        f"DHCPACK(eth0) 10.0.100.50 {MAC} node01",
        f"DHCPACK(eth0) 10.0.100.50 {MAC} node01",
    )
    assert told == [f"3 dhcp-ack mac={MAC} ip=10.0.100.50 host=node01"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sent /srv/tftp/ipxe.efi to 10.0.100.50", "tftp-done ip=10.0.100.50 file=/srv/tftp/ipxe.efi"),
        ("sent /srv/tftp/to to x.efi to fe80::1", "tftp-done ip=fe80::1 file=/srv/tftp/to to x.efi"),
        (
            "file /srv/tftp/missing.efi not found for 10.0.100.50",
            "tftp-error ip=10.0.100.50 file=/srv/tftp/missing.efi code=not-found",
        ),
        ("file /srv/tftp/missing.efi not found", "tftp-error file=/srv/tftp/missing.efi code=not-found"),
        (
            "failed sending /srv/tftp/ipxe.efi to 10.0.100.50",
            "tftp-error ip=10.0.100.50 file=/srv/tftp/ipxe.efi code=timeout",
        ),
        (
            "cannot access /srv/tftp/ipxe.efi: Permission denied",
            "tftp-error file=/srv/tftp/ipxe.efi code=denied text=Permission denied",
        ),
        (
            "cannot read /srv/tftp/ipxe.efi: Input/output error",
            "tftp-error file=/srv/tftp/ipxe.efi text=Input/output error",
        ),
        (
            "error 8 User aborted the transfer received from 10.0.100.50",
            "tftp-error ip=10.0.100.50 code=aborted text=error 8 User aborted the transfer",
        ),
        ("TFTP root is /srv/tftp", ""),
    ],
)
def test_tftp(line: str, told: str) -> None:
    assert read("dnsmasq", f"dnsmasq-tftp[7]: {line}") == ([f"1 {told}"] if told else [])


def test_a_transfer_that_the_client_broke_off_did_not_time_out() -> None:
    told = read(
        "dnsmasq",
        "dnsmasq-tftp[7]: error 8 User aborted the transfer received from 10.0.100.50",
        "dnsmasq-tftp[7]: failed sending /srv/tftp/ipxe.efi to 10.0.100.50",
        "dnsmasq-tftp[7]: failed sending /srv/tftp/ipxe.efi to 10.0.100.50",
    )
    assert [line.partition("code=")[2].split(" ")[0] for line in told] == ["aborted", "aborted", "timeout"]
