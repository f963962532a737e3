"""The provisioning key is replaced on a running rack, and nobody is locked out at any moment, whatever fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmatui.inventory.loader import load
from plasmatui.model import wire
from plasmatui.model.operation import BootOrder, OperationRecord, SshKeysRotateOrder
from plasmatui.model.words import OperationState, PowerAction
from tests.support.operator import Operator, node_of, step_of, told
from tests.support.site import Site, site

NODES = ("node01", "node02", "node03", "node04")
DONE, FAILED = OperationState.DONE, OperationState.FAILED


@pytest.fixture(scope="module")
def rack() -> Iterator[Site]:
    with site(nodes=4, port=0, on=4) as made:
        made.engine()
        assert made.cli("sshkeys", "status").code == 0  # the first login brings the configured key's file
        yield made


@pytest.fixture
def operator(rack: Site) -> Operator:
    return Operator(rack)


def key_in_use(rack: Site) -> str:
    return load(rack.inventory).ssh.key


def let_in(rack: Site, node: str) -> set[str]:
    """The keys that a node's sshd lets in, without comments."""
    system = rack.rack.rack.nodes[node].machine.system
    assert system is not None
    text = system.files.read("/root/.ssh/authorized_keys").decode()
    return {" ".join(line.split()[:2]) for line in text.splitlines()}


def public(key: str) -> str:
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


def rotated(rack: Site, operator: Operator, record: OperationRecord, old: str) -> None:
    """Everything is as it should be after a rotation."""
    assert record.state is DONE, told(record)
    new = key_in_use(rack)
    assert new != old
    assert Path(new).stat().st_mode & 0o777 == 0o600
    for node in NODES:
        assert let_in(rack, node) == {public(new)}, node
    status = rack.cli("sshkeys", "status")
    assert status.code == 0, status.out


def test_a_node_that_cannot_be_reached_keeps_everything_as_it_is(rack: Site, operator: Operator) -> None:
    old = key_in_use(rack)
    before = rack.inventory.read_bytes()
    rack.rack.fault("node03", "ssh-refused")
    plan = operator.plan(SshKeysRotateOrder(), *NODES)
    assert any("nothing would be switched" in note for note in plan.nodes[2].notes)
    assert any(".pub into the flake" in note for note in plan.nodes[0].notes)
    record = operator.run(SshKeysRotateOrder(), *NODES)
    assert record.state is FAILED
    assert node_of(record, "node03").error == "ssh-refused"
    for node in ("node01", "node02", "node04"):
        part = node_of(record, node)
        assert part.error == "peers", told(record)
        assert "the old key stays" in part.message
        assert "node03 failed" in part.message
    order = record.order
    assert isinstance(order, SshKeysRotateOrder)
    assert rack.inventory.read_bytes() == before
    assert let_in(rack, "node03") == {public(old)}
    assert let_in(rack, "node01") == {public(old), public(order.new)}

    rack.rack.clear("node03")
    again = operator.ask(wire.RetryOperation(record.number))
    assert isinstance(again, wire.OperationReply)
    rotated(rack, operator, operator.ended(again.operation.number), old)
    after = rack.inventory.read_text()
    assert after == before.decode().replace(f'key: "{old}"', f"key: {order.new}"), "nothing else of it is changed"


def under_way(step: str):  # type: ignore[no-untyped-def]
    def met(record: OperationRecord) -> bool:
        return step_of(record.nodes[0], step) is not None

    return met


@pytest.mark.parametrize("step", ["add-key", "remove-old"])
def test_an_engine_killed_in_the_middle_is_followed_by_one_that_goes_on(
    rack: Site, operator: Operator, step: str
) -> None:
    old = key_in_use(rack)
    number = operator.start(SshKeysRotateOrder(), *NODES)
    operator.wait(number, step, under_way(step))
    rack.stop_engine(signal.SIGKILL)
    rack.engine()
    rotated(rack, operator, operator.ended(number), old)


def test_nodes_outside_the_set_are_not_locked_out(rack: Site, operator: Operator) -> None:
    old = key_in_use(rack)
    record = operator.run(SshKeysRotateOrder(), *NODES[:3])
    assert record.state is FAILED
    assert node_of(record, "node01").error == "peers"
    assert "node04 does not let the new key in" in node_of(record, "node01").message
    assert key_in_use(rack) == old
    assert all(public(old) in let_in(rack, node) for node in NODES)

    rack.rack.fault("node04", "ssh-refused")
    number = operator.start(record.order, *NODES[:3])
    held = operator.wait(number, "the question", lambda record: record.nodes[0].state is OperationState.HELD)
    assert "node04: no answer" in held.nodes[0].question
    operator.ask(wire.ReleaseOperation(number, "node01", "stop"))
    assert operator.ended(number).state is not DONE
    assert key_in_use(rack) == old
    number = operator.start(record.order, *NODES[:3])
    operator.wait(number, "the question", lambda record: record.nodes[0].state is OperationState.HELD)
    operator.ask(wire.ReleaseOperation(number, "node01", "switch"))
    ended = operator.ended(number)
    rack.rack.clear("node04")
    assert ended.state is DONE, told(ended)
    assert let_in(rack, "node04") == {public(old)}, "the old key is the way in there, as was said"
    assert let_in(rack, "node01") == {public(key_in_use(rack))}


def test_installers_let_in_what_the_images_name(rack: Site, operator: Operator) -> None:
    """As after a rotation: until the images name the new key, they let in the old one alone."""
    keys = rack.rack.rack.provisioning.authorized_keys
    new = Path(f"{key_in_use(rack)}.pub").read_text()
    keys.write_text(new)
    rack.rack.run(_blank(rack, "node04"))
    record = operator.run(BootOrder(), "node04")
    assert record.state is DONE, told(record)


async def _blank(rack: Site, node: str) -> None:
    machine = rack.rack.rack.nodes[node].machine
    machine.order(PowerAction.OFF)
    machine.installed = False
