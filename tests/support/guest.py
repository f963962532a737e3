"""A netboot image that boots in a virtual machine: Debian's kernel, and an initrd that proves how far a boot came.

The kernel is an installed one, or one that was unpacked (`dpkg -x`) below the directory of PLASMATUI_LAB_KERNEL.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import images

KERNEL = "PLASMATUI_LAB_KERNEL"
DRIVERS = ("virtio_pci", "virtio_net")
HOST_KEY = "256 SHA256:mRe8pVuY0x3Jr5bTt7XoJcQz1WqkD2nLhGf4aSs6vEi root@nixos (ED25519)"

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")

_LEASE = """\
#!/busybox sh
[ "$1" = bound ] || exit 0
/busybox ip address add "$ip/$mask" dev "$interface"
echo "the installer has $ip"
"""

_INIT = """\
#!/busybox sh
/busybox mkdir -p /proc
/busybox mount -t proc proc /proc
for module in {modules}; do /busybox insmod "/$module.ko"; done
/busybox ip link set eth0 up
/busybox udhcpc -i eth0 -s /lease -n -q -t 10 -T 2
{end}
"""

_POWER_OFF = f"""\
echo "{HOST_KEY}"
echo
echo "nixos login: "
/busybox poweroff -f"""

# As the netboot image does, it makes a key at every boot and shows it before anybody can log in with it.
_SERVE_SSH = """\
/busybox mkdir -p /bin /dev /etc /lib /root/.ssh
/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts pts /dev/pts
for each in /lib-*; do mv "$each" "/lib/${each#/lib-}"; done
ln -s /lib /lib64
mv /passwd /etc
mv /authorized_keys /root/.ssh
chmod 600 /root/.ssh/authorized_keys
made=$(/dropbearkey -t ed25519 -f /host-key)
/dropbear -s -r /host-key
echo "256 SHA256:${made##*SHA256:} root@nixos (ED25519)"
echo
echo "nixos login: "
while :; do sleep 3600; done"""

_SSH_PROGRAMS = ("dropbear", "dropbearkey")
_LIBRARY = re.compile(r"(/\S+) \(0x")


@dataclass(frozen=True)
class Kernel:
    """`image`: the kernel itself. `modules`: the directory of its modules."""

    image: Path
    modules: Path


def find_kernel() -> Kernel | None:
    """A kernel of Debian whose modules are there, None without one."""
    root = Path(os.environ.get(KERNEL) or "/")
    for image in sorted(root.glob("boot/vmlinuz-*"), reverse=True):
        version = image.name.removeprefix("vmlinuz-")
        for modules in (root / "lib/modules" / version, root / "usr/lib/modules" / version):
            if (modules / "kernel").is_dir():
                return Kernel(image, modules)
    return None


def write_image(directory: Path, kernel: Kernel, client_key: str = "") -> None:
    """A build's directory, as `plasmatui images deploy` takes it.

    Args:
        client_key: public key of who may log in as root; the machine then stays up. Empty: it has no SSH server, and
            powers itself off when it is up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kernel.image, directory / "bzImage")
    (directory / "initrd").write_bytes(_initrd(kernel, client_key))
    (directory / "netboot.ipxe").write_text(images.script(parameters="loglevel=7"))


def _initrd(kernel: Kernel, client_key: str) -> bytes:
    modules = dict(_modules(kernel))
    script = _INIT.format(modules=" ".join(modules), end=_SERVE_SSH if client_key else _POWER_OFF)
    files = {
        "init": script.encode(),
        "lease": _LEASE.encode(),
        "busybox": _program("busybox").read_bytes(),
        **{f"{name}.ko": content for name, content in modules.items()},
    }
    if client_key:
        files |= _ssh_files(client_key)
    return gzip.compress(images.cpio(files, 0o755), compresslevel=1)


def _program(name: str) -> Path:
    found = shutil.which(name)
    assert found is not None, name
    return Path(found)


def _ssh_files(client_key: str) -> dict[str, bytes]:
    """The server with its libraries, whose names begin with `lib-`: an archive here has no directories."""
    programs = [_program(name) for name in _SSH_PROGRAMS]
    said = subprocess.run(["ldd", *map(str, programs)], check=True, capture_output=True, text=True).stdout
    libraries = {Path(path) for path in _LIBRARY.findall(said)}
    return {
        "passwd": b"root:x:0:0:root:/root:/bin/sh\n",
        "authorized_keys": client_key.encode(),
        **{path.name: path.read_bytes() for path in programs},
        **{f"lib-{path.name}": path.read_bytes() for path in libraries},
    }


def _modules(kernel: Kernel) -> Iterator[tuple[str, bytes]]:
    """The drivers that are no part of the kernel itself, each behind those that it needs."""
    paths = {path.name.split(".")[0].replace("-", "_"): path for path in kernel.modules.glob("kernel/**/*.ko*")}
    done: set[str] = set()

    def load(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done or name not in paths:
            return
        done.add(name)
        content = paths[name].read_bytes()
        if paths[name].suffix == ".xz":
            content = lzma.decompress(content)
        found = _DEPENDS.search(content)
        for needed in filter(None, (found[1].decode() if found else "").split(",")):
            yield from load(needed.replace("-", "_"))
        yield name, content

    for driver in DRIVERS:
        yield from load(driver)
