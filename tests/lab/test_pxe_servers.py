"""Real DHCP servers, started from rendered files in a network namespace, answer the machines that a PXE server meets;
real syntax checkers accept every rendered file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plasmatui.inventory.loader import load
from plasmatui.pxe.output import File, Request, render
from plasmatui.pxe.site import make_site
from tests.support.pxe_clients import GOLDEN, INVENTORY, SERVER, Client

pytestmark = [pytest.mark.lab]
ITEM, ITEM_OF_IPXE = "470480000000ff", "470480010000ff"
ROOT = Path(__file__).parents[2]
NAMESPACE = ("--net",) if os.geteuid() == 0 else ("--map-root-user", "--net")


def request_of(tmp_path: Path, text: str = INVENTORY, engine: str = "kea") -> Request:
    path = tmp_path / "inventory.yaml"
    path.write_text(text, encoding="utf-8")
    inventory = load(path)
    return Request(inventory, replace(make_site(inventory), dhcp=engine))


def put(files: tuple[File, ...], directory: Path, change: Callable[[str], str]) -> dict[str, Path]:
    """The files in a directory, by their name there."""
    found = {}
    for file in files:
        path = directory / file.path.rpartition("/")[2]
        path.write_text(change(file.text), encoding="utf-8")
        found[path.name] = path
    return found


def offers(
    directory: Path, server: list[str], clients: tuple[Client, ...], menus: list[str] | None = None, misses: str = ""
) -> list[dict[str, Any]]:
    job = {
        "server": server,
        "log": str(directory / "server.log"),
        "limit": 15,
        "misses": misses,
        "clients": [
            {
                "mac": each.mac,
                "relay": each.relay,
                "options": {str(k): v.hex() for k, v in each.options.items()},
                "menu": None if menus is None else menus[number],
            }
            for number, each in enumerate(clients)
        ],
    }
    done = subprocess.run(
        ["unshare", *NAMESPACE, sys.executable, "-m", "tests.support.dhcp_lab"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=110,
        cwd=ROOT,
    )
    said = (directory / "server.log").read_text(errors="replace")[-3000:] if (directory / "server.log").exists() else ""
    assert done.returncode == 0, done.stderr + said
    found = json.loads(done.stdout)
    missing = [client.name for client, answer in zip(clients, found, strict=True) if answer is None]
    assert not missing, f"no answer for {missing}\n{said}"
    return found


def hold_against_golden(found: list[dict[str, Any]]) -> None:
    for client, answer in zip(GOLDEN, found, strict=True):
        assert answer["file"] == (client.file or ""), client.name
        if client.file:
            assert answer["next_server"] == SERVER, client.name
        vendor = bytes.fromhex(answer["options"].get("60", "")).decode()
        assert vendor == client.vendor, client.name
        no_wait = "b00101" in answer["options"].get("175", "")
        assert no_wait == client.no_proxy_wait, (client.name, answer["options"])
        network = "10.0.101." if client.relay else "10.0.100."
        assert answer["address"].startswith(network), client.name
        if client.mac == GOLDEN[0].mac:
            assert answer["address"] == "10.0.100.50", client.name


def kea(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    files = put(
        render(request_of(directory), ["dhcp"]), directory, lambda text: text.replace("/var/lib/kea", str(directory))
    )
    monkeypatch.setenv("KEA_LOCKFILE_DIR", "none")
    monkeypatch.setenv("KEA_PIDFILE_DIR", str(directory))
    return ["kea-dhcp4", "-c", str(files["kea-dhcp4.conf"])]


@pytest.mark.needs("kea-dhcp4", "unshare", "ip")
def test_kea_answers_every_machine_as_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_against_golden(offers(tmp_path, kea(tmp_path, monkeypatch), GOLDEN))


@pytest.mark.needs("kea-dhcp4", "unshare", "ip")
def test_kea_serves_an_interface_whose_cable_was_plugged_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = kea(tmp_path, monkeypatch)
    (found,) = offers(tmp_path, server, GOLDEN[:1], misses="DHCPSRV_OPEN_SOCKET_FAIL")
    assert found["address"] == "10.0.100.50"


@pytest.mark.needs("dhcpd", "unshare", "ip")
def test_dhcpd_answers_every_machine_as_it_should(tmp_path: Path) -> None:
    files = put(render(request_of(tmp_path, engine="dhcpd"), ["dhcp"]), tmp_path, lambda text: text)
    (tmp_path / "leases").touch()
    server = ["dhcpd", "-f", "-d", "-4", "--no-pid", "-cf", str(files["dhcpd.conf"]), "-lf", str(tmp_path / "leases")]
    hold_against_golden(offers(tmp_path, [*server, "eth0"], GOLDEN))


@pytest.mark.needs("dnsmasq", "unshare", "ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="dnsmasq changes its group, which only root may")
def test_dnsmasq_answers_every_machine_as_it_should(tmp_path: Path) -> None:
    files = put(
        render(request_of(tmp_path, engine="dnsmasq"), ["dhcp"]),
        tmp_path,
        lambda text: text.replace("/etc/dnsmasq-pxe.hosts", str(tmp_path / "dnsmasq-pxe.hosts")),
    )
    hold_against_golden(offers(tmp_path, dnsmasq(tmp_path, files), GOLDEN))


@pytest.mark.needs("dnsmasq", "unshare", "ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="dnsmasq changes its group, which only root may")
def test_dnsmasq_beside_another_server_says_only_what_to_boot(tmp_path: Path) -> None:
    files = put(render(request_of(tmp_path, engine="dnsmasq-proxy"), ["dhcp"]), tmp_path, lambda text: text)
    clients = tuple(each for each in GOLDEN if each.file and not each.vendor and not each.relay and 93 in each.options)
    for client, answer in zip(clients, offers(tmp_path, dnsmasq(tmp_path, files), clients), strict=True):
        assert answer["address"] == "0.0.0.0", client.name
        assert bytes.fromhex(answer["options"]["60"]) == b"PXEClient", client.name
        assert "175" not in answer["options"], client.name
    # Then they ask on port 4011, BIOS with the number of the item that it took from the menu (PXE 2.1, section 2.3).
    bios = {"BIOS ROM": ITEM, "iPXE on BIOS": ITEM_OF_IPXE}
    asked = offers(tmp_path, dnsmasq(tmp_path, files), clients, menus=[bios.get(each.name, "") for each in clients])
    for client, answer in zip(clients, asked, strict=True):
        assert answer["file"] == client.file, client.name
        assert answer["next_server"] == SERVER, client.name


def dnsmasq(directory: Path, files: dict[str, Path]) -> list[str]:
    """In the foreground, as the namespace's only user, without asking whether an address is in use."""
    own = ["--keep-in-foreground", "--log-facility=-", "--user=root", "--group=root", "--no-ping", "--pid-file="]
    return ["dnsmasq", *own, f"--dhcp-leasefile={directory}/leases", "-C", str(files["pxe.conf"])]


