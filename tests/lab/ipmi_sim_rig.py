"""OpenIPMI's `ipmi_sim` as BMCs that we did not write: one process each, on loopback, unprivileged ports.

Power, boot device and identify go through a `chassis_control` program that keeps its state in files; SOL is fed by a
TCP server of ours that prints a boot when the power file says "on" and echoes what is typed in upper case.
Configuration as in ipmi_lan(5) and ipmi_sim_cmd(5) of OpenIPMI 2.0.33.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD = "admin", "password"
BASE = "127.23.7"
BOOT_LINES = tuple(f"[{i / 10:8.6f}] systemd[1]: Started unit {i:04d}.\r\n" for i in range(200))

CHASSIS_CONTROL = """#!/bin/sh
d=$1; op=$2; shift 2
case $op in
 get) for p in "$@"; do case $p in
    power) echo "power:$(cat "$d/power")";;
    boot) echo "boot:$(cat "$d/boot")";;
    *) exit 1;;
  esac; done;;
 set) while [ $# -gt 0 ]; do p=$1; v=$2; shift 2; case $p in
    power) echo "$v" > "$d/power"; echo "power $v" >> "$d/events";;
    reset) echo reset >> "$d/events";;
    shutdown) echo 0 > "$d/power"; echo shutdown >> "$d/events";;
    boot) echo "$v" > "$d/boot"; echo "boot $v" >> "$d/events";;
    identify) echo "identify $v" >> "$d/events"; [ $# -gt 0 ] && shift;;
  esac; done;;
 *) exit 1;;
esac
exit 0
"""

EMULATOR = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 0x01 0x01
sensor_set_value 0x20 0 1 0x2a 0
sensor_set_threshold 0x20 0 1 settable 111000 0xa0 0x90 0x70 00 00 00
sensor_set_event_support 0x20 0 1 enable scanning per-state \
000111111000000 000111111000000 000111111000000 000111111000000
mc_add_fru_data 0x20 0 256 file 0 "{fru}"
sel_add 0x20 0x02 0x00 0x00 0x00 0x00 0x20 0x00 0x04 0x01 0x01 0x01 0x59 0x90 0x90
mc_enable 0x20
"""

LAN = """name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789ab{index:04x}
  endlan
  chassis_control "{control} {directory}"
  sol "tcp:127.0.0.1:{serial}" 115200 history=4000
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "admin" "password" admin 10 none md2 md5 straight
"""


def _fru_area(head: bytes, fields: tuple[str, ...]) -> bytes:
    """A FRU info area (Platform Management FRU Information Storage Definition 1.0, sections 11 and 12)."""
    area = bytearray(head)
    for text in fields:
        area += bytes([0xC0 | len(text)]) + text.encode()
    area.append(0xC1)
    while (len(area) + 1) % 8:
        area.append(0)
    area[1] = (len(area) + 1) // 8
    area.append(-sum(area) & 0xFF)
    return bytes(area)


