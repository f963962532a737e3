"""A PXE server and one virtual machine that boots from it, in namespaces of their own. Run as a program inside them:

    unshare --net --mount --pid --fork --kill-child --mount-proc python -m tests.support.boot_lab JOB

The daemons are started as Debian starts them, from the rendered files, which lie over /etc. What they log and what the
machine prints on its serial port becomes a bundle. Everything ends with the namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from plasmatui.cli.main import run as plasmatui
from tests.support import bmc_lab, bmc_stories
from tests.support.dhcp_lab import ip

SERVER, PORT, NIC = "10.0.100.10", 8080, "eth0"
NODE, MAC, ADDRESS = "node01", "52:54:00:12:34:56", "10.0.100.50"
CONSOLE, SYSLOG, MESSAGES = "node01.console", "syslog.json", "messages"

START = 60.0
"""Seconds within which a daemon listens, on a machine that has much else to do."""

NICE = 5
"""Machines that boot leave the processor to tests that measure something."""

_SHOWN = 65536
"""Bytes of the console that are searched."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
_TAG = re.compile(r"(?:<\d+>)?\w{3} [ \d]\d [\d:]{8} (?P<program>[^\s:\[]+)(?:\[(?P<pid>\d+)\])?: (?P<text>.*)", re.S)

_NGINX = """\
daemon off; user www-data; pid /run/nginx.pid; error_log {logs}/error.log;
events {{}}
http {{
    include /etc/nginx/mime.types; access_log {logs}/access.log; include /etc/nginx/sites-available/pxe;
    map $uri $pace {{ default 0; ~/initrd$ {pace}; }} limit_rate $pace;
}}
"""

_SLOWLY = "100k"
"""Bytes per second of an initrd while which the cable is pulled."""

