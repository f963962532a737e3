"""How the findings of installers, installed systems, the cluster and operations are recognised."""

from __future__ import annotations

from plasmatui.model.findingkind import Sign

_SSH_SIGNS = {
    "ssh-refused": Sign(
        "The connection to port 22 is refused or dropped, the key is not accepted, or nobody vouches for the host key.",
        (
            "ssh to node07 (installer, 10.0.100.57 port 22): connection refused; see that sshd runs there and can "
            "be reached",
            "ssh to node07 (installer, 10.0.100.57 port 22): key ~/.ssh/id_ed25519 for user root is not accepted; "
            "add the public key to authorized_keys there",
        ),
    ),
    "ssh-hostkey-changed": Sign(
        "The host key that the node shows differs from the one in the engine's file of known hosts, or from the "
        "fingerprint that the installer printed on its console in this boot.",
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
            "Host key verification failed.",
        ),
    ),
    "ssh-lost": Sign(
        "The SSH connection ends, or answers no more to keep-alives, before the command's exit status came.",
        (
            "ssh to node07: the connection was lost while a program ran there, which may still run; look at the "
            "node before it is started again",
        ),
    ),
    "ssh-timeout": Sign(
        "A command's limit passed; it was ended on the node.",
        ("node07: nixos-rebuild switch did not end within 600 s; its processes were ended",),
    ),
    "sudo-refused": Sign(
        "sudo writes on its standard error that it wants a password or does not allow it.",
        ("node07: systemctl stop chainfire.service did not run: sudo: a password is required",),
    ),
    "command-failed": Sign(
        "The exit status of a command of a step is none that the step expects, and no other rule knows its output.",
        ("node07: systemctl start chainfire.service ended with status 1",),
    ),
    "not-an-installer": Sign(
        "/etc/os-release on the node does not say `VARIANT_ID=installer`.",
        (
            "ID=nixos",
            'VERSION_ID="25.11"',
        ),
    ),
    "disk-order-differs": Sign(
        "The kernel's names of the disks (sda, nvme0n1) stand in another order than on nodes with the same disks.",
        (
            "node07: nvme0n1 is SAMSUNG MZQL21T9HCJR-00A07 (S622C9D086), which is not what was confirmed: INTEL "
            "SSDPE2KX010T8 (S62A9DF4B2)",
        ),
    ),
}

_INSTALL_SIGNS = {
    "secrets": Sign(
        "The node's directory below `secrets` is not there, may be read by others, or holds links; looked at "
        "before anything is touched.",
        (
            "node07 is open to others (mode 0755): chmod 700 /srv/secrets/node07",
            "node07/ssh_host_ed25519_key is a private key that others can use (mode 0644): chmod 600 "
            "/srv/secrets/node07/ssh_host_ed25519_key",
        ),
    ),
    "program-missing": Sign(
        "`nix`, `nixos-anywhere` or another program is not found in `tools` and on PATH, or says an older version "
        "than is needed.",
        ("nixos-anywhere is not in PATH of this host",),
    ),
    "job-failed": Sign(
        "The keeper of a local program did not come up, or its directory cannot be written.",
        ("nixos-anywhere could not be started in ~/.local/state/plasmatui/.../jobs: No space left on device",),
    ),
    "install-flake-missing": Sign(
        "nix says that the flake, its attribute or a file of it is not there.",
        ("error: flake 'git+file:///srv/provisioning' does not provide attribute 'nixosConfigurations.node07'",),
    ),
    "build-failed": Sign(
        "nix ends with an error of the evaluation or of a builder; its last lines are the evidence.",
        (
            "error: builder for '/nix/store/...-etc.drv' failed with exit code 1",
            "Failed assertions:",
        ),
    ),
    "kexec-failed": Sign(
        "nixos-anywhere's kexec phase fails, or the machine that answers afterwards is no installer.",
        ("kexec_file_load failed: Operation not permitted",),
    ),
    "disko-device-missing": Sign(
        "sgdisk, mkfs or mount say that a disk of the layout does not exist.",
        ("Problem opening /dev/disk/by-id/nvme-SAMSUNG_MZQL2 for reading! Error is 2.",),
    ),
    "disko-device-busy": Sign(
        "A disk of the layout is mounted, or part of RAID, LVM or a pool, in the installer.",
        ("mkfs.ext4: /dev/nvme0n1p2 is mounted; will not make a filesystem here!",),
    ),
    "install-no-space": Sign(
        "`No space left on device` from nix or tar, or a partition that does not fit on its disk.",
        (
            "error: writing to file: No space left on device",
            "Could not create partition 2 from 2099200 to 500118158",
        ),
    ),
    "install-copy-failed": Sign(
        "Copying the closure or the extra files to the node breaks, or the node takes no unsigned paths.",
        ("error: cannot add path '/nix/store/...' because it lacks a signature by a trusted key",),
    ),
    "bootloader-failed": Sign(
        "bootctl, grub-install or the systemd-boot script fail in nixos-install, or the boot loader lacks the entry.",
        ("efiSysMountPoint = '/boot' is not a mounted partition. Is the path configured correctly?",),
    ),
    "install-failed": Sign(
        "nixos-anywhere ends with an error that no rule above knows.",
        ("aborted: System activation failed",),
    ),
}