def _fru(index: int) -> bytes:
    board = _fru_area(bytes([1, 0, 25, 0, 0, 0]), ("ACME", "lab-board", f"B{index:05d}", "BPN-1"))
    product = _fru_area(bytes([1, 0, 25]), ("ACME", "lab-node", "PN-1", "1.0", f"SN{index:05d}", f"asset{index}"))
    header = bytearray([1, 0, 0, 1, 1 + len(board) // 8, 0, 0])
    header.append(-sum(header) & 0xFF)
    return (bytes(header) + board + product).ljust(256, b"\0")


@dataclass
class SimNode:
    """One ipmi_sim and its serial port."""

    name: str
    address: str
    directory: Path
    serial: int
    process: asyncio.subprocess.Process | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def power(self) -> bool:
        return (self.directory / "power").read_text().strip() == "1"

    @property
    def boot(self) -> str:
        return (self.directory / "boot").read_text().strip()

    @property
    def events(self) -> list[str]:
        path = self.directory / "events"
        return path.read_text().splitlines() if path.exists() else []


@dataclass
class Rig:
    nodes: list[SimNode]
    port: int
    inventory: Path
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def node(self, name: str) -> SimNode:
        return next(node for node in self.nodes if node.name == name)


@contextlib.asynccontextmanager
async def ipmi_sim_rig(directory: Path, count: int) -> AsyncIterator[Rig]:
    """Start `count` BMCs and write an inventory for them; stop everything at the end."""
    port = _free_udp_port(f"{BASE}.1")
    control = directory / "chassis-control"
    control.write_text(CHASSIS_CONTROL)
    control.chmod(0o755)
    rig = Rig([], port, directory / "inventory.yaml")
    servers = []
    try:
        for index in range(1, count + 1):
            node = SimNode(f"lab{index:02d}", f"{BASE}.{index}", directory / f"lab{index:02d}", 0)
            server = await asyncio.start_server(_serial_port(node), "127.0.0.1", 0)
            servers.append(server)
            node.serial = server.sockets[0].getsockname()[1]
            rig.nodes.append(node)
            await _start(node, port, control, index)
            rig.tasks.append(asyncio.create_task(_play(node), name=f"serial {node.name}"))
        _write_inventory(rig)
        for node in rig.nodes:
            await _until_ready(node)
        yield rig
    finally:
        for task in rig.tasks:
            task.cancel()
        for node in rig.nodes:
            if node.process is not None and node.process.returncode is None:
                node.process.terminate()
                await node.process.wait()
        for server in servers:
            server.close()


def _free_udp_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


async def _start(node: SimNode, port: int, control: Path, index: int) -> None:
    node.directory.mkdir()
    for name, text in (("power", "0\n"), ("boot", "default\n")):
        (node.directory / name).write_text(text)
    (node.directory / "fru.bin").write_bytes(_fru(index))
    (node.directory / "node.emu").write_text(EMULATOR.format(fru=node.directory / "fru.bin"))
    (node.directory / "lan.conf").write_text(
        LAN.format(
            name=node.name,
            address=node.address,
            port=port,
            index=index,
            control=control,
            directory=node.directory,
            serial=node.serial,
        )
    )
    program = shutil.which("ipmi_sim")
    assert program is not None, "ipmi_sim (Debian package openipmi) is needed"
    with (node.directory / "log").open("wb") as log:
        node.process = await asyncio.create_subprocess_exec(
            program,
            *("-c", "lan.conf", "-f", "node.emu", "-s", "state", "-n"),
            cwd=node.directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


async def _until_ready(node: SimNode) -> None:
    """Until the simulator has connected to its serial port, which is the last thing it does when it starts."""
    async with asyncio.timeout(20):
        while not node.writers:
            assert node.process is not None
            assert node.process.returncode is None, (node.directory / "log").read_text()
            await asyncio.sleep(0.02)


def _serial_port(node: SimNode):  # type: ignore[no-untyped-def]
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        node.writers.add(writer)
        try:
            while data := await reader.read(4096):
                writer.write(data.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            node.writers.discard(writer)
            writer.close()

    return serve


async def _play(node: SimNode) -> None:
    """Print a boot each time the machine goes from off to on."""
    was = False
    while True:
        await asyncio.sleep(0.05)
        text = (node.directory / "power").read_text().strip()
        on = text == "1" if text else was
        if on and not was:
            for line in ("\r\nlab firmware: power-on self test\r\n", *BOOT_LINES, f"\r\n{node.name} login: "):
                for writer in list(node.writers):
                    writer.write(line.encode())
                await asyncio.sleep(0.005)
        was = on


def _write_inventory(rig: Rig) -> None:
    secret = rig.inventory.with_name("bmc-password")
    secret.write_text(PASSWORD + "\n")
    os.chmod(secret, 0o600)
    lines = [
        "version: 1",
        "cluster: {name: lab, domain: lab.example.com, environment: lab}",
        f"bmc_defaults: {{driver: ipmi, username: {USER}, password: {{file: {secret}}}, port: {rig.port}}}",
        "profiles:",
        "  worker: {services: []}",
        "nodes:",
    ]
    for node in rig.nodes:
        lines += [f"  {node.name}:", "    profile: worker", f"    bmc: {node.address}"]
    rig.inventory.write_text("\n".join(lines) + "\n")
