"""The inventory as a source of boot scripts: one script a node, live edits, and what is left when it breaks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from plasmatui.inventory.inventory import InventoryError
from plasmatui.pxe.service.machines import InventorySource
from plasmatui.pxe.service.once import BootStates
from plasmatui.pxe.service.query import make_query

from .support import body, client_of, write

MAC, SECOND, OTHER = "52:54:00:12:34:56", "52:54:00:12:34:57", "52:54:00:12:34:58"
INIT = "init=/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-installer-24.11/init"
INVENTORY = f"""version: 1
cluster: {{name: lab, domain: example.com}}
networks:
  provisioning: {{cidr: 10.0.100.0/24}}
pxe: {{server: 10.0.100.10, interface: eth0, http_port: 8080}}
profiles: {{worker: {{}}, bare: {{}}}}
nodes:
  node01: {{profile: worker, mac: ["{MAC}", "{SECOND}"], provisioning_ip: 10.0.100.50, rack: r1}}
  node02: {{profile: bare, mac: "{OTHER}"}}
  node03: {{mac: "52:54:00:12:34:59"}}
"""


def netboot(kernel: str = "bzImage") -> str:
    return f"#!ipxe\nkernel {kernel} {INIT} initrd=initrd loglevel=4 ${{cmdline}}\ninitrd initrd\nboot\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    files = {"images/nixos/worker/bzImage": "k", "images/nixos/worker/initrd": "i"}
    return write(tmp_path, {**files, "images/nixos/worker/netboot.ipxe": netboot(), "inventory.yaml": INVENTORY})


@pytest.fixture
def source(site: Path) -> InventorySource:
    return InventorySource(site / "inventory.yaml", site / "images")


@pytest.fixture
async def client(site: Path, source: InventorySource) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(source, site / "images") as client:
        yield client


async def test_the_script_that_dhcp_names_goes_on_to_the_machines_own(client: httpx.AsyncClient) -> None:
    assert "\nchain ipxe?uuid=" in str(await body(client, "/boot.ipxe"))
    assert "\nchain /ipxe?uuid=" in str(await body(client, "/boot/ipxe/boot.ipxe"))


async def test_a_node_boots_its_image(client: httpx.AsyncClient) -> None:
    script = str(await body(client, f"/ipxe?mac={MAC.replace(':', '-')}"))
    assert script.startswith("#!ipxe\n")
    assert f"iseq ${{mac}} {SECOND} && set hostname node01 && set profile worker && set pending yes" in script
    assert "node02" not in script
    assert f"kernel ${{base}}/nixos/worker/bzImage {INIT} initrd=initrd loglevel=4 " in script
    assert "set base http://10.0.100.10:8080/boot\n" in script


async def test_the_script_names_the_address_that_was_asked(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ipxe", params={"mac": MAC}, headers={"host": "192.0.2.7:8000"})
    assert "set base http://192.0.2.7:8000/boot\n" in answer.text


@pytest.mark.parametrize("query", ["", "mac=nonsense", "mac=52:54:00:00:00:01", "mac=52:54:00:12:34:59", "uuid=x"])
async def test_who_is_not_named_gets_nothing(client: httpx.AsyncClient, query: str) -> None:
    assert await body(client, f"/ipxe?{query}") == 404


async def test_other_forms(client: httpx.AsyncClient) -> None:
    answer = (await client.get(f"/pixiecore/v1/boot/{MAC}")).json()
    assert (answer["kernel"], answer["initrd"]) == ("/boot/nixos/worker/bzImage", ["/boot/nixos/worker/initrd"])
    assert answer["cmdline"] == (
        f"{INIT} initrd=initrd loglevel=4 plasma.profile=worker plasma.hostname=node01 "
        "console=tty0 console=ttyS0,115200n8"
    )
    assert 'linuxefi "/boot/nixos/worker/bzImage" init=' in str(await body(client, f"/grub?mac={MAC}"))
    metadata = str(await body(client, f"/metadata?mac={MAC}")).splitlines()
    assert {"NODE=node01", "PROVISIONING_IP=10.0.100.50", "CLUSTER_DOMAIN=example.com"} <= set(metadata)
    assert await body(client, "/boot/nixos/worker/initrd") == "i"
    assert [await body(client, f"/{name}?mac={MAC}") for name in ("cloud", "ignition", "generic")] == [404] * 3


async def test_a_published_version_is_booted_whole(site: Path, client: httpx.AsyncClient) -> None:
    write(site, {"images/versions/w-2/bzImage": "k2", "images/versions/w-2/initrd": "i2"})
    write(site, {"images/versions/w-2/netboot.ipxe": netboot("../../versions/w-2/bzImage")})
    link = site / "images/nixos/fresh"
    link.symlink_to("../versions/w-2")
    (site / "images/nixos/worker").rename(site / "images/nixos/old")
    link.rename(site / "images/nixos/worker")
    script = str(await body(client, f"/ipxe?mac={MAC}"))
    assert "initrd --name initrd ${base}/versions/w-2/initrd" in script
    assert (await client.get(f"/pixiecore/v1/boot/{MAC}")).json()["kernel"] == "/boot/versions/w-2/bzImage"
    assert await body(client, "/boot/versions/w-2/bzImage") == "k2"


async def test_an_edit_is_seen_and_a_broken_one_is_named(site: Path, source: InventorySource) -> None:
    path = site / "inventory.yaml"
    path.write_text(INVENTORY.replace(OTHER, "52:54:00:12:34:60"))
    assert await source.refresh()
    assert source.boot(make_query({"mac": OTHER})) is None
    path.write_text("version: 1\nnodes: [")
    await source.refresh()
    assert source.boot(make_query({"mac": MAC})) is not None
    told = [str(problem) for problem in source.problems if not problem.warning]
    assert len(told) == 1
    assert re.search(r"inventory\.yaml:\d+: error: .*; its last good version is served", told[0])
    path.write_text(INVENTORY)
    await source.refresh()
    assert source.boot(make_query({"mac": OTHER})) is not None
    assert not [problem for problem in source.problems if not problem.warning]
    source.close()


def test_a_broken_inventory_is_no_start(site: Path) -> None:
    (site / "inventory.yaml").write_text("nonsense")
    with pytest.raises(InventoryError):
        InventorySource(site / "inventory.yaml", site / "images")


def test_missing_and_odd_images_are_named(site: Path) -> None:
    (site / "images/nixos/worker/netboot.ipxe").write_text(netboot().replace(INIT, "init=/nix/store/*/init"))
    source = InventorySource(site / "inventory.yaml", site / "images")
    told = [str(problem) for problem in source.problems]
    source.close()
    assert any("nixos/bare/bzImage: warning: is missing" in each for each in told)
    assert any("worker/netboot.ipxe: error: its init= has a *" in each for each in told)


async def test_a_node_is_installed_with_all_its_cards(site: Path, source: InventorySource) -> None:
    states = BootStates(site / "state/boot.json")
    states.prepare()
    async with client_of(source, site / "images", states) as client:
        script = str(await body(client, f"/ipxe?mac={MAC}"))
        url = re.search(r"^set consoles plasmatui\.installed=(\S+) console=tty0 ", script, re.MULTILINE)
        assert url is not None
        assert (await client.post(url[1])).status_code == 200
        for mac in (MAC, SECOND):
            local = str(await body(client, f"/ipxe?mac={mac}"))
            assert "set pending yes" not in local
            assert "choose --default local" in local
            assert "plasmatui.installed" not in local
        assert "set pending yes" in str(await body(client, f"/ipxe?mac={OTHER}"))
