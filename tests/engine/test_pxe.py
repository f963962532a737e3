"""Services, images and drift through a real engine, over directories of a test."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from plasmatui.checks import services, tftp
from plasmatui.checks.services import parse_units
from plasmatui.cli.main import run
from plasmatui.client import EngineClient, EngineError
from plasmatui.engine import pxe
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.shared import Shared
from plasmatui.inventory.loader import load
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.checks import CheckState
from plasmatui.model.pxe import DriftState, ImageState
from plasmatui.model.words import Stage
from plasmatui.pxe import stock as stocks
from plasmatui.pxe.assets import Store
from plasmatui.pxe.publishing import deploy
from tests.engine.conftest import Start
from tests.support.images import OTHER, write_image
from tests.support.pxe_clients import INVENTORY

KEA, SCRIPT = "server/etc/kea/kea-dhcp4.conf", "server{root}/ipxe/boot.ipxe"


class Rig:
    """An inventory with an HTTP root and a rendered directory, and a client of an engine that serves it."""

    def __init__(self, directory: Path, start: Start) -> None:
        self.file = directory / "inventory.yaml"
        self.root, self.out = directory / "www", directory / "out"
        self.root.mkdir()
        self._start = start
        self.client: EngineClient
        self.readers: EngineClient
        self.write(INVENTORY)

    def write(self, text: str, deployed: str = "") -> None:
        keys = f"pxe:\n  assets: {self.root}\n  deployed: {deployed or self.out}\n"
        self.file.write_text(text.replace("pxe:\n", keys, 1))

    def render(self, *arguments: str) -> None:
        assert run(["-i", str(self.file), "render", "-o", str(self.out), *arguments]) == 0

    async def begin(self) -> None:
        running = await self._start(inventory=load(self.file))
        self.client = await running.client()
        self.readers = await running.client(read_only=True)

    async def drift(self) -> wire.Drift:
        reply = await self.client.ask(wire.AskDrift(fresh=True))
        assert isinstance(reply, wire.Drift)
        return reply

    async def images(self) -> wire.Images:
        reply = await self.client.ask(wire.AskImages(fresh=True))
        assert isinstance(reply, wire.Images)
        return reply


@pytest.fixture
async def rig(tmp_path: Path, start: Start) -> Rig:
    return Rig(tmp_path, start)


async def test_what_was_rendered_is_the_same_until_somebody_edits_it(rig: Rig) -> None:
    rig.render()
    await rig.begin()
    before = await rig.drift()
    assert (before.files, before.problem, before.directory) == ((), "", str(rig.out))
    assert before.counts["same"] > 20
    kea = rig.out / KEA
    kea.write_text(kea.read_text().replace("10.0.100.50", "10.0.100.77") + "\x1b[2J\npassword = hunter22\n")
    (rig.out / "server/etc/squid/squid.conf").unlink()
    after = await rig.drift()
    assert [(file.output, file.relative, file.state) for file in after.files] == [
        ("dhcp", KEA, DriftState.DIFFERS),
        ("squid", "server/etc/squid/squid.conf", DriftState.MISSING),
    ]
    diff = await rig.client.ask(wire.AskDriftDiff(KEA))
    assert isinstance(diff, wire.DriftDiff)
    assert next(line for line in diff.lines if "10.0.100.77" in line).startswith("-")
    assert "\x1b" not in "".join(diff.lines)
    assert "hunter22" not in "".join(diff.lines)
    assert after.files[0].fix == f"plasmatui render --only dhcp -o {rig.out}"
    rig.render("--only", "dhcp")
    assert [file.output for file in (await rig.drift()).files] == ["squid"]


async def test_a_change_of_the_inventory_is_a_drift_before_it_is_read_again(rig: Rig) -> None:
    rig.render()
    await rig.begin()
    rig.write(INVENTORY.replace("10.0.100.51", "10.0.100.55"))
    assert KEA in [file.relative for file in (await rig.drift()).files]


async def test_the_boot_script_is_held_against_the_one_it_was_rendered_as(rig: Rig) -> None:
    script = rig.out / SCRIPT.format(root=rig.root)
    deploy(Store(rig.root), write_image(rig.file.parent / "build"), "worker")
    rig.render("--images", str(rig.root / "nixos"))
    await rig.begin()
    assert ((await rig.drift()).files, (await rig.drift()).images) == ((), True)
    deploy(Store(rig.root), write_image(rig.file.parent / "build", toplevel=OTHER), "worker")
    (file,) = (await rig.drift()).files
    assert (file.path, file.state) == (str(script), DriftState.DIFFERS)
    assert file.fix == f"plasmatui render --only ipxe --images {rig.root}/nixos -o {rig.out}"
    rig.render()
    assert ((await rig.drift()).files, (await rig.drift()).images) == ((), False)


async def test_what_cannot_be_compared_is_said_with_its_reason(rig: Rig) -> None:
    rig.render()
    await rig.begin()
    (rig.out / KEA).unlink()
    (rig.out / KEA).symlink_to("/dev/zero")
    (file,) = (await rig.drift()).files
    assert (file.state, file.reason) == (DriftState.UNREADABLE, "no regular file")
    with pytest.raises(EngineError, match="is no rendered file"):
        await rig.client.ask(wire.AskDriftDiff("../../etc/shadow"))
    rig.write(INVENTORY, "/nowhere/at/all")
    assert "/nowhere/at/all is no directory" in (await rig.drift()).problem
    rig.file.write_text(INVENTORY)
    assert "10.0.100.10 is another host" in (await rig.drift()).problem
    rig.write(INVENTORY.replace("version: 1", "version: one"))
    assert f"{rig.file}:1:10" in (await rig.drift()).problem


async def test_versions_are_told_with_what_is_active_whole_and_damaged(rig: Rig) -> None:
    await rig.begin()
    assert (await rig.images()).versions == ()
    store = Store(rig.root)
    first = deploy(store, write_image(rig.file.parent / "a"), "worker").version
    second = deploy(store, write_image(rig.file.parent / "b", toplevel=OTHER), "worker").version
    told = await rig.images()
    assert {(each.name, each.active, each.state) for each in told.versions} == {
        (second, True, ImageState.WHOLE),
        (first, False, ImageState.WHOLE),
    }
    assert told.previous == {"worker": first}
    assert {each.name: each.fix for each in told.versions}[first] == f"plasmatui images activate {first}"
    initrd = rig.root / "versions" / second / "initrd"
    initrd.chmod(0o644)
    initrd.write_bytes(initrd.read_bytes()[:-1])
    damaged = {each.name: each for each in (await rig.images()).versions}[second]
    assert damaged.state is ImageState.DAMAGED
    assert "the manifest says" in damaged.reason
    assert damaged.fix == "plasmatui images rollback worker"


async def test_reading_all_bytes_finds_what_sizes_do_not_tell(rig: Rig) -> None:
    await rig.begin()
    name = deploy(Store(rig.root), write_image(rig.file.parent / "a"), "worker").version
    (reply,) = [item async for item in rig.readers.stream(wire.VerifyImage(name))]
    assert isinstance(reply, wire.ImageVerified)
    assert all(check.ok is not False for check in reply.checks)
    assert (await rig.images()).versions[0].state is ImageState.VERIFIED
    kernel = rig.root / "versions" / name / "bzImage"
    kernel.chmod(0o644)
    data = bytearray(kernel.read_bytes())
    data[-1] ^= 1
    kernel.write_bytes(data)
    assert (await rig.images()).versions[0].state is ImageState.WHOLE, "what was read before holds no more"
    await rig.client.ask(wire.VerifyImage(name))
    seen = (await rig.images()).versions[0]
    assert (seen.state, "SHA-256" in seen.reason) == (ImageState.DAMAGED, True)
    with pytest.raises(EngineError, match="no version"):
        await rig.client.ask(wire.VerifyImage("worker.20200101T000000Z-00000000"))


async def test_a_reading_that_nobody_waits_for_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.begin()
    name = deploy(Store(rig.root), write_image(rig.file.parent / "a"), "worker").version
    begun, ended = threading.Event(), threading.Event()

    def slow(store: Store, version: object, tick: object) -> None:
        begun.set()
        try:
            while True:
                tick(1)  # type: ignore[operator]
                time.sleep(0.001)
        finally:
            ended.set()

    monkeypatch.setattr(stocks, "check_version", slow)
    monkeypatch.setattr(pxe, "PROGRESS", 0.01)
    async for item in rig.client.stream(wire.VerifyImage(name)):
        assert isinstance(item, wire.ImageProgress)
        if item.bytes > 1:
            break
    assert begun.is_set()
    assert await asyncio.to_thread(ended.wait, 5)


async def test_activating_and_rolling_back_is_audited_and_refused_to_readers(rig: Rig) -> None:
    await rig.begin()
    store = Store(rig.root)
    first = deploy(store, write_image(rig.file.parent / "a"), "worker").version
    second = deploy(store, write_image(rig.file.parent / "b", toplevel=OTHER), "worker").version
    with pytest.raises(EngineError, match="read-only"):
        await rig.readers.ask(wire.ActivateImage(first))
    with pytest.raises(EngineError, match=r"does not lead to .* any more"):
        await rig.client.ask(wire.RollBackImage("worker", second))
    reply = await rig.client.ask(wire.RollBackImage("worker", first))
    assert reply == wire.ImageSwitched("worker", second, first)
    reply = await rig.client.ask(wire.ActivateImage(second))
    assert reply == wire.ImageSwitched("worker", first, second)
    assert store.active() == {"worker": second}
    (rig.root / "versions" / first / "initrd").unlink()
    with pytest.raises(EngineError, match=f"{first} is not activated"):
        await rig.client.ask(wire.ActivateImage(first))
    audit = await rig.client.ask(wire.ListAudit())
    assert isinstance(audit, wire.Audit)
    assert [line.result.partition(":")[0] for line in reversed(audit.lines) if "images" in line.text] == [
        *("begun", "failed"), *("begun", "done"), *("begun", "done"), *("begun", "failed"),
    ]  # fmt: skip


def test_who_booted_which_version_comes_from_boot_watch(tmp_path: Path) -> None:
    name = deploy(Store(tmp_path), write_image(tmp_path / "a"), "worker").version
    path = f"GET /boot/versions/{name}/bzImage HTTP/1.1"
    span = StageSpan(Stage.HTTP_KERNEL, 5.0, 6.0, "done", (Evidence("access.log", 1, path),))
    boot = BootTimeline("n1", 1, 5.0, None, "running", (span,))
    told = stocks.stock(tmp_path, {"n1": (boot,), "n2": ()}, {})
    assert (told.versions[0].nodes, told.unknown) == (("n1",), ("n2",))


async def test_services_are_told_with_what_is_wrong(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ANSWER_LIMIT", 0.3)
    monkeypatch.setattr(tftp, "listens", lambda port: True)  # and says nothing: loopback is asked like any other host
    here = "interface: eth0\n  boot_service: 127.0.0.1:1\n  http_port: 2"
    rig.write(INVENTORY.replace("10.0.100.", "127.0.100.").replace("interface: eth0", here))
    await rig.begin()
    reply = await rig.client.ask(wire.AskPxeServices())
    assert isinstance(reply, wire.PxeServices)
    found = {service.name: service for service in reply.services}
    assert list(found) == ["dhcp", "tftp", "http", "boot-service"]
    assert found["boot-service"].state is CheckState.FAILED
    assert "127.0.0.1 port 1" in found["boot-service"].reason
    assert {found["http"].state, found["tftp"].state} == {CheckState.FAILED}
    again = await rig.client.ask(wire.AskPxeServices())
    assert again == reply, "an answer of the last seconds serves again"


def test_units_are_told_by_the_order_in_which_they_were_named() -> None:
    text = (
        "Id=kea-dhcp4-server.service\nLoadState=loaded\nActiveState=failed\n\n"
        "Id=tftpd-hpa.service\nLoadState=not-found\nActiveState=inactive\n\n"
        "Id=nginx.service\nLoadState=loaded\nActiveState=active\n"
    )
    assert parse_units(("kea", "tftp", "nginx"), text) == {"kea": "failed", "nginx": "active"}
    assert parse_units(("kea",), "") == {}


async def test_one_look_serves_all_who_ask_and_the_late_are_told() -> None:
    begun, go = 0, asyncio.Event()

    async def work() -> int:
        nonlocal begun
        begun += 1
        await go.wait()
        return begun

    shared = Shared("it", work, age=1000.0, limit=0.05)
    late = await asyncio.gather(shared.get(), shared.get(fresh=True), return_exceptions=True)
    assert [type(each) for each in late] == [ProblemError, ProblemError]
    go.set()
    assert [await shared.get(), await shared.get()] == [1, 1]
    assert await shared.get(fresh=True) == 2
    shared.forget()
    assert await shared.get() == 3
    await shared.close()