_OTHER_DHCP = f"""\
authoritative;
subnet 10.0.100.0 netmask 255.255.255.0 {{ range 10.0.100.100 10.0.100.120; }}
host {NODE} {{ hardware ethernet {MAC}; fixed-address {ADDRESS}; }}
"""
"""A server that is not ours: addresses, and nothing about booting."""


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        directory: of the test, with `inventory.yaml` and the image `worker`; `bundle` is made in it.
        firmware: "uefi" or "bios".
        daemons: keys of `DAEMONS`, in the order of their start.
        limit: seconds for the whole boot.
        spoil: key of `SPOILS`: what is broken on the server, empty for nothing.
        until: pattern; the machine is cut off when its console shows it. Empty: it powers itself off.
        pull: pattern; its cable is pulled when its console shows it. nginx then sends the initrd slowly. Empty: never.
        story: key of `bmc_stories.STORIES`: a BMC switches the machine on, as an operator orders it; there is no bundle
            then. Empty: it is started, and ordered by nobody.
    """

    directory: str
    firmware: str
    daemons: list[str]
    limit: float
    spoil: str = ""
    until: str = ""
    pull: str = ""
    story: str = ""


@dataclass(frozen=True)
class Daemon:
    """A program of the server.

    Attributes:
        arguments: its vector; {work} is the lab's directory, {bundle} the bundle's.
        listens: protocol and port by which it is known to be up.
        files: what it writes itself, as name and format of the bundle. What it says to syslog is always there.
        stdout: the file of these that its standard output is, empty for one that is no part of the bundle.
    """

    arguments: tuple[str, ...]
    listens: tuple[str, int]
    files: dict[str, str] = field(default_factory=dict)
    stdout: str = ""


_DNSMASQ = ("dnsmasq", "--keep-in-foreground", "-C", "/etc/dnsmasq.d/pxe.conf")
_TFTPD = (
    ". /etc/default/tftpd-hpa; "
    'exec in.tftpd --foreground --user "$TFTP_USERNAME" --address "$TFTP_ADDRESS" $TFTP_OPTIONS "$TFTP_DIRECTORY"'
)
DAEMONS = {
    "kea": Daemon(("kea-dhcp4", "-c", "/etc/kea/kea-dhcp4.conf"), ("udp", 67), {"kea.log": "kea"}, "kea.log"),
    "other-dhcpd": Daemon(
        ("dhcpd", "-4", "-f", "--no-pid", "-cf", "{work}/other.conf", "-lf", "{work}/other.leases", NIC), ("udp", 67)
    ),
    "dnsmasq": Daemon(_DNSMASQ, ("udp", 69)),
    "dnsmasq-proxy": Daemon(_DNSMASQ, ("udp", 4011)),
    "tftpd-hpa": Daemon(("sh", "-c", _TFTPD), ("udp", 69)),
    "nginx": Daemon(
        ("nginx", "-p", "{work}", "-c", "{work}/nginx.conf"),
        ("tcp", PORT),
        {"access.log": "nginx-access", "error.log": "nginx-error"},
    ),
    "serve": Daemon(
        (sys.executable, "-m", "plasmatui", "-i", "{work}/inventory.yaml", "serve", "--log-file", "{bundle}/serve.log"),
        ("tcp", PORT),
        {"serve.log": "plasmatui-serve"},
    ),
}


class Syslog:
    """What listens on /dev/log, and keeps it as `journalctl -o json` prints it, and as rsyslog writes it."""

    def __init__(self, path: Path, plain: Path) -> None:
        self._path, self._plain = path, plain
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", "/dev/log")
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        with self._path.open("w", encoding="utf-8") as out, self._plain.open("w", encoding="utf-8") as plain:
            while message := self._socket.recv(65536):
                found = _TAG.match(message.decode("utf-8", "replace").rstrip("\0\n"))
                if found is not None:
                    entry = {
                        "__REALTIME_TIMESTAMP": str(time.time_ns() // 1000),
                        "SYSLOG_IDENTIFIER": found["program"],
                        "SYSLOG_PID": found["pid"] or "",
                        "MESSAGE": found["text"],
                    }
                    out.write(json.dumps(entry) + "\n")
                    out.flush()
                    pid = f"[{found['pid']}]" if found["pid"] else ""
                    stamp = time.strftime("%b %e %H:%M:%S")
                    plain.write(f"{stamp} pxe01 {found['program']}{pid}: {found['text']}\n")
                    plain.flush()


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def make_devices(work: Path) -> None:
    """A /dev of our own, so that /dev/log is ours."""
    new = work / "dev"
    new.mkdir()
    mount("-t", "tmpfs", "lab", str(new))
    (new / "net").mkdir()
    for name in _DEVICES:
        if Path("/dev", name).exists():
            (new / name).touch()
            mount("--bind", f"/dev/{name}", str(new / name))
    if not (new / "net/tun").exists():
        os.mknod(new / "net/tun", 0o20600, os.makedev(10, 200))
    (new / "pts").mkdir()
    mount("-t", "devpts", "-o", "ptmxmode=666", "lab", str(new / "pts"))
    (new / "ptmx").symlink_to("pts/ptmx")
    mount("--move", str(new), "/dev")


def make_network() -> None:
    """The server's interface is a bridge; the machine's cable is a port of it, and another one gives it a carrier while
    the machine is off: Kea listens on no interface without one."""
    ip("link", "set", "lo", "up")
    ip("link", "add", NIC, "address", "52:54:00:00:00:0a", "type", "bridge")
    ip("address", "add", f"{SERVER}/24", "dev", NIC)
    ip("link", "add", "port0", "type", "veth", "peer", "name", "peer0")
    ip("link", "set", "port0", "master", NIC)
    for each in ("peer0", "port0", NIC):
        ip("link", "set", each, "up")
    ip("tuntap", "add", "tap0", "mode", "tap")
    ip("link", "set", "tap0", "master", NIC, "up")
    wait_for(lambda: _is_up(NIC), START, f"{NIC} to be up")


def _is_up(nic: str) -> bool:
    """Asks netlink: /sys may show another namespace's interfaces."""
    asked = ["ip", "-json", "link", "show", "dev", nic]
    (found,) = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    return bool(found["operstate"] == "UP")


