"""The online checklist over a simulated rack, with a PXE server of the test's own: all well, then faults by name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plasmatui.model.checks import CHECKS
from tests.support.site import Done, Site, site
from tests.unit.checks.servers import BIOS, KERNEL, NETBOOT, Tftp, pe, serve_files

SERVER = "127.77.0.10"
PROFILES = ("control-plane", "worker")
NOT_SIMULATED = {"tftp-loaders", "loader-architecture", "dhcp-port", "boot-service", "assets-served", "space-assets"}
HOST = {"space-assets"}
"""Skipped where this host has no directory of images, which it may have of its own."""

privileged = pytest.mark.skipif(os.getuid() != 0, reason="needs root: TFTP and DHCP have ports below 1024")


class PxeServer:
    """TFTP, HTTP and a taken DHCP port at `SERVER`; `files` are the TFTP server's, `root` the HTTP server's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = {"undionly.kpxe": BIOS, "ipxe-i386.efi": pe(0x14C), "ipxe.efi": pe(0x8664)}
        self._dhcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._dhcp.bind((SERVER, 67))
        self.http = serve_files(root, SERVER)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="tftp", daemon=True).start()
        asyncio.run_coroutine_threadsafe(Tftp(self.files).start(SERVER, 69), self._loop).result(5)

    def publish(self, boot: Path) -> None:
        """Put images and loaders where the inventory says, with the rendered script."""
        (boot / "ipxe").mkdir(exist_ok=True)
        for name in ("ipxe.efi", "ipxe-i386.efi"):
            (boot / "ipxe" / name).write_bytes(self.files[name])
        for profile in PROFILES:
            place = boot / "nixos" / profile
            place.mkdir(parents=True)
            (place / "bzImage").write_bytes(KERNEL)
            (place / "initrd").write_bytes(b"i" * 5000)
            (place / "netboot.ipxe").write_text(NETBOOT)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self._dhcp.close()
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture(scope="module")
def rack() -> Iterator[tuple[Site, PxeServer]]:
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(site(nodes=5, port=0, on=5))
        root = made.directory / "www"
        boot = root / "boot"
        boot.mkdir(parents=True)
        pxe = PxeServer(root)
        stack.callback(pxe.close)
        text = made.inventory.read_text()
        for old, new in (
            ("127.100.", "127.77."), ("assets: /var/lib/pxe-boot", f"assets: {boot}"),
            (f"http_port: {made.rack.rack.services.http.address[1]}", f"http_port: {pxe.http.server_port}"),
        ):  # fmt: skip
            text = text.replace(old, new)
        made.inventory.write_text(text)
        rendered = made.cli("render", "--only", "ipxe", "-o", str(made.directory / "rendered"))
        assert rendered.code == 0, rendered.err
        script = next((made.directory / "rendered").rglob("boot.ipxe"))
        pxe.publish(boot)
        (boot / "ipxe" / "boot.ipxe").write_bytes(script.read_bytes())
        made.engine()
        made.consoles_open(5)
        yield made, pxe


def results(done: Done) -> dict[str, dict[str, Any]]:
    assert done.code in (0, 1, 3), done.err
    return {each["id"]: each for each in done.json()["results"]}


def test_a_simulated_rack_passes_as_it_is() -> None:
    with site(nodes=3, port=0, on=3) as made:
        made.engine()
        made.consoles_open(3)
        done = made.cli("check", "--online", "--json")
        found = results(done)
        odd = {name: (each["state"], each["reason"]) for name, each in found.items() if each["state"] != "ok"}
        assert set(odd) - {"log-recent", "space-store", "space-journal", *NOT_SIMULATED} == set(), odd
        assert {name for name, (state, _) in odd.items() if state == "skipped"} >= NOT_SIMULATED - HOST, odd
        assert done.code == 0
        for name, what in (("tftp-loaders", "TFTP"), ("loader-architecture", "TFTP"), ("dhcp-port", "DHCP")):
            if found[name]["state"] != "ok":  # a server of another test's may listen
                assert f"a simulated rack has no {what} server" in odd[name][1]
        made.rack.fault("node02", "kernel-missing")
        told = results(made.cli("check", "--online", "--only", "http-kernel", "--json"))["http-kernel"]
        assert (told["state"], "HTTP 404" in told["reason"]) == ("failed", True), told


