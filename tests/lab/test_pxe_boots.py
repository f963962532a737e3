"""Virtual machines boot from the network through real daemons started from rendered files, and their timelines are
right, with evidence from the servers' logs and from the serial console."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plasmatui.cli.main import run
from tests.conftest import REQUIRE_LAB
from tests.support import bmc_lab, guest
from tests.support.boot_lab import CONSOLE, NODE, START, SYSLOG, Job, Lab

LIMIT = 300.0
"""Seconds for one boot, a minute of two cores that have little else to do; all take a minute and a half."""

AT_ONCE = 5
"""Machines; each takes a few hundred MB."""

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
pxe:
  {{server: 10.0.100.10, interface: eth0, assets: /srv/pxe, dhcp: {dhcp}, tftp: {{engine: {tftp}}}, loaders: {loaders}}}
nodes:
  node01: {{profile: worker, mac: "52:54:00:12:34:56", provisioning_ip: 10.0.100.50{bmc}}}
"""

WATCHED = """\
bmc_defaults: {{username: admin, password: {{file: "{directory}/password"}}}}
logs:
  - {{kind: dhcp, format: kea, file: "{directory}/kea-dhcp4.log"}}
  - {{kind: http, format: plasmatui-serve, file: "{directory}/bundle/serve.log"}}
"""
"""What the engine needs to switch the machine on and to watch it."""

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
        loaders: as the inventory has them.
        spoil: what is broken; see `boot_lab.SPOILS`.
        until: what the console shows then, for good.
        bmc: it is switched on by plasmatui's commands, and watched by its engine.
    """

    firmware: str
    daemons: tuple[str, ...]
    dhcp: str
    tftp: str
    stages: tuple[str, ...]
    dhcp_log: str
    tftp_log: str
    http_log: str
    loaders: str = "{efi-x64: ipxe.efi, bios: undionly.kpxe}"
    spoil: str = ""
    until: str = ""
    bmc: bool = False

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


def broken(name: str, firmware: str, until: str, *daemons: str, reached: str, found: str, **more: str) -> object:
    """A machine behind dnsmasq and nginx that stops after the stage `reached`, with the finding `found`."""
    scenario = Scenario(
        firmware, daemons, "dnsmasq", "dnsmasq", (reached,), SYSLOG, SYSLOG, "access.log", until=until, **more
    )
    return pytest.param(scenario, found, marks=pytest.mark.needs("dnsmasq", "nginx"), id=name)


GIVEN_UP = "No more network devices"
"""What iPXE as a card's ROM says at its end; its lines are cut at 80 columns, and only whole ones are told."""

BROKEN = [
    broken("no-dhcp-server", "bios", GIVEN_UP, "nginx", reached="firmware", found="no-dhcp-answer"),
    broken(
        "loader-gone",
        "uefi",
        "PXE-E23",
        "dnsmasq",
        reached="dhcp-loader",
        found="tftp-file-missing",
        spoil="loader gone",
    ),
    broken(
        "loader-for-bios",
        "uefi",
        r"failed to load Boot[^\n]*\n",
        "dnsmasq",
        reached="tftp-loader",
        found="wrong-arch-loader",
        loaders="{efi-x64: undionly.kpxe, bios: undionly.kpxe}",
    ),
    broken("no-http-server", "bios", GIVEN_UP, "dnsmasq", reached="dhcp-ipxe", found="http-unreachable"),
    broken(
        "kernel-garbled",
        "bios",
        "failed, try 1",
        "dnsmasq",
        "nginx",
        reached="http-kernel",
        found="kernel-not-executable",
        spoil="kernel garbled",
    ),
    broken(
        "initrd-cut",
        "bios",
        "end Kernel panic",
        "dnsmasq",
        "nginx",
        reached="initrd-start",
        found="initrd-truncated",
        spoil="initrd cut",
    ),
]


ORDERED = pytest.param(
    Scenario("bios", KEA, "kea", "tftpd-hpa", IPXE, "", "", "", bmc=True),
    marks=pytest.mark.needs("kea-dhcp4", "in.tftpd", "ipmi_sim", "setsid"),
    id="bios-by-ipmi",
)