def order(work: Path, *words: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        code = plasmatui(["-i", str(work / "inventory.yaml"), *words])
    if code != 0:
        raise RuntimeError(f"plasmatui {words[0]} ended with code {code}")


def publish(work: Path) -> None:
    """As docs/pxe.md says it: publish the image, render, and put the files at their places."""
    for place in ("/run", "/srv", "/var/lib"):
        mount("-t", "tmpfs", "-o", "mode=755", "lab", place)
    for place in ("kea", "misc", "nginx"):
        Path("/var/lib", place).mkdir()
    rendered = work / "rendered"
    order(work, "images", "deploy", "--profile", "worker", str(work / "worker"))
    order(work, "render", "--images", "/srv/pxe/nixos", "--pending", NODE, "-o", str(rendered))
    shutil.copytree(rendered / "server/srv/pxe", "/srv/pxe", dirs_exist_ok=True)
    for directory in ("/srv/tftp", "/srv/pxe/ipxe"):
        Path(directory).mkdir(exist_ok=True)
        for loader in ("ipxe.efi", "undionly.kpxe"):
            shutil.copy(f"/usr/lib/ipxe/{loader}", directory)
    mount("-t", "overlay", "-o", f"lowerdir={rendered}/server/etc:/etc", "lab", "/etc")


def _remove_loader() -> None:
    Path("/srv/tftp/ipxe.efi").unlink()


def _garble_kernel() -> None:
    """What is published is a link to a version, whose file stays as long as it was."""
    kernel = Path("/srv/pxe/nixos/worker/bzImage")
    kernel.chmod(0o644)
    kernel.write_bytes(os.urandom(kernel.stat().st_size))


def _cut_initrd() -> None:
    initrd = Path("/srv/pxe/nixos/worker/initrd")
    initrd.chmod(0o644)
    os.truncate(initrd, initrd.stat().st_size // 2)


SPOILS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "loader gone": _remove_loader,
    "kernel garbled": _garble_kernel,
    "initrd cut": _cut_initrd,
}


def _filled(arguments: tuple[str, ...], work: Path) -> list[str]:
    return [each.replace("{work}", str(work)).replace("{bundle}", str(work / "bundle")) for each in arguments]


@contextlib.contextmanager
def running(name: str, work: Path) -> Iterator[None]:
    """A daemon, from when it listens. Raises RuntimeError when it does not, or when it has ended meanwhile."""
    daemon = DAEMONS[name]
    bundle = work / "bundle"
    for file in daemon.files:
        (bundle / file).touch()
    environment = {**os.environ, "KEA_LOCKFILE_DIR": "none", "KEA_PIDFILE_DIR": str(work)}
    output = bundle / daemon.stdout if daemon.stdout else work / f"{name}.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            _filled(daemon.arguments, work), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    try:
        wait_for(lambda: process.poll() is not None or _listens(*daemon.listens), START, f"{name} to listen")
        _hold_up(name, process)
        yield
        _hold_up(name, process)
    finally:
        process.terminate()
        try:
            process.wait(START)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _hold_up(name: str, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"{name} ended with code {process.returncode}")


def _listens(protocol: str, port: int) -> bool:
    """proc(5), /proc/net: the local address is the second column; what listens has state 0A, a UDP socket 07."""
    state = "0A" if protocol == "tcp" else "07"
    sockets = (line.split() for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:])
    return any(each[1].endswith(f":{port:04X}") and each[3] == state for each in sockets)


