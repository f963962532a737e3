"""Backups of a simulated rack: taken without loss of a majority, verified, restored, and what goes wrong on the way."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmatui.model import wire
from plasmatui.model.operation import BackupOrder, OperationRecord, Pace, RecoverClusterOrder, RestoreOrder
from plasmatui.model.words import OperationState, StepResult
from tests.support.operator import Operator, node_of, step_of, told
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


@pytest.fixture(scope="module")
def backup(rack: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all voters, taken when the key `state` was `old`."""
    directory = tmp_path_factory.mktemp("backups")
    Keys(rack).put("node01", "state", "old")
    record = Operator(rack).run(BackupOrder(str(directory)), *VOTERS)
    assert record.state is DONE, told(record)
    return only(directory)


def names(rack: Site, node: str, where: str = "/var/lib") -> list[str]:
    system = rack.rack.rack.nodes[node].machine.system
    assert system is not None
    return system.files.names(where)


def active(rack: Site, node: str, service: str) -> bool:
    return rack.rack.rack.cluster.nodes[node].runs(service)


def test_a_node_is_restored_and_keeps_the_old_data_aside(rack: Site, operator: Operator, backup: Path) -> None:
    keys = Keys(rack)
    keys.put("node01", "state", "new")
    order = RestoreOrder(str(backup), ("chainfire",))
    plan = operator.plan(order, "node02")
    assert (plan.confirm, plan.phrase, plan.refused) == (3, "node02", "")
    record = operator.run(order, "node02")
    part = node_of(record, "node02")
    assert record.state is DONE, told(record)
    assert keys.get("node02", "state") == "new", "it copied what it lacked from the others"
    (old,) = [name for name in names(rack, "node02") if name.startswith("chainfire.before-restore-")]
    assert f"rm -r /var/lib/{old}" in part.message
    assert not [name for name in names(rack, "node02") if "restoring" in name or "failed" in name]
    assert all(group.losses == [] for group in rack.rack.rack.cluster.groups.values())


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flipped, truncated])
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    rack: Site, operator: Operator, backup: Path, tmp_path: Path, damage
) -> None:
    copy = tmp_path / backup.name
    shutil.copytree(backup, copy)
    (archive,) = (copy / "node03").glob("chainfire.tar.*")
    damage(archive)
    before = names(rack, "node03")
    record = operator.run(RestoreOrder(str(copy)), "node03")
    part = node_of(record, "node03")
    assert (part.state, part.error) == (FAILED, "backup-damaged"), told(record)
    assert step_of(part, "copy-chainfire") is None
    assert names(rack, "node03") == before
    assert active(rack, "node03", "chainfire")
    assert rack.cli("backup", "verify", str(copy)).code == 1


def changed_state(backup: Path, node: str, state: bytes) -> None:
    """A backup that is whole by its sums, and holds something else."""
    place = backup / node
    manifest = json.loads((place / "manifest.json").read_text())
    part = next(each for each in manifest["parts"] if each["service"] == "chainfire")
    archive = place / part["file"]
    raw = subprocess.run(["zstd", "-dcq", archive], capture_output=True, check=True).stdout if (
        archive.suffix == ".zst") else gzip.decompress(archive.read_bytes())  # fmt: skip
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(raw)) as old, tarfile.open(fileobj=made, mode="w:gz") as new:
        for member in old:
            content = old.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
            if member.name.endswith("state.json"):
                content, member.size = state, len(state)
            new.addfile(member, io.BytesIO(content))
    archive.unlink()
    part["file"] = "chainfire.tar.gz"
    (place / part["file"]).write_bytes(made.getvalue())
    part["bytes"], part["sha256"] = len(made.getvalue()), hashlib.sha256(made.getvalue()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))


def test_data_with_which_a_service_does_not_start_are_taken_back(
    rack: Site, operator: Operator, backup: Path, tmp_path: Path
) -> None:
    copy = tmp_path / backup.name
    shutil.copytree(backup, copy)
    changed_state(copy, "node03", b"{]")
    before = names(rack, "node03")
    record = operator.run(RestoreOrder(str(copy)), "node03")
    part = node_of(record, "node03")
    assert (part.state, part.error) == (FAILED, "service-unhealthy"), told(record)
    assert "the old data are in their place again" in part.message
    assert any("corrupt" in line for line in part.evidence)
    assert step_of(part, "copy-flaredb") is None, "nothing goes on behind the failure"
    assert names(rack, "node03") == before
    assert Keys(rack).get("node03", "state") == "new"
    assert all(group.losses == [] for group in rack.rack.rack.cluster.groups.values())


def begun(step: str):  # type: ignore[no-untyped-def]
    def met(record: OperationRecord) -> bool:
        return step_of(record.nodes[0], step) is not None

    return met


def test_an_engine_killed_while_it_copies_is_followed_by_one_that_starts_the_service(
    rack: Site, operator: Operator, tmp_path: Path
) -> None:
    number = operator.start(BackupOrder(str(tmp_path)), "node03", pace=SLOW)
    operator.wait(number, "the copy", begun("stream-chainfire"))
    rack.stop_engine(signal.SIGKILL)
    assert not active(rack, "node03", "chainfire")
    rack.engine()
    record = operator.ended(number)
    assert record.state is DONE, told(record)
    assert active(rack, "node03", "chainfire")
    assert active(rack, "node03", "flaredb")
    assert rack.cli("backup", "verify", str(tmp_path)).code == 0


