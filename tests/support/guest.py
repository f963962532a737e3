"""A netboot image that boots in a virtual machine: Debian's kernel, and an initrd that proves how far a boot came.

The kernel is an installed one, or one that was unpacked (`dpkg -x`) below the directory of PLASMATUI_LAB_KERNEL.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
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
echo "{host_key}"
echo
echo "nixos login: "
/busybox poweroff -f
"""


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


def write_image(directory: Path, kernel: Kernel) -> None:
    """A build's directory, as `plasmatui images deploy` takes it."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kernel.image, directory / "bzImage")
    (directory / "initrd").write_bytes(_initrd(kernel))
    (directory / "netboot.ipxe").write_text(images.script(parameters="loglevel=7"))


def _initrd(kernel: Kernel) -> bytes:
    busybox = shutil.which("busybox")
    assert busybox is not None
    modules = dict(_modules(kernel))
    script = _INIT.format(modules=" ".join(modules), host_key=HOST_KEY)
    files = {
        "init": script.encode(),
        "lease": _LEASE.encode(),
        "busybox": Path(busybox).read_bytes(),
        **{f"{name}.ko": content for name, content in modules.items()},
    }
    return gzip.compress(images.cpio(files, 0o755), compresslevel=1)


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