_FIRST_BOOT_SIGNS = {
    "first-boot-timeout": Sign(
        "After the installation neither a login prompt on the console nor SSH with the new host key appears "
        "within the limit.",
        ("The installed system did not come up within 15 minutes.",),
    ),
    "join-refused": Sign(
        "The join unit of the first boot logs a refusal of the leader, or the services never list the node.",
        ("node07: chainfire: 403 Forbidden: member exists",),
    ),
    "service-silent": Sign(
        "No answer from a service's health URL, while the node is on, was in the cluster, and no boot or "
        "operation explains it.",
        ("chainfire: no answer within 3 s",),
    ),
    "service-unhealthy": Sign(
        "The health URL answers, and its status is degraded or failed.",
        ("plasmavmc: degraded, HTTP 503",),
    ),
    "certificate-expired": Sign(
        "The date in the certificate that a service or BMC shows has passed.",
        ("chainfire, flaredb: ended 3 days ago",),
    ),
    "certificate-ends-soon": Sign(
        "The certificate that a service shows ends within 30 days.",
        ("chainfire, flaredb, iam: it ends in 12 days",),
    ),
    "quorum-lost": Sign(
        "Fewer voters of a raft group are healthy than its majority needs.",
        ("chainfire: its majority is lost: 1 of 3 voters healthy",),
    ),
    "quorum-at-risk": Sign(
        "A voter of a raft group is missing, and as many are healthy as the majority needs: the margin is 0.",
        ("flaredb: one more lost voter breaks the majority",),
    ),
    "clock-skew": Sign(
        "Times in two logs of one exchange, or the header `Date` of a service, differ from this host's clock by "
        "more than a few seconds.",
        ("its clock is about 5 minutes ahead of this host's",),
    ),
    "generation-drift": Sign(
        "/run/current-system, the boot loader's default and what was installed last are not one system.",
        (
            "node07 runs another system than was installed",
            "/nix/store/...-nixos-system-node07-25.11 instead of /nix/store/...-nixos-system-node07-25.12",
        ),
    ),
}

