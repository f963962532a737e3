"""The catalogue of findings: id, severity, cause, remedy. Data only; who raises them stands elsewhere."""

from __future__ import annotations

from plasmatui.model.findingkind import FindingKind
from plasmatui.model.findings_system import SYSTEM_FINDINGS
from plasmatui.model.words import Severity

_BOOT_FINDINGS = (
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
        "address-in-use",
        Severity.ERROR,
        "The machine declined the address that it was given: another one has it.",
        "Find who has it (`arping ADDRESS`, and the switch's table for the MAC that answers), take it from there or "
        "out of the pool, or reserve another address for the node (`provisioning_ip` in the inventory).",
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
        "again; then `plasmatui boot NODE`.",
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
)

FINDINGS: dict[str, FindingKind] = {kind.id: kind for kind in (*_BOOT_FINDINGS, *SYSTEM_FINDINGS)}

_FAILURES = (
    FindingKind(
        "timeout",
        Severity.ERROR,
        "A step did not reach its end within its limit.",
        "See what it waited for: `plasmatui ops show NUMBER`, the node's console and `plasmatui timeline NODE`; then "
        "`plasmatui ops retry NUMBER`.",
    ),
    FindingKind(
        "refused",
        Severity.ERROR,
        "A guard refused it before anything was changed: most often because a raft group would lose its majority.",
        "Wait until the other voters are healthy, or disturb fewer at once. `--override-quorum CLUSTER` goes on all "
        "the same, and may stop the cluster.",
    ),
    FindingKind(
        "peers",
        Severity.ERROR,
        "Nodes go together in this operation, and another one did not get so far; what was done here disturbs nothing.",
        "See why the node that the message names failed; then `plasmatui ops retry NUMBER`, or leave it out.",
    ),
    FindingKind(
        "cancelled",
        Severity.INFO,
        "A person cancelled it; the node's message says what had been done by then.",
        "`plasmatui ops retry NUMBER` goes on with what is left.",
    ),
    FindingKind(
        "skipped",
        Severity.INFO,
        "The plan left the node out, with the reason beside it; nothing was done to it.",
        "Mend the reason and give the command again for that node.",
    ),
    FindingKind(
        "no-bmc",
        Severity.ERROR,
        "The inventory names no BMC for the node.",
        "Give it a `bmc:`; without one it can be installed, not switched.",
    ),
    FindingKind(
        "unsupported",
        Severity.ERROR,
        "The BMC does not offer what was asked of it.",
        "Look for newer firmware of the BMC, or set it in the machine's own setup.",
    ),
    FindingKind(
        "rejected",
        Severity.ERROR,
        "The BMC or the service understood, and refuses.",
        "Read its reason in the message; the user may lack the right.",
    ),
    FindingKind(
        "unknown-node",
        Severity.ERROR,
        "The node is no longer in the inventory.",
        "Put it back, or leave it out of the set.",
    ),
    FindingKind(
        "internal",
        Severity.ERROR,
        "plasmatui failed; this is a fault of the program.",
        "Report it with what `plasmatui info` prints; the engine's log, which it names, has the details.",
    ),
)

FAILURES: dict[str, FindingKind] = {kind.id: kind for kind in _FAILURES}
"""How steps of operations and requests fail where nothing is wrong with a node: never raised as findings."""
