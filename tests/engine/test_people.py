"""Several operators on one engine: roles, another Unix user, presence, audit, notes and locks."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest

import plasmatui
from plasmatui.client import NOBODY, EngineClient, EngineError, EngineUnreachableError, connect
from plasmatui.engine.access import Gatekeeper, Peer, RefusedError
from plasmatui.engine.process import EngineStartError
from plasmatui.inventory.inventory import Access, Inventory
from plasmatui.journal import schema
from plasmatui.model import wire
from plasmatui.model.access import ORDER_ROLES, REQUEST_ROLES, role_of_request
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import AuditLine, LifecycleChanged
from plasmatui.model.node import NodeState
from plasmatui.model.operation import BootDeviceOrder, Order, PowerOrder, ReprovisionOrder
from plasmatui.model.words import Lifecycle, Power, PowerAction, Role
from plasmatui.paths import UnsafeDirectoryError, check_shared, engine_paths
from tests.engine.conftest import Running, Start, until
from tests.engine.fakes import rack

ON, OFF = PowerOrder(PowerAction.ON), PowerOrder(PowerAction.OFF)

ACCESS = Access(admin=("%admins", "root2"), operator=("olga",), viewer=("vera",))

UIDS = {"root2": 4000, "olga": 4001, "vera": 4002, "mallory": 4003, "ada": 4004}


@dataclasses.dataclass
class Account:
    pw_name: str
    pw_gid: int


@dataclasses.dataclass
class Group:
    gr_gid: int
    gr_mem: list[str]


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users and groups that this machine does not have."""
    names = {uid: name for name, uid in UIDS.items()}

    def user(uid: int) -> Account:
        return Account(names[uid], 100)

    def group(name: str) -> Group:
        return {"admins": Group(500, ["ada"])}[name]

    monkeypatch.setattr("plasmatui.engine.access.pwd.getpwuid", user)
    monkeypatch.setattr("plasmatui.engine.access.grp.getgrnam", group)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "shared"
    directory.mkdir(0o755)
    monkeypatch.setenv("PLASMATUI_SHARED", str(directory))
    return directory


def open_to(inventory: Inventory, access: Access | None = ACCESS) -> Inventory:
    return dataclasses.replace(inventory, policy=dataclasses.replace(inventory.policy, access=access))