def wait_for(condition: Callable[[], bool], limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {limit:g} s in vain for {what}")
        time.sleep(0.05)


def machine(firmware: str, work: Path) -> list[str]:
    """QEMU's arguments, without its serial port.

    Without an option ROM, OVMF drives the card itself and fetches its loader by TFTP; SeaBIOS needs the card's, which
    is iPXE. Video stays out of the way, so that firmware prints on the serial port.
    """
    words = ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot"]
    words += ["-vga", "none", "-object", "rng-random,id=rng,filename=/dev/urandom"]
    words += ["-device", "virtio-rng-pci,rng=rng", "-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"]
    card = f"virtio-net-pci,netdev=net,mac={MAC},bootindex=1"
    if firmware == "bios":
        return [*words, "-machine", "pc,graphics=off", "-device", card]
    shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.fd", work / "vars.fd")
    flash = "if=pflash,format=raw"
    words += ["-drive", f"{flash},unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]
    words += ["-drive", f"{flash},unit=1,file={work}/vars.fd"]
    return [*words, "-machine", "q35,smm=off", "-device", f"{card},romfile="]


def boot(job: Job, work: Path) -> str:
    """Run the machine until it powers itself off, or shows what is waited for; says what is wrong otherwise."""
    bundle = work / "bundle"
    deadline = time.monotonic() + job.limit
    shown = b""
    pull = job.pull
    with (
        (bundle / CONSOLE).open("wb") as console,
        (bundle / f"{CONSOLE}.timing").open("w") as timing,
        (work / "qemu.err").open("wb") as errors,
        subprocess.Popen(
            [*machine(job.firmware, work), "-serial", "stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as qemu,
        selectors.DefaultSelector() as selector,
    ):
        assert qemu.stdout is not None
        selector.register(qemu.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            data = os.read(qemu.stdout.fileno(), 4096)
            if not data:
                code = qemu.wait()
                if code:
                    return f"QEMU ended with code {code}"
                return f"the machine powered itself off and never showed {job.until}" if job.until else ""
            console.write(data)
            timing.write(f"{time.time():.3f} {len(data)}\n")
            shown = (shown + data)[-_SHOWN:]
            if pull and re.search(pull.encode(), shown):
                ip("link", "set", "tap0", "down")
                pull = ""
            if job.until and re.search(job.until.encode(), shown):
                qemu.kill()
                return ""
        qemu.kill()
    return f"the machine had not come to its end after {job.limit:g} s"


def ordered(job: Job, work: Path) -> str:
    network = machine(job.firmware, work)
    disk = [each.replace(",bootindex=1", ",romfile=") for each in network]
    with bmc_lab.bmc(work, {"network": network, "disk": disk}, START):
        bmc_stories.tell(job.story, work, job.limit)
    return ""


def write_manifest(job: Job, bundle: Path) -> None:
    files = [{"path": SYSLOG, "format": "journal"}]
    files += [{"path": path, "format": kind} for name in job.daemons for path, kind in DAEMONS[name].files.items()]
    files.append({"path": CONSOLE, "format": "console", "node": NODE, "timing": f"{CONSOLE}.timing"})
    manifest = {"version": 1, "nodes": {NODE: {"mac": MAC, "ip": ADDRESS}}, "files": files}
    (bundle / "bundle.yaml").write_text(json.dumps(manifest, indent=1))


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    os.nice(NICE)
    work = Path(job.directory)
    (work / "bundle").mkdir()
    (work / "nginx.conf").write_text(_NGINX.format(logs=work / "bundle", pace=_SLOWLY if job.pull else "0"))
    (work / "other.conf").write_text(_OTHER_DHCP)
    (work / "other.leases").touch()
    make_devices(work)
    make_network()
    publish(work)
    SPOILS[job.spoil]()
    with Syslog(work / "bundle" / SYSLOG, work / MESSAGES), contextlib.ExitStack() as daemons:
        for name in job.daemons:
            daemons.enter_context(running(name, work))
        wrong = ordered(job, work) if job.story else boot(job, work)
    write_manifest(job, work / "bundle")
    if wrong:
        sys.exit(wrong)


class Lab:
    """The program above in namespaces that end with it, and so does everything in them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._said = Path(job.directory, "lab.err")
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def run(self) -> str:
        """What went wrong, empty when the machine booted and came to its end. May be called in a thread."""
        limit = self._job.limit + 2 * START
        with self._lock:
            if self._ended:
                return "it was given up"
            process = self._process = self._begin()
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            self.end()
            return f"nothing had come of it after {limit:g} s"
        return "" if code == 0 else f"code {code}: {self._said.read_text('utf-8', 'replace')[-2000:]}"

    def end(self) -> None:
        """Kill it, or see that it does not begin."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _begin(self) -> subprocess.Popen[bytes]:
        spaces = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        own = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PLASMATUI_"))}
        with self._said.open("wb") as said:
            return subprocess.Popen(
                ["unshare", *spaces, sys.executable, "-m", "tests.support.boot_lab", json.dumps(asdict(self._job))],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=Path(__file__).parents[2],
                env={**own, "HOME": self._job.directory},
            )


if __name__ == "__main__":
    main()
