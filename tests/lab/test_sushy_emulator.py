"""The Redfish driver against sushy-emulator with its fake driver: a Redfish service that we did not write.

Its habits: no sessions (HTTP Basic only), no keep-alive, orders take effect after a random 1 to 11 s,
`BootSourceOverrideEnabled` always reads Continuous, Disabled without a target is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import pytest_asyncio

from plasmatui.bmc.controller import BmcError, BmcTarget
from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from plasmatui.inventory.secrets import Secret
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.words import Power, PowerAction
from tests.unit.bmc_redfish.stub import Certificate, make_certificate

USER, PASSWORD = "admin", "password"
ADDRESS = "127.23.9.1"
EFFECT_LIMIT = 30.0
EMULATOR = Path(sys.executable).with_name("sushy-emulator")

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Emulator:
    port: int
    certificate: Certificate

    def controller(
        self, system: str = "node0000", *, verify: bool | str = "", password: str = PASSWORD
    ) -> RedfishController:
        target = BmcTarget(
            node="node01",
            driver="redfish",
            address=ADDRESS,
            port=self.port,
            username=USER,
            password=Secret(literal=password),
            verify_tls=self.certificate.pin if verify == "" else verify,
            system=system,
        )
        return RedfishController(target, tls=TlsContexts())


def configure(directory: Path, certificate: Certificate, port: int) -> Path:
    """The emulator's configuration: two machines, one user (bcrypt is the only digest that it knows)."""
    systems = [
        {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"node{number:04d}")),
            "name": f"node{number:04d}",
            "power_state": "Off",
            "external_notifier": False,
            "nics": [{"mac": f"52:54:00:00:{number:02x}:01", "ip": f"10.0.0.{number + 1}"}],
        }
        for number in range(2)
    ]
    (directory / "htpasswd").write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
    (directory / "state").mkdir()
    settings = {
        "LISTEN_IP": ADDRESS,
        "LISTEN_PORT": port,
        "SSL_CERT": str(certificate.cert),
        "SSL_KEY": str(certificate.key),
        "AUTH_FILE": str(directory / "htpasswd"),
        "STATE_DIR": str(directory / "state"),
        "FAKE_DRIVER": True,
        "FAKE_SYSTEMS": systems,
    }
    file = directory / "emulator.conf"
    file.write_text("".join(f"SUSHY_EMULATOR_{name} = {value!r}\n" for name, value in settings.items()))
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Emulator]:
    directory = tmp_path_factory.mktemp("sushy")
    certificate = make_certificate(directory, "sushy", ADDRESS)
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    log = directory / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(EMULATOR),
            "--fake",
            "--config",
            str(configure(directory, certificate, port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        await listening(process, port, log)
        yield Emulator(port, certificate)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def listening(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(30):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(ADDRESS, port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
    raise AssertionError(f"sushy-emulator ended with {process.returncode}, see {log}")


async def reached(controller: RedfishController, wanted: Power) -> None:
    async with asyncio.timeout(EFFECT_LIMIT):
        while await controller.power() is not wanted:  # noqa: ASYNC110 - a BMC is asked, it does not call
            await asyncio.sleep(0.2)


async def test_power_on_cycle_and_off(emulator: Emulator) -> None:
    controller = emulator.controller()
    await controller.connect()
    assert await controller.power() is Power.OFF
    await controller.order_power(PowerAction.ON)
    await reached(controller, Power.ON)
    assert "wait until PowerState is Off" in controller.describe(PowerAction.CYCLE)
    await controller.order_power(PowerAction.CYCLE)
    await reached(controller, Power.ON)
    await controller.order_power(PowerAction.SOFT)
    await reached(controller, Power.OFF)
    await controller.close()


async def test_the_other_machine_is_another(emulator: Emulator) -> None:
    controller = emulator.controller(str(uuid.uuid5(uuid.NAMESPACE_DNS, "node0001")))
    assert await controller.power() is Power.OFF
    await controller.close()
    with pytest.raises(BmcError, match="name one of them as `system`") as caught:
        await emulator.controller("").connect()
    assert caught.value.id == "rejected"


async def test_boot_device_is_set_read_back_and_cleared(emulator: Emulator) -> None:
    controller = emulator.controller()
    await controller.set_boot_device(BootDevice(Device.PXE, persistent=True))
    first = await controller.boot_device()
    assert first is not None
    assert (first.device, first.persistent) == (Device.PXE, True)
    await controller.set_boot_device(BootDevice(Device.DISK, uefi=True))
    second = await controller.boot_device()
    assert second is not None
    assert second.device is Device.DISK
    assert second.persistent, "it ignores Once, and the driver must report what it says"
    await controller.set_boot_device(BootDevice(Device.NONE))
    last = await controller.boot_device()
    assert last is None or last.device is Device.NONE
    with pytest.raises(BmcError) as caught:
        await controller.set_boot_device(BootDevice(Device.BIOS))
    assert caught.value.id == "unsupported"
    await controller.close()


async def test_readings(emulator: Emulator) -> None:
    controller = emulator.controller()
    sensors = await controller.sensors()
    assert {"temperature", "fan"} <= {reading.kind for reading in sensors}
    assert any(reading.value == 25 and reading.units == "C" for reading in sensors)
    inventory = await controller.inventory()
    values = {(field.area, field.name): field.value for field in inventory}
    assert values["System", "Manufacturer"] == "Sushy Emulator"
    assert any(field.name == "MAC address" and field.value.lower() == "52:54:00:00:00:01" for field in inventory)
    for missing in (controller.sel(), controller.open_console(lambda _: None, lambda *_: None, takeover=False)):
        with pytest.raises(BmcError) as caught:
            await missing
        assert caught.value.id == "unsupported"
    await controller.close()


async def test_identify(emulator: Emulator) -> None:
    controller = emulator.controller()
    await controller.identify(-1)
    await controller.identify(0)
    await controller.close()


async def test_wrong_password(emulator: Emulator) -> None:
    with pytest.raises(BmcError, match="refuses user admin") as caught:
        await emulator.controller(password="wrong").connect()
    assert caught.value.id == "bmc-auth"


async def test_tls_by_ca_file_and_by_pin(emulator: Emulator) -> None:
    for verify in (str(emulator.certificate.cert), emulator.certificate.pin):
        controller = emulator.controller(verify=verify)
        assert await controller.power() in (Power.ON, Power.OFF)
        await controller.close()
    untrusted: tuple[bool | str, ...] = (True, "sha256:" + "ab" * 32)
    for setting in untrusted:
        with pytest.raises(BmcError) as caught:
            await emulator.controller(verify=setting).connect()
        assert caught.value.id == "certificate-untrusted"


async def test_the_whole_cockpit_over_it(emulator: Emulator, tmp_path: Path) -> None:
    """Two machines behind one service root, from the command line through an engine of its own."""
    secret = tmp_path / "bmc-password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(
        f"version: 1\ncluster: {{name: lab}}\n"
        f"bmc_defaults: {{driver: redfish, username: {USER}, password: {{file: {secret}}}, port: {emulator.port},"
        f' verify_tls: "{emulator.certificate.cert}"}}\n'
        f"nodes:\n"
        f"  lab01: {{bmc: {{address: {ADDRESS}, system: node0000}}}}\n"
        f"  lab02: {{bmc: {{address: {ADDRESS}, system: node0001}}}}\n"
    )
    try:
        for action, power in (("on", "on"), ("off", "off")):
            code, nodes = await cockpit(inventory, "power", action, "lab[01-02]", "--yes")
            assert (code, {name: node["power"] for name, node in nodes.items()}) == (
                0,
                {"lab01": power, "lab02": power},
            )
        code, nodes = await cockpit(inventory, "bootdev", "pxe", "lab01", "--persistent", "--uefi", "--yes")
        assert (code, nodes["lab01"]["device"], nodes["lab01"]["persistent"]) == (0, "pxe", True)
        code, nodes = await cockpit(inventory, "bootdev", "disk", "lab01", "--yes")  # it makes every one persistent
        assert (code, nodes["lab01"]["device"], nodes["lab01"]["persistent"]) == (0, "disk", True)
    finally:
        await cockpit(inventory, "engine", "stop", "--force", answer=False)


async def cockpit(inventory: Path, *words: str, answer: bool = True) -> tuple[int, dict[str, Any]]:
    """A command of ours in a process of its own: its exit code and the nodes of its JSON answer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "plasmatui", "-i", str(inventory), *words, *(["--json"] if answer else [])),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert output or not answer, errors.decode()
    return process.returncode or 0, json.loads(output)["nodes"] if answer else {}