class People:
    """Connections of users that this machine does not have, to one engine."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = running
        self._monkeypatch = monkeypatch

    @asynccontextmanager
    async def __call__(self, user: str, *, kind: str = "cli") -> AsyncIterator[EngineClient]:
        uid = UIDS.get(user, os.getuid())
        self._monkeypatch.setattr("plasmatui.engine.server.peer_of", lambda _: Peer(1, uid, frozenset((uid,))))
        async with await EngineClient.connect(self.running.paths.shared, kind=kind) as client:
            yield client


@pytest.fixture
async def people(
    start: Start, accounts: None, shared: Path, private_directories: Path, monkeypatch: pytest.MonkeyPatch
) -> People:
    inventory = open_to(rack(3, private_directories / "inventory.yaml"))
    return People(await start(inventory=inventory), monkeypatch)


async def refused(client: EngineClient, body: wire.RequestBody) -> wire.Problem:
    with pytest.raises(EngineError) as error:
        await client.ask(body)
    return error.value.problem


async def audit(client: EngineClient, **wanted: object) -> tuple[AuditLine, ...]:
    reply = await client.ask(wire.ListAudit(**wanted))  # type: ignore[arg-type]
    assert isinstance(reply, wire.Audit)
    return reply.lines


async def ended(client: EngineClient, body: wire.StartOrder) -> None:
    """Start an order and wait for its end."""
    reply = await client.ask(body)
    assert isinstance(reply, wire.OperationReply)
    for _ in range(500):
        records = await client.ask(wire.ListOperations(1, reply.operation.number))
        assert isinstance(records, wire.Operations)
        if records.operations[0].state.ended:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the operation did not end")


# --- roles ------------------------------------------------------------------------------------------------------------


def test_every_request_and_order_has_a_role() -> None:
    assert set(get_args(wire.RequestBody)) == set(REQUEST_ROLES)
    assert set(get_args(Order)) == set(ORDER_ROLES)


def test_what_overrides_is_for_admins() -> None:
    assert role_of_request(wire.StartOrder(OFF, ("n1",))) is Role.OPERATOR
    assert role_of_request(wire.StartOrder(ReprovisionOrder(), ("n1",))) is Role.ADMIN
    assert role_of_request(wire.StartOrder(OFF, ("n1",), None, "lab")) is Role.ADMIN
    assert role_of_request(wire.StartOrder(OFF, ("n1",), None, "", True)) is Role.ADMIN
    assert role_of_request(wire.RetryOperation(1, "lab")) is Role.ADMIN
    assert role_of_request(wire.UnlockNodes(("n1",), True)) is Role.ADMIN


async def test_a_viewer_looks_and_changes_nothing(people: People) -> None:
    async with people("vera") as client:
        assert client.welcome.role is Role.VIEWER
        await client.ask(wire.Watch())
        await client.ask(wire.PlanOrder(ON, ("n1",)))
        await client.ask(wire.ConsoleOpen("n1"))
        for body in (
            wire.StartOrder(ON, ("n1",)),
            wire.ConsolePen("n1"),
            wire.CancelOperation(1),
            wire.PutNote("n1", "x"),
            wire.LockNodes(("n1",), "x"),
            wire.StopEngine(),
            wire.MakeBundle(("n1",), "/tmp/never"),
        ):
            problem = await refused(client, body)
            assert problem.id == "role", body
            assert "vera is viewer" in problem.message
        lines = await audit(client, user="vera")
    assert people.running.backend.machines["n1"].calls == []
    assert {(line.node, line.text) for line in lines} >= {("n1", "start power"), ("n1", "console-pen")}
    assert {line.uid for line in lines} == {4002}
    assert all(line.result.startswith("refused: needs the role") for line in lines)


async def test_an_operator_runs_machines_but_wipes_none(people: People) -> None:
    async with people("olga") as client:
        await ended(client, wire.StartOrder(ON, ("n1",)))
        await client.ask(wire.ConsoleOpen("n1"))
        await client.ask(wire.ConsolePen("n1"))
        for body in (
            wire.StartOrder(ReprovisionOrder(), ("n1",)),
            wire.StartOrder(OFF, ("n1",), None, "lab"),
            wire.StartOrder(OFF, ("n1",), None, "", True),
            wire.StopEngine(),
            wire.Reload(),
        ):
            assert (await refused(client, body)).id == "role"
    assert people.running.backend.machines["n1"].power_is is Power.ON


async def test_an_operator_does_not_let_an_admins_order_go_on(people: People) -> None:
    """Whoever may not order it may not release or retry it either."""
    people.running.backend.machines["n1"].gate = asyncio.Event()
    async with people("ada") as admin, people("olga") as operator:
        assert admin.welcome.role is Role.ADMIN
        await admin.ask(wire.StartOrder(ON, ("n1",)))
        reply = await admin.ask(wire.StartOrder(ReprovisionOrder(), ("n1",)))  # waits for the one before
        assert isinstance(reply, wire.OperationReply)
        number = reply.operation.number
        await operator.ask(wire.HoldOperation(number))
        problem = await refused(operator, wire.ReleaseOperation(number))
        assert problem.id == "role"
        await operator.ask(wire.CancelOperation(number))
        people.running.backend.machines["n1"].gate.set()


async def test_who_is_not_named_may_not_come_in(people: People) -> None:
    with pytest.raises(EngineUnreachableError, match=r"mallory.*has no role here"):
        async with people("mallory"):
            pass


async def test_the_name_is_the_kernels(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmatui.client._user_name", lambda: "root")
    monkeypatch.setenv("SSH_CONNECTION", "10.9.8.7 40000 10.0.0.1 22")
    async with people("olga") as client:
        await ended(client, wire.StartOrder(ON, ("n1",)))
        lines = await audit(client, nodes=("n1",))
    assert {line.by for line in lines} == {"olga"}
    assert all(line.client.startswith("cli ") and line.client.endswith("from 10.9.8.7") for line in lines)


async def test_a_slow_directory_of_users_refuses_and_blocks_nobody(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmatui.engine.access.LOOKUP_LIMIT", 0.1)
    gate = Gatekeeper(lambda: ACCESS)
    import threading

    release = threading.Event()
    monkeypatch.setattr("plasmatui.engine.access.pwd.getpwuid", lambda uid: release.wait(10))
    try:
        beats = 0
        task = asyncio.create_task(gate.admit(Peer(1, 4001, frozenset())))
        while not task.done():
            beats += 1
            await asyncio.sleep(0.005)
        with pytest.raises(RefusedError, match="did not answer"):
            task.result()
        assert beats > 5
    finally:
        release.set()
        gate.close()


async def test_roles_follow_the_inventory_when_it_is_read_again(
    people: People, private_directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = private_directories / "inventory.yaml"
    head = "version: 1\ncluster: {name: lab}\nnodes: {n1: {}}\n"
    async with people("olga") as operator, people("vera") as viewer:
        lost: list[str] = []
        operator.on_lost = viewer.on_lost = lost.append
        path.write_text(head + "policy: {access: {viewer: [olga]}}\n")
        monkeypatch.setattr("plasmatui.engine.server.peer_of", lambda _: Peer(1, os.getuid(), frozenset()))
        async with await people.running.client() as owner:
            await owner.ask(wire.Reload())
        await until(lambda: len(lost) == 2)
        assert any("your role is viewer now" in text for text in lost)
        assert any("vera" in text and "no role" in text for text in lost)
    path.write_text(head)
    async with await people.running.client() as owner:
        await owner.ask(wire.Reload())
    assert not people.running.paths.shared.exists()


async def test_the_shared_socket_is_for_the_directorys_group(people: People) -> None:
    paths = people.running.paths
    assert os.stat(paths.shared).st_mode & 0o777 == 0o660
    assert os.stat(paths.socket).st_mode & 0o777 == 0o600
    assert os.stat(paths.shared).st_gid == os.stat(paths.shared.parent).st_gid


async def test_no_engine_is_shared_in_a_directory_that_others_may_write_to(
    start: Start, shared: Path, private_directories: Path
) -> None:
    os.chmod(shared, 0o777)
    with pytest.raises(EngineStartError, match="nobody else may write to"):
        await start(inventory=open_to(rack(1, private_directories / "inventory.yaml")))


async def test_another_user_finds_the_shared_socket(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmatui.paths.runtime_root", lambda: Path("/nowhere/of/mine"))
    monkeypatch.setattr("plasmatui.engine.server.peer_of", lambda _: Peer(1, UIDS["olga"], frozenset()))
    paths = engine_paths(people.running.paths.inventory)
    assert not await asyncio.to_thread(paths.socket.exists)
    async with await connect(paths, kind="cli") as client:
        assert client.welcome.role is Role.OPERATOR
    await people.running.close()
    with pytest.raises(EngineUnreachableError) as error:
        await connect(paths, kind="cli")
    assert isinstance(error.value.__cause__, NOBODY)


def test_the_directory_of_shared_sockets_names_who_runs_the_engines(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmatui.paths.os.getuid", lambda: 4711)
    with pytest.raises(UnsafeDirectoryError, match="this is user 4711: ask for the engine"):
        check_shared(shared)


async def test_there_is_no_shared_socket_without_access(start: Start, shared: Path) -> None:
    running = await start(1)
    assert running.paths.shared.parent == shared
    assert os.listdir(shared) == []


# --- another Unix user ------------------------------------------------------------------------------------------------

_CLIENT = """
import asyncio, json, os, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
from pathlib import Path
from plasmatui.client import EngineClient, EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.operation import PowerOrder
from plasmatui.model.words import PowerAction
os.setgroups([]); os.setgid(gid); os.setuid(uid)

