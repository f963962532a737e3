"""Virtual machines boot from the network through real daemons started from rendered files, and their timelines are
right, with evidence from the servers' logs and from the serial console."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plasmatui.cli.main import run
from tests.conftest import REQUIRE_LAB
from tests.support import guest
from tests.support.boot_lab import CONSOLE, NODE, START, SYSLOG, Job, Lab

LIMIT = 420.0
"""Seconds for one boot. All begin at once, which takes a minute of two cores that have little else to do."""

FILES = (
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/lib/ipxe/ipxe.efi",
    "/usr/lib/ipxe/undionly.kpxe",
    "/usr/lib/ipxe/qemu/efi-virtio.rom",
)


def missing() -> str:
    """What these tests need beside what `needs` names."""
    if os.geteuid() != 0:
        return "not root: virtual machines on a network of their own need it"
    return "" if guest.find_kernel() else f"not installed: a kernel with its modules, in /boot or below {guest.KERNEL}"


pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(LIMIT + 3 * START),
    pytest.mark.needs("qemu-system-x86_64", "busybox", "unshare", "ip", "mount", *FILES),
    pytest.mark.skipif(bool(missing()) and not REQUIRE_LAB, reason=missing()),
]

INVENTORY = """\
version: 1
cluster: {{name: lab, domain: example.com}}
networks:
  provisioning: {{cidr: 10.0.100.0/24, pool: 10.0.100.100-10.0.100.120}}
pxe: {{server: 10.0.100.10, interface: eth0, assets: /srv/pxe, dhcp: {dhcp}, tftp: {{engine: {tftp}}}}}
nodes:
  node01: {{profile: worker, mac: "52:54:00:12:34:56", provisioning_ip: 10.0.100.50}}
"""

LOADER = ("dhcp-loader", "tftp-loader")
IPXE = ("dhcp-ipxe", "ipxe-script", "http-kernel", "http-initrd", "kernel-start", "initrd-start", "installer-up")


@dataclass(frozen=True)
class Scenario:
    """A machine and its servers.

    Attributes:
        firmware: "uefi" or "bios".
        daemons: what runs, in the order of its start.
        dhcp, tftp: as the inventory has them.
        stages: what the machine goes through after its firmware.
        dhcp_log, tftp_log, http_log: the bundle's file that each of the servers writes.
    """

    firmware: str
    daemons: tuple[str, ...]
    dhcp: str
    tftp: str
    stages: tuple[str, ...]
    dhcp_log: str
    tftp_log: str
    http_log: str

    def seen(self) -> dict[str, set[str]]:
        """The files that must have seen each stage. A stage keeps six lines, and DHCP alone may fill them."""
        fetched = {self.http_log, CONSOLE}
        return {
            "firmware": {CONSOLE},
            "dhcp-loader": {self.dhcp_log},
            "tftp-loader": {self.tftp_log, CONSOLE},
            "dhcp-ipxe": {self.dhcp_log},
            "ipxe-script": fetched,
            "http-kernel": fetched,
            "http-initrd": fetched,
            "kernel-start": {CONSOLE},
            "initrd-start": {CONSOLE},
            "installer-up": {self.dhcp_log, CONSOLE},
        }


KEA = ("kea", "tftpd-hpa", "serve")
SCENARIOS = [
    pytest.param(
        Scenario("uefi", KEA, "kea", "tftpd-hpa", (*LOADER, *IPXE), "kea.log", SYSLOG, "serve.log"),
        marks=pytest.mark.needs("kea-dhcp4", "in.tftpd"),
        id="uefi-kea-tftpd-and-the-boot-service",
    ),
    # iPXE is the card's own ROM here: no loader is fetched, and none is missed.
    pytest.param(
        Scenario("bios", KEA, "kea", "tftpd-hpa", IPXE, "kea.log", SYSLOG, "serve.log"),
        marks=pytest.mark.needs("kea-dhcp4", "in.tftpd"),
        id="bios-kea-and-the-boot-service",
    ),
    pytest.param(
        Scenario("uefi", ("dnsmasq", "nginx"), "dnsmasq", "dnsmasq", (*LOADER, *IPXE), SYSLOG, SYSLOG, "access.log"),
        marks=pytest.mark.needs("dnsmasq", "nginx"),
        id="uefi-dnsmasq-alone",
    ),
    pytest.param(
        Scenario(
            "uefi",
            ("other-dhcpd", "dnsmasq-proxy", "nginx"),
            "dnsmasq-proxy",
            "dnsmasq",
            (*LOADER, *IPXE),
            SYSLOG,
            SYSLOG,
            "access.log",
        ),
        marks=pytest.mark.needs("dnsmasq", "dhcpd", "nginx"),
        id="uefi-dnsmasq-beside-another-dhcp-server",
    ),
]


class Boot:
    """A scenario that runs in its own directory."""

    def __init__(self, scenario: Scenario, directory: Path, image: Path) -> None:
        self.bundle = directory / "bundle"
        self._directory = directory
        text = INVENTORY.format(dhcp=scenario.dhcp, tftp=scenario.tftp)
        (directory / "inventory.yaml").write_text(text, encoding="utf-8")
        (directory / "worker").symlink_to(image)
        self.lab = Lab(Job(str(directory), scenario.firmware, list(scenario.daemons), LIMIT))

    def tails(self) -> str:
        """The last lines of the console and of everything that was logged."""
        paths = [*self._directory.glob("*.out"), *self._directory.glob("*.err"), *self.bundle.glob("*")]
        return "".join(
            f"\n--- {path.name}\n{path.read_text('utf-8', 'replace')[-2500:]}"
            for path in sorted(paths)
            if path.suffix not in (".timing", ".yaml")
        )


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Boot]]:
    """All scenarios that are to be tested, begun together: a machine waits for its firmware's and its loader's timers
    for most of its boot."""
    lacking = missing()
    assert not lacking, lacking
    kernel = guest.find_kernel()
    assert kernel is not None
    image = tmp_path_factory.mktemp("image") / "worker"
    guest.write_image(image, kernel)
    begun: dict[str, Boot] = {}
    try:
        for item in request.session.items:
            if item.path == request.path and isinstance(item, pytest.Function) and not item.get_closest_marker("skip"):
                begun[item.callspec.id] = Boot(item.callspec.params["scenario"], tmp_path_factory.mktemp("boot"), image)
        yield begun
    finally:
        for boot in begun.values():
            boot.lab.end()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_timeline_of_a_boot(
    scenario: Scenario,
    boots: dict[str, Boot],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All stages are done and none was guessed; each has evidence from the files that must have seen it."""
    boot = boots[request.node.callspec.id]
    wrong = boot.lab.wait()
    assert not wrong, wrong + boot.tails()
    code = run(["replay", "--json", str(boot.bundle)])
    said = capsys.readouterr()
    assert (code, said.err) == (0, ""), said.err
    timeline: dict[str, Any] = json.loads(said.out)["nodes"][NODE]
    told = json.dumps(timeline, indent=1) + boot.tails()
    assert (timeline["reached"], timeline["outcome"], timeline["boot"]) == ("installer-up", "installer-up", 1), told
    assert [stage["stage"] for stage in timeline["stages"]] == ["firmware", *scenario.stages], told
    for stage in timeline["stages"]:
        assert stage["state"] == "done", told
        assert not stage["inferred"], told
        missed = scenario.seen()[stage["stage"]] - {each["file"] for each in stage["evidence"]}
        assert not missed, f"{stage['stage']} has no evidence from {missed}\n{told}"
    assert [finding for finding in timeline["findings"] if finding["severity"] == "error"] == [], told
