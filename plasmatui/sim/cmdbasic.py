"""Commands of a simulated host about itself: names, times, memory, keys, and the way down."""

from __future__ import annotations

import time

from plasmatui.sim.arguments import Options
from plasmatui.sim.hostkeys import fingerprint_line
from plasmatui.sim.identity import PROVISIONING
from plasmatui.sim.nodeshell import Call, Command


async def _true(_call: Call) -> int:
    return 0


async def _false(_call: Call) -> int:
    return 1


async def _uname(call: Call) -> int:
    host = call.host
    values = {
        "s": "Linux", "n": host.hostname, "r": host.kernel, "v": "#1-NixOS SMP PREEMPT_DYNAMIC", "m": "x86_64",
        "o": "GNU/Linux",
    }  # fmt: skip
    asked = Options(call.arguments, aliases={"machine": "m", "kernel-release": "r", "all": "a"})
    letters = "snrvmo" if "a" in asked else [letter for letter in values if letter in asked] or "s"
    call.say(" ".join(values[letter] for letter in letters))
    return 0


async def _hostname(call: Call) -> int:
    full = call.host.hostname if call.host.installer else f"{call.host.hostname}.sim.example.com"
    call.say(full if "-f" in call.arguments else call.host.hostname)
    return 0


async def _whoami(call: Call) -> int:
    call.say(call.user)
    return 0


async def _id(call: Call) -> int:
    number = 0 if call.user == "root" else 1000
    if "-u" in call.arguments:
        call.say(str(number))
    elif "-un" in call.arguments:
        call.say(call.user)
    else:
        call.say(f"uid={number}({call.user}) gid={number or 0}({call.user}) groups={number}({call.user})")
    return 0


async def _uptime(call: Call) -> int:
    minutes = int(call.host.uptime()) // 60
    now = time.strftime("%H:%M:%S", time.gmtime(call.host.clock.wall()))
    call.say(f" {now}  up {minutes // 60}:{minutes % 60:02d},  1 user,  load average: 0.08, 0.03, 0.01")
    return 0


async def _free(call: Call) -> int:
    total = call.host.identity.hardware.memory_gib << 30
    used, shared, cached = total // 16, total // 256, total // 12
    unit = {"-b": 1, "-m": 1 << 20, "-g": 1 << 30}.get(call.arguments[0] if call.arguments else "", 1 << 10)
    call.say("               total        used        free      shared  buff/cache   available")
    row = (total, used, total - used - cached, shared, cached, total - used)
    call.say("Mem:    " + "".join(f"{value // unit:>12}" for value in row))
    call.say("Swap:   " + f"{0:>12}" * 3)
    return 0


async def _date(call: Call) -> int:
    now = call.host.clock.wall() + call.host.faults.number("clock-skew")
    form = next((word[1:] for word in call.arguments if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    form = form.replace("%s", str(int(now))).replace("%N", f"{int(now % 1 * 1e9):09d}")
    call.say(time.strftime(form, time.gmtime(now)))
    return 0


async def _nproc(call: Call) -> int:
    hardware = call.host.identity.hardware
    call.say(str(hardware.cores * hardware.sockets * 2))
    return 0


async def _sleep(call: Call) -> int:
    await call.sleep(float(call.arguments[0].removesuffix("s")) if call.arguments else 0.0)
    return 0


async def _ssh_keygen(call: Call) -> int:
    """`ssh-keygen -lf FILE`, for a private key or its `.pub`."""
    options = Options(call.arguments, ("f", "E", "t"))
    path = options.get("f").removesuffix(".pub")
    if path.startswith("/etc/ssh/"):
        call.host.host_key()
    try:
        call.say(fingerprint_line(call.files.read(path), f"root@{call.host.hostname}"))
    except ValueError:
        return call.fail(f"{path} is not a key file.", 255)
    return 0


async def _ip(call: Call) -> int:
    mac, address = call.host.identity.macs[0], call.host.identity.provisioning
    call.say("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN", "    inet 127.0.0.1/8 scope host",
             "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP", f"    link/ether {mac}",
             f"    inet {address}/16 brd {PROVISIONING.broadcast_address} scope global eth0")  # fmt: skip
    return 0


async def _dmesg(call: Call) -> int:
    call.say(f"[    0.000000] Linux version {call.host.kernel}", "[    2.524556] Run /init as init process")
    return 0


async def _reboot(call: Call) -> int:
    call.host.power("reboot")
    return 0


async def _poweroff(call: Call) -> int:
    call.host.power("poweroff")
    return 0


async def _shutdown(call: Call) -> int:
    call.host.power("reboot" if "-r" in call.arguments else "poweroff")
    return 0


COMMANDS: dict[str, Command] = {
    "true": _true, ":": _true, "false": _false, "sync": _true, "set": _true, "export": _true, "cd": _true,
    "umask": _true, "udevadm": _true, "uname": _uname, "hostname": _hostname, "whoami": _whoami, "id": _id,
    "uptime": _uptime, "free": _free, "date": _date, "nproc": _nproc, "sleep": _sleep, "ssh-keygen": _ssh_keygen,
    "ip": _ip, "dmesg": _dmesg, "reboot": _reboot, "poweroff": _poweroff, "halt": _poweroff, "shutdown": _shutdown,
}  # fmt: skip