async def main():
    try:
        async with await EngineClient.connect(Path(sys.argv[3]), kind="cli") as client:
            told = {"role": client.welcome.role}
            off = wire.StartOrder(PowerOrder(PowerAction.OFF), ("n1",))
            for name, body in (("off", off), ("stop", wire.StopEngine())):
                try:
                    await client.ask(body)
                    told[name] = "done"
                except EngineError as error:
                    told[name] = error.problem.id
            return told
    except EngineUnreachableError as error:
        return {"unreachable": str(error)}

print(json.dumps(asyncio.run(main())))
"""


async def as_user(uid: int, gid: int, socket: Path) -> dict[str, str]:
    """What a process of that user is told on that socket."""
    tree = str(Path(plasmatui.__file__).parent.parent)
    command = [sys.executable, "-c", _CLIENT, str(uid), str(gid), str(socket)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": tree}, cwd="/"
    )
    out, _ = await process.communicate()
    answer = json.loads(out)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: becomes another Unix user")
@pytest.mark.parametrize(
    ("access", "told"),
    [
        (Access(viewer=("nobody",)), {"role": "viewer", "off": "role", "stop": "role"}),
        (Access(operator=("%nogroup",)), {"role": "operator", "off": "done", "stop": "role"}),
        (Access(admin=("nobody",), viewer=("nobody",)), {"role": "admin", "off": "done", "stop": "busy"}),
        (Access(admin=("root",)), {}),
    ],
)
async def test_another_unix_user_has_the_role_that_the_inventory_gives(
    start: Start, private_directories: Path, monkeypatch: pytest.MonkeyPatch, access: Access, told: dict[str, str]
) -> None:
    import grp
    import pwd
    import tempfile

    nobody = pwd.getpwnam("nobody")
    nogroup = grp.getgrgid(nobody.pw_gid)
    access = dataclasses.replace(
        access, operator=tuple(f"%{nogroup.gr_name}" if name == "%nogroup" else name for name in access.operator)
    )
    with tempfile.TemporaryDirectory(prefix="plasmatui-shared-") as directory:
        os.chown(directory, 0, nobody.pw_gid)
        os.chmod(directory, 0o2750)
        monkeypatch.setenv("PLASMATUI_SHARED", directory)
        running = await start(inventory=open_to(rack(1, private_directories / "inventory.yaml"), access))
        running.backend.machines["n1"].power_is = Power.ON
        running.backend.machines["n1"].gate = asyncio.Event()
        plain = await as_user(nobody.pw_uid, nobody.pw_gid, running.paths.socket)
        shared = await as_user(nobody.pw_uid, nobody.pw_gid, running.paths.shared)
        running.backend.machines["n1"].gate.set()
    assert "Permission denied" in plain["unreachable"]
    if told:
        assert shared == told
    else:
        assert "nobody" in shared["unreachable"]
        assert "has no role here" in shared["unreachable"]


# --- audit ------------------------------------------------------------------------------------------------------------


async def test_the_audit_tells_who_did_what_and_what_it_changed(people: People) -> None:
    async with people("olga") as client:
        await ended(client, wire.StartOrder(ON, ("n1", "n2")))
        await ended(client, wire.StartOrder(BootDeviceOrder(BootDevice(Device.PXE)), ("n1",)))
        everything = await audit(client)
        one = await audit(client, nodes=("n1",))
    assert everything[-1].text.startswith("plasmatui power on n[1-2] (operation ")
    assert everything[-1].result == "begun"
    outcomes = [(line.text.split(" (")[0], line.before, line.after) for line in one if line.before]
    assert outcomes == [("plasmatui bootdev pxe n1", "none", "pxe"), ("plasmatui power on n[1-2]", "off", "on")]
    assert {line.operation for line in everything} == {line.operation for line in one} != {0}
    assert {line.node for line in one} == {"n1"}
    async with people("ada") as client:
        assert await audit(client, user="ada") == ()
        assert await audit(client, since=time.time() + 60) == ()
        assert len(await audit(client, user="olga")) == len(everything)


def test_lines_of_the_audit_are_never_changed(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "journal.db")
    schema.prepare(connection)
    connection.execute("INSERT INTO audit (number, wall, actor, node, text, result) VALUES (1, 1, 'a', 'n', 't', 'r')")
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        connection.execute("UPDATE audit SET actor = 'b'")


# --- presence ---------------------------------------------------------------------------------------------------------


async def test_everybody_sees_who_is_attached(people: People) -> None:
    async with people("olga", kind="tui") as first:
        snapshot = await first.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        seen = list(snapshot.clients)

        def take(changes: wire.Changes) -> None:
            if changes.clients is not None:
                seen[:] = changes.clients

        first.on_changes = take
        async with people("vera") as second:
            await second.ask(wire.Here("console n2\x1b[31m"))
            await until(lambda: any(client.place for client in seen))
            assert {(client.user, client.role, client.kind) for client in seen} == {
                ("olga", Role.OPERATOR, "tui"),
                ("vera", Role.VIEWER, "cli"),
            }
            assert next(client.place for client in seen if client.user == "vera").startswith("console n2")
            assert not any("\x1b" in client.place for client in seen)
        await until(lambda: len(seen) == 1)


# --- locks and notes --------------------------------------------------------------------------------------------------


async def state_of(client: EngineClient, node: str) -> NodeState:
    snapshot = await client.ask(wire.Watch())
    assert isinstance(snapshot, wire.Snapshot)
    return next(state for state in snapshot.states if state.name == node)


async def test_a_locked_node_refuses_everybody_but_its_locker(people: People) -> None:
    async with people("olga") as olga, people("ada") as ada:
        await olga.ask(wire.LockNodes(("n1",), "new disk"))
        assert (await state_of(ada, "n1")).flags == ("locked",)
        for body in (wire.StartOrder(ON, ("n1", "n2")), wire.ConsolePen("n1"), wire.UnlockNodes(("n1",))):
            problem = await refused(ada, body)
            assert problem.id == "locked"
            assert "n1 is locked by olga" in problem.message
            assert "new disk" in problem.message
        plan = await ada.ask(wire.PlanOrder(ON, ("n1",)))
        assert isinstance(plan, wire.PlanReply)
        assert "locked by olga" in plan.plan.locked
        assert people.running.backend.machines["n1"].calls == []
        assert any("refused: n1 is locked by olga" in line.result for line in await audit(ada, user="ada"))
        await ended(olga, wire.StartOrder(ON, ("n1",)))
        await ended(ada, wire.StartOrder(OFF, ("n1",), None, "", True))
        assert any("locks of others broken" in line.text for line in await audit(ada, user="ada"))
        await ada.ask(wire.UnlockNodes(("n1",), True))
        assert (await state_of(ada, "n1")).lock is None
        (line,) = await audit(ada, nodes=("n1",), user="ada", limit=1)
        assert (line.text, line.before, line.after) == ("break the lock", "locked by olga: new disk", "unlocked")


async def test_a_lock_keeps_out_what_waits_already(people: People) -> None:
    """An order that waits for another operation's end does not begin on a node that was locked meanwhile."""
    gate = people.running.backend.machines["n1"].gate = asyncio.Event()
    async with people("olga") as olga, people("ada") as ada:
        await ada.ask(wire.StartOrder(ON, ("n1",)))
        waiting = await ada.ask(wire.StartOrder(OFF, ("n1",)))
        assert isinstance(waiting, wire.OperationReply)
        await olga.ask(wire.LockNodes(("n1",), "mine"))
        gate.set()
        record = None
        for _ in range(500):
            reply = await ada.ask(wire.ListOperations(1, waiting.operation.number))
            assert isinstance(reply, wire.Operations)
            record = reply.operations[0]
            if record.state.ended:
                break
            await asyncio.sleep(0.01)
        assert record is not None
        assert record.nodes[0].error == "locked"
        assert people.running.backend.machines["n1"].power_is is Power.ON