@privileged
def test_a_healthy_rack_passes(rack: tuple[Site, PxeServer]) -> None:
    made, _ = rack
    done = made.cli("check", "--online", "--json")
    found = results(done)
    assert set(found) == {check.id for check in CHECKS}
    odd = {name: (each["state"], each["reason"]) for name, each in found.items() if each["state"] != "ok"}
    # Nothing booted yet, so that the servers' logs are empty; and the rack names no boot service.
    assert set(odd) - {"log-recent", "boot-service", "space-store", "space-assets", "space-journal"} == set(), odd
    assert not [each for each in odd.values() if each[0] in ("failed", "unknown")], odd
    assert done.code == 0
    shown = made.cli("check", "--online", "--only", "quorum-margin", "--only", "tftp-loaders")
    assert shown.code == 0
    assert "[ok] tftp-loaders" in shown.out
    assert "3 loaders came" in shown.out


@privileged
def test_faults_are_named_with_what_to_do(rack: tuple[Site, PxeServer]) -> None:
    made, pxe = rack
    boot = pxe.root / "boot"
    del pxe.files["undionly.kpxe"]
    pxe.files["ipxe.efi"] = pe(0x14C)
    (boot / "nixos/worker/bzImage").write_bytes(b"<html>")
    (boot / "nixos/worker/initrd").unlink()
    (boot / "ipxe/boot.ipxe").write_text("#!ipxe\nshell\n")
    secrets = made.rack.rack.inventory_path.parent / "secrets"
    (secrets / "node01/node01-key.pem").chmod(0o644)
    (secrets / "node02/node02-key.pem").write_bytes(b"no key")
    (secrets / "node03/cluster-config.json").unlink()
    assert made.cli("bootdev", "pxe", "node05", "--persistent", "--yes").code == 0
    for node, fault in (
        ("node02", "certificate-expired"), ("node03", "service-degraded"), ("node04", "clock-skew=300"),
        ("node04", "install-flake-missing"),
    ):  # fmt: skip
        made.rack.fault(node, fault)
    done = made.cli("check", "--online", "--json")
    found = results(done)
    assert done.code == 3
    expected = {
        "tftp-loaders": ("failed", "undionly.kpxe", "ls -l"),
        "loader-architecture": (
            "failed",
            "efi-x64: ipxe.efi is an EFI application for efi-ia32",
            "pxe.loaders.efi-x64",
        ),
        "http-kernel": ("failed", "worker/bzImage is no Linux kernel", "publish the image of worker"),
        "http-initrd": ("failed", "HTTP 404", "ls -l"),
        "http-script": ("warning", "MAC address is not in the boot script", "plasmatui render"),
        "secrets-modes": ("failed", "open to others (mode 0644)", "chmod 600"),
        "secrets-certificates": ("warning", "cannot be compared", "certs issue node02"),
        "secrets-present": ("failed", "cluster-config.json is not there", "first-boot"),
        "boot-override": ("failed", "node05: it boots from the network every time", "bootdev none node05"),
        "service-expiry": ("failed", "it ended", "certs rotate node02"),
        "service-chain": ("failed", "it has expired", "certs issue node02"),
        "clock-nodes": ("failed", "node04: 300 s ahead of", "timedatectl"),
        "flake-nodes": ("failed", "node04", "render --only flake"),
    }
    for name, (state, reason, fix) in expected.items():
        told = found[name]
        assert told["state"] == state, told
        assert reason in told["reason"], told
        assert fix in (told["fix"] or ""), told
    assert found["boot-override"]["nodes"] == ["node05"]
    assert "node03" in found["service-health"]["nodes"]  # node02 too, when its connection was made anew
    for name in ("bmc-reachable", "http-port", "tools", "journal", "host-keys", "ssh-login"):
        assert found[name]["state"] == "ok", found[name]


@privileged
def test_certificates_and_keys_are_listed(rack: tuple[Site, PxeServer]) -> None:
    made, _ = rack
    told = made.cli("certs", "status", "node01", "--json")
    assert told.code in (0, 3), told.err
    by_place = {each["place"]: each for each in told.json()["certificates"]}
    service = by_place[
        "node01 iam:" + next(key.rpartition(":")[2] for key in by_place if key.startswith("node01 iam:"))
    ]
    assert service["state"] == "ok"
    assert "node01.sim.example.com" in service["names"]
    keys = made.cli("sshkeys", "status", "node01", "--json")
    assert keys.code == 0, keys.out
    assert keys.json()["key"]["fingerprint"].startswith("SHA256:")
