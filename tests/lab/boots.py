"""The boots of the lab: a machine, its servers, what is broken or who orders it, and its directory."""

from __future__ import annotations

import contextlib
import io
import json
import os
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from plasmatui.cli.main import run
from tests.support import bmc_lab, guest
from tests.support.boot_lab import CONSOLE, MESSAGES, NODE, SYSLOG, Job, Lab

LIMIT = 300.0
"""Seconds for one boot, a minute of two cores that have little else to do; all take a minute and a half."""

FILES = (
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/lib/ipxe/ipxe.efi",
    "/usr/lib/ipxe/undionly.kpxe",
    "/usr/lib/ipxe/qemu/efi-virtio.rom",
)


def missing() -> str:
    """What these boots need beside what `needs` names."""
    if os.geteuid() != 0:
        return "not root: virtual machines on a network of their own need it"
    return "" if guest.find_kernel() else f"not installed: a kernel with its modules, in /boot or below {guest.KERNEL}"


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
  - {{kind: tftp, format: tftpd-hpa, file: "{directory}/%s"}}
  - {{kind: http, format: plasmatui-serve, file: "{directory}/bundle/serve.log"}}
ssh: {{key: "{directory}/client-key"}}
""".replace("%s", MESSAGES)
"""What the engine needs to switch the machine on, to watch it and to log in."""

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
        pull: what the console shows when its cable is pulled; empty: never.
        story: who orders the boot of its BMC, see `bmc_stories.STORIES`; the engine watches it then. Empty: nobody.
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
    pull: str = ""
    story: str = ""

    @property
    def ssh(self) -> bool:
        """Its installer has an SSH server, and stays up."""
        return self.story in ("boot", "keys")

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
GIVEN_UP = "No more network devices"
"""What iPXE as a card's ROM says at its end; its lines are cut at 80 columns, and only whole ones are told."""

STANDS_STILL = r"(?P<drawn>[ \d]{3}%)(?:[^%\d]*(?P=drawn)){64}"
"""What iPXE draws of a transfer to which nothing comes, longer than it takes to be told so."""

UP = {
    "uefi-kea-tftpd-and-the-boot-service": Scenario(
        "uefi", KEA, "kea", "tftpd-hpa", (*LOADER, *IPXE), "kea.log", SYSLOG, "serve.log"
    ),
    # iPXE is the card's own ROM here: no loader is fetched, and none is missed.
    "bios-kea-and-the-boot-service": Scenario("bios", KEA, "kea", "tftpd-hpa", IPXE, "kea.log", SYSLOG, "serve.log"),
    "uefi-dnsmasq-alone": Scenario(
        "uefi", ("dnsmasq", "nginx"), "dnsmasq", "dnsmasq", (*LOADER, *IPXE), SYSLOG, SYSLOG, "access.log"
    ),
    "uefi-dnsmasq-beside-another-dhcp-server": Scenario(
        "uefi",
        ("other-dhcpd", "dnsmasq-proxy", "nginx"),
        "dnsmasq-proxy",
        "dnsmasq",
        (*LOADER, *IPXE),
        SYSLOG,
        SYSLOG,
        "access.log",
    ),
}


def broken(firmware: str, until: str, *daemons: str, reached: str, **more: str) -> Scenario:
    """A machine behind dnsmasq and nginx that stops after the stage `reached`."""
    return Scenario(
        firmware, daemons, "dnsmasq", "dnsmasq", (reached,), SYSLOG, SYSLOG, "access.log", until=until, **more
    )


BROKEN = {
    # The one that waits longest comes first.
    "cable-pulled": (
        broken(
            "bios",
            STANDS_STILL,
            "dnsmasq",
            "nginx",
            reached="http-kernel",
            pull=r"initrd[.\s]+(?:\d+%[\b ]+)*[1-9]\d?%",
        ),
        "http-unreachable",
    ),
    "no-dhcp-server": (broken("bios", GIVEN_UP, "nginx", reached="firmware"), "no-dhcp-answer"),
    "loader-gone": (
        broken("uefi", "PXE-E23", "dnsmasq", reached="dhcp-loader", spoil="loader gone"),
        "tftp-file-missing",
    ),
    "loader-for-bios": (
        broken(
            "uefi",
            r"failed to load Boot[^\n]*\n",
            "dnsmasq",
            reached="tftp-loader",
            loaders="{efi-x64: undionly.kpxe, bios: undionly.kpxe}",
        ),
        "wrong-arch-loader",
    ),
    "no-http-server": (broken("bios", GIVEN_UP, "dnsmasq", reached="dhcp-ipxe"), "http-unreachable"),
    "kernel-garbled": (
        broken("bios", "failed, try 1", "dnsmasq", "nginx", reached="http-kernel", spoil="kernel garbled"),
        "kernel-not-executable",
    ),
    "initrd-cut": (
        broken("bios", "end Kernel panic", "dnsmasq", "nginx", reached="initrd-start", spoil="initrd cut"),
        "initrd-truncated",
    ),
}
"""Each with the finding that says why."""