async def test_a_lock_ends_by_itself_and_outlives_a_changed_lifecycle(people: People) -> None:
    async with people("olga") as olga:
        await olga.ask(wire.LockNodes(("n1",), "soon over", time.time() + 0.5))
        people.running.engine._store.tell("n1", "test", LifecycleChanged(Lifecycle.DRAINED, ("cordoned",)))
        assert (await state_of(olga, "n1")).flags == ("cordoned", "locked")
        await until(lambda: people.running.engine._store.states["n1"].lock is None)
        assert (await state_of(olga, "n1")).flags == ("cordoned",)
        assert (await refused(olga, wire.LockNodes(("n1",), "", 0.0))).id == "refused"
        assert (await refused(olga, wire.LockNodes(("n1",), "past", 5.0))).id == "refused"


async def test_notes_and_locks_outlive_the_engine(people: People, start: Start) -> None:
    async with people("olga") as olga:
        await olga.ask(wire.PutNote("n1", "fan 3 is\x1b[31m loud"))
        await olga.ask(wire.PutNote("n1", "ordered a new one"))
        await olga.ask(wire.LockNodes(("n2",), "waits for a fan"))
        assert (await refused(olga, wire.PutNote("n1", "x" * 501))).id == "refused"
    await people.running.close()
    again = await start(inventory=people.running.engine._inventory)
    people.running = again
    async with people("ada") as ada:
        state = await state_of(ada, "n1")
        assert [note.by for note in state.notes] == ["olga", "olga"]
        assert "\x1b" not in state.notes[0].text
        lock = (await state_of(ada, "n2")).lock
        assert lock is not None
        assert (lock.by, lock.uid, lock.reason) == ("olga", 4001, "waits for a fan")
        await ada.ask(wire.PutNote("n1", clear=True))
        assert (await state_of(ada, "n1")).notes == ()
        (line,) = await audit(ada, nodes=("n1",), limit=1)
        assert line.before.endswith("olga: ordered a new one")
