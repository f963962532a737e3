"""`plasmatui check --online`: what it prints, how it ends, and what it refuses before it asks anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plasmatui.cli import online
from plasmatui.cli.main import run
from plasmatui.model.checks import CHECKS, CheckAnswer, CheckState
from plasmatui.pxe.preflight import dhcp
from plasmatui.pxe.preflight.dhcp import IPv4Address, Offer

OK, WARNING, FAILED = CheckState.OK, CheckState.WARNING, CheckState.FAILED
UNKNOWN, SKIPPED = CheckState.UNKNOWN, CheckState.SKIPPED
TEXT = """
version: 1
cluster: {name: lab}
networks: {provisioning: {cidr: 10.0.100.0/24}}
pxe: {server: 10.0.100.10, interface: eth0}
nodes: {node01: {profile: worker}}
"""


def answer(index: int, state: CheckState, reason: str = "", fix: str = "") -> CheckAnswer:
    check = CHECKS[index]
    return CheckAnswer(check.id, check.group, check.what, state, reason, fix)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ((), 0), ((OK, WARNING, SKIPPED), 0), ((SKIPPED,), 0), ((OK, FAILED), 3), ((OK, UNKNOWN), 3),
        ((FAILED, UNKNOWN, SKIPPED), 1), ((WARNING, FAILED), 3),
    ],
)  # fmt: skip
def test_exit_code(states: tuple[CheckState, ...], code: int) -> None:
    assert online.exit_code([answer(index, state) for index, state in enumerate(states)]) == code


def test_groups_with_failures_come_first_and_texts_are_clean() -> None:
    last = len(CHECKS) - 1
    lines = online._lines([
        answer(0, OK, "3 loaders came"), answer(last, FAILED, "dhcp.log: \x1b]0;owned\x07 old", "see\nit"),
        answer(last - 1, OK), answer(1, SKIPPED, "no server"),
    ])  # fmt: skip
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert text.index("[!!] log-recent") < text.index("[ok] log-sources") < text.index("[ok] tftp-loaders")
    assert "tftp-loaders: every boot loader that is configured comes by TFTP, whole: 3 loaders came" in text
    assert "     loader-architecture: no server" in lines
    assert lines[-1] == "failed 1, ok 2, skipped 1"


@pytest.fixture
def inventory(tmp_path: Path) -> list[str]:
    (tmp_path / "inventory.yaml").write_text(TEXT)
    return ["-i", str(tmp_path / "inventory.yaml"), "check"]


def test_what_belongs_to_online_is_refused_without(inventory: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*inventory, "--only", "tools"]) == 2
    assert run([*inventory, "--online", "--only", "tolls"]) == 2
    assert run([*inventory, "--online", "--only", "dhcp-servers"]) == 2
    assert "add --dhcp-probe IFACE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("offers", "state", "told"),
    [
        (("10.0.100.10",), "ok", "10.0.100.10 offers 10.0.100.120 and the file ipxe.efi"),
        (("10.0.100.10", "10.0.100.66"), "failed", "10.0.100.66 offers"),
        ((), "failed", "no server answered on eth0"),
    ],
)
def test_dhcp_servers_are_named_without_an_engine(
    inventory: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    offers: tuple[str, ...],
    state: str,
    told: str,
) -> None:
    async def probe(interface: str) -> tuple[Offer, ...]:
        assert interface == "eth0"
        address = IPv4Address("10.0.100.120")
        return tuple(Offer(IPv4Address(each), address, address, "ipxe.efi") for each in offers)

    monkeypatch.setattr(dhcp, "probe", probe)
    monkeypatch.setattr(online, "engine", None)  # it is not asked
    code = run([*inventory, "--online", "--only", "dhcp-servers", "--dhcp-probe", "eth0", "--json"])
    found = json.loads(capsys.readouterr().out)["results"]
    assert [each["state"] for each in found] == [state]
    assert told in found[0]["reason"]
    assert code == (0 if state == "ok" else 1)
    assert ("switch off the DHCP server at 10.0.100.66" in (found[0]["fix"] or "")) is (len(offers) == 2)


def test_without_root_it_says_so(
    inventory: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def probe(_: str) -> tuple[Offer, ...]:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(dhcp, "probe", probe)
    assert run([*inventory, "--online", "--only", "dhcp-servers", "--dhcp-probe", "eth0"]) == 1
    assert "sudo plasmatui" in capsys.readouterr().out
