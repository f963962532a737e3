"""Real syntax checkers accept what is rendered from several inventories, and refuse what is broken; Nix understands
layouts and configurations."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plasmatui.inventory.loader import load
from plasmatui.pxe.checkers import check
from plasmatui.pxe.nix import to_nix
from plasmatui.pxe.output import DHCP, File, Request, render
from plasmatui.pxe.quoting import RefusedError
from plasmatui.pxe.site import make_site
from tests.support.pxe_clients import INVENTORY

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
ODD_NAMES = ("group", "range", "option", "host", "1a", "x-1", "subnet", "include", "in", "or")
ODD = (
    "version: 1\ncluster: {name: odd.cluster-1}\n"
    + INVENTORY[INVENTORY.index("networks:") : INVENTORY.index("  node01")]
)
SITES = {
    "whole": INVENTORY,
    "runbook": (ROOT / "inventory.yaml").read_text(encoding="utf-8"),
    "odd names": ODD
    + "".join(
        f'  "{name}": {{profile: worker, mac: "52:54:00:00:01:{n:02x}", provisioning_ip: 10.0.100.{20 + n}, '
        f'production_ip: 10.0.200.{20 + n}, disks: ["/dev/disk/by-id/ata-{name}_S@1,2"]}}\n'
        for n, name in enumerate(ODD_NAMES)
    ),
    "no pool": INVENTORY.replace(", pool: 10.0.100.100-10.0.100.200}", "}"),
    "no nodes": ODD.replace("nodes:\n", "nodes: {}\n"),
    "boot service, dnsmasq's TFTP": INVENTORY.replace(
        "  interface: eth0\n", "  interface: eth0\n  boot_service: 127.0.0.1:8082\n  tftp: {engine: dnsmasq}\n"
    ),
    "atftpd on port 80": INVENTORY.replace(
        "  interface: eth0\n", "  interface: eth0.100\n  http_port: 80\n  tftp: {engine: atftpd, root: /srv/tftp-1}\n"
    ),
}
CHECKERS = pytest.mark.needs(
    "kea-dhcp4", "dhcpd", "dnsmasq", "nginx", "nft", "iptables-restore", "nix-instantiate", "named-checkzone"
)


def files_of(tmp_path: Path, text: str, engine: str = "kea") -> tuple[File, ...]:
    path = tmp_path / "inventory.yaml"
    path.write_text(text, encoding="utf-8")
    inventory = load(path)
    return render(Request(inventory, replace(make_site(inventory), dhcp=engine)))


@CHECKERS
@pytest.mark.parametrize("engine", DHCP)
@pytest.mark.parametrize("text", SITES.values(), ids=SITES.keys())
def test_real_checkers_accept_what_is_rendered(tmp_path: Path, text: str, engine: str) -> None:
    found = check(files_of(tmp_path, text, engine))
    assert [each for each in found if each.ok is False] == []
    assert {each.program for each in found if each.ok is None} <= {"squid", "nft", "iptables-restore"}
    assert len([each for each in found if each.ok]) >= 4


BROKEN: dict[str, Callable[[str], str]] = {
    "kea-dhcp4.conf": lambda text: text.replace("member('ipxe')", "member('later')"),
    "dhcpd.conf": lambda text: text.replace("exists ipxe.http", "exists ipxe.htp"),
    "etc/dnsmasq.d/pxe.conf": lambda text: text.replace("port=0", "prt=0"),
    "sites-available/pxe": lambda text: text.replace("autoindex off;", "autoindex off"),
    "pxe-server.nix": lambda text: text.rstrip().rstrip("}"),
    "db.example.com": lambda text: text.replace(" IN NS ", " IN A "),
}


@CHECKERS
@pytest.mark.parametrize("name", BROKEN)
def test_real_checkers_refuse_what_is_broken(tmp_path: Path, name: str) -> None:
    engine = {"dhcpd.conf": "dhcpd", "etc/dnsmasq.d/pxe.conf": "dnsmasq"}.get(name, "kea")
    whole = next(file for file in files_of(tmp_path, INVENTORY, engine) if file.path.endswith(name))
    (found,) = check([replace(whole, text=BROKEN[name](whole.text))])
    assert found.ok is False
    assert found.message


LIB = (
    "{ optional = c: x: if c then [ x ] else [ ]; mkMerge = x: x; "
    "optionalAttrs = c: x: if c then x else { }; mkForce = x: x; }"
)
"""As much of nixpkgs' library as the rendered files use."""