class Boot:
    """A scenario in its own directory; `wrong` says in the end what went wrong, as `Lab.run` does."""

    wrong: Future[str]

    def __init__(self, scenario: Scenario, directory: Path, image: Path) -> None:
        self.bundle = directory / "bundle"
        self.directory = directory
        bmc = f", bmc: {bmc_lab.ADDRESS}" if scenario.bmc else ""
        text = INVENTORY.format(dhcp=scenario.dhcp, tftp=scenario.tftp, loaders=scenario.loaders, bmc=bmc)
        if scenario.bmc:
            text += WATCHED.format(directory=directory)
            for name, secret in (("password", bmc_lab.PASSWORD), ("wrong-password", "guessed")):
                (directory / name).write_text(secret)
                (directory / name).chmod(0o600)
        (directory / "inventory.yaml").write_text(text, encoding="utf-8")
        (directory / "worker").symlink_to(image)
        self.lab = Lab(
            Job(
                str(directory),
                scenario.firmware,
                list(scenario.daemons),
                LIMIT,
                scenario.spoil,
                scenario.until,
                scenario.bmc,
            )
        )

    def timeline(self, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
        """Waits for the end of the boot. The second is what to tell when it is wrong."""
        wrong = self.wrong.result()
        assert not wrong, wrong + self.tails()
        code = run(["replay", "--json", str(self.bundle)])
        said = capsys.readouterr()
        assert (code, said.err) == (0, ""), said.err
        found: dict[str, Any] = json.loads(said.out)["nodes"][NODE]
        return found, json.dumps(found, indent=1) + self.tails()

    def tails(self) -> str:
        """The last lines of the console and of everything that was logged."""
        paths = [*self.directory.glob("*.out"), *self.directory.glob("*.err"), *self.bundle.glob("*")]
        return "".join(
            f"\n--- {path.name}\n{path.read_text('utf-8', 'replace')[-2500:]}"
            for path in sorted(paths)
            if path.suffix not in (".timing", ".yaml")
        )


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Boot]]:
    """All scenarios that are to be tested, begun together: a machine waits for its firmware's and its loader's timers
    for most of its boot. No more than `AT_ONCE` run at a time."""
    lacking = missing()
    assert not lacking, lacking
    kernel = guest.find_kernel()
    assert kernel is not None
    image = tmp_path_factory.mktemp("image") / "worker"
    guest.write_image(image, kernel)
    begun: dict[str, Boot] = {}
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and not item.get_closest_marker("skip"):
            begun[item.callspec.id] = Boot(item.callspec.params["scenario"], tmp_path_factory.mktemp("boot"), image)
    with ThreadPoolExecutor(AT_ONCE, "boot") as threads:
        for boot in begun.values():
            boot.wrong = threads.submit(boot.lab.run)
        try:
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
    timeline, told = boots[request.node.callspec.id].timeline(capsys)
    assert (timeline["reached"], timeline["outcome"], timeline["boot"]) == ("installer-up", "installer-up", 1), told
    assert [stage["stage"] for stage in timeline["stages"]] == ["firmware", *scenario.stages], told
    for stage in timeline["stages"]:
        assert stage["state"] == "done", told
        assert not stage["inferred"], told
        missed = scenario.seen()[stage["stage"]] - {each["file"] for each in stage["evidence"]}
        assert not missed, f"{stage['stage']} has no evidence from {missed}\n{told}"
    assert [finding for finding in timeline["findings"] if finding["severity"] == "error"] == [], told


@pytest.mark.parametrize(("scenario", "finding"), BROKEN)
def test_a_fault_is_named(
    scenario: Scenario,
    finding: str,
    boots: dict[str, Boot],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first finding is the cause; another that follows from it may come after it."""
    timeline, told = boots[request.node.callspec.id].timeline(capsys)
    assert (timeline["reached"], timeline["outcome"]) == (scenario.stages[-1], "stopped"), told
    assert [each["id"] for each in timeline["findings"] if each["severity"] == "error"][:1] == [finding], told


@pytest.mark.parametrize("scenario", [ORDERED])
def test_a_machine_is_switched_on_by_ipmi_and_watched(
    scenario: Scenario, boots: dict[str, Boot], request: pytest.FixtureRequest
) -> None:
    """The device that was set is the one that is booted; the serial line comes over the LAN; the end is seen."""
    boot = boots[request.node.callspec.id]
    wrong = boot.wrong.result()
    assert not wrong, wrong + boot.tails()
    story = json.loads((boot.directory / "story.json").read_text())
    told = json.dumps(story, indent=1) + boot.tails()
    for name, device in (("disk", "disk"), ("pxe", "pxe")):
        answer = story[name]["nodes"][NODE]
        # This BMC takes the device and cannot tell it (its answer is never valid).
        assert (answer["ok"], answer["device"], answer["verified"]) == (True, device, None), told
    powers = [story[name]["nodes"][NODE] for name in ("first", "second", "off")]
    assert [(each["before"], each["power"]) for each in powers] == [("off", "on"), ("off", "on"), ("on", "off")], told
    assert story["events"]["seen"] == ["on network", "on disk"], told
    (newest,) = story["timeline"]["nodes"][NODE]["boots"]
    assert (newest["reached"], newest["outcome"]) == ("installer-up", "installer-up"), told
    assert [each["stage"] for each in newest["stages"]] == ["powering-on", "firmware", *scenario.stages], told
    for stage in newest["stages"]:
        assert (stage["state"], stage["inferred"]) == ("done", False), told
    console = f"console {NODE}"
    silent = {each["stage"] for each in newest["stages"] if console not in {line["file"] for line in each["evidence"]}}
    assert silent == {"powering-on"}, told
    assert story["status"]["nodes"][NODE]["power"] == "off", told
    assert story["wrong"]["nodes"][NODE]["error"]["id"] == "bmc-auth", told
