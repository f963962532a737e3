"""`docs/troubleshooting.md`: every finding and failure by stage; written by `python -m plasmatui.cli.manual`."""

from __future__ import annotations

from plasmatui.model.findings import FAILURES, FINDINGS
from plasmatui.model.signs import SIGNS

_HEAD = """# Why a boot or an operation failed

This page is generated from the catalogue of findings (`python -m plasmatui.cli.manual`).

A finding says where a machine stopped, why, and what to do. It stands in the `STAGE` and `LAST EVENT` columns, in the
node's tab `boot` with its lines (`e`), in the list of problems (`!`), and in `plasmatui nodes` and `plasmatui timeline
NODE`; `plasmatui explain FINDING` prints what stands here. The sections follow a machine's way: whoever does not know
where it stopped begins at the top. Under "recognised" stands what tells the finding, and lines of the kind that show
it; dots stand for what was cut off.
"""

SECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "BMC and console": (
        "Before any stage: the machine's controller and its serial console.",
        ("bmc-unreachable", "bmc-auth", "bmc-session-limit", "bmc-reset", "sol-in-use", "console-silent",
         "certificate-untrusted"),
    ),
    "Boot device": ("Stages `override-set`, `powering-on`.", ("override-reverted", "wrong-boot", "stalled")),
    "Address": (
        "Stages `firmware`, `dhcp-loader`, and `dhcp-ipxe`.",
        ("no-dhcp-answer", "no-boot-filename", "pool-exhausted", "address-in-use", "unknown-mac",
         "rogue-dhcp"),
    ),
    "Loader": (
        "Stage `tftp-loader`.",
        ("tftp-unreachable", "tftp-file-missing", "tftp-slow", "wrong-arch-loader", "secure-boot-refused", "ipxe-loop"),
    ),
    "Script, kernel and initial RAM disk": (
        "Stages `ipxe-script`, `http-kernel`, `http-initrd`.",
        ("http-unreachable", "boot-script-missing", "boot-script-error", "ipxe-unsupported", "kernel-missing",
         "kernel-not-executable", "initrd-missing", "initrd-truncated"),
    ),
    "Kernel and installer": (
        "Stages `kernel-start`, `initrd-start`, `installer-up`.",
        ("kernel-panic", "kernel-panic-rootfs", "out-of-memory", "emergency-shell", "boot-loop",
         "installer-no-network"),
    ),
    "SSH": (
        "Stages `ssh-ready`, `facts`, and every later one.",
        ("ssh-refused", "ssh-hostkey-changed", "ssh-lost", "ssh-timeout", "sudo-refused", "command-failed",
         "not-an-installer"),
    ),
    "Installation": (
        "Stages `kexec`, `disko`, `closure-copy`, `extra-files`, `bootloader`; what is looked at before stands first.",
        ("program-missing", "install-flake-missing", "build-failed", "secrets", "job-failed", "kexec-failed",
         "disk-order-differs", "disko-device-missing", "disko-device-busy", "install-no-space", "install-copy-failed",
         "bootloader-failed", "install-failed"),
    ),
    "Reboot and first boot": (
        "Stages `reboot`, `disk-boot`, `first-boot`, `services-up`, `joining`.",
        ("rebooted-to-network", "install-loop", "first-boot-timeout", "join-refused"),
    ),
    "In the cluster": (
        "Stages `voter`, `healthy`, and every day after.",
        ("service-silent", "service-unhealthy", "quorum-lost", "quorum-at-risk", "certificate-expired",
         "certificate-ends-soon", "clock-skew", "generation-drift"),
    ),
    "Updates, rollbacks, drains": (
        "Found by operations on installed nodes.",
        ("activation-failed", "generation-missing", "no-capacity", "migration-failed", "balancer", "not-recovered",
         "uncertain", "inventory", "journal"),
    ),
    "Backup and restore": (
        "Found by `plasmatui backup`, `restore` and `recover-cluster`.",
        ("data-missing", "no-space", "backup-failed", "backup-damaged", "restore-failed"),
    ),
    "Errors of steps": (
        "Steps of operations also end with these, which say nothing of the node itself.",
        ("timeout", "refused", "peers", "cancelled", "skipped", "no-bmc", "unsupported", "rejected", "unknown-node",
         "internal"),
    ),
}  # fmt: skip
"""Section -> what it is about, and its findings. Every finding stands in one; a test sees to it."""


def troubleshooting() -> str:
    """The page."""
    parts = [_HEAD]
    for title, (about, ids) in SECTIONS.items():
        parts.append(f"\n## {title}\n\n{about}\n")
        parts += [_entry(id_) for id_ in ids]
    return "".join(parts)


def _entry(id_: str) -> str:
    kind = FINDINGS.get(id_) or FAILURES[id_]
    sign = SIGNS[id_]
    lines = "".join(f"    {line}\n" for line in sign.example)
    return (
        f"\n### {id_}\n\n**{kind.cause}** ({kind.severity})\n\n"
        f"Recognised: {sign.seen}\n\n{lines}\nWhat to do: {kind.remedy}\n"
    )