_OPERATION_SIGNS = {
    "activation-failed": Sign(
        "switch-to-configuration ends with status 4 or 100, or names units that failed.",
        ("warning: the following units failed: plasmavmc.service",),
    ),
    "generation-missing": Sign(
        "nix-env does not list the number that was asked for.",
        ("node04 has no generation 41; it has 44, 43, 42",),
    ),
    "no-capacity": Sign(
        "For a virtual machine of a node that is drained, no other node has the memory or the CPUs.",
        ("node04: VM vm-0042 has no place: it needs 65536 MiB, but node05 has 20480 MiB left",),
    ),
    "migration-failed": Sign(
        "PlasmaVMC says that a migration failed, or the virtual machine is not on its new node in time.",
        ("node04: vm-0017 stays on node04: connection reset by peer",),
    ),
    "balancer": Sign(
        "Every FiberLB refused the change of the node's state, or did not answer.",
        ("node04: FiberLB on node01 knows no backend node04",),
    ),
    "data-missing": Sign(
        "The directory of a service's data is not on the node.",
        ("node02: chainfire has no /var/lib/chainfire; services.chainfire.data names another",),
    ),
    "no-space": Sign(
        "The free bytes of the file system are fewer than what is to be written.",
        ("node02: 48 GB do not fit on this host: /srv/backups has 21 GB free; nothing was stopped",),
    ),
    "backup-failed": Sign(
        "tar on the node, or writing here, ended with an error.",
        (
            "node02: tar of /var/lib/flaredb ended with status 2: tar: data: Read error at byte 0, while reading "
            "512 bytes",
        ),
    ),
    "backup-damaged": Sign(
        "Sums, sizes or files of a backup are not those of its manifest.",
        ("node02/flaredb.tar.zst: its SHA-256 is 1f0c55e81a2b..., and was 9ad3b1c02f77...: it is damaged",),
    ),
    "restore-failed": Sign(
        "Unpacking beside the data failed, or what was unpacked is not what the archive lists.",
        ("node02: tar ended with status 2: tar: Unexpected EOF in archive; its data were left alone",),
    ),
    "not-recovered": Sign(
        "Every cure that deletes no data was tried, and the node is not well.",
        (
            "node02 is not well after restart-units, cycle; what may do: plasmatui replace node02, which wipes "
            "its disks",
        ),
    ),
    "uncertain": Sign(
        "The engine or the connection went away while a step acted, and nothing tells whether it took effect.",
        ("node07: Switch the power off and on: it was begun, and it is not known whether it was done.",),
    ),
    "inventory": Sign(
        "The inventory file cannot be written, or was changed meanwhile so that the edit does not fit.",
        ("node12: the inventory cannot be written: Permission denied",),
    ),
    "journal": Sign(
        "SQLite reports that the journal cannot be written.",
        ("node07: Wipe and format the disks is not begun, since the journal is not kept: see plasmatui engine status",),
    ),
}

_FAILURE_SIGNS = {
    "timeout": Sign(
        "The step's limit, which the plan shows, passed.",
        ("node07: the BMC accepted the order, but did not report on within 60 s; look at plasmatui sel node07",),
    ),
    "peers": Sign(
        "The step in which nodes of one operation wait for each other was left by one of them.",
        ("node03: node04 does not let the new key in, and would be lost; nothing was switched",),
    ),
    "refused": Sign(
        "A guard's verdict, in the plan or right before the step.",
        ("chainfire: 2 of 3 voters healthy (node01 in transition); without node02 1 would be left, 2 are needed",),
    ),
    "cancelled": Sign(
        "`K` on the screen, or `plasmatui ops cancel`.",
        ("cancelled after power-on; its effect was not waited for",),
    ),
    "skipped": Sign(
        "Said in the plan, beside the node.",
        ("node04 is out of service on purpose; plasmatui undrain node04 brings it back",),
    ),
    "no-bmc": Sign(
        "The node has no `bmc:` in the inventory.",
        ("node09 has no BMC in the inventory",),
    ),
    "unsupported": Sign(
        "The BMC answers invalid command (IPMI 0xc1), or its Redfish service has no such action or setting.",
        ("node04: BMC 10.0.10.54:623 has no identify light",),
    ),
    "rejected": Sign(
        "The BMC or the service answers with an error code that stands in the message.",
        ("node04: BMC 10.0.10.54:623 refuses the serial console: code 0xd4",),
    ),
    "unknown-node": Sign(
        "The inventory was changed after the order was planned.",
        ("node12 is no longer in the inventory",),
    ),
    "internal": Sign(
        "An error that the program did not foresee; the engine's log has it with its place.",
        ("node07: the engine failed (KeyError); its log has the details",),
    ),
}

SYSTEM_SIGNS: dict[str, Sign] = {
    **_SSH_SIGNS,
    **_INSTALL_SIGNS,
    **_FIRST_BOOT_SIGNS,
    **_OPERATION_SIGNS,
    **_FAILURE_SIGNS,
}
