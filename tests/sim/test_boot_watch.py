"""Boot watch from end to end: the real engine and program over a simulated rack's consoles and logs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plasmatui.watch.replay import replay
from tests.support.site import Site, site, wait_for

NODES = {"node01": "", "node02": "kernel-missing", "node03": "no-dhcp-answer", "node04": ""}
ENDS = {
    "node01": ("installer-up", "installer-up", []),
    "node02": ("http-kernel", "stopped", ["kernel-missing"]),
    "node03": ("dhcp-loader", "stopped", ["no-dhcp-answer"]),
    "node04": ("installer-up", "installer-up", []),
}


@pytest.fixture
def rack() -> Iterator[Site]:
    with site(nodes=6, port=0, on=0) as made:
        for node, fault in NODES.items():
            if fault:
                made.rack.fault(node, fault)
        made.engine()
        made.consoles_open(6)
        yield made


def power_on(rack: Site, *nodes: str) -> None:
    names = ",".join(nodes)
    assert rack.cli("bootdev", "pxe", names, "--yes").code == 0
    assert rack.cli("power", "on", names, "--yes").code == 0


def shown(rack: Site, *nodes: str) -> dict[str, tuple[str, str, list[str]]]:
    """Stage, outcome and findings of nodes, as `nodes --json` tells them."""
    told = rack.cli("nodes", ",".join(nodes), "--json").json()["nodes"]
    return {
        name: (node["stage"], (node["boot"] or {}).get("outcome", ""), [each["id"] for each in node["findings"]])
        for name, node in told.items()
    }


def timeline(rack: Site, node: str) -> dict[str, Any]:
    boots = rack.cli("timeline", node, "--json").json()["nodes"][node]["boots"]
    assert len(boots) == 1
    return dict(boots[0])


def done(boot: dict[str, Any]) -> list[str]:
    return [span["stage"] for span in boot["stages"] if span["state"] == "done"]


def test_nodes_that_boot_at_once_are_told_apart_and_a_bundle_replays_to_the_same(rack: Site, tmp_path: Path) -> None:
    power_on(rack, *NODES)
    wait_for("every boot's end", lambda: shown(rack, *NODES) == ENDS)
    good = timeline(rack, "node01")
    assert done(good)[:2] == ["override-set", "powering-on"]
    assert {"tftp-loader", "ipxe-script", "http-kernel", "http-initrd", "kernel-start"} <= set(done(good))
    bad = timeline(rack, "node02")
    files = " ".join(text for finding in bad["findings"] for text in finding["evidence"])
    assert "http.log" in files
    assert "console node02" in files, "two witnesses"
    lines = rack.cli("logs", "http", "node02", "--json").json()["lines"]
    assert [line["node"] for line in lines] == ["node02"] * len(lines)
    assert any("404" in line["text"] for line in lines)

    directory = tmp_path / "bundle"
    made = rack.cli("bundle", *NODES, "-o", str(directory))
    assert made.code == 0, made.err
    again = replay(directory)
    for node in NODES:
        live = timeline(rack, node)
        kept = [stage for stage in done(live) if stage not in ("override-set", "powering-on")]
        assert [span.stage for span in again[node].stages if span.state == "done"] == kept
        begins = {span["stage"]: span["begin"] for span in live["stages"]}
        late = {span.stage: span.begin - begins[span.stage] for span in again[node].stages if span.begin is not None}
        assert {stage: gap for stage, gap in late.items() if abs(gap) > 1.0} == {}, "seconds later than they were"
        assert (again[node].reached, again[node].outcome) == (live["reached"], live["outcome"])
        assert [f.id for f in again[node].findings] == [f["id"] for f in live["findings"]]
    secrets = [path.read_bytes().strip() for path in rack.inventory.parent.glob("*password*")]
    assert secrets
    assert not [path for path in directory.iterdir() for secret in secrets if secret in path.read_bytes()]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_boot_goes_on_while_the_engine_is_exchanged(end: signal.Signals) -> None:
    """Whether it left in order or died: what was heard before, and what was logged meanwhile, is one boot."""
    with site(nodes=2, port=0, on=0, speed=3.0) as rack:
        rack.engine()
        rack.consoles_open(2)
        power_on(rack, "node01")
        wait_for("the loader", lambda: "tftp-loader" in done(timeline(rack, "node01")))
        before = timeline(rack, "node01")
        rack.stop_engine(end)
        rack.engine()
        wait_for("the installer", lambda: shown(rack, "node01")["node01"][0] == "installer-up")
        if end is signal.SIGTERM:  # an engine that dies leaves its consoles locked in the BMC for a minute
            wait_for("its end", lambda: timeline(rack, "node01")["outcome"] == "installer-up")
        boot = timeline(rack, "node01")
        assert (boot["number"], boot["findings"]) == (1, [])
        assert boot["begin"] == before["begin"]
        assert set(done(before)) <= set(done(boot))
        assert {"http-kernel", "http-initrd", "kernel-start", "initrd-start"} <= set(done(boot))
        for kind in ("dhcp", "tftp", "http"):
            said = [line["text"] for line in rack.cli("logs", kind, "-n", "10000", "--json").json()["lines"]]
            logs = sorted((rack.inventory.parent / "logs").glob(f"{kind}*.log"))
            written = [line for log in logs for line in log.read_text().splitlines()]
            assert sorted(said) == sorted(written), "no line is lost or doubled"
