"""What is rendered from one small inventory, byte by byte: a change that nobody meant shows here.

After a change that is meant, in the repository's root:

    cd tests/unit/pxe/golden
    for engine in kea dhcpd dnsmasq dnsmasq-proxy; do
        plasmatui -i inventory.yaml render --engine $engine --only dhcp -o $engine
    done
    plasmatui -i inventory.yaml render --only tftp --only nginx --only ipxe --only dns --only firewall --only squid \\
        --only nixos -o rest
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plasmatui.inventory.loader import load
from plasmatui.pxe.files import MANIFEST
from plasmatui.pxe.output import Request, render
from plasmatui.pxe.site import make_site

GOLDEN = Path(__file__).parent / "golden"
REST = ("tftp", "nginx", "ipxe", "dns", "firewall", "squid", "nixos")


@pytest.mark.parametrize("name", ["kea", "dhcpd", "dnsmasq", "dnsmasq-proxy", "rest"])
def test_files_are_what_they_were(name: str) -> None:
    inventory = load(GOLDEN / "inventory.yaml")
    site = make_site(inventory)
    request = Request(inventory, site if name == "rest" else replace(site, dhcp=name))
    found = {file.relative: file.text for file in render(request, REST if name == "rest" else ("dhcp",))}
    kept = {
        str(path.relative_to(GOLDEN / name)): path.read_text(encoding="utf-8")
        for path in (GOLDEN / name).rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    assert found == kept