def evaluate(directory: Path, expression: str) -> Any:
    done = subprocess.run(
        ["nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "-E", expression],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def flake(tmp_path: Path) -> Path:
    for file in files_of(tmp_path, INVENTORY):
        path = tmp_path / file.relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    return tmp_path / "flake"


@pytest.mark.needs("nix-instantiate")
@pytest.mark.parametrize(
    ("layout", "disks"), [("single", 1), ("raid1", 2), ("lvm", 1), ("luks", 1), ("zfs", 1), ("zfs", 3)]
)
def test_every_layout_wipes_the_disks_that_it_is_given_and_no_other(tmp_path: Path, layout: str, disks: int) -> None:
    source = ROOT / f"plasmatui/pxe/templates/disko/{layout}.nix"
    names = [f"/dev/disk/by-id/disk-{number}" for number in range(disks)]
    text = " ".join(f'"{name}"' for name in names)
    devices = evaluate(tmp_path, f"(import {source} {{ disks = [ {text} ]; }}).disko.devices")
    assert sorted(disk["device"] for disk in devices["disk"].values()) == names
    parts = [disk["content"]["partitions"] for disk in devices["disk"].values()]
    first = parts[0]
    assert first["bios"]["type"] == "EF02"
    assert first["ESP"]["type"] == "EF00"
    mounts = json.dumps(devices)
    assert '"mountpoint": "/boot"' in mounts
    assert '"mountpoint": "/"' in mounts
    assert "askPassword" not in mounts


@pytest.mark.needs("nix-instantiate")
def test_a_nodes_configuration_is_what_the_inventory_says(flake: Path) -> None:
    call = f"import ./nodes/node01/configuration.nix {{ lib = {LIB}; options.services.chainfire = {{ }}; }}"
    found = evaluate(flake, f"let m = {call}; in {{ inherit (m) config; imports = map toString m.imports; }}")
    base, services = found["config"][0], [each for each in found["config"][1:] if each]
    assert base["networking"]["hostName"] == "node01"
    networks = base["systemd"]["network"]["networks"]
    assert networks["10-provisioning"]["matchConfig"] == {"PermanentMACAddress": "52:54:00:12:34:56"}
    assert networks["20-production"]["address"] == ["10.0.200.10/24"]
    assert base["boot"]["kernelParams"][-1].startswith("console=ttyS0")
    assert [each["services"]["chainfire"]["raftPort"] for each in services] == [2380]
    assert base["assertions"][0]["assertion"] is False  # no authorized_keys yet
    assert [Path(each).name for each in found["imports"]] == ["disko.nix"]
    devices = evaluate(flake, "(import ./nodes/node01/disko.nix).disko.devices.disk")
    assert [disk["device"] for disk in devices.values()] == ["/dev/disk/by-id/nvme-A", "/dev/disk/by-id/nvme-B"]


@pytest.mark.needs("nix-instantiate")
def test_the_netboot_image_is_an_installer_that_shows_its_host_keys(flake: Path) -> None:
    names = (
        "cryptsetup curl dosfstools e2fsprogs gptfdisk htop iproute2 lvm2 mdadm nvme-cli parted pciutils tcpdump tmux"
    )
    packages = " ".join(f'{name} = "{name}";' for name in f"{names} vim xfsprogs openssh".split())
    arguments = f"lib = {LIB}; options.netboot = {{ }}; modulesPath = ./.; pkgs = {{ {packages} }};"
    call = f"import ./netboot/base.nix {{ {arguments} }}"
    base = evaluate(flake, f"builtins.elemAt ({call}).config 0")
    assert base["system"]["nixos"]["variant_id"] == "installer"
    unit = base["systemd"]["services"]["ssh-fingerprints"]
    assert 'ssh-keygen -lf "$key"' in unit["script"]
    assert unit["serviceConfig"]["TTYPath"] == "/dev/ttyS0"
    assert "serial-getty@ttyS0.service" in unit["before"]
    assert base["boot"]["kernelParams"][1].startswith("console=ttyS0")


@pytest.mark.needs("nix-instantiate")
@pytest.mark.parametrize("engine", DHCP)
def test_the_nixos_module_has_the_same_dhcp_settings(tmp_path: Path, engine: str) -> None:
    files = files_of(tmp_path, INVENTORY, engine)
    (tmp_path / "module.nix").write_text(next(file.text for file in files if file.path == "pxe-server.nix"))
    found = evaluate(tmp_path, 'import ./module.nix { pkgs.tftp-hpa = "/tftp-hpa"; }')
    if engine in ("kea", "dhcpd"):
        text = next(file.text for file in files_of(tmp_path, INVENTORY) if file.path.endswith("kea-dhcp4.conf"))
        settings = json.loads("\n".join(line for line in text.splitlines() if not line.startswith("//")))
        assert found["services"]["kea"]["dhcp4"]["settings"] == settings["Dhcp4"]
    else:
        text = next(file.text for file in files if file.path == "etc/dnsmasq.d/pxe.conf")
        lines = [line.partition("=")[::2] for line in text.splitlines() if not line.startswith("#")]
        settings = found["services"]["dnsmasq"]["settings"]
        flat = [
            (key, "" if each is True else each)
            for key, value in settings.items()
            for each in (value if isinstance(value, list) else [value])
        ]
        assert sorted(flat) == sorted(lines)
    assert (
        found["services"]["nginx"]["virtualHosts"]["10.0.100.10"]["locations"]["/boot/"]["alias"]
        == "/var/lib/pxe-boot/"
    )
    assert "dhcpd4" not in found["services"]
    assert "69" in found["networking"]["firewall"]["extraInputRules"]


HOSTILE = (
    'a"b',
    "a\\b",
    "a${b}c",
    "$${x}",
    "a''b",
    "a\nb",
    "a;b}",
    "#",
    "ä\u2028",
    "%n",
    "$(id)",
    "\\${x}",
    "${",
    "\\",
)


@pytest.mark.needs("nix-instantiate")
def test_nix_reads_hostile_text_as_it_was_written(tmp_path: Path) -> None:
    value = {"list": list(HOSTILE), **{text: number for number, text in enumerate(HOSTILE)}, "in": True, "or": None}
    assert evaluate(tmp_path, to_nix(value)) == value


@pytest.mark.needs("dhcpd", "nginx")
@pytest.mark.parametrize("text", HOSTILE)
def test_checkers_accept_hostile_text_that_can_be_written(tmp_path: Path, text: str) -> None:
    """Quoting is right for the real parsers: what is not refused is one string to them."""
    path = tmp_path / "inventory.yaml"
    path.write_text(INVENTORY, encoding="utf-8")
    inventory = load(path)
    site = replace(make_site(inventory), domain=text, http_root=f"/srv/{text}", tftp_root=f"/srv/{text}", dhcp="dhcpd")
    request = Request(inventory, site)
    for name in ("dhcp", "nginx"):
        try:
            files = render(request, [name])
        except RefusedError:
            continue
        assert [each for each in check(files) if each.ok is False] == [], name
