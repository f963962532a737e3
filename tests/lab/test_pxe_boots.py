"""Virtual machines boot from the network through real daemons started from rendered files, and their timelines are
right, with evidence from the servers' logs and from the serial console."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import REQUIRE_LAB
from tests.lab.boots import BROKEN, FILES, LIMIT, ORDERED, UP, Boot, Images, Scenario, missing
from tests.support.boot_lab import NODE, START

AT_ONCE = 5
"""Machines; each takes a few hundred MB."""

PROGRAMS = {
    "kea": "kea-dhcp4",
    "tftpd-hpa": "in.tftpd",
    "dnsmasq-proxy": "dnsmasq",
    "other-dhcpd": "dhcpd",
    "serve": "",
}
STORY_PROGRAMS = {
    "": (),
    "power": ("ipmi_sim", "setsid"),
    "boot": ("ipmi_sim", "setsid", "dropbear", "dropbearkey", "ldd"),
    "keys": ("ipmi_sim", "setsid", "dropbear", "dropbearkey", "ldd", "tmux"),
}

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(LIMIT + 3 * START),
    pytest.mark.needs("qemu-system-x86_64", "busybox", "unshare", "ip", "mount", *FILES),
    pytest.mark.skipif(bool(missing()) and not REQUIRE_LAB, reason=missing()),
]


def _params(scenarios: Mapping[str, Scenario | tuple[Scenario, str]]) -> list[Any]:
    """Parameters with their names and the programs that they need."""
    params = []
    for name, value in scenarios.items():
        values = value if isinstance(value, tuple) else (value,)
        programs = [PROGRAMS.get(each, each) for each in values[0].daemons]
        needed = [*filter(None, programs), *STORY_PROGRAMS[values[0].story]]
        params.append(pytest.param(*values, marks=pytest.mark.needs(*needed), id=name))
    return params


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Boot]]:
    """All scenarios that are to be tested, begun together: a machine waits for its firmware's and its loader's timers
    for most of its boot. No more than `AT_ONCE` run at a time."""
    lacking = missing()
    assert not lacking, lacking
    images = Images(tmp_path_factory.mktemp("images"))
    begun: dict[str, Boot] = {}
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and not item.get_closest_marker("skip"):
            begun[item.callspec.id] = Boot(item.callspec.params["scenario"], tmp_path_factory.mktemp("boot"), images)
    with ThreadPoolExecutor(AT_ONCE, "boot") as threads:
        for boot in begun.values():
            boot.wrong = threads.submit(boot.lab.run)
        try:
            yield begun
        finally:
            for boot in begun.values():
                boot.lab.end()


@pytest.mark.parametrize("scenario", _params(UP))
def test_the_timeline_of_a_boot(
    scenario: Scenario,
    boots: dict[str, Boot],
    request: pytest.FixtureRequest,
) -> None:
    """All stages are done and none was guessed; each has evidence from the files that must have seen it."""
    timeline, told = boots[request.node.callspec.id].timeline()
    assert (timeline["reached"], timeline["outcome"], timeline["boot"]) == ("installer-up", "installer-up", 1), told
    assert [stage["stage"] for stage in timeline["stages"]] == ["firmware", *scenario.stages], told
    for stage in timeline["stages"]:
        assert stage["state"] == "done", told
        assert not stage["inferred"], told
        missed = scenario.seen()[stage["stage"]] - {each["file"] for each in stage["evidence"]}
        assert not missed, f"{stage['stage']} has no evidence from {missed}\n{told}"
    assert [finding for finding in timeline["findings"] if finding["severity"] == "error"] == [], told


@pytest.mark.parametrize(("scenario", "finding"), _params(BROKEN))
def test_a_fault_is_named(
    scenario: Scenario,
    finding: str,
    boots: dict[str, Boot],
    request: pytest.FixtureRequest,
) -> None:
    """The first finding is the cause; another that follows from it may come after it."""
    timeline, told = boots[request.node.callspec.id].timeline()
    assert (timeline["reached"], timeline["outcome"]) == (scenario.stages[-1], "stopped"), told
    assert [each["id"] for each in timeline["findings"] if each["severity"] == "error"][:1] == [finding], told
    if scenario.pull:
        at = timeline["stages"][-1]
        assert (at["stage"], at["state"]) == ("http-initrd", "failed"), told
        assert 0 < at["percent"] < 100, told
        assert f"stands still at {at['percent']:.0f} %: what the server sends" in timeline["findings"][0]["cause"], told
        assert "cable" in timeline["findings"][0]["remedy"], told


def _only(boot: dict[str, Any]) -> dict[str, Any]:
    (only,) = boot["nodes"][NODE]["boots"]
    return dict(only)


def _done(boot: dict[str, Any], stages: tuple[str, ...], told: str) -> None:
    """All stages are done, seen and not guessed."""
    assert [each["stage"] for each in boot["stages"]] == ["powering-on", "firmware", *stages], told
    for stage in boot["stages"]:
        assert (stage["state"], stage["inferred"]) == ("done", False), told


@pytest.mark.parametrize("scenario", _params({"bios-by-ipmi": ORDERED["bios-by-ipmi"]}))
def test_a_machine_is_switched_on_by_ipmi_and_watched(
    scenario: Scenario, boots: dict[str, Boot], request: pytest.FixtureRequest
) -> None:
    """The device that was set is the one that is booted; the serial line comes over the LAN; the end is seen."""
    story, told = boots[request.node.callspec.id].story()
    for name, device in (("disk", "disk"), ("pxe", "pxe")):
        answer = story[name]["nodes"][NODE]
        # This BMC takes the device and cannot tell it (its answer is never valid).
        assert (answer["ok"], answer["device"], answer["verified"]) == (True, device, None), told
    powers = [story[name]["nodes"][NODE] for name in ("first", "second", "off")]
    assert [(each["before"], each["power"]) for each in powers] == [("off", "on"), ("off", "on"), ("on", "off")], told
    assert story["events"] == ["on network", "on disk"], told
    newest = _only(story["timeline"])
    assert (newest["reached"], newest["outcome"]) == ("installer-up", "installer-up"), told
    _done(newest, scenario.stages, told)
    console = f"console {NODE}"
    silent = {each["stage"] for each in newest["stages"] if console not in {line["file"] for line in each["evidence"]}}
    assert silent == {"powering-on"}, told
    assert story["status"]["nodes"][NODE]["power"] == "off", told


@pytest.mark.parametrize("scenario", _params({"uefi-by-ipmi": ORDERED["uefi-by-ipmi"]}))
def test_one_command_boots_an_installer_until_ssh_answers(
    scenario: Scenario, boots: dict[str, Boot], request: pytest.FixtureRequest
) -> None:
    """By UEFI, with the installer's host key from the serial line. A password that the BMC refuses is named as that,
    and nothing was switched on by it."""
    story, told = boots[request.node.callspec.id].story()
    refused = story["refused"]
    assert (refused["code"], refused["nodes"][NODE]["error"]["id"]) == (1, "bmc-auth"), told
    for name in ("refused-status", "refused-nodes"):
        assert story[name]["nodes"][NODE]["error"]["id"] == "bmc-auth", told
    assert [each["id"] for each in story["refused-nodes"]["nodes"][NODE]["findings"]] == ["bmc-auth"], told
    assert story["events"] == ["on network"], told
    assert (story["boot"]["code"], story["boot"]["nodes"][NODE]["ok"]) == (0, True), told
    newest = _only(story["timeline"])
    assert (newest["reached"], newest["outcome"]) == ("ssh-ready", "installer-up"), told
    _done(newest, (*scenario.stages, "ssh-ready"), told)
    assert story["status"]["nodes"][NODE]["power"] == "on", told


@pytest.mark.parametrize("scenario", _params({"bios-by-keys": ORDERED["bios-by-keys"]}))
def test_an_operator_boots_an_installer_by_keys(
    scenario: Scenario, boots: dict[str, Boot], request: pytest.FixtureRequest
) -> None:
    """In a terminal: the dialog, the stages in the node's row, its timeline."""
    story, told = boots[request.node.callspec.id].story()
    assert story["events"] == ["on network"], told
    known = list(dict.fromkeys(stage for stage in story["stages"] if stage in scenario.stages))
    assert known == [stage for stage in scenario.stages if stage in known], told
    assert len(known) >= 3, told
    for stage in ("firmware", *scenario.stages, "ssh-ready"):
        assert re.search(rf"done +{stage} ", story["boot"]), told
