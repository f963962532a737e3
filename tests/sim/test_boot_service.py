"""Machines of the simulated rack boot from the real boot service: script, images, timeline, and the end of an install
loop."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from plasmatui.model.bmc import Device
from plasmatui.model.operation import BootOrder, ProvisionOrder
from plasmatui.model.words import OperationState, PowerAction, Stage
from plasmatui.pxe.service import transfers
from plasmatui.pxe.service.answers import Source
from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.machines import InventorySource
from plasmatui.pxe.service.once import BootStates
from plasmatui.pxe.service.server import BootService, listen
from plasmatui.pxe.service.sources import open_directory
from plasmatui.sim.bootfiles import make_initrd, make_kernel
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.rack import Rack, RackOptions
from plasmatui.sim.services import ServiceOptions
from plasmatui.watch.parsers import make_parser
from plasmatui.watch.replay import replay
from tests.support.boots import Recording, boot, ended, record, write_bundle
from tests.support.operator import Operator, told
from tests.support.site import site as whole_site
from tests.support.site import wait_for

KERNEL, INITRD = 100_000, 3 * 1024 * 1024
STORE = "0123456789abcdfghijklmnpqrsvwxyz"  # 32 letters of a store path's hash
INIT = f"/nix/store/{STORE}-nixos-system-installer-24.11/init"


@dataclass
class Site:
    rack: Rack
    log: Path
    states: BootStates


def make_images(root: Path) -> Path:
    for profile in ("control-plane", "worker"):
        folder = root / "nixos" / profile
        folder.mkdir(parents=True)
        (folder / "bzImage").write_bytes(make_kernel(KERNEL))
        (folder / "initrd").write_bytes(make_initrd(INITRD))
        (folder / "netboot.ipxe").write_text(
            f"#!ipxe\nkernel bzImage init={INIT} initrd=initrd loglevel=4 ${{cmdline}}\ninitrd initrd\nboot\n"
        )
    return root


@asynccontextmanager
async def site(tmp_path: Path, data: Path | None = None) -> AsyncIterator[Site]:
    """A rack whose machines boot from a service of its inventory, or of a data directory."""
    images = make_images(tmp_path / "images")
    log = tmp_path / "serve.log"
    states = BootStates(tmp_path / "state" / "boot.json")
    states.prepare()
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/boot.ipxe"
    options = RackOptions(nodes=2, port=0, on=0, speed=100, boot=ServiceOptions(boot_url=url))
    async with Rack(options) as rack:
        source: Source = InventorySource(rack.inventory_path, images) if data is None else open_directory(data)
        service = BootService(source, Images(images), states if data is None else None, listener, print, log, 1.0)
        task = asyncio.create_task(service.run())
        try:
            yield Site(rack, log, states)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def bundle_of(site: Site, recording: Recording, directory: Path, *, console: bool) -> Path:
    """A bundle of a boot, with the service's own log in place of the rack's."""
    write_bundle(site.rack, recording, directory)
    manifest = yaml.safe_load((directory / "bundle.yaml").read_text())
    files = [f for f in manifest["files"] if not f["format"].startswith("nginx") and (console or "node" not in f)]
    (directory / "serve.log").write_bytes(site.log.read_bytes())
    files.append({"path": "serve.log", "format": "plasmatui-serve"})
    (directory / "bundle.yaml").write_text(yaml.safe_dump({**manifest, "files": files}))
    return directory


async def until_logged(log: Path, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in log.read_text():  # noqa: ASYNC110, ASYNC240 - a small local file
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("console", [True, False], ids=["console", "logs-only"])
async def test_a_boot_from_the_inventory_has_a_right_timeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: bool
) -> None:
    monkeypatch.setattr(transfers, "TELL_EVERY", 0.01)
    async with site(tmp_path) as here:
        recordings = await boot(here.rack, {"node01": ended})
        await until_logged(here.log, "/initrd HTTP/1.1")
        text = recordings["node01"].text
        assert text.endswith("nixos login: ")
        command = re.search(r"Command line: (.*)\r\n", text)
        assert command is not None
        assert command[1].startswith(f"init={INIT} initrd=initrd loglevel=4 ")
        assert command[1].endswith("console=tty0 console=ttyS0,115200n8")
        assert "plasma.hostname=node01 " in command[1]
        timeline = replay(bundle_of(here, recordings["node01"], tmp_path / "bundle", console=console))["node01"]
        log = here.log.read_text()
    assert timeline.outcome == "installer-up" if console else timeline.outcome in ("running", "installer-up")
    assert timeline.findings == ()
    spans = {span.stage: span for span in timeline.stages}
    assert (spans[Stage.HTTP_KERNEL].state, spans[Stage.HTTP_KERNEL].bytes) == ("done", KERNEL)
    assert (spans[Stage.HTTP_INITRD].state, spans[Stage.HTTP_INITRD].bytes) == ("done", INITRD)
    assert spans[Stage.IPXE_SCRIPT].state == "done"
    parser = make_parser("plasmatui-serve", "http")
    signals = [s for number, line in enumerate(log.splitlines(), 1) for s in parser.feed(line, number)]
    percents = [s.percent for s in signals if s.percent is not None]
    assert percents == sorted(percents)
    assert len(percents) > 2
    assert {s.ip for s in signals} == {str(here.rack.machines["node01"].identity.provisioning)}


async def test_an_installed_machine_boots_its_disk_although_its_firmware_tries_the_network(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        machine = here.rack.machines["node01"]
        machine.set_flags(BootFlags.of(Device.PXE))
        recordings = await boot(here.rack, {"node01": ended})
        found = re.search(r"plasmatui\.installed=(\S+)", recordings["node01"].text)
        assert found is not None
        machine.installed = True
        async with httpx.AsyncClient() as client:
            assert (await client.post(found[1])).status_code == 200
        assert all(here.states.installed(mac) for mac in machine.identity.macs[:1])
        machine.set_flags(BootFlags.of(Device.PXE))
        second = record(here.rack, ["node01"])["node01"]
        machine.order(PowerAction.CYCLE)
        async with asyncio.timeout(20):
            while "node01 login: " not in second.text:  # noqa: ASYNC110 - a console
                await asyncio.sleep(0.02)
        assert "/ipxe?" in second.text
        assert "/initrd" not in second.text
        assert here.log.read_text().count("/initrd HTTP/1.1") == 1


async def test_a_boot_from_a_matchbox_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, text in {
        "groups/all.json": '{"profile": "p", "selector": {"arch": "x86_64"}}',
        "groups/other.json": '{"profile": "p"}',
        "profiles/p.json": '{"id": "p", "boot": {"kernel": "/assets/nixos/worker/bzImage", '
        '"initrd": ["/assets/nixos/worker/initrd", "/assets/nixos/worker/initrd"], "args": ["initrd=initrd"]}}',
    }.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    async with site(tmp_path, data) as here:
        recordings = await boot(here.rack, {"node02": ended})
        text = recordings["node02"].text
        assert text.endswith("nixos login: ")
        assert text.count("/assets/nixos/worker/initrd... ") == 2


def test_operations_say_who_is_to_be_installed(tmp_path: Path) -> None:
    """The engine, the service and the rack as three processes that share one inventory."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    boot_options = ServiceOptions(boot_url=f"http://127.0.0.1:{port}/boot.ipxe")
    images = make_images(tmp_path / "images")
    with whole_site(nodes=1, port=0, on=0, speed=100.0, boot=boot_options) as rack:
        log = tmp_path / "serve.log"
        text = rack.inventory.read_text()
        rack.inventory.write_text(
            text.replace("logs:\n", f"logs:\n  - {{kind: http, format: plasmatui-serve, file: {log}}}\n")
        )
        arguments = ("--address", f"127.0.0.1:{port}", "--images-path", str(images), "--log-file", str(log))
        service = rack.spawn("serve", *arguments)
        wait_for("the service", log.exists)
        rack.engine()
        rack.consoles_open(1)
        operator = Operator(rack)

        def state() -> str:
            machines = rack.cli("serve", "states", "--json").json()["machines"]
            return next((str(machine["state"]) for machine in machines.values()), "")

        assert state() == ""
        assert rack.cli("serve", "installed", "node01").code == 0
        assert state() == "installed"
        record = operator.run(BootOrder(), "node01")
        assert record.state is OperationState.DONE, told(record)
        assert state() == "pending"
        record = operator.run(ProvisionOrder(), "node01")
        assert record.state is OperationState.DONE, told(record)
        assert state() == "installed"
        stages = {span.stage: span for span in operator.boots("node01")[1].stages}
        assert (stages[Stage.HTTP_INITRD].state, stages[Stage.HTTP_INITRD].bytes) == ("done", INITRD)
        service.terminate()
        assert service.wait(20) == 0
