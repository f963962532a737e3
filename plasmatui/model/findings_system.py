"""The findings of installers, installed systems, the cluster and operations."""

from __future__ import annotations

from plasmatui.model.findingkind import FindingKind
from plasmatui.model.words import Severity

SYSTEM_FINDINGS = (
    FindingKind(
        "ssh-refused",
        Severity.ERROR,
        "SSH refuses the connection or the key.",
        "Check that the installer's image holds the public key of `ssh.key` in the inventory and that "
        "sshd runs: look at the console.",
    ),
    FindingKind(
        "ssh-hostkey-changed",
        Severity.ERROR,
        "The SSH host key is not the one that is known.",
        "If the machine was installed anew by other means, remove the old key from the file of known host keys that "
        "`plasmatui info` names: `ssh-keygen -R ADDRESS -f FILE`; otherwise somebody else answers at its address.",
    ),
    FindingKind(
        "ssh-lost",
        Severity.ERROR,
        "An SSH connection broke while a command ran, so that its end is not known.",
        "Look whether the node restarted (`plasmatui timeline NODE`) and at its console; then "
        "`plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "ssh-timeout",
        Severity.ERROR,
        "A command on the node did not end in time.",
        "Look at the node's load and disks on its console, then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "sudo-refused",
        Severity.ERROR,
        "sudo on the node wants a password, or does not allow the command.",
        "Give the user of `ssh.user` NOPASSWD: ALL there, or log in as root without `ssh.sudo`.",
    ),
    FindingKind(
        "command-failed",
        Severity.ERROR,
        "A command on the node failed.",
        "Read the evidence (`plasmatui ops show NUMBER`) and what it printed (`plasmatui ops log NUMBER NODE`).",
    ),
    FindingKind(
        "disko-device-missing",
        Severity.ERROR,
        "A disk that the layout names is not there.",
        "Compare `disks` in the inventory with `lsblk` and /dev/disk/by-id on the installer.",
    ),
    FindingKind(
        "disko-device-busy",
        Severity.ERROR,
        "A disk is in use and cannot be partitioned.",
        "Unmount it and stop RAID, LVM or ZFS on it in the installer, then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "install-no-space",
        Severity.ERROR,
        "The installation ran out of space.",
        "Enlarge the partition or the boot partition, or add memory: the installer's store lives in it.",
    ),
    FindingKind(
        "install-flake-missing",
        Severity.ERROR,
        "The flake has no configuration for this node.",
        "Add `nixosConfigurations.NODE` to the flake, and `git add` its files; `nix flake show` lists what there is.",
    ),
    FindingKind(
        "install-copy-failed",
        Severity.ERROR,
        "The system could not be copied to the node.",
        "Check the network and SSH to the node, trusted keys and free space, then `plasmatui ops retry NUMBER`: what "
        "was copied is kept.",
    ),
    FindingKind(
        "build-failed",
        Severity.ERROR,
        "The system could not be built.",
        "Correct what the evidence names; `nix build FLAKE#nixosConfigurations.NODE.config.system.build.toplevel` "
        "shows all of it. Nothing was changed on the node.",
    ),
    FindingKind(
        "kexec-failed",
        Severity.ERROR,
        "The node could not be turned into an installer.",
        "Boot the installer from the network instead (`plasmatui boot NODE`); kexec needs 1.5 GB of memory "
        "and no lockdown by Secure Boot.",
    ),
    FindingKind(
        "install-failed",
        Severity.ERROR,
        "The installation failed.",
        "Read the evidence and `plasmatui ops log NUMBER NODE`, correct it, then `plasmatui ops retry NUMBER`. The "
        "node's disk may be half written.",
    ),
    FindingKind(
        "activation-failed",
        Severity.ERROR,
        "The new system could not be activated in full.",
        "Look at the failed units with `systemctl status UNIT` on the node; go back with `plasmatui rollback NODE`.",
    ),
    FindingKind(
        "bootloader-failed",
        Severity.ERROR,
        "The boot loader could not be installed.",
        "Check that the boot partition is mounted and not full, and that the firmware's mode (UEFI or "
        "BIOS) fits the configuration.",
    ),
    FindingKind(
        "rebooted-to-network",
        Severity.WARNING,
        "After the installer it booted from the network again.",
        "Set the disk first: `plasmatui bootdev disk NODE`, or let the boot script exit for installed machines.",
    ),
    FindingKind(
        "boot-loop",
        Severity.ERROR,
        "It starts its kernel again and again and no system comes up.",
        "Read the end of each boot on the console; boot an older image, and take `panic=` and "
        "`boot.panic_on_fail` from the kernel's arguments so that the machine stands still where it fails.",
    ),
    FindingKind(
        "install-loop",
        Severity.ERROR,
        "It boots the installer from the network again and again.",
        "Set the disk first: `plasmatui bootdev disk NODE --persistent`, and let the boot script exit "
        "for installed machines.",
    ),
    FindingKind(
        "first-boot-timeout",
        Severity.ERROR,
        "The installed system did not come up in time.",
        "Look at the console; boot the generation before, or the installer, and read `journalctl -b -1`.",
    ),
    FindingKind(
        "join-refused",
        Severity.ERROR,
        "The cluster refuses the new member.",
        "Check the cluster's name, its certificates and the clock of the node, and that no old member holds its name.",
    ),
    FindingKind(
        "certificate-expired",
        Severity.ERROR,
        "A certificate has expired.",
        "Issue it anew; check the clock of the node.",
    ),
    FindingKind(
        "service-silent",
        Severity.ERROR,
        "A service of the cluster does not answer.",
        "Look at `systemctl status SERVICE.service` and its journal on the node, at the firewall, and at the port "
        "under `services` in the inventory.",
    ),
    FindingKind(
        "service-unhealthy",
        Severity.ERROR,
        "A service of the cluster says that it is not well.",
        "Read what it says in the node's details and `journalctl -u SERVICE.service` on the node.",
    ),
    FindingKind(
        "quorum-lost",
        Severity.ERROR,
        "A raft group has lost its majority.",
        "Bring voters back before anything else: power on what is off; no voter may be stopped now.",
    ),
    FindingKind(
        "quorum-at-risk",
        Severity.WARNING,
        "One more lost voter breaks the majority of a raft group.",
        "Do not drain or reboot voters until the missing one is back.",
    ),
    FindingKind(
        "certificate-ends-soon",
        Severity.WARNING,
        "The TLS certificate of a service ends soon.",
        "Give the node another one before that: `plasmatui certs rotate NODE`.",
    ),
    FindingKind(
        "clock-skew",
        Severity.WARNING,
        "Two clocks differ.",
        "Run NTP on the servers and on this host; times in the timeline are as good as the clocks.",
    ),
    FindingKind(
        "generation-drift",
        Severity.WARNING,
        "The node runs another system, or would boot another, than the one that was meant.",
        "See what it has and runs: `plasmatui generations NODE`; choose one: `plasmatui rollback NODE --to N`.",
    ),
    FindingKind(
        "disk-order-differs",
        Severity.WARNING,
        "The disks are named in another order than on its peers.",
        "Name disks by /dev/disk/by-id in `disks` of the inventory, never by /dev/sdX.",
    ),
    FindingKind(
        "not-an-installer",
        Severity.ERROR,
        "What runs on the node is no NixOS installer; it may be a live system, so that nothing was wiped.",
        "Boot the installer: `plasmatui boot NODE`. Is it one of your own, give the image "
        '`system.nixos.variant_id = "installer"`.',
    ),
    FindingKind(
        "wrong-boot",
        Severity.ERROR,
        "The machine came up from its disk although it was to boot from the network.",
        "See the boot order in its firmware, and whether the boot server answered: `plasmatui timeline NODE`. Some "
        "BMCs want the mode: `plasmatui boot NODE --uefi` or --bios.",
    ),
    FindingKind(
        "secrets",
        Severity.ERROR,
        "The files that the node takes along are missing, open to others, or no plain files. Nothing was touched.",
        "Do what the evidence says (mkdir, chmod); `secrets` of the inventory names the directory; `plasmatui check` "
        "looks again.",
    ),
    FindingKind(
        "program-missing",
        Severity.ERROR,
        "A program that the operation needs is not on this host, or is too old.",
        "Install it, or name its directory as `tools` in the inventory; `plasmatui check` says which are missing.",
    ),
    FindingKind(
        "job-failed",
        Severity.ERROR,
        "A program could not be started on this host.",
        "Look for a full disk or process limits; `plasmatui info` names the directory of jobs and the engine's log.",
    ),
    FindingKind(
        "generation-missing",
        Severity.ERROR,
        "The node does not have the generation that was asked for. Nothing was changed.",
        "See which it has: `plasmatui generations NODE`; older ones may have been removed by garbage collection.",
    ),
    FindingKind(
        "no-capacity",
        Severity.ERROR,
        "No node has room for a virtual machine that must move. It still runs where it was.",
        "Bring drained nodes back (`plasmatui undrain SET`), drain fewer at once, or stop the VM; then "
        "`plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "migration-failed",
        Severity.ERROR,
        "A virtual machine did not arrive on its new node.",
        "See on which node it is now and why in the evidence, look at PlasmaVMC of both nodes, then "
        "`plasmatui ops retry NUMBER`: what has moved is not moved again.",
    ),
    FindingKind(
        "data-missing",
        Severity.ERROR,
        "A service has no data directory where the inventory says. Nothing was changed.",
        "Name it as `services.NAME.data` in the inventory; look where the service's unit keeps its state.",
    ),
    FindingKind(
        "no-space",
        Severity.ERROR,
        "A file system has no room for a backup or for what is restored.",
        "Make room there, or back up to another directory; then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "backup-failed",
        Severity.ERROR,
        "A backup could not be written. What there is of the node is marked as partial; its services run.",
        "Read the evidence and `plasmatui ops log NUMBER NODE`, correct it, then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "backup-damaged",
        Severity.ERROR,
        "A backup is not whole, or not what its manifest says. Nothing was touched.",
        "See all of it with `plasmatui backup verify DIR`, and take another: `plasmatui backup list DIR`.",
    ),
    FindingKind(
        "restore-failed",
        Severity.ERROR,
        "Data could not be restored. The old directory is in its place.",
        "Read the evidence and `plasmatui ops log NUMBER NODE`, correct it, then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "balancer",
        Severity.ERROR,
        "No FiberLB took the node's new state: requests may still go to it.",
        "Look at FiberLB's health and journal, then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "uncertain",
        Severity.WARNING,
        "A step was begun, and whether it took effect is not known.",
        "Look at the machine first: `plasmatui power status NODE`, its console, `plasmatui ops show NUMBER`. Where the "
        "node is held, answer what it asks: `plasmatui ops release NUMBER NODE ANSWER`.",
    ),
    FindingKind(
        "not-recovered",
        Severity.ERROR,
        "What can be done without deleting data did not mend the node.",
        "Read the evidence: what is wrong with it, and what may do. Replace it with `plasmatui replace NODE`.",
    ),
    FindingKind(
        "inventory",
        Severity.ERROR,
        "The inventory file could not be changed by an operation; everything before that was done.",
        "Edit it by hand as the plan's diff shows; have the engine read it again; then `plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "journal",
        Severity.ERROR,
        "The engine cannot write its journal, so that nothing that destroys data is begun.",
        "Make room on the disk, or mend the journal's permissions: `plasmatui engine status` says what is wrong.",
    ),
)
