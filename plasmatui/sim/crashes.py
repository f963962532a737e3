"""How a booting system stops: panics, no memory, emergency mode. Texts of Linux 6.12 and systemd 257."""

from __future__ import annotations

from collections.abc import Iterator

from plasmatui.sim.boot import Boot
from plasmatui.sim.steps import KERNEL, Step, line

_NO_ROOT_TRACE = (
    "dump_stack_lvl+0x64/0x80",
    "panic+0x118/0x2f0",
    "mount_root_generic+0x1c8/0x2b0",
    "prepare_namespace+0x69/0x2b0",
    "kernel_init_freeable+0x2a3/0x2f0",
    "? __pfx_kernel_init+0x10/0x10",
    "kernel_init+0x1a/0x130",
    "ret_from_fork+0x34/0x50",
    "ret_from_fork_asm+0x1a/0x30",
)
_INIT_KILLED_TRACE = (
    "dump_stack_lvl+0x64/0x80",
    "panic+0x118/0x2f0",
    "do_exit+0x9b6/0xa20",
    "do_group_exit+0x30/0x90",
    "__x64_sys_exit_group+0x18/0x20",
    "do_syscall_64+0xb7/0x210",
    "entry_SYSCALL_64_after_hwframe+0x77/0x7f",
)
_MEMORY_TRACE = (
    "dump_stack_lvl+0x64/0x80",
    "panic+0x118/0x2f0",
    "out_of_memory+0x4d1/0x520",
    "__alloc_pages_slowpath.constprop.0+0xb6e/0xdf0",
    "shmem_write_begin+0x4e/0xb0",
    "generic_perform_write+0xd3/0x220",
    "do_populate_rootfs+0x5e/0x180",
)


def _panic(facts: Boot, seconds: float, reason: str, trace: tuple[str, ...], process: str) -> Iterator[Step]:
    hardware = facts.identity.hardware
    lines = [
        f"Kernel panic - not syncing: {reason}",
        f"CPU: 0 UID: 0 PID: 1 Comm: {process} Not tainted {KERNEL} #1-NixOS",
        f"Hardware name: {hardware.maker} {hardware.product}/{hardware.board}, BIOS 3.07 05/14/2025",
        "Call Trace:",
        " <TASK>",
        *(f" {frame}" for frame in trace),
        " </TASK>",
        "Kernel Offset: 0x23a00000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)",
        f"---[ end Kernel panic - not syncing: {reason} ]---",
    ]
    for number, text in enumerate(lines):
        yield line(0.001, f"[{seconds + number * 0.0002:12.6f}] {text}")


def no_root(facts: Boot, seconds: float) -> Iterator[Step]:
    """There is no usable initial RAM disk and no root device."""
    for text in (
        "/dev/root: Can't open blockdev",
        'VFS: Cannot open root device "" or unknown-block(0,0): error -6',
        'Please append a correct "root=" boot option; here are the available partitions:',
    ):
        yield line(0.01, f"[{seconds:12.6f}] {text}")
    reason = "VFS: Unable to mount root fs on unknown-block(0,0)"
    yield from _panic(facts, seconds + 0.002, reason, _NO_ROOT_TRACE, "swapper/0")


def init_killed(facts: Boot, seconds: float) -> Iterator[Step]:
    """The first process ends."""
    reason = "Attempted to kill init! exitcode=0x00000100"
    yield from _panic(facts, seconds, reason, _INIT_KILLED_TRACE, "init")


def out_of_memory(facts: Boot, seconds: float) -> Iterator[Step]:
    """The unpacked initial RAM disk does not fit into memory."""
    yield line(1.5, f"[{seconds + 1.5:12.6f}] Initramfs unpacking failed: write error")
    for text in (
        "kworker/u8:1 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, "
        "oom_score_adj=0",
        "Out of memory and no killable processes...",
    ):
        yield line(0.2, f"[{seconds + 1.7:12.6f}] {text}")
    yield from _panic(facts, seconds + 1.71, "System is deadlocked on memory", _MEMORY_TRACE, "kworker/u8:1")


def emergency(facts: Boot) -> Iterator[Step]:
    """A file system of fstab is missing; systemd stops and asks for a person."""
    device = "/dev/disk/by-label/scratch"
    yield Step(20.0, b"")
    yield line(0.1, f"[\x1b[0;1;31m TIME \x1b[0m] Timed out waiting for device \x1b[0;1;39m{device}\x1b[0m.")
    for unit in ("/scratch", "Local File Systems"):
        yield line(0.05, f"[\x1b[0;1;38;5;185mDEPEND\x1b[0m] Dependency failed for \x1b[0;1;39m{unit}\x1b[0m.")
    for verb, unit in (("Started", "Emergency Shell"), ("Reached target", "Emergency Mode")):
        yield line(0.1, f"[\x1b[0;32m  OK  \x1b[0m] {verb} \x1b[0;1;39m{unit}\x1b[0m.")
    yield Step(
        facts.around(0.3),
        b'You are in emergency mode. After logging in, type "journalctl -xb" to view\r\n'
        b'system logs, "systemctl reboot" to reboot, or "exit"\r\nto continue bootup.\r\n\r\n'
        b"Cannot open access to console, the root account is locked.\r\n"
        b"See sulogin(8) man page for more details.\r\n\r\nPress Enter to continue.\r\n",
    )
