"""Backups of a simulated rack: taken without loss of a majority, verified, restored, and what goes wrong on the way."""

from __future__ import annotations

import itertools
import json
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmatui.model.operation import BackupOrder, Pace
from plasmatui.model.words import OperationState
from tests.support.operator import Operator, step_of, told
from tests.support.site import Site, site
from tests.support.tls import trusting

VOTERS = ("node01", "node02", "node03")
DONE, FAILED = OperationState.DONE, OperationState.FAILED
SLOW = Pace(bandwidth=1_000_000)
"""About half a second for the tables of a service."""


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    with site(nodes=4, port=0, on=4) as made:
        made.engine()
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


class Keys:
    """Chainfire's keys as its API shows them."""

    def __init__(self, rack: Site) -> None:
        self._cluster = rack.rack.rack.cluster
        self._context = trusting(rack.rack.rack.ca_path)

    def put(self, node: str, key: str, value: str) -> None:
        self._ask(node, key, json.dumps({"value": value}).encode())

    def get(self, node: str, key: str) -> str:
        return str(json.loads(self._ask(node, key))["value"])

    def _ask(self, node: str, key: str, body: bytes | None = None) -> bytes:
        place = f"https://{self._cluster.nodes[node].address}:{self._cluster.ports['chainfire']}/v1/kv/{key}"
        asked = urllib.request.Request(
            place, body, {"Content-Type": "application/json"}, method="PUT" if body else "GET"
        )
        with urllib.request.urlopen(asked, timeout=10, context=self._context) as answer:
            return bytes(answer.read())


def only(directory: Path) -> Path:
    (found,) = directory.iterdir()
    return found


def test_voters_are_backed_up_one_after_the_other(rack: Site, operator: Operator, tmp_path: Path) -> None:
    cluster = rack.rack.rack.cluster
    keys = Keys(rack)
    keys.put("node01", "before", "kept")
    leaders = {group.leader for group in cluster.groups.values()}
    order = BackupOrder(str(tmp_path / "b"))
    plan = operator.plan(order, *VOTERS)
    assert not plan.refused
    assert any("chainfire" in note for note in plan.nodes[0].notes)
    record = operator.run(order, *VOTERS)
    assert record.state is DONE, told(record)
    assert all(group.losses == [] for group in cluster.groups.values())
    assert cluster.vms.lost == []
    spans = {
        node.node: (step_of(node, "stop-chainfire").begin, step_of(node, "see-flaredb").end) for node in record.nodes
    }
    turns = sorted(spans.values())
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(turns)), "one after the other"
    assert max(spans, key=lambda node: spans[node]) in leaders, "a leader comes last"
    made = only(tmp_path / "b")
    for path in (made, *made.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    manifest = json.loads((made / "node02" / "manifest.json").read_text())
    part = next(each for each in manifest["parts"] if each["service"] == "chainfire")
    assert part["quiesced"] is True
    assert part["raft"]["member"] == "node02"
    assert sorted(part["raft"]["voters"]) == list(VOTERS)
    assert manifest["role"] == "control-plane"
    assert {path.suffix for path in (made / "node02").iterdir()} <= {".zst", ".gz", ".json"}
    verified = rack.cli("backup", "verify", str(made), "--json")
    assert verified.code == 0, verified.err
    listed = rack.cli("backup", "list", str(tmp_path / "b"), "--json").json()["backups"]
    assert (listed[0]["whole"], sorted(listed[0]["nodes"])) == (True, list(VOTERS))
