"""Certificates of a running cluster are rotated, as seen on the wire, never without a majority."""

from __future__ import annotations

import itertools
import json
import signal
import ssl
import stat
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from plasmatui.model.operation import CertsRotateOrder, OperationRecord
from plasmatui.model.words import OperationState, StepResult
from tests.support.operator import Operator, node_of, step_of, told
from tests.support.site import Site, site

VOTERS = ("node01", "node02", "node03")
SECRETS = "/etc/nixos/secrets"
DONE, FAILED = OperationState.DONE, OperationState.FAILED


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    with site(nodes=4, port=0, on=4) as made:
        made.engine()
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


def serial(pem: bytes) -> int:
    return x509.load_pem_x509_certificate(pem).serial_number


def on_the_wire(rack: Site, node: str, service: str) -> int:
    """The serial number of the certificate that a service shows now."""
    cluster = rack.rack.rack.cluster
    pem = ssl.get_server_certificate((cluster.nodes[node].address, cluster.ports[service]), timeout=10)
    return serial(pem.encode())


def on_the_node(rack: Site, node: str) -> dict[str, int]:
    """The files of a node's secrets that belong to its certificate, with their modes."""
    system = rack.rack.rack.nodes[node].machine.system
    assert system is not None
    files = {path.rpartition("/")[2]: file for path, file in system.files.walk(SECRETS)}
    return {name: stat.S_IMODE(file.mode) for name, file in files.items() if name.startswith(f"{node}-")}


def in_the_secrets(rack: Site, node: str) -> int:
    return serial((rack.inventory.parent / "secrets" / node / f"{node}-cert.pem").read_bytes())


class Sampler:
    """Asks all voters of both raft groups again and again, and counts when no majority of them answers as healthy."""

    def __init__(self, rack: Site) -> None:
        self.samples = 0
        self.failed: list[str] = []
        self._cluster = rack.rack.rack.cluster
        self._context = ssl.create_default_context(cafile=str(rack.rack.rack.ca_path))
        self._context.check_hostname = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            for group in ("chainfire", "flaredb"):
                answers = [self._ask(node, group) for node in VOTERS]
                healthy = max(
                    (sum(each["status"] == "healthy" for each in seen) for seen in answers if seen), default=0
                )
                self.samples += 1
                if sum(seen is not None for seen in answers) < 2 or healthy < 2:
                    self.failed.append(f"{group}: {answers}")

    def _ask(self, node: str, group: str) -> list[dict[str, str]] | None:
        place = f"https://{self._cluster.nodes[node].address}:{self._cluster.ports[group]}/admin/cluster/members"
        try:
            with urllib.request.urlopen(place, timeout=10, context=self._context) as answer:
                members = json.load(answer)["members"]
        except OSError:
            return None
        assert isinstance(members, list)
        return members


def test_voters_get_new_certificates_one_after_the_other(rack: Site, operator: Operator) -> None:
    cluster = rack.rack.rack.cluster
    before = {node: on_the_wire(rack, node, "chainfire") for node in VOTERS}
    vms = {vm.id for node in VOTERS for vm in cluster.vms.on(node)}
    plan = operator.plan(CertsRotateOrder(), *VOTERS)
    assert not plan.refused
    assert plan.cli == "plasmatui certs rotate node[01-03]"
    leaders = {group.leader for group in cluster.groups.values()}
    assert plan.nodes[-1].node in leaders, "a leader comes last"
    assert all("its certificate ends" in node.notes[0] for node in plan.nodes)
    with Sampler(rack) as sampler:
        record = operator.run(CertsRotateOrder(), *VOTERS)
    assert record.state is DONE, told(record)
    assert sampler.samples > 5
    assert sampler.failed == []
    assert all(group.losses == [] for group in cluster.groups.values())
    assert cluster.vms.lost == []
    assert {vm.id for node in VOTERS for vm in cluster.vms.on(node)} == vms
    for node in VOTERS:
        new = in_the_secrets(rack, node)
        assert new != before[node]
        for service in ("chainfire", "flaredb", "iam", "prismnet", "flashdns", "fiberlb"):
            assert on_the_wire(rack, node, service) == new, f"{node} {service}"
        assert on_the_wire(rack, node, "plasmavmc") == before[node], "its VMs would die of a restart"
        part = node_of(record, node)
        assert "plasmavmc shows the old certificate" in part.message
        assert step_of(part, "take-plasmavmc").result is StepResult.SKIPPED
        assert on_the_node(rack, node) == {f"{node}-key.pem": 0o600, f"{node}-cert.pem": 0o644}
        assert part.before.startswith("ends ")
        assert part.after != part.before
    spans = sorted((step_of(node, "place").begin, step_of(node, "remove-old").end) for node in record.nodes)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), "one after the other"
    kept = list((rack.inventory.parent / "secrets" / "_old" / "node01").rglob("node01-cert.pem"))
    assert len(kept) == 1
    assert serial(kept[0].read_bytes()) != in_the_secrets(rack, "node01")
    assert not list((rack.inventory.parent / "secrets" / "_new").iterdir())
    units = rack.rack.rack.nodes["node01"].machine.system
    assert units is not None
    assert any("Reloaded fiberlb" in str(entry.message) for entry in units.journal.entries)


