"""A BMC in front of the lab's machine: OpenIPMI's `ipmi_sim`, whose power switch starts and ends QEMU, and whose serial
over LAN is the machine's port, inside the namespaces of `boot_lab`.

The switch is a `chassis_control` program (ipmi_lan(5)); it starts QEMU as its configured boot device says.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.dhcp_lab import ip

NODE = "node01"
ADDRESS, PORT = "10.0.10.50", 623
USER, PASSWORD = "admin", "password"
SOL, SERIAL = 18001, 18002
"""Ports of the relay, below the ephemeral ones: one for the BMC, which connects once, one for each start of QEMU."""

# A process that has ended and that nobody waited for has no /proc/PID/exe (proc(5)).
_CONTROL = """#!/bin/sh
cd "$1" || exit 1
running() {{ [ -s pid ] && [ -e "/proc/$(cat pid)/exe" ]; }}
begin() {{
    running && return
    case $(cat boot) in pxe) how=network ;; *) how=disk ;; esac
    echo "on $how" >>events
    setsid sh -c 'echo $$ >pid; exec sh ./'$how </dev/null >>qemu.out 2>&1 &
    while ! running; do sleep 0.05; done
    echo default >boot
}}
end() {{ if running; then kill -9 "$(cat pid)"; while running; do sleep 0.05; done; fi; }}
op=$2; shift 2
case $op in
get) for what; do case $what in
    power) if running; then echo power:1; else echo power:0; fi ;;
    boot) echo "boot:$(cat boot)" ;;
    *) exit 1 ;;
    esac; done ;;
set) case $1 in
    power) if [ "$2" = 1 ]; then begin; else end; fi ;;
    reset) end; begin ;;
    shutdown) end ;;
    boot) echo "$2" >boot ;;
    *) exit 1 ;;
    esac ;;
*) exit 1 ;;
esac
"""

_LAN = """name "{node}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{directory}/control {directory}"
  sol "tcp:127.0.0.1:{sol}" 115200 history=4000
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""

_EMULATOR = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


class Relay:
    """The serial line: what QEMU says goes to the BMC, as long as there is one."""

    def __init__(self) -> None:
        self._bmc, self._machines = (socket.create_server(("127.0.0.1", port)) for port in (SOL, SERIAL))
        self.connected = threading.Event()
        threading.Thread(target=self._run, name="serial line", daemon=True).start()

    def _run(self) -> None:
        bmc, _ = self._bmc.accept()
        self.connected.set()
        while True:
            machine, _ = self._machines.accept()
            with machine, contextlib.suppress(OSError):
                while data := machine.recv(4096):
                    bmc.sendall(data)


@contextlib.contextmanager
def bmc(work: Path, machines: dict[str, list[str]], limit: float) -> Iterator[None]:
    """Args:
    machines: QEMU's arguments without its serial port, for "network" and "disk".
    """
    directory = work / "bmc"
    directory.mkdir()
    (directory / "boot").write_text("default\n")
    (directory / "control").write_text(_CONTROL.format())
    (directory / "control").chmod(0o755)
    for how, words in machines.items():
        line = shlex.join([*words, "-serial", f"tcp:127.0.0.1:{SERIAL}"])
        (directory / how).write_text(f"exec {line}\n")
    ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
    fields = {"node": NODE, "address": ADDRESS, "port": PORT, "user": USER, "password": PASSWORD}
    (directory / "lan.conf").write_text(_LAN.format(**fields, directory=directory, sol=SOL))
    (directory / "node.emu").write_text(_EMULATOR)
    relay = Relay()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["ipmi_sim", "-c", "lan.conf", "-f", "node.emu", "-s", "state", "-n"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        if not relay.connected.wait(limit):
            raise RuntimeError(f"ipmi_sim never began: {(directory / 'log').read_text('utf-8', 'replace')}")
        yield
    finally:
        process.kill()
        process.wait()