def test_a_cancelled_backup_starts_the_service_and_is_partial(rack: Site, operator: Operator, tmp_path: Path) -> None:
    number = operator.start(BackupOrder(str(tmp_path)), "node03", pace=SLOW)
    operator.wait(number, "the copy", begun("stream-chainfire"))
    operator.ask(wire.CancelOperation(number))
    part = node_of(operator.ended(number), "node03")
    assert part.state is OperationState.CANCELLED
    assert "chainfire runs again" in part.message
    assert active(rack, "node03", "chainfire")
    assert rack.cli("backup", "verify", str(tmp_path)).code == 1
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_ends_the_copy_and_not_the_service(rack: Site, operator: Operator, tmp_path: Path) -> None:
    system = rack.rack.rack.nodes["node02"].machine.system
    assert system is not None
    system.files.write("/var/lib/chainfire/large", os.urandom(24_000_000), 0o600, uid=990, gid=990)
    pid = rack.engine_pid()
    assert pid is not None
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (16_000_000, before[1]))  # stands for a full disk
    try:
        record = operator.run(BackupOrder(str(tmp_path)), "node02")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        system.files.remove("/var/lib/chainfire/large")
    part = node_of(record, "node02")
    assert (part.state, part.error) == (FAILED, "no-space"), told(record)
    assert "the disk of this host is full" in part.message
    assert "chainfire runs again" in part.message
    assert step_of(part, "see-chainfire").result is StepResult.DONE
    assert active(rack, "node02", "chainfire")
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_cluster_that_lives_is_not_recovered(rack: Site, operator: Operator, backup: Path) -> None:
    plan = operator.plan(RecoverClusterOrder(str(backup)), *VOTERS)
    assert "lives" in plan.refused
    record = operator.run(RecoverClusterOrder(str(backup)), *VOTERS)
    assert {node.error for node in record.nodes} == {"refused"}, told(record)
    assert all(group.losses == [] for group in rack.rack.rack.cluster.groups.values())


def lost(rack: Site) -> None:
    """The data of all voters are destroyed."""
    for node in VOTERS:
        rack.rack.fault(node, "data-lost")
    assert not any(group.quorum for group in rack.rack.rack.cluster.groups.values())
    assert not any(name.startswith("chainfire") and "before" not in name for name in names(rack, "node02"))


def one_fails_and_all_go_back(rack: Site, operator: Operator, backup: Path) -> None:
    copy = backup.parent.parent / f"{backup.parent.name}-damaged" / backup.name
    shutil.copytree(backup, copy)
    (archive,) = (copy / "node03").glob("chainfire.tar.*")
    flipped(archive)
    record = operator.run(RecoverClusterOrder(str(copy)), *VOTERS)
    assert node_of(record, "node03").error == "backup-damaged", told(record)
    for node in ("node01", "node02"):
        part = node_of(record, node)
        assert (part.state, part.error) == (FAILED, "restore-failed"), told(record)
        assert "nothing was replaced on it" in part.message
        assert not [name for name in names(rack, node) if "restoring" in name or "failed" in name]
        system = rack.rack.rack.nodes[node].machine.system
        assert system is not None
        assert json.loads(system.files.read("/var/lib/chainfire/raft/state.json"))["log"] == {}, "as it was: nothing"
        assert active(rack, node, "chainfire")


def test_a_lost_cluster_is_recovered_with_every_key_that_it_had(rack: Site, operator: Operator, tmp_path: Path) -> None:
    keys = Keys(rack)
    wrote = {f"k{number}": hashlib.sha256(f"{number}".encode()).hexdigest() for number in range(20)}
    for key, value in wrote.items():
        keys.put("node01", key, value)
    assert operator.run(BackupOrder(str(tmp_path)), *VOTERS).state is DONE
    older = only(tmp_path)
    keys.put("node02", "later", "after the backup")
    lost(rack)
    with pytest.raises(OSError, match="503"):
        keys.get("node01", "k1")
    plan = operator.plan(RecoverClusterOrder(str(tmp_path)), *VOTERS)
    assert plan.order == RecoverClusterOrder(str(older))
    assert (plan.confirm, plan.phrase, plan.refused) == (3, "sim", "")
    one_fails_and_all_go_back(rack, operator, older)
    number = operator.start(RecoverClusterOrder(str(tmp_path)), *VOTERS)
    operator.wait(number, "the swap", begun("place-chainfire"))
    rack.stop_engine(signal.SIGKILL)
    rack.engine()
    record = operator.ended(number)
    assert record.state is DONE, told(record)
    for node in VOTERS:
        assert {key: keys.get(node, key) for key in wrote} == wrote, node
        with pytest.raises(OSError, match="404"):
            keys.get(node, "later")
        assert step_of(node_of(record, node), "read-back").result is StepResult.DONE
    for group in rack.rack.rack.cluster.groups.values():
        assert sorted(group.voters) == list(VOTERS)
        assert group.quorum
    swapped = max(step_of(node, "place-flaredb").end for node in record.nodes)
    assert all(step_of(node, "start-chainfire").begin >= swapped for node in record.nodes), "they begin together"