@pytest.mark.needs("nginx", "unshare", "ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="nginx changes its groups, which only root may")
def test_nginx_serves_scripts_and_images_and_nothing_else(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    request = request_of(tmp_path, INVENTORY.replace("  interface: eth0\n", f"  interface: eth0\n  assets: {assets}\n"))
    for file in render(request, ["ipxe"]):
        path = Path("/", file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    (assets / "nixos/worker").mkdir(parents=True)
    (assets / "nixos/worker/initrd").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "secret").write_text("secret")
    (server,) = render(request, ["nginx"])
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; user root; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} include /etc/nginx/mime.types;\n{server.text}}}\n",
        encoding="utf-8",
    )
    base = "http://10.0.100.10:8080"
    wanted = ("/boot/ipxe/boot.ipxe", "/boot/nixos/worker/initrd", "/health")
    unwanted = ("/boot../secret", "/boot/nixos/", "/boot/nixos/none/bzImage", "/secret")
    urls = [f"{base}{path}" for path in (*wanted, *unwanted)]
    script, initrd, health, *missing = fetched(tmp_path, ["nginx", "-p", str(tmp_path), "-c", "nginx.conf"], urls)
    assert script["status"] == 200
    assert script["type"] == "text/plain"
    assert bytes.fromhex(script["body"]).startswith(b"#!ipxe\n")
    assert initrd["type"] == "application/octet-stream"
    assert initrd["ranges"] == "bytes"
    assert len(bytes.fromhex(initrd["body"])) == int(initrd["length"]) == 256_000
    assert json.loads(bytes.fromhex(health["body"])) == {"status": "healthy", "services": {"http": "running"}}
    assert [each["status"] for each in missing] == [404, 403, 404, 404]


def fetched(directory: Path, server: list[str], urls: list[str]) -> list[dict[str, Any]]:
    job = {"server": server, "log": str(directory / "server.log"), "urls": urls}
    done = subprocess.run(
        ["unshare", *NAMESPACE, sys.executable, "-m", "tests.support.dhcp_lab"],
        input=json.dumps(job), capture_output=True, text=True, timeout=110, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + (directory / "server.log").read_text(errors="replace")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.needs("nft", "unshare", "ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may load firewall rules, even in a namespace of its own")
def test_the_firewall_can_be_loaded_again_and_again(tmp_path: Path) -> None:
    files = put(render(request_of(tmp_path), ["firewall"]), tmp_path, lambda text: text)
    load_twice = f"nft -f {files['pxe.nft']} && nft -f {files['pxe.nft']} && nft list ruleset"
    done = subprocess.run(["unshare", "--net", "sh", "-c", load_twice], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("table inet pxe") == 1
    assert done.stdout.count("policy drop") == 1
    assert "udp dport 31000-31999 accept" in done.stdout
