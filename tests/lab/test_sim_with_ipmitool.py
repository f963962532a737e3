"""The simulated rack as ipmitool, FreeIPMI and httpx see it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import ssl
import sys
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from plasmatui.sim.rack import Node, Rack, RackOptions

pytestmark = pytest.mark.lab
PASSWORD = "swordfish"


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    async with Rack(RackOptions(nodes=4, on=1, speed=40, redfish=1, password=PASSWORD)) as running:
        yield running


async def run(*command: str, limit: float = 30.0, code: int = 0) -> str:
    """Output of a program that must end with `code`."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), limit)
    assert process.returncode == code, output.decode(errors="replace")
    return output.decode(errors="replace")


def tool(node: Node, *words: str, suite: str = "17", user: str = "admin") -> list[str]:
    port = str(node.ipmi.port)
    cipher = ["-C", suite] if suite else []
    where = ["-I", "lanplus", "-H", node.entry.address, "-p", port]
    return ["ipmitool", *where, "-U", user, "-P", PASSWORD, *cipher, *words]


def free(program: str, node: Node, *words: str) -> list[str]:
    host = f"{node.entry.address}:{node.ipmi.port}"
    return [program, "-h", host, "-u", "admin", "-p", PASSWORD, *words]


async def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - state without an event
            await asyncio.sleep(0.02)


@pytest.mark.needs("ipmitool")
@pytest.mark.parametrize("suite", ["", "3", "17"])
async def test_ipmitool_power(rack: Rack, suite: str) -> None:
    node = rack.nodes["node02"]
    assert "is off" in await run(*tool(node, "power", "status", suite=suite))
    await run(*tool(node, "power", "on", suite=suite))
    await until(lambda: node.machine.powered)
    assert "is on" in await run(*tool(node, "power", "status", suite=suite))
    await run(*tool(node, "power", "cycle", suite=suite))
    await until(lambda: node.machine.counters.powered_on == 2)
    await run(*tool(node, "power", "reset", suite=suite))
    await until(lambda: node.machine.counters.resets == 1)
    await run(*tool(node, "power", "off", suite=suite))
    await until(lambda: not node.machine.powered)


@pytest.mark.needs("ipmitool")
async def test_ipmitool_soft_shutdown(rack: Rack) -> None:
    node = rack.nodes["node01"]
    await until(lambda: node.machine.phase == "up")
    await run(*tool(node, "power", "soft"))
    await until(lambda: not node.machine.powered)


@pytest.mark.needs("ipmitool")
async def test_ipmitool_boot_device(rack: Rack) -> None:
    node = rack.nodes["node02"]
    await run(*tool(node, "chassis", "bootdev", "pxe", "options=efiboot,persistent"))
    text = await run(*tool(node, "chassis", "bootparam", "get", "5"))
    for words in ("Boot Flag Valid", "all future boots", "BIOS EFI boot", "Force PXE"):
        assert words in text
    await run(*tool(node, "chassis", "bootdev", "bios"))
    text = await run(*tool(node, "chassis", "bootparam", "get", "5"))
    assert "only next boot" in text
    assert "BIOS Setup" in text


@pytest.mark.needs("ipmitool")
async def test_ipmitool_reads_sensors_fru_and_events(rack: Rack) -> None:
    node = rack.nodes["node01"]
    sensors = await run(*tool(node, "sdr", "elist"))
    assert re.search(r"CPU1 Temp .* ok .* \d+ degrees C", sensors)
    assert re.search(r"Fan 1 .* ok .* \d+ RPM", sensors)
    assert re.search(r"P12V .* ok .* 1[12]\.\d+ Volts", sensors)
    fru = await run(*tool(node, "fru", "print"))
    assert node.machine.identity.serial in fru
    assert node.machine.identity.hardware.product in fru
    before = len(node.machine.sel)
    assert before > 0
    assert len((await run(*tool(node, "sel", "elist"))).splitlines()) == before
    await run(*tool(node, "sel", "time", "get"))
    await run(*tool(node, "event", "1"))
    assert len(node.machine.sel) == before + 1
    await run(*tool(node, "sel", "clear"))
    await until(lambda: len(node.machine.sel) == 0)


@pytest.mark.needs("ipmitool")
async def test_ipmitool_smaller_things(rack: Rack) -> None:
    node = rack.nodes["node01"]
    await run(*tool(node, "chassis", "identify", "force"))
    assert node.machine.identify == float("inf")
    await run(*tool(node, "chassis", "identify", "0"))
    assert node.machine.identify == 0
    assert "2.10" in await run(*tool(node, "mc", "info"))
    assert "Enabled" in await run(*tool(node, "sol", "info"))
    assert "operator" in await run(*tool(node, "user", "list"))
    assert "privilege level" in await run(*tool(node, "session", "info", "active"))
    assert "is on" in await run(*tool(node, "-L", "OPERATOR", "power", "status", user="operator"))


