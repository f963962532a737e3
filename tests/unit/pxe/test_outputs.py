"""Zones, firewalls, node configurations and first boots follow from the inventory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from plasmatui.inventory.inventory import Inventory
from plasmatui.pxe import firewall, nodeconfigs, tftp, zones
from plasmatui.pxe.firstboot import cluster_config
from plasmatui.pxe.layouts import host_id, layout_of
from plasmatui.pxe.nginx import nginx
from plasmatui.pxe.site import Site, make_site
from tests.support.pxe_clients import INVENTORY

Make = Callable[[str], Inventory]


def serial(zone: str) -> int:
    found = re.search(r"hostmaster\.example\.com\. (\d+) ", zone)
    assert found is not None
    return int(found[1])


def test_a_zones_serial_changes_with_its_content_only(make_inventory: Make, inventory: Inventory, site: Site) -> None:
    before = zones.zones(inventory, site)
    other = make_inventory(INVENTORY.replace("production_ip: 10.0.200.11", "production_ip: 10.0.200.19"))
    after = zones.zones(other, make_site(other))
    assert set(before) == {"example.com", "100.0.10.in-addr.arpa", "200.0.10.in-addr.arpa"}
    assert serial(before["example.com"]) != serial(after["example.com"])
    assert serial(before["200.0.10.in-addr.arpa"]) != serial(after["200.0.10.in-addr.arpa"])
    assert before["100.0.10.in-addr.arpa"] == after["100.0.10.in-addr.arpa"]
    assert all(0 < serial(zone) < 2**32 for zone in (*before.values(), *after.values()))


def test_forward_and_reverse_agree(inventory: Inventory, site: Site) -> None:
    found = zones.zones(inventory, site)
    forward = {(name, address) for name, address in re.findall(r"(?m)^(\S+) IN A (\S+)$", found["example.com"])}
    reverse = set()
    for zone, text in found.items():
        if zone.endswith(".in-addr.arpa"):
            third, second, first = zone.split(".")[:3]
            for last, name in re.findall(r"(?m)^(\d+) IN PTR (\S+)\.example\.com\.$", text):
                reverse.add((name, f"{first}.{second}.{third}.{last}"))
    assert forward == reverse
    assert ("node01", "10.0.200.10") in forward


@pytest.mark.parametrize(("dhcp", "proxy"), [("kea", False), ("dnsmasq-proxy", True)])
def test_the_firewall_opens_what_the_servers_need(site: Site, dhcp: str, proxy: bool) -> None:
    other = replace(site, dhcp=dhcp)
    for text in (firewall.nftables(other), firewall.iptables(other)):
        assert ("4011" in text) == proxy
        for needed in ("67", "69", "8080", "31000", "RELATED" if "RELATED" in text else "related"):
            assert needed in text
        assert not re.search(r"\b68\b", text), "68 is the client's port"
        assert "flush ruleset" not in text
    assert "31000" not in firewall.nftables(replace(site, tftp="atftpd")), "atftpd has no range of ports"


def test_one_tftp_root_is_written_into_every_file(site: Site) -> None:
    for engine, file in (("tftpd-hpa", "TFTP_DIRECTORY='/srv/boot'"), ("atftpd", "/srv/boot'")):
        other = replace(site, tftp=engine, tftp_root="/srv/boot")
        assert file in tftp.defaults(other)
        assert re.search(r"(?m)^ExecStart=.* /srv/boot$", tftp.unit(other))


def test_nginx_has_both_slashes_or_none(site: Site) -> None:
    text = nginx(site)
    assert 'location /boot/ {\n        alias "/var/lib/pxe-boot/";' in text
    assert "default_server" not in text
    assert "proxy_pass" not in text
    assert "proxy_pass http://127.0.0.1:8082;" in nginx(replace(site, boot_service="127.0.0.1:8082"))


def voters(count: int) -> str:
    nodes = "".join(
        f"  n{n}: {{profile: control-plane, production_ip: 10.0.200.{20 + n}}}\n" for n in range(1, count + 1)
    )
    head = INVENTORY[: INVENTORY.index("nodes:")]
    return f"{head}nodes:\n{nodes}  w1: {{profile: worker, production_ip: 10.0.200.90}}\n  bare: {{profile: worker}}\n"


@pytest.mark.parametrize(("count", "first"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_the_first_voters_bootstrap_and_all_others_join(make_inventory: Make, count: int, first: int) -> None:
    inventory = make_inventory(voters(count))
    found = {
        name: json.loads(text) for name, node in inventory.nodes.items() if (text := cluster_config(inventory, node))
    }
    assert "bare" not in found
    assert [name for name, config in found.items() if config["bootstrap"]] == [f"n{n}" for n in range(1, first + 1)]
    peers = [f"n{n}.example.com:2380" for n in range(1, first + 1)]
    for name, config in found.items():
        assert config["leader_url"] == "https://n1.example.com:2379"
        assert config["raft_addr"] == f"{inventory.nodes[name].production_ip}:2380"
        assert config.get("initial_peers") == (peers if config["bootstrap"] else None)
        assert config["node_role"] == inventory.nodes[name].profile
        assert config["cluster_name"] == "prod-cluster"


def test_a_cluster_without_voters_has_no_first_boot(make_inventory: Make) -> None:
    inventory = make_inventory(voters(0))
    assert cluster_config(inventory, inventory.nodes["w1"]) == ""


def test_ports_of_the_inventory_are_used_everywhere(make_inventory: Make) -> None:
    moved = "services: {chainfire: {port: 4379, raft_port: 4380}}\nnodes:"
    inventory = make_inventory(INVENTORY.replace("nodes:", moved, 1))
    config = json.loads(cluster_config(inventory, inventory.nodes["node01"]))
    assert config["leader_url"].endswith(":4379")
    assert config["raft_addr"].endswith(":4380")
    text = nodeconfigs.flake(inventory, make_site(inventory))["nodes/node01/configuration.nix"]
    assert "port = 4379;" in text
    assert 'chainfire_endpoint = "https://node01.example.com:4379";' in text
    assert "4379, 4380" in text
    assert "localhost" not in text, "no certificate has that name"


def test_layouts_follow_from_disks_and_profile(make_inventory: Make, inventory: Inventory) -> None:
    assert layout_of(inventory, inventory.nodes["node01"]) == "raid1"
    assert layout_of(inventory, inventory.nodes["node02"]) == "single"
    assert layout_of(inventory, inventory.nodes["spare"]) == ""
    named = "profiles: {control-plane: {disk_layout: zfs}, worker: {disk_layout: luks}}\nnodes:"
    other = make_inventory(INVENTORY.replace("nodes:", named, 1))
    files = nodeconfigs.flake(other, make_site(other))
    assert {path for path in files if path.startswith("disko/")} == {"disko/zfs.nix", "disko/luks.nix"}
    assert f'networking.hostId = "{host_id("node01")}";' in files["nodes/node01/configuration.nix"]
    assert "hostId" not in files["nodes/worker01/configuration.nix"]
    assert "spare" not in files["flake.nix"]
    assert re.fullmatch(r"[0-9a-f]{8}", host_id("node01"))


def test_secrets_are_not_in_the_flake(inventory: Inventory, site: Site) -> None:
    for path, text in nodeconfigs.flake(inventory, site).items():
        assert "cluster-config.json" not in path
        assert "password" not in text.lower().replace("passwordauthentication", "").replace("passwordfile", "").replace(
            "prohibit-password", ""
        )


def test_every_profile_has_an_image_and_the_serial_console_is_last(inventory: Inventory, site: Site) -> None:
    files = nodeconfigs.flake(inventory, site)
    images = {path for path in files if path.startswith("netboot/")}
    assert images == {f"netboot/{name}.nix" for name in ("base", "control-plane", "worker", "rescue")}
    assert 'variant_id = "installer"' in files["netboot/base.nix"]
    assert 'ssh-keygen -lf "$key"' in files["netboot/base.nix"]
    for text in files.values():
        consoles = re.findall(r"console=(\w+)", text)
        assert not consoles or consoles[-1] == "ttyS0"
        assert "services.dhcpd4" not in text
        assert '"en_US"' not in text
