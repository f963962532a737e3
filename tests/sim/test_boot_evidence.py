"""What boots of the simulated rack leave behind: two witnesses, the console and the servers' logs, for good and bad."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from plasmatui.inventory.loader import load
from plasmatui.model.bmc import Device
from plasmatui.model.words import PowerAction
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.faults import UEFI_ONLY, FaultError
from plasmatui.sim.rack import Rack, RackOptions
from plasmatui.sim.services import ServiceOptions
from tests.support.boots import Done, Recording, boot, ended, lines_about
from tests.support.site import RackThread

SPEED = 100.0
KERNEL, INITRD = 40_960, 204_800
SYSLOG = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d pxe01 "
SHAPES = {
    "kea": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (INFO |WARN ) \[kea-dhcp4\.[\w-]+/\d+\.\d+\] [A-Z0-9_]+ \S.*",
    "dhcpd": SYSLOG + r"dhcpd\[\d+\]: \S.*",
    "dnsmasq": SYSLOG + r"dnsmasq(-dhcp|-tftp)?\[\d+\]: \S.*",
    "tftpd-hpa": SYSLOG + r"in\.tftpd\[\d+\]: \S.*",
    "atftpd": SYSLOG + r"atftpd\[\d+\.\d+\]: \S.*",
    "nginx-access": r'[\d.]+ - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /\S+ HTTP/1\.1" \d{3} \d+ '
    r'"-" "iPXE/\S+"',
    "nginx-error": r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ open\(\) "/\S+" failed '
    r'\(2: No such file or directory\), client: [\d.]+, server: , request: "GET /\S+ HTTP/1\.1", host: "[\d.:]+"',
}
OFFER = {"kea": "DHCP4_LEASE_OFFER", "dhcpd": "DHCPOFFER on", "dnsmasq": "DHCPOFFER("}
ACK = {"kea": "DHCP4_LEASE_ALLOC", "dhcpd": "DHCPACK on", "dnsmasq": "DHCPACK("}
MISSING = {
    "tftpd-hpa": r"sending NAK \(1, File not found\) to ",
    "dnsmasq": r"file /srv/tftp/(ipxe.efi|undionly.kpxe) not found for ",
}
UNKNOWN = {"kea": "ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS", "dhcpd": ": unknown client$", "dnsmasq": " ignored$"}
EXHAUSTED = {
    "kea": "ALLOC_ENGINE_V4_ALLOC_FAIL .*failed to allocate an IPv4 address after",
    "dhcpd": ": network 127.100.0.0/16: no free leases$",
    "dnsmasq": " no address available$",
}
DAEMONS = {"kea": "tftpd-hpa", "dhcpd": "atftpd", "dnsmasq": "dnsmasq"}


@dataclass(frozen=True)
class Expected:
    """What a fault shows.

    Attributes:
        uefi, bios: on the console, regular expressions.
        acks: how many leases the machine gets: loader 1, iPXE 2, installer 3; None: not looked at.
        tftp: requests for the loader were seen.
        http: status and size of its downloads in order; a negative size: any.
    """

    uefi: str
    bios: str = ""
    acks: int | None = None
    tftp: bool = True
    http: tuple[tuple[int, int], ...] = ()

    def console(self, *, uefi: bool) -> str:
        return self.uefi if uefi or not self.bios else self.bios


SCRIPT = (200, -1)
GOOD = (SCRIPT, (200, KERNEL), (200, INITRD))
NO_FILE = r"No such file or directory \(https://ipxe\.org/2d0c6(18e|13b)\)\r\n"
NO_ROOT = r"Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block\(0,0\)"
EXPECTED = {
    "no-dhcp-answer": Expected(r"PXE-E18: Server response timeout\.", r"PXE-E51: No DHCP", 0, tftp=False),
    "no-boot-filename": Expected(r"PXE-E16: No valid offer received\.", r"PXE-E53: No boot filename", 0, tftp=False),
    "wrong-arch-loader": Expected(
        r"NBP filename is undionly\.kpxe(.|\n)*failed to load Boot0001 .*: Unsupported", r"PXE-E79: NBP is too big", 1
    ),
    "pool-exhausted": Expected(r"PXE-E18", r"PXE-E51", 0, tftp=False),
    "unknown-mac": Expected(r"PXE-E18", r"PXE-E51", 0, tftp=False),
    "rogue-dhcp": Expected(
        r"Station IP address is 192\.168\.1\.137(.|\n)*Server IP address is 192\.168\.1\.1\r",
        r"DHCP IP: 192\.168\.1\.1\r",
        0,
        tftp=False,
    ),
    "tftp-unreachable": Expected(r"NBP filesize is 0 Bytes\r\n  PXE-E99", r"PXE-E32: TFTP open timeout", 1, tftp=False),
    "tftp-file-missing": Expected(r"PXE-E23: Client received TFTP error", r"PXE-E3B: TFTP Error - File Not found", 1),
    "tftp-slow": Expected(r"nixos login: $", acks=3, http=GOOD),
    "http-unreachable": Expected(r"boot\.ipxe\.\.\. Connection reset \(https://ipxe\.org/0f0a60(95|39)\)", acks=2),
    "boot-script-missing": Expected(rf"boot\.ipxe\.\.\. {NO_FILE}No more network devices", acks=2, http=((404, 153),)),
    "boot-script-error": Expected(
        r"hostname: command not found\r\nCould not boot image: No such file or directory \(https://ipxe\.org/2d0280",
        acks=2,
        http=(SCRIPT,),
    ),
    "ipxe-loop": Expected(
        r"Filename: (ipxe\.efi|undionly\.kpxe)\r\ntftp://127\.100\.0\.10/(ipxe\.efi|undionly\.kpxe)\.\.\. ok"
    ),
    "ipxe-unsupported": Expected(
        r"Could not start download: Operation not supported \(https://ipxe\.org/3c0920", acks=2
    ),
    "kernel-missing": Expected(rf"bzImage\.\.\. {NO_FILE}Boot failed\r\niPXE> $", acks=2, http=(SCRIPT, (404, 153))),
    "kernel-not-executable": Expected(
        r"Could not select: Exec format error \(https://ipxe\.org/2e0080[08]1\)\r\nBoot failed\r\niPXE> $",
        acks=2,
        http=(SCRIPT, (200, 4096)),
    ),
    "initrd-missing": Expected(rf"/initrd\.\.\. {NO_FILE}Boot failed", acks=2, http=(*GOOD[:2], (404, 153))),
    "initrd-truncated": Expected(
        rf"Initramfs unpacking failed: ZSTD-compressed data is truncated\r\n(.|\n)*{NO_ROOT}",
        acks=2,
        http=(*GOOD[:2], (200, INITRD * 2 // 5)),
    ),
    "kernel-panic": Expected(
        r"Stage 1 >>>(.|\n)*Kernel panic - not syncing: Attempted to kill init!", acks=2, http=GOOD
    ),
    "kernel-panic-rootfs": Expected(NO_ROOT, acks=2, http=GOOD[:2]),
    "out-of-memory": Expected(r"Kernel panic - not syncing: System is deadlocked on memory", acks=2, http=GOOD),
    "emergency-shell": Expected(r"DEPEND(.|\n)*You are in emergency mode\.", acks=2, http=GOOD),
    "secure-boot-refused": Expected(r"failed to load Boot0001 .*: Access Denied", acks=1),
    "installer-no-network": Expected(
        r"FAILED.*Failed to start .*Wait for Network(.|\n)*nixos login: $", acks=2, http=GOOD
    ),
    "rebooted-to-network": Expected(
        r"reboot: Restarting system(.|\n)*iPXE initialising(.|\n)*nixos login: $", acks=6, http=GOOD * 2
    ),
    "install-loop": Expected(r"(reboot: Restarting system(.|\n)*){2}"),
    "stalled": Expected(r"/initrd\.\.\. [\d%\x08]*5\d%\x08\x08\x08$", acks=2, http=GOOD[:2]),
}


class Boots:
    """A rack in which every fault is tried on a UEFI and on a BIOS machine, and two machines have none."""

    def __init__(self, dhcp: str) -> None:
        self.dhcp = dhcp
        options = ServiceOptions(dhcp, DAEMONS[dhcp], KERNEL, INITRD)
        self.thread = RackThread(RackOptions(nodes=120, port=0, on=0, speed=SPEED, boot=options))
        self.rack = self.thread.rack
        self.names: dict[tuple[str, bool], str] = {}
        for uefi in (True, False):
            free = iter([n for n, machine in self.rack.machines.items() if machine.identity.uefi is uefi])
            for fault in ("", *EXPECTED):
                if uefi or fault not in UEFI_ONLY:
                    self.names[fault, uefi] = next(free)
        for (fault, _), name in self.names.items():
            if fault:
                self.thread.fault(name, fault)
        self.recordings = self.thread.run(
            boot(self.rack, {name: done(fault) for (fault, _), name in self.names.items()})
        )

    def recording(self, fault: str, *, uefi: bool) -> Recording:
        return self.recordings[self.names[fault, uefi]]

    def log(self, name: str, recording: Recording) -> list[str]:
        return lines_about(self.rack, name, recording.machine)

    def downloads(self, recording: Recording) -> list[tuple[int, int]]:
        found = [re.search(r'" (\d{3}) (\d+) "-"', line) for line in self.log("http", recording)]
        return [(int(match[1]), int(match[2])) for match in found if match]


def done(fault: str) -> Done:
    """When a machine with a fault has shown what it shows."""
    conditions: dict[str, Done] = {
        "stalled": lambda recording: re.search(EXPECTED[fault].uefi, recording.text) is not None,
        "ipxe-loop": lambda recording: recording.text.count("iPXE initialising") >= 4,
        "install-loop": lambda recording: recording.machine.counters.boots >= 3,
        "rebooted-to-network": lambda recording: recording.machine.counters.boots == 2 and ended(recording),
    }
    return conditions.get(fault, ended)


@pytest.fixture(scope="module", params=list(DAEMONS))
def boots(request: pytest.FixtureRequest) -> Iterator[Boots]:
    made = Boots(request.param)
    yield made
    made.thread.close()


def test_lines_have_the_shapes_of_the_daemons(boots: Boots) -> None:
    for kind, form, path in boots.rack.services.logs:
        lines = path.read_text().splitlines()
        assert len(lines) > (20 if kind != "http" else 2)
        assert [line for line in lines if not re.fullmatch(SHAPES[form], line)] == []


@pytest.mark.parametrize("uefi", [True, False])
def test_a_good_boot_has_two_witnesses(boots: Boots, uefi: bool) -> None:
    recording = boots.recording("", uefi=uefi)
    identity = recording.machine.identity
    dhcp = boots.log("dhcp", recording)
    assert all(identity.macs[0] in line or str(identity.provisioning) in line for line in dhcp)
    assert sum(ACK[boots.dhcp] in line for line in dhcp) == 3
    assert sum(OFFER[boots.dhcp] in line for line in dhcp) == 4
    loader = "ipxe.efi" if uefi else "undionly.kpxe"
    assert all(loader in line for line in boots.log("tftp", recording) if "RRQ" in line or "Serving" in line)
    assert boots.downloads(recording)[1:] == [(200, KERNEL), (200, INITRD)]
    for words in (f"Filename: {boots.rack.services.script_url}\r\n", f"net0: {identity.provisioning}/"):
        assert words in recording.text
    assert f"Freeing initrd memory: {INITRD >> 10}K" in recording.text
    assert recording.text.endswith("nixos login: ")


@pytest.mark.parametrize("uefi", [True, False])
@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_shows_on_the_console_and_in_the_logs(boots: Boots, fault: str, uefi: bool) -> None:
    if (fault, uefi) not in boots.names:
        with pytest.raises(FaultError, match="BIOS machine"):
            boots.thread.fault(boots.names["", uefi], fault)
        return
    expected, recording = EXPECTED[fault], boots.recording(fault, uefi=uefi)
    assert re.search(expected.console(uefi=uefi), recording.text), recording.text[-1500:]
    if expected.acks is not None:
        assert sum(ACK[boots.dhcp] in line for line in boots.log("dhcp", recording)) == expected.acks
    assert bool(boots.log("tftp", recording)) is expected.tftp
    if expected.http or expected.acks is not None:
        seen = boots.downloads(recording)
        assert [status for status, _ in seen] == [status for status, _ in expected.http]
        assert [size for size, (_, wanted) in zip((s for _, s in seen), expected.http, strict=True) if wanted >= 0] == [
            wanted for _, wanted in expected.http if wanted >= 0
        ]
    assert len(boots.log("http-error", recording)) == sum(status == 404 for status, _ in expected.http)


@pytest.mark.parametrize("uefi", [True, False])
def test_servers_say_why_they_do_not_serve(boots: Boots, uefi: bool) -> None:
    for fault, log, patterns in (
        ("unknown-mac", "dhcp", UNKNOWN),
        ("pool-exhausted", "dhcp", EXHAUSTED),
        ("tftp-file-missing", "tftp", MISSING),
    ):
        pattern = patterns.get(boots.dhcp if log == "dhcp" else DAEMONS[boots.dhcp])
        lines = boots.log(log, boots.recording(fault, uefi=uefi))
        assert pattern is None or any(re.search(pattern, line) for line in lines)
    stranger = boots.recording("unknown-mac", uefi=uefi).machine.identity
    assert any(stranger.stranger_mac in line for line in boots.log("dhcp", boots.recording("unknown-mac", uefi=uefi)))
    assert boots.log("dhcp", boots.recording("no-dhcp-answer", uefi=uefi)) == []


def test_boots_at_once_interleave_in_one_log(boots: Boots) -> None:
    for kind in ("dhcp", "http"):
        both = [boots.recording("", uefi=uefi) for uefi in (True, False)]
        lines = (boots.rack.services.directory / f"{kind}.log").read_text().splitlines()
        one, two = ([lines.index(line) for line in boots.log(kind, recording)] for recording in both)
        assert min(one) < max(two)
        assert min(two) < max(one)


# --- single racks ---


async def _boot_two(**boot_options: object) -> tuple[list[str], str]:
    """The consoles of two machines, and the logs without what differs between runs: times and order."""
    options = RackOptions(nodes=2, port=0, on=0, speed=200, boot=ServiceOptions(**boot_options))  # type: ignore[arg-type]
    async with Rack(options) as rack:
        recordings = await boot(rack, dict.fromkeys(rack.machines, ended))
        logs = "\n".join(sorted(path.read_text() for _, _, path in rack.services.logs))
        timeless = re.sub(
            r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d(\.\d+)?|\d\d/\w+/\d{4}|\w{3} [ \d]\d |tftpd\[\d+\]", "", logs
        )
        return [recording.text for recording in recordings.values()], "\n".join(sorted(timeless.splitlines()))


async def test_the_same_seed_leaves_the_same_evidence() -> None:
    assert await _boot_two(initrd_size=100_000) == await _boot_two(initrd_size=100_000)


async def test_bytes_in_the_access_log_are_the_bytes_that_were_fetched() -> None:
    async with Rack(RackOptions(nodes=1, port=0, on=0, speed=200)) as rack:
        await boot(rack, {"node01": ended})
        sizes = [int(line.split()[9]) for line in lines_about(rack, "http", rack.machines["node01"])]
        assert sizes[1:] == [208_896, 2_097_152]
        assert sum(sizes) == rack.services.http.sent


async def test_percent_follows_the_bytes_and_an_aborted_transfer_is_logged_short() -> None:
    options = RackOptions(nodes=1, port=0, on=0, speed=100, faults=("node01=stalled=30",))

    def stopped(recording: Recording) -> bool:
        shown = re.search(r"/initrd\.\.\. .*?(\d+)%\x08+$", recording.text)
        return shown is not None and int(shown[1]) >= 30

    async with Rack(options) as rack:
        machine = rack.machines["node01"]
        recordings = await boot(rack, {"node01": stopped})
        shown = int(re.findall(r"(\d+)%", recordings["node01"].text)[-1])
        machine.order(PowerAction.OFF)
        async with asyncio.timeout(5):
            while len(lines_about(rack, "http", machine)) < 3:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)
        status, size = lines_about(rack, "http", machine)[-1].split()[8:10]
        assert status == "200"
        assert shown <= int(size) * 100 / 2_097_152 <= shown + 10


async def test_machines_boot_from_another_boot_service() -> None:
    """A script from elsewhere, with what boot services write: variables, chain, relative URLs, options."""
    requests: list[tuple[str, str]] = []
    kernel = b"MZ" + bytes(0x200) + b"HdrS" + bytes(5000)
    files = {
        "/boot.ipxe": b"#!ipxe\nchain ipxe?uuid=${uuid}&mac=${net0/mac:hexhyp}\n",
        "/ipxe": b"#!ipxe\nkernel assets/vmlinuz a=1 b\ninitrd --name initrd assets/initrd.img\nboot\n",
        "/assets/vmlinuz": kernel,
        "/assets/initrd.img": bytes(9000),
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split()[1]
        requests.append((target, re.findall(r"(?mi)^x-real-ip: (\S+)", head)[0]))
        body = files[target.partition("?")[0]]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/boot.ipxe"
    async with server, Rack(RackOptions(nodes=1, port=0, on=0, speed=200, boot=ServiceOptions(boot_url=url))) as rack:
        recordings = await boot(rack, {"node01": ended})
        identity = rack.machines["node01"].identity
        mac = identity.macs[0].replace(":", "-")
        assert requests == [
            (path, str(identity.provisioning))
            for path in ("/boot.ipxe", f"/ipxe?uuid={identity.guid}&mac={mac}", "/assets/vmlinuz", "/assets/initrd.img")
        ]
        text = recordings["node01"].text
        assert f"Filename: {url}\r\n" in text
        assert "Command line: a=1 b\r\n" in text
        assert text.endswith("nixos login: ")
        assert lines_about(rack, "http", rack.machines["node01"]) == []


async def test_a_failed_network_boot_goes_on_with_the_disk() -> None:
    async with Rack(RackOptions(nodes=1, port=0, on=0, speed=200, faults=("node01=tftp-unreachable",))) as rack:
        machine = rack.machines["node01"]
        machine.installed = True
        machine.set_flags(BootFlags.of(Device.PXE))
        recordings = await boot(rack, {"node01": ended})
        assert re.search("PXE-E99(.|\n)*NixOS \\(Generation 3(.|\n)*node01 login: $", recordings["node01"].text)


async def test_strangers_ask_again_and_again() -> None:
    async with Rack(RackOptions(nodes=2, port=0, on=0, speed=500, strangers=2)) as rack:
        async with asyncio.timeout(10):
            log = rack.services.directory / "dhcp.log"
            while log.read_text().count("UNKNOWN") < 20:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.02)
        macs = set(re.findall(r"hwtype=1 ([0-9a-f:]{17})", log.read_text()))
        assert len(macs) == 2
        known = {mac for machine in rack.machines.values() for mac in machine.identity.macs}
        assert not macs & known


async def test_the_inventory_names_the_logs() -> None:
    boot_options = ServiceOptions(dhcp="dnsmasq", tftp="atftpd")
    async with Rack(RackOptions(nodes=2, port=0, boot=boot_options)) as rack:
        inventory = load(rack.inventory_path)
        assert inventory.warnings == ()
        assert (inventory.pxe.dhcp, inventory.pxe.tftp.engine) == ("dnsmasq", "atftpd")
        assert [(log.kind, log.format) for log in inventory.logs] == [
            ("dhcp", "dnsmasq"),
            ("tftp", "atftpd"),
            ("http", "nginx-access"),
            ("http", "nginx-error"),
        ]
        assert all(os.stat(log.file).st_mode & 0o77 == 0 for log in inventory.logs)


@pytest.mark.parametrize("wrong", [{"dhcp": "x"}, {"tftp": "x"}, {"boot_url": "ftp://x/"}])
def test_services_that_make_no_sense(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        ServiceOptions(**wrong)  # type: ignore[arg-type]
