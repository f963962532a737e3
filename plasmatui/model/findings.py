"""The catalogue of findings: id, severity, cause, remedy. Data only; who raises them stands elsewhere."""

from __future__ import annotations

import msgspec

from plasmatui.model.words import Severity


class FindingKind(msgspec.Struct, frozen=True):
    """An entry of the catalogue. `remedy` is a sentence that an operator can act on, with the key or command."""

    id: str
    severity: Severity
    cause: str
    remedy: str


_ALL = (
    FindingKind(
        "bmc-unreachable",
        Severity.ERROR,
        "The BMC does not answer.",
        "Check the BMC's power, cable and VLAN, and `bmc:` in the inventory; it is tried again by itself.",
    ),
    FindingKind(
        "bmc-auth",
        Severity.ERROR,
        "The BMC refuses the user or the password.",
        "Correct `bmc_defaults` or the node's `bmc:` and press ctrl+r; "
        "it is not tried again by itself, so that no account is locked.",
    ),
    FindingKind(
        "bmc-session-limit",
        Severity.WARNING,
        "The BMC has no free session.",
        "Close other tools' sessions (idle ones end after a minute); it is tried again by itself.",
    ),
    FindingKind(
        "bmc-reset",
        Severity.WARNING,
        "The BMC lost its session: it was restarted or reset.",
        "Nothing: the session is opened again by itself. If it repeats, look at the BMC's firmware.",
    ),
    FindingKind(
        "certificate-untrusted",
        Severity.ERROR,
        "The TLS certificate of a BMC or of a service is not trusted.",
        "Give its CA or fingerprint in the inventory (a BMC's `verify_tls`; for services `cluster.ca`), or install a "
        "certificate of your CA that is issued to its name.",
    ),
    FindingKind(
        "sol-in-use",
        Severity.WARNING,
        "Another client holds the serial console.",
        "Close it there, or take it over: `:console NODE --steal`, or ctrl+e o on the console.",
    ),
    FindingKind(
        "console-silent",
        Severity.WARNING,
        "The serial console cannot be opened, or says nothing although the machine is on.",
        "Check serial redirection in the firmware, `console=ttyS0` and the baud rate; SOL must be enabled on the BMC.",
    ),
    FindingKind(
        "override-reverted",
        Severity.ERROR,
        "The boot device that was set is not the one that the BMC reports.",
        "Set it again, or in the firmware's boot order; some BMCs want the other of --uefi and --bios.",
    ),
    FindingKind(
        "stalled",
        Severity.WARNING,
        "Nothing moved for longer than usual.",
        "Look at the console and the events of the node.",
    ),
    FindingKind(
        "no-dhcp-answer",
        Severity.ERROR,
        "The machine asks for an address and gets no answer.",
        "Check that the DHCP server runs and listens on the provisioning network, the VLAN and port of "
        "the switch (portfast), the relay, and UDP 67/68 in the firewall; `plasmatui logs dhcp NODE` "
        "shows what the server heard.",
    ),
    FindingKind(
        "no-boot-filename",
        Severity.ERROR,
        "The machine got an address but no boot file name.",
        "Set option 67 (and next-server) for this client's architecture, or for iPXE (user class iPXE) "
        "the script's URL, and reload the DHCP server.",
    ),
    FindingKind(
        "wrong-arch-loader",
        Severity.ERROR,
        "The loader does not fit the machine's firmware.",
        "Give BIOS clients undionly.kpxe, UEFI x86-64 ipxe.efi, ARM64 its own file, by option 93; or "
        "change the boot mode: `plasmatui bootdev pxe NODE --uefi|--bios`.",
    ),
    FindingKind(
        "pool-exhausted",
        Severity.ERROR,
        "The DHCP server has no free address left.",
        "Enlarge the pool, shorten lease times, or reserve an address for the node in the DHCP server "
        "(`provisioning_ip` in the inventory).",
    ),
    FindingKind(
        "unknown-mac",
        Severity.ERROR,
        "The DHCP server does not know this machine's MAC and ignores it.",
        "Compare `mac` in the inventory with the card that asks, correct the DHCP server's reservation and "
        "reload it; a new machine is enrolled with `E` in the Boot view.",
    ),
    FindingKind(
        "rogue-dhcp",
        Severity.ERROR,
        "Another DHCP server answers on the provisioning network.",
        "Find it by its address on the switch and turn it off, or turn DHCP snooping on; the network "
        "needs one DHCP server only.",
    ),
    FindingKind(
        "tftp-unreachable",
        Severity.ERROR,
        "The TFTP server does not answer, or a transfer breaks off.",
        "Check that the TFTP server runs, next-server (option 66) is its address, and UDP 69 and its "
        "high ports are open (conntrack helper tftp).",
    ),
    FindingKind(
        "tftp-file-missing",
        Severity.ERROR,
        "The TFTP server does not have the loader that DHCP names, or may not read it.",
        "Put the file under the TFTP root with mode 0644, or correct the boot file name in the DHCP "
        "server; try `tftp SERVER -c get FILE`.",
    ),
    FindingKind(
        "tftp-slow",
        Severity.WARNING,
        "The loader came slowly by TFTP.",
        "Look for packet loss, raise the block size (1468), or let iPXE fetch by HTTP as early as possible.",
    ),
    FindingKind(
        "http-unreachable",
        Severity.ERROR,
        "iPXE cannot reach the web server.",
        "Check that the web server runs at the address and port of the URL, the firewall, the gateway, "
        "and the certificate when it is https; try `curl -I URL` from the provisioning network.",
    ),
    FindingKind(
        "boot-script-missing",
        Severity.ERROR,
        "The web server does not have the boot script.",
        "Publish the script under the path of the URL, readable for the server.",
    ),
    FindingKind(
        "boot-script-error",
        Severity.ERROR,
        "The boot script fails or is none.",
        "Read the script with `curl URL`: it must begin with #!ipxe, and every command needs its file or "
        "`|| goto`; the error's page is https://ipxe.org/CODE.",
    ),
    FindingKind(
        "ipxe-loop",
        Severity.ERROR,
        "iPXE loads itself again and again.",
        "Answer iPXE (user class iPXE or option 175) with the script's URL before the architecture is "
        "tested; in Kea compare `option[77].hex == 'iPXE'`, not text.",
    ),
    FindingKind(
        "ipxe-unsupported",
        Severity.ERROR,
        "This iPXE was built without what the script asks of it.",
        "Use http instead of https, or a build with the feature (DOWNLOAD_PROTO_HTTPS); its banner lists "
        "the features that it has.",
    ),
    FindingKind(
        "kernel-missing",
        Severity.ERROR,
        "The server does not have the kernel.",
        "Publish the kernel under that path, of the same build as script and initrd; check the path in the "
        "boot script and the file's permissions.",
    ),
    FindingKind(
        "kernel-not-executable",
        Severity.ERROR,
        "What was fetched as the kernel is none that this machine can start.",
        "Check the file (`file bzImage`), its architecture, and that the URL does not answer with an "
        "error page; publish the image again.",
    ),
    FindingKind(
        "initrd-missing",
        Severity.ERROR,
        "The server does not have the initial RAM disk, or it is empty.",
        "Publish it again, of the same build as the kernel; check its size and the path in the boot script.",
    ),
    FindingKind(
        "initrd-truncated",
        Severity.ERROR,
        "The initial RAM disk came incomplete or damaged.",
        "Compare its size on the server with what was sent, look for proxies and full disks, publish it "
        "again; then boot again with B.",
    ),
    FindingKind(
        "kernel-panic",
        Severity.ERROR,
        "The kernel panicked.",
        "Read the lines before it on the console; boot an older image, and add `panic=30` so that the "
        "machine restarts by itself.",
    ),
    FindingKind(
        "kernel-panic-rootfs",
        Severity.ERROR,
        "The kernel found no root file system.",
        "Check that the script loads an initrd, that `initrd=NAME` in the kernel's arguments is its "
        "name, that it is not empty, and that the machine has enough memory for it.",
    ),
    FindingKind(
        "out-of-memory",
        Severity.ERROR,
        "The machine ran out of memory while it booted.",
        "Use a smaller image or a machine with more memory: a netboot installer needs about 4 GB.",
    ),
    FindingKind(
        "emergency-shell",
        Severity.ERROR,
        "The system stopped in emergency mode.",
        "Open the console (`plasmatui console NODE`), read `journalctl -xb` and the failed unit; or boot "
        "the generation before from the boot menu.",
    ),
    FindingKind(
        "secure-boot-refused",
        Severity.ERROR,
        "Secure Boot refuses the loader or the kernel.",
        "Turn Secure Boot off in the firmware, or use a signed loader (shim) whose key is enrolled.",
    ),
    FindingKind(
        "installer-no-network",
        Severity.ERROR,
        "The installer runs but has no network.",
        "Check the lease for the installer (third DHCP question of a boot), the driver of the card in "
        "the image, and the name of the interface.",
    ),
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
        "If the machine was installed anew, remove the old key: `ssh-keygen -R ADDRESS`; "
        "otherwise somebody else answers at its address.",
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
        "Unmount it and stop RAID, LVM or ZFS on it in the installer, then resume the operation.",
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
        "Check the network and SSH to the node, trusted keys and free space, then resume: what was copied is kept.",
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
        "Boot the installer from the network instead (B); kexec needs 1.5 GB of memory and no lockdown by Secure Boot.",
    ),
    FindingKind(
        "install-failed",
        Severity.ERROR,
        "The installation failed.",
        "Read the evidence and the operation's output; correct it and resume. The node's disk may be half written.",
    ),
    FindingKind(
        "activation-failed",
        Severity.ERROR,
        "The new system could not be activated in full.",
        "Look at the failed units with `systemctl status UNIT` on the node; go back with R.",
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
        "clock-skew",
        Severity.WARNING,
        "Two clocks differ.",
        "Run NTP on the servers and on this host; times in the timeline are as good as the clocks.",
    ),
    FindingKind(
        "generation-drift",
        Severity.WARNING,
        "The node runs another generation than the one that was rolled out.",
        "Update the node, or accept what it runs and record it with a new roll-out.",
    ),
    FindingKind(
        "disk-order-differs",
        Severity.WARNING,
        "The disks are named in another order than on its peers.",
        "Name disks by /dev/disk/by-id in `disks` of the inventory, never by /dev/sdX.",
    ),
)

FINDINGS: dict[str, FindingKind] = {kind.id: kind for kind in _ALL}