@pytest.mark.needs("ipmipower")
async def test_ipmipower(rack: Rack) -> None:
    node = rack.nodes["node02"]
    assert ": off" in await run(*free("ipmipower", node, "-D", "LAN_2_0", "--stat"))
    assert ": ok" in await run(*free("ipmipower", node, "-D", "LAN_2_0", "-I", "17", "--on"))
    await until(lambda: node.machine.powered)
    assert ": on" in await run(*free("ipmipower", node, "-D", "LAN_2_0", "--stat"))
    assert ": ok" in await run(*free("ipmipower", node, "-D", "LAN_2_0", "--cycle"))
    await until(lambda: node.machine.counters.powered_on == 2)
    assert ": ok" in await run(*free("ipmipower", node, "-D", "LAN_2_0", "--off"))
    await until(lambda: not node.machine.powered)
    output = await run(*free("ipmipower", rack.nodes["node03"], "-D", "LAN_2_0", "-p", "wrong", "--stat"), code=1)
    assert "password invalid" in output


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self) -> None:
        self.output = b""
        self._master, self._slave = pty.openpty()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *command: str) -> None:
        slave = self._slave
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        try:
            self.output += os.read(self._master, 65536)
        except OSError:  # the program ended
            asyncio.get_running_loop().remove_reader(self._master)

    def type(self, data: bytes) -> None:
        os.write(self._master, data)

    async def expect(self, word: bytes, limit: float = 15.0) -> None:
        async with asyncio.timeout(limit):
            while word not in self.output:  # noqa: ASYNC110 - output comes from a reader callback
                await asyncio.sleep(0.02)

    async def ended(self) -> None:
        assert self._process is not None
        await asyncio.wait_for(self._process.wait(), 10)

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)


async def _boot_in(terminal: Terminal, node: Node) -> None:
    """Power the machine on and work on its console."""
    await until(lambda: node.ipmi.sol is not None)
    await run(*tool(node, "power", "on"))
    await terminal.expect(b" login: ")
    for word in (b"iPXE", b"Linux version", b"NixOS Stage 1", b"SSH Daemon"):
        assert word in terminal.output
    terminal.type(b"root\r")
    await terminal.expect(b"Password: ")
    terminal.type(b"\r")
    await terminal.expect(b":~]$")
    terminal.type(b"uname -a\r")
    await terminal.expect(b"GNU/Linux")


@pytest.mark.needs("ipmitool")
@pytest.mark.parametrize("suite", ["3", "17"])
async def test_ipmitool_console(rack: Rack, suite: str) -> None:
    node, terminal = rack.nodes["node02"], Terminal()
    await terminal.start(*tool(node, "sol", "activate", suite=suite))
    try:
        await _boot_in(terminal, node)
        terminal.type(b"\r")
        terminal.type(b"~.")
        await terminal.ended()
        await until(lambda: node.ipmi.sol is None)
    finally:
        await terminal.close()


@pytest.mark.needs("ipmiconsole", "ipmitool")
async def test_ipmiconsole(rack: Rack) -> None:
    node, terminal = rack.nodes["node03"], Terminal()
    await terminal.start(*free("ipmiconsole", node))
    try:
        await terminal.expect(b"SOL established")
        await _boot_in(terminal, node)
        terminal.type(b"&B")
        await terminal.expect(b"sysrq: HELP")
        terminal.type(b"&.")
        await terminal.ended()
        await until(lambda: node.ipmi.sol is None)
    finally:
        await terminal.close()


@pytest.mark.needs("ipmitool")
async def test_a_redfish_machine_has_its_console_over_ipmi(rack: Rack) -> None:
    node, terminal = rack.nodes["node04"], Terminal()
    assert node.redfish is not None
    context = ssl.create_default_context(cafile=str(rack.ca_path))
    base = f"https://{node.entry.address}:{node.entry.port}"
    async with httpx.AsyncClient(base_url=base, verify=context, auth=("admin", PASSWORD)) as http:
        system = (await http.get("/redfish/v1/Systems/1")).json()
        assert system["SerialConsole"]["IPMI"] == {"ServiceEnabled": True, "Port": node.ipmi.port}
        await terminal.start(*tool(node, "sol", "activate"))
        try:
            await until(lambda: node.ipmi.sol is not None)
            reset = system["Actions"]["#ComputerSystem.Reset"]["target"]
            assert (await http.post(reset, json={"ResetType": "On"})).status_code == 204
            await terminal.expect(b" login: ")
        finally:
            await terminal.close()


_PYGHMI = """
import json, sys
from pyghmi.ipmi import command
c = command.Command(sys.argv[1], b"admin", sys.argv[3].encode(), port=int(sys.argv[2]))
c.set_bootdev("network", persist=True, uefiboot=True)
boot = c.get_bootdev()
found = {
    "power": c.get_power()["powerstate"],
    "boot": [boot["bootdev"], boot["persistent"], boot["uefimode"]],
    "sensors": {r.name: r.value for r in c.get_sensor_data()},
    "health": c.get_health()["health"],
    "sel": len(list(c.get_event_log())),
    "system": dict(c.get_inventory())["System"]["Serial Number"],
}
c.set_power("off", wait=10)
found["after"] = c.get_power()["powerstate"]
print(json.dumps(found))
"""


async def test_pyghmi(rack: Rack) -> None:
    node = rack.nodes["node01"]
    words = [node.entry.address, str(node.ipmi.port), PASSWORD]
    found = json.loads((await run(sys.executable, "-c", _PYGHMI, *words, limit=60)).splitlines()[-1])
    assert (found["power"], found["after"]) == ("on", "off")
    assert found["boot"] == ["network", True, True]
    assert 20 < found["sensors"]["CPU1 Temp"] < 90
    assert 11 < found["sensors"]["P12V"] < 13
    assert found["health"] == 0
    assert found["sel"] > 0
    assert found["system"] == node.machine.identity.serial
