"""Bundles of real boots (kernel chatter left out), bundles written by hand, and bundles that are broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from plasmatui.cli.main import run
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.bundle import BundleError, read_bundle
from plasmatui.watch.replay import _chunks, replay, replay_all
from plasmatui.watch.stages import ORDER

BUNDLES = Path(__file__).parents[3] / "data" / "bundles"

CASES: dict[str, tuple[str, str, list[str], list[str]]] = {
    "fail-kernel-404": (
        "ipxe-script",
        "stopped",
        ["kernel-missing"],
        ["nginx-access.log:2:", "nginx-error.log:1:", "serial.raw:31:"],
    ),
    "fail-no-dhcp": ("firmware", "stopped", ["no-dhcp-answer"], ["serial.raw:3: PXE-E18"]),
    "fail-no-initrd-panic": ("kernel-start", "stopped", ["initrd-missing"], ["nginx-access.log:3:", "Kernel panic"]),
    "fail-tftp-file-missing": (
        "dhcp-loader",
        "stopped",
        ["tftp-file-missing"],
        ["atftpd.log:2:", "serial.raw:8: PXE-E23"],
    ),
    "lab2-fail-bios-nodhcp": ("firmware", "stopped", ["no-dhcp-answer"], ["040ee119"]),
    "lab2-fail-bios-noinit": ("kernel-start", "stopped", ["kernel-panic-rootfs"], ["empty.gz", "Kernel panic"]),
    "lab2-fail-bios-timeout": ("dhcp-ipxe", "stopped", ["http-unreachable"], ["4c0a6035"]),
    "lab2-fail-efi-badkernel": ("ipxe-script", "stopped", ["kernel-not-executable"], ["Could not select"]),
    "lab2-ok-efi-http": ("initrd-start", "stopped", [], []),
    "lab2-ok-efi-kea26-hpa": ("initrd-start", "stopped", [], []),
    "lab3-fail-bios-loader": ("tftp-loader", "stopped", ["wrong-arch-loader"], ["BdsDxe: failed to load"]),
    "lab3-fail-cable-pulled": ("http-kernel", "stopped", ["http-unreachable"], ["os/initrd.img... 15%"]),
    "lab3-fail-closed-pool": ("firmware", "stopped", ["unknown-mac"], ["no free leases", "PXE-E18"]),
    "lab3-fail-half-initrd": ("initrd-start", "stopped", ["initrd-truncated"], ["614772", "read error"]),
    "lab3-fail-loop": ("dhcp-ipxe", "stopped", ["ipxe-loop"], ["tftp.log:4:", "tftp://10.44.7.2/ipxe.efi"]),
    "lab3-fail-loop-bios": ("dhcp-ipxe", "stopped", ["ipxe-loop"], ["dnsmasq.log:", "n1.raw:"]),
    "lab3-fail-script-typo": (
        "http-kernel",
        "stopped",
        ["boot-script-error"],
        ["intird: command not found", "Exec format error"],
    ),
    "lab3-fail-two-servers": ("dhcp-loader", "stopped", ["rogue-dhcp"], ["10.44.7.208", "10.44.7.100"]),
    "lab3-fail-refused-by-other": ("dhcp-loader", "stopped", ["rogue-dhcp"], ["DHCPACK on", "PXE-E07"]),
    "lab3-fail-server-killed": ("http-kernel", "stopped", ["http-unreachable"], ["os/initrd.img... "]),
    "lab3-ok-proxy": ("installer-up", "installer-up", [], []),
    "ok-bios-dhcpd": ("installer-up", "installer-up", [], []),
    "ok-uefi-dhcpd-atftpd": ("installer-up", "installer-up", [], []),
    "ok-uefi-kea-tftpdhpa": ("installer-up", "installer-up", [], []),
}


@pytest.mark.parametrize("name", CASES)
def test_real_boots(name: str) -> None:
    reached, outcome, ids, evidence = CASES[name]
    boots = replay_all(BUNDLES / name)
    assert [len(of_node) for of_node in boots.values()] == [1]
    boot = next(iter(boots.values()))[-1]
    assert (boot.reached, boot.outcome) == (reached, outcome)
    found = [finding for finding in boot.findings if finding.severity is Severity.ERROR]
    assert [finding.id for finding in found] == ids
    for text in evidence:
        assert any(text in line for line in found[0].evidence), text
    begins = [span.begin for span in boot.stages if span.begin is not None]
    assert begins == sorted(begins)


@pytest.mark.parametrize("name", CASES)
def test_fewer_witnesses_in_any_order_say_nothing_else(name: str, tmp_path: Path) -> None:
    """Whatever is left out, a good boot has no error and a failed one not two; order of files says nothing."""
    manifest = yaml.safe_load((BUNDLES / name / "bundle.yaml").read_text())
    for path in (BUNDLES / name).iterdir():
        shutil.copy(path, tmp_path)
    files = manifest["files"]
    fewer = [[file for file in files if file is not left] for left in files] + [[file] for file in files]
    for some in (files[::-1], *fewer):
        (tmp_path / "bundle.yaml").write_text(json.dumps({**manifest, "files": some}))
        for (boot,) in replay_all(tmp_path).values():
            found = [finding.id for finding in boot.findings if finding.severity is Severity.ERROR]
            assert len(found) <= bool(CASES[name][2])
            if len(some) == len(files):
                assert (boot.reached, boot.outcome, found) == CASES[name][:3]


def test_two_nodes_at_once() -> None:
    """Real ones: both through the same logs, the one to its installer, the other without an initrd."""
    boots = replay(BUNDLES / "lab3-two-nodes")
    assert (boots["n1"].reached, boots["n1"].findings) == (Stage.INSTALLER_UP, ())
    assert boots["n2"].reached is Stage.HTTP_KERNEL
    assert [finding.id for finding in boots["n2"].findings] == ["initrd-missing"]
    assert {text.split(":")[0] for text in boots["n2"].findings[0].evidence} == {"access.log", "error.log", "n2.raw"}


def test_a_bios_rom_has_no_loader_and_uefi_has() -> None:
    rom = replay(BUNDLES / "ok-bios-dhcpd")["node01"]
    assert Stage.TFTP_LOADER not in [span.stage for span in rom.stages]
    uefi = replay(BUNDLES / "ok-uefi-dhcpd-atftpd")["node02"]
    wanted = [stage for stage in Stage if ORDER[Stage.FIRMWARE] <= ORDER[stage] <= ORDER[Stage.INSTALLER_UP]]
    assert [span.stage for span in uefi.stages] == wanted
    kernel = next(span for span in uefi.stages if span.stage is Stage.HTTP_KERNEL)
    assert kernel.bytes == 14_186_432
    assert {evidence.file for evidence in kernel.evidence} == {"serial.raw", "nginx-access.log"}


def write(directory: Path, nodes: dict[str, Any], **files: tuple[str, str]) -> Path:
    """A bundle: files by name with format and text (names with _ for the dot)."""
    listed = []
    for name, (kind, text) in files.items():
        (directory / name).write_text(text)
        listed.append({"path": name, "format": kind})
    (directory / "bundle.yaml").write_text(json.dumps({"version": 1, "nodes": nodes, "files": listed}))
    return directory


def access(ip: str, second: int, path: str, status: int = 200, size: int = 1000) -> str:
    return f'{ip} - - [21/Nov/2026:00:00:{second:02} +0000] "GET {path} HTTP/1.1" {status} {size} "-" "iPXE/1.21.1"\n'


TWO = {"a": {"mac": "02:00:00:00:00:0a"}, "b": {"mac": "02:00:00:00:00:0b"}}


def dhcp(mac: str, ip: str) -> str:
    return (
        f"DHCPDISCOVER from {mac} via t0\nDHCPOFFER on {ip} to {mac} via t0\n"
        f"DHCPREQUEST for {ip} (10.0.0.9) from {mac} via t0\nDHCPACK on {ip} to {mac} via t0\n"
    )


def test_two_nodes_interleaved_in_logs_without_and_with_times(tmp_path: Path) -> None:
    a, b = "10.0.0.1", "10.0.0.2"
    leases = "".join(dhcp(f"02:00:00:00:00:0{n}", ip) for n, ip in (("a", a), ("b", b), ("a", a), ("b", b)))
    lines = [access(ip, 10 + n, path) for n, path in enumerate(("/boot.ipxe", "/bzImage")) for ip in (a, b)]
    lines.append(access(a, 20, "/initrd"))
    lines.append(access(b, 21, "/initrd", 404))
    boots = replay(write(tmp_path, TWO, dhcpd=("dhcpd", leases), http=("nginx-access", "".join(lines))))
    assert (boots["a"].reached, boots["a"].outcome) == (Stage.HTTP_INITRD, "running")
    assert (boots["b"].reached, boots["b"].outcome) == (Stage.HTTP_KERNEL, "stopped")
    assert [finding.id for finding in boots["b"].findings] == ["initrd-missing"]
    assert boots["b"].findings[0].evidence == (f"http:6: {lines[5].strip()}",)


def test_an_address_that_moves_in_a_log_without_times(tmp_path: Path) -> None:
    ip = "10.0.0.7"
    leases = dhcp("02:00:00:00:00:0a", ip) + dhcp("02:00:00:00:00:0b", ip)
    first = [access(ip, 10, "/boot.ipxe"), access(ip, 11, "/bzImage"), access(ip, 12, "/initrd")]
    second = [access(ip, 40, "/boot.ipxe"), access(ip, 41, "/bzImage", 404)]
    boots = replay(write(tmp_path, TWO, dhcpd=("dhcpd", leases), http=("nginx-access", "".join(first + second))))
    assert boots["a"].reached is Stage.HTTP_INITRD
    assert boots["a"].findings == ()
    assert (boots["b"].reached, [f.id for f in boots["b"].findings]) == (Stage.IPXE_SCRIPT, ["kernel-missing"])


def test_a_second_boot_in_the_same_recording(tmp_path: Path) -> None:
    ip = "10.0.0.1"
    lines = [access(ip, 10, "/boot.ipxe"), access(ip, 11, "/bzImage"), access(ip, 12, "/initrd")]
    lines += [access(ip, 50, "/boot.ipxe", 404)]
    bundle = write(tmp_path, {"a": {"ip": ip}}, http=("nginx-access", "".join(lines)))
    first, second = replay_all(bundle)["a"]
    assert (first.number, first.reached) == (1, Stage.HTTP_INITRD)
    assert (second.number, [f.id for f in second.findings]) == (2, ["boot-script-missing"])


def test_a_node_that_only_its_console_knows_by_address(tmp_path: Path) -> None:
    text = ">>Start PXE over IPv4.\r\n  Station IP address is 10.9.9.9\r\n  NBP filename is ipxe.efi\r\n"
    (tmp_path / "tty").write_text(text)
    (tmp_path / "http").write_text(access("10.9.9.9", 1, "/boot.ipxe"))
    files = [{"path": "tty", "format": "console", "node": "a"}, {"path": "http", "format": "nginx-access"}]
    (tmp_path / "bundle.yaml").write_text(json.dumps({"version": 1, "nodes": {"a": {}}, "files": files}))
    assert replay(tmp_path)["a"].reached is Stage.IPXE_SCRIPT


@pytest.mark.parametrize("reverse", [False, True], ids=["dhcp first", "http first"])
def test_one_second_of_several_logs(tmp_path: Path, reverse: bool) -> None:
    """iPXE's lease and the kernel's line share a second; one server writes fractions of it, the others none."""
    leases = [
        f"2026-11-21T00:00:{second}.{700 + n}Z pxe dhcpd[7]: {line}\n"
        for second in (51, 54)
        for n, line in enumerate(dhcp("02:00:00:00:00:0a", "10.0.0.1").splitlines())
    ]
    loader = "2026-11-21T00:00:51Z pxe in.tftpd[9]: RRQ from 10.0.0.1 filename ipxe.efi\n"
    web = "".join(access("10.0.0.1", 54, path) for path in ("/boot.ipxe", "/bzImage"))
    files = {"dhcp": ("dhcpd", "".join(leases)), "http": ("nginx-access", web), "loader": ("tftpd-hpa", loader)}
    boot = replay(write(tmp_path, ONE, **dict(sorted(files.items(), reverse=reverse))))["a"]
    assert (boot.reached, boot.outcome) == (Stage.HTTP_KERNEL, "running")
    assert [span.stage for span in boot.stages if span.evidence] == [
        Stage.DHCP_LOADER,
        Stage.TFTP_LOADER,
        Stage.DHCP_IPXE,
        Stage.IPXE_SCRIPT,
        Stage.HTTP_KERNEL,
    ]


MAC = "02:00:00:00:00:0a"
ONE = {"a": {"mac": MAC}}
UEFI = (
    "\r\n>>Start PXE over IPv4.\r\n  PXE-E18: Server response timeout.\r\n"
    'BdsDxe: failed to load Boot0001 "UEFI PXEv4 (MAC:0200000000BB)" from PciRoot(0x0): Not Found\r\n'
)
REFUSED = "DHCPDISCOVER from 02:00:00:00:00:bb via br0: unknown client\n"


@pytest.mark.parametrize("told", [True, False], ids=["on its console", "nowhere"])
def test_a_node_asks_with_another_card(tmp_path: Path, told: bool) -> None:
    write(tmp_path, ONE, dhcpd=("dhcpd", REFUSED), tty=("console", UEFI if told else UEFI.split("Bds")[0]))
    manifest = json.loads((tmp_path / "bundle.yaml").read_text())
    manifest["files"][1]["node"] = "a"
    (tmp_path / "bundle.yaml").write_text(json.dumps(manifest))
    boot = replay(tmp_path)["a"]
    assert [finding.id for finding in boot.findings] == ["unknown-mac"]
    assert "02:00:00:00:00:bb" in boot.findings[0].cause
    assert boot.findings[0].evidence[0] == f"dhcpd:1: {REFUSED.strip()}"


@pytest.mark.parametrize("zone", ["+0000", "+0530", "-0800"])
def test_logs_of_another_time_zone(tmp_path: Path, zone: str) -> None:
    """Only the access log names the zone in which all were written."""
    leases = [
        f"Nov 21 00:00:{t} pxe dhcpd[7]: {line}\n" for t in (10, 15) for line in dhcp(MAC, "10.0.0.1").splitlines()
    ]
    loader = "Nov 21 00:00:11 pxe in.tftpd[9]: RRQ from 10.0.0.1 filename ipxe.efi\n"
    web = access("10.0.0.1", 20, "/boot.ipxe") + access("10.0.0.1", 21, "/bzImage", 404)
    error = '2026/11/21 00:00:21 [error] 5#5: *1 open() "/srv/x" failed (2: No such file or directory)'
    files = {
        "dhcp": ("dhcpd", "".join(leases)),
        "tftp": ("tftpd-hpa", loader),
        "http": ("nginx-access", web.replace("+0000", zone)),
        "error": ("nginx-error", f'{error}, client: 10.0.0.1, server: _, request: "GET /bzImage HTTP/1.1"\n'),
    }
    boot = replay(write(tmp_path, ONE, **files))["a"]
    assert [finding.id for finding in boot.findings] == ["kernel-missing"]
    begins = [span.begin for span in boot.stages if span.begin is not None]
    assert begins == sorted(begins)
    assert max(begins) - min(begins) == 11.0


def test_a_stranger_is_no_node(tmp_path: Path) -> None:
    """Where several are silent, or a server serves the unknown card, nobody knows whose it is."""
    assert replay(write(tmp_path, TWO, dhcpd=("dhcpd", REFUSED))) == {}
    assert replay(write(tmp_path, ONE, dhcpd=("dhcpd", dhcp("02:00:00:00:00:bb", "10.0.0.5")))) == {}


def test_lines_without_a_lease_are_of_the_only_node(tmp_path: Path) -> None:
    web = access("10.0.0.77", 1, "/boot.ipxe") + access("10.0.0.77", 2, "/bzImage", 404)
    boot = replay(write(tmp_path, ONE, http=("nginx-access", web)))["a"]
    assert [finding.id for finding in boot.findings] == ["kernel-missing"]


def test_lines_of_other_machines_are_not_of_the_only_node(tmp_path: Path) -> None:
    web = access("10.0.0.77", 1, "/boot.ipxe") + access("10.0.0.78", 2, "/bzImage", 404)
    assert replay(write(tmp_path, ONE, http=("nginx-access", web))) == {}
    web = access("10.0.0.1", 1, "/boot.ipxe") + access("10.0.0.78", 2, "/bzImage", 404)
    boot = replay(write(tmp_path, {"a": {"ip": "10.0.0.1"}}, http=("nginx-access", web)))["a"]
    assert (boot.reached, boot.findings) == (Stage.IPXE_SCRIPT, ())


def test_a_refusal_that_names_no_client_is_of_the_only_node(tmp_path: Path) -> None:
    leases = dhcp("02:00:00:00:00:0a", "10.0.0.1")
    refused = "dnsmasq-tftp[7]: cannot access /srv/tftp/ipxe.efi: Permission denied\n"
    boot = replay(write(tmp_path, ONE, dhcp=("dhcpd", leases), tftp=("dnsmasq", refused)))["a"]
    assert [finding.id for finding in boot.findings] == ["tftp-file-missing"]


def test_an_initrd_shorter_than_what_a_stranger_got(tmp_path: Path) -> None:
    web = access("10.0.0.99", 1, "/initrd", size=9000)
    web += access("10.0.0.1", 11, "/boot.ipxe") + access("10.0.0.1", 12, "/bzImage") + access("10.0.0.1", 13, "/initrd")
    boot = replay(write(tmp_path, {"a": {"ip": "10.0.0.1"}}, http=("nginx-access", web)))["a"]
    assert [finding.id for finding in boot.findings] == ["initrd-truncated"]
    assert "1000 of 9000 bytes" in boot.findings[0].cause


def test_json_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(BUNDLES / "fail-kernel-404"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == 1
    node = answer["nodes"]["node02"]
    assert (node["reached"], node["outcome"]) == ("ipxe-script", "stopped")
    assert {"stage", "begin", "end", "evidence"} <= node["stages"][0].keys()
    assert {"file": "nginx-access.log", "line": 2}.items() <= node["findings"][0]["evidence"][0].items()
    assert node["findings"][0].keys() == {"id", "severity", "cause", "remedy", "evidence"}


def test_people_read_stages_and_causes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(BUNDLES / "fail-kernel-404")]) == 0
    text = capsys.readouterr().out
    assert "node02  boot 1: stopped, reached ipxe-script" in text
    assert "error: kernel-missing: The server does not have /boot/nixos/control-plane/bzImage (404)" in text


BROKEN = {
    "": "expected keys version, nodes and files",
    "a: [": "bundle.yaml:1:5: not valid YAML",
    "version: 2\nnodes: {a: {}}\nfiles: []": "version: expected 1, found 2",
    "version: 1\nnodes: []\nfiles: []": "nodes: expected a mapping",
    "version: 1\nnodes: {a: {mac: zz}}\nfiles: {}": "nodes.a.mac: expected a MAC",
    "version: 1\nnodes: {a: {ip: 10.0.0.300}}\nfiles: {}": "nodes.a.ip: expected an address such as 10.0.100.50, found",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: x, format: kea, node: [a]}]": "files[0].node: expected one of a, found",
    "version: 1\nnodes: {a: {}}\nfiles: {}": "files: expected a list",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: x, format: foo}]": "files[0].format: expected one of dhcpd",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: x, format: kea}]": "there is no file 'x' in the bundle",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: ../x, format: kea}]": "'../x' leads out of the bundle",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: /etc/passwd, format: kea}]": "leads out of the bundle",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: bundle.yaml, format: console}]": "files[0].node: expected the node",
    "version: 1\nnodes: {a: {}}\nfiles: [{path: bundle.yaml, format: console, node: b}]": "expected one of a",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_bundle_is_refused_with_its_place(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle.yaml").write_text(text)
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert BROKEN[text] in str(caught.value)
    assert run(["replay", str(tmp_path)]) == 2
    assert "plasmatui:" in capsys.readouterr().err


def test_a_link_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    inner = tmp_path / "bundle"
    inner.mkdir()
    (inner / "log").symlink_to(tmp_path / "secret")
    (inner / "bundle.yaml").write_text("version: 1\nnodes: {a: {}}\nfiles: [{path: log, format: kea}]")
    with pytest.raises(BundleError, match="leads out of the bundle"):
        read_bundle(inner)


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    text = "version: 3\nnodes: {a: 1}\nfiles: [{path: x, format: kea}, 7]"
    (tmp_path / "bundle.yaml").write_text(text)
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert len(str(caught.value).splitlines()) == 4


def test_a_timing_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "tty").write_text("x")
    (tmp_path / "timing").write_text("1.0 1\nnonsense\n")
    text = "version: 1\nnodes: {a: {}}\nfiles: [{path: tty, format: console, node: a, timing: timing}]"
    (tmp_path / "bundle.yaml").write_text(text)
    with pytest.raises(BundleError, match="timing:2: expected `seconds bytes`"):
        replay(tmp_path)


def timed(directory: Path, timing: str) -> Path:
    (directory / "tty").write_bytes(b"\r\n>>Start PXE over IPv4.\r\n  PXE-E18: Server response timeout.\r\n")
    (directory / "timing").write_text(timing)
    text = "version: 1\nnodes: {a: {}}\nfiles: [{path: tty, format: console, node: a, timing: timing}]"
    (directory / "bundle.yaml").write_text(text)
    return directory


def test_a_timing_file_that_disagrees_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(timed(tmp_path, "1.0 10\n2.0 9000\n"))]) == 0
    said = capsys.readouterr()
    assert said.err == "plasmatui: warning: timing: tells of 9010 bytes, but tty has 63; its times are left out\n"
    assert "no-dhcp-answer" in said.out


@pytest.mark.parametrize("timing", ["1.0 20\n1.5 20\n3.5 23\n", "1.0 20\n0.5 20\n2.0 23\n"], ids=["clock", "script"])
def test_seconds_since_the_start_or_since_the_chunk_before(tmp_path: Path, timing: str) -> None:
    bundle = read_bundle(timed(tmp_path, timing))
    assert [at for at, _ in _chunks(bundle.files[0], 63, print)] == [1.0, 1.5, 3.5]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("DHCPDISCOVER\n\x7fELF\0\0\n", "log:2: this is no text"),
        ("RRQ from 10.0.0.1 filename a.efi\n", "log: none of its 1 lines says anything as dhcpd; check its format"),
        ("\n" + "x" * (3 << 20) + "\n", "log: none of its 2 lines says anything as dhcpd"),
        ("", ""),
    ],
    ids=["binary", "other format", "huge line", "empty"],
)
def test_what_is_odd_about_a_file_is_said(tmp_path: Path, text: str, warning: str) -> None:
    warnings: list[str] = []
    assert replay_all(write(tmp_path, ONE, log=("dhcpd", text)), warnings.append) == {}
    assert bool(warnings) == bool(warning)
    assert warning in "".join(warnings)


def test_one_file_for_two_servers(tmp_path: Path) -> None:
    lines = [f"Nov 21 00:00:01 h dhcpd[1]: {line}\n" for line in dhcp("02:00:00:00:00:0a", "10.0.0.1").splitlines()]
    lines.append("Nov 21 00:00:02 h in.tftpd[2]: RRQ from 10.0.0.1 filename ipxe.efi\n")
    (tmp_path / "syslog").write_text("".join(lines))
    files = [{"path": "syslog", "format": "tftpd-hpa"}, {"path": "syslog", "format": "dhcpd"}]
    (tmp_path / "bundle.yaml").write_text(json.dumps({"version": 1, "nodes": ONE, "files": files}))
    stages = {span.stage: span.tries for span in replay(tmp_path)["a"].stages if span.evidence}
    assert stages == {Stage.DHCP_LOADER: 1, Stage.TFTP_LOADER: 1}


def test_no_bundle_at_all(tmp_path: Path) -> None:
    assert run(["replay", str(tmp_path / "nowhere")]) == 2