ORDERED = {
    "bios-by-ipmi": Scenario("bios", KEA, "kea", "tftpd-hpa", IPXE, "", "", "", story="power"),
    "uefi-by-ipmi": Scenario("uefi", KEA, "kea", "tftpd-hpa", (*LOADER, *IPXE), "", "", "", story="boot"),
    "bios-by-keys": Scenario("bios", KEA, "kea", "tftpd-hpa", IPXE, "", "", "", story="keys"),
}


class Images:
    """The machines' images, made once: one that powers itself off when it is up, and one with an SSH server."""

    def __init__(self, directory: Path) -> None:
        kernel = guest.find_kernel()
        assert kernel is not None, missing()
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._kernel = kernel
        self._directory = directory

    def of(self, scenario: Scenario) -> Path:
        path = self._directory / ("with-ssh" if scenario.ssh else "short")
        if not path.exists():
            public = self.client_key.export_public_key().decode() if scenario.ssh else ""
            guest.write_image(path, self._kernel, public)
        return path


class Boot:
    """A scenario in its own directory; `wrong` says in the end what went wrong, as `Lab.run` does."""

    wrong: Future[str]

    def __init__(self, scenario: Scenario, directory: Path, images: Images) -> None:
        self.scenario = scenario
        self.bundle = directory / "bundle"
        self.directory = directory
        bmc = f", bmc: {bmc_lab.ADDRESS}" if scenario.story else ""
        text = INVENTORY.format(dhcp=scenario.dhcp, tftp=scenario.tftp, loaders=scenario.loaders, bmc=bmc)
        if scenario.story:
            text += WATCHED.format(directory=directory)
            key = images.client_key.export_private_key().decode()
            for name, secret in (("password", bmc_lab.PASSWORD), ("wrong-password", "guessed"), ("client-key", key)):
                (directory / name).write_text(secret)
                (directory / name).chmod(0o600)
        (directory / "inventory.yaml").write_text(text, encoding="utf-8")
        (directory / "worker").symlink_to(images.of(scenario))
        self.lab = Lab(
            Job(
                str(directory),
                scenario.firmware,
                list(scenario.daemons),
                LIMIT,
                scenario.spoil,
                scenario.until,
                scenario.pull,
                scenario.story,
            )
        )

    def timeline(self) -> tuple[dict[str, Any], str]:
        """Waits for the end of the boot. The second is what to tell when it is wrong."""
        wrong = self.wrong.result()
        assert not wrong, wrong + self.tails()
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = run(["replay", "--json", str(self.bundle)])
        assert (code, err.getvalue()) == (0, ""), err.getvalue()
        found: dict[str, Any] = json.loads(out.getvalue())["nodes"][NODE]
        return found, json.dumps(found, indent=1) + self.tails()

    def story(self) -> tuple[dict[str, Any], str]:
        """As `timeline`, of a boot that was ordered: what was answered and shown."""
        wrong = self.wrong.result()
        assert not wrong, wrong + self.tails()
        told: dict[str, Any] = json.loads((self.directory / "story.json").read_text())
        return told, json.dumps(told, indent=1) + self.tails()

    def tails(self) -> str:
        """The last lines of the console and of everything that was logged."""
        paths = [*self.directory.glob("*.out"), *self.directory.glob("*.err"), *self.bundle.glob("*")]
        return "".join(
            f"\n--- {path.name}\n{path.read_text('utf-8', 'replace')[-2500:]}"
            for path in sorted(paths)
            if path.suffix not in (".timing", ".yaml")
        )