def test_a_certificate_that_a_service_does_not_take_is_put_back(rack: Site, operator: Operator) -> None:
    before = on_the_wire(rack, "node02", "chainfire")
    kept = in_the_secrets(rack, "node02")
    rack.rack.fault("node02", "certificate-refused")
    record = operator.run(CertsRotateOrder(), "node02")
    rack.rack.clear("node02")
    part = node_of(record, "node02")
    assert (part.state, part.error) == (FAILED, "service-unhealthy"), told(record)
    assert "chainfire does not start" in part.message
    assert "the old certificate was put back" in part.message
    assert any("KEY_VALUES_MISMATCH" in line for line in part.evidence)
    assert step_of(part, "put-back").result is StepResult.DONE
    assert step_of(part, "take-flaredb") is None, "nothing goes on behind the failure"
    for service in ("chainfire", "flaredb", "iam"):
        assert on_the_wire(rack, "node02", service) == before
    assert in_the_secrets(rack, "node02") == kept
    assert on_the_node(rack, "node02") == {"node02-key.pem": 0o600, "node02-cert.pem": 0o644}
    assert rack.rack.rack.cluster.groups["chainfire"].quorum
    assert not (rack.inventory.parent / "secrets" / "_new" / "node02").exists()


def under_way(step: str):  # type: ignore[no-untyped-def]
    def met(record: OperationRecord) -> bool:
        return step_of(record.nodes[0], step) is not None

    return met


@pytest.mark.parametrize("step", ["place", "take-flaredb", "adopt"])
def test_an_engine_killed_in_the_middle_is_followed_by_one_that_goes_on(
    rack: Site, operator: Operator, step: str
) -> None:
    before = on_the_wire(rack, "node03", "chainfire")
    number = operator.start(CertsRotateOrder(), "node03")
    operator.wait(number, step, under_way(step))
    rack.stop_engine(signal.SIGKILL)
    rack.engine()
    record = operator.ended(number)
    assert record.state is DONE, told(record)
    new = in_the_secrets(rack, "node03")
    assert new != before
    for service in ("chainfire", "flaredb", "iam", "fiberlb"):
        assert on_the_wire(rack, "node03", service) == new
    assert on_the_node(rack, "node03") == {"node03-key.pem": 0o600, "node03-cert.pem": 0o644}
    assert all(group.losses == [] for group in rack.rack.rack.cluster.groups.values())


def test_nothing_is_begun_without_a_ca_that_clients_trust(rack: Site, operator: Operator) -> None:
    place = rack.inventory.parent / "secrets" / "_ca" / "ca-key.pem"
    key = place.read_bytes()
    away = place.with_name("away")
    Path(place).rename(away)
    try:
        plan = operator.plan(CertsRotateOrder(), "node01")
        assert "put the key of the CA Simulated rack CA there" in plan.nodes[0].skipped
        ended = rack.cli("certs", "rotate", "node01", "--yes")
        assert ended.code == 2
    finally:
        away.rename(place)
    assert place.read_bytes() == key
    wrong = operator.plan(CertsRotateOrder("file:/nowhere/at/all"), "node01")
    assert "passphrase" in wrong.nodes[0].skipped
