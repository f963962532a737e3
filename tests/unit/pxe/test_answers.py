"""The three DHCP servers give every kind of client the same, which a syntax checker cannot tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plasmatui.pxe import dhcpd, dnsmasq, kea
from plasmatui.pxe.site import Site
from tests.support import pxe_eval
from tests.support.pxe_clients import GOLDEN, KNOWN, SERVER, Client
from tests.support.pxe_eval import Answer


def answers(site: Site, client: Client) -> dict[str, Answer]:
    return {
        "kea": pxe_eval.kea(kea.kea(site), client),
        "dhcpd": pxe_eval.dhcpd(dhcpd.dhcpd(site), client),
        "dnsmasq": pxe_eval.dnsmasq(dnsmasq.dnsmasq(site), dnsmasq.hosts(site), client),
    }


@pytest.mark.parametrize("client", GOLDEN, ids=lambda client: client.name)
def test_a_client_gets_the_same_from_every_server(site: Site, client: Client) -> None:
    for server, answer in answers(site, client).items():
        assert answer.file == (client.file or ""), server
        assert answer.next_server == (SERVER if client.file else ""), server
        assert answer.vendor == client.vendor, server
        assert answer.no_proxy_wait == client.no_proxy_wait, server
        assert len(answer.matched) <= 1, f"{server}: conditions do not exclude each other: {answer.matched}"
        assert answer.subnet == ("10.0.101.0/24" if client.relay else "10.0.100.0/24"), server
        assert answer.address == ("10.0.100.50" if client.mac == KNOWN else ""), server


def test_the_servers_agree_on_every_architecture(site: Site) -> None:
    texts = (kea.kea(site), dhcpd.dhcpd(site), dnsmasq.dnsmasq(site), dnsmasq.hosts(site))
    for code in range(0x30):
        for vendor in (b"PXEClient:Arch:00007", b"HTTPClient:Arch:00016", b"", b"MSFT 5.0"):
            client = Client("any", {93: code.to_bytes(2, "big"), **({60: vendor} if vendor else {})}, None)
            found = {
                (answer.file, answer.next_server, answer.vendor)
                for answer in (
                    pxe_eval.kea(texts[0], client),
                    pxe_eval.dhcpd(texts[1], client),
                    pxe_eval.dnsmasq(texts[2], texts[3], client),
                )
            }
            assert len(found) == 1, (code, vendor, found)


def test_a_site_without_a_loader_names_no_file_for_it(site: Site) -> None:
    bare = replace(site, loaders=tuple(each for each in site.loaders if each.architecture.name == "bios"))
    for client in GOLDEN:
        for server, answer in answers(bare, client).items():
            expected = client.file if client.file in ("undionly.kpxe", site.script_url) else None
            assert answer.file == (expected or ""), (server, client.name)


def test_without_a_pool_known_machines_are_served_as_before(site: Site) -> None:
    own, relayed = site.subnets
    closed = replace(site, subnets=(replace(own, pool=None), relayed))
    for client in GOLDEN:
        assert answers(closed, client) == answers(site, client), client.name
    assert "range 10.0.100" not in dhcpd.dhcpd(closed)
    assert "dhcp-range=set:net1,10.0.100.0,static," in dnsmasq.dnsmasq(closed)


def test_the_second_network_card_has_the_machines_address_too(site: Site) -> None:
    client = replace(GOLDEN[1], mac="52:54:00:ab:34:56")
    assert {answer.address for answer in answers(site, client).values()} == {"10.0.100.50"}
