"""How each finding is recognised, with lines as they were seen: for people who look for a line of their own."""

from __future__ import annotations

from plasmatui.model.findingkind import Sign
from plasmatui.model.signs_system import SYSTEM_SIGNS

_BMC_SIGNS = {
    "bmc-unreachable": Sign(
        "No answer to an RMCP+ or HTTPS request within its limit; the node's BMC column says `waiting`, with the "
        "pause before the next try.",
        ("node02: BMC 10.0.10.52:623 no answer within 4 s",),
    ),
    "bmc-auth": Sign(
        "The BMC answers and refuses the session: RAKP status 0x0d (unauthorised name) or a wrong key exchange, "
        "or HTTP 401 or 403 of Redfish. The BMC column says `refused`.",
        ("node04: BMC 10.0.10.54:623 refuses the user or the password",),
    ),
    "bmc-session-limit": Sign(
        "RAKP status 0x01 (insufficient resources) when a session is opened, or a Redfish session that is refused "
        "for want of room.",
        ("node04: BMC 10.0.10.54:623 has no free session",),
    ),
    "bmc-reset": Sign(
        "The BMC no longer knows a session that stood: it answers with another state, or not, until a new session "
        "is opened.",
        ("node04: BMC 10.0.10.54:623 did not answer for 3 s: it lost the session, which is open again",),
    ),
    "certificate-untrusted": Sign(
        "The TLS handshake fails because of the certificate: unknown authority, another name, or another "
        "fingerprint than the pinned one. For services, the column in Health says `untrusted`.",
        ("certificate verify failed: self-signed certificate in certificate chain",),
    ),
    "sol-in-use": Sign(
        "The BMC answers 0x80 (already active) to the activation of serial over LAN. The console's state is `held`.",
        ("node04: BMC 10.0.10.54:623 has its serial console open for another client",),
    ),
    "console-silent": Sign(
        "Serial over LAN is disabled or refused; or the machine is on and booted, as the servers' logs show, and "
        "not one byte came from its serial line.",
        (
            "node04: BMC 10.0.10.54:623 has SOL disabled; enable it: ipmitool sol set enabled true; ipmitool sol "
            "payload enable",
        ),
    ),
    "override-reverted": Sign(
        "The boot device that is read back after it was set is another one.",
        ("node05: pxe was set, but the BMC reports none",),
    ),
}

_LOADER_SIGNS = {
    "no-dhcp-answer": Sign(
        "On the console: `PXE-E18`, `PXE-E51`, or iPXE's `No configuration methods succeeded`; and no DHCP "
        "server's log has an offer for the machine. Whether a log shows its question says on which side of the "
        "server the fault is.",
        (
            "PXE-E18: Server response timeout.",
            "PXE-E51: No DHCP or proxyDHCP offers were received.",
            "Configuring (net0 52:54:00:12:34:56)...... No configuration methods succeeded (http://ipxe.org/040ee119)",
        ),
    ),
    "no-boot-filename": Sign(
        "The DHCP server's log has a lease for the machine, and its console says `PXE-E53`, or `PXE-E16` where "
        "the firmware is UEFI, or iPXE says `Nothing to boot`.",
        (
            "INFO [kea-dhcp4.leases/412.140] DHCP4_LEASE_OFFER [hwtype=1 52:54:00:a1:b2:01], cid=[no info], "
            "tid=0x4aaa9220: lease 10.0.100.3 will be offered",
            "PXE-E53: No boot filename received",
        ),
    ),
    "wrong-arch-loader": Sign(
        "The loader that the TFTP server sent is one for another firmware than the one that asked (DHCP option "
        "93), or the firmware cannot start it: `failed to load Boot0001`, `PXE-E79`, `Exec format error`.",
        (
            "in.tftpd[32353]: RRQ from 10.0.100.55 filename undionly.kpxe",
            'BdsDxe: failed to load Boot0001 "UEFI PXEv4 (MAC:525417010004)" from PciRoot(0x0)/Pci(0x1,0x0)/...: '
            "Unsupported",
        ),
    ),
    "pool-exhausted": Sign(
        "The DHCP server's log says that it has no address left: `no free leases` (dhcpd), "
        "`ALLOC_ENGINE_V4_ALLOC_FAIL` (Kea), `no address available` (dnsmasq).",
        (
            "DHCPDISCOVER from 52:54:00:a1:b2:01 via eth0: network 10.0.100.0/24: no free leases",
            "WARN [kea-dhcp4.alloc-engine/412.140] ALLOC_ENGINE_V4_ALLOC_FAIL [hwtype=1 52:54:00:a1:b2:01], "
            "cid=[no info], tid=0xbd00fb9c: failed to allocate an IPv4 address after 101 attempt(s)",
        ),
    ),
    "unknown-mac": Sign(
        "The DHCP server's log refuses the machine by its MAC: `unknown client` (dhcpd), `ignored` (dnsmasq), "
        "`ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS` (Kea, where pools are for known clients); or the MAC that asks is "
        "none of the inventory's.",
        (
            "DHCPDISCOVER from 52:54:00:a1:b2:01 via eth0: unknown client",
            "WARN [kea-dhcp4.alloc-engine/412.140] ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS [hwtype=1 "
            "52:54:00:a1:b2:01], cid=[no info], tid=0x16e35b43: no pools were available for the address allocation",
        ),
    ),
    "address-in-use": Sign(
        "The DHCP server's log has a DHCPDECLINE of the machine for the address that it was given, once or more.",
        ("DHCPDECLINE of 10.0.100.51 from 52:54:00:a1:b2:01 via eth0: abandoned",),
    ),
    "rogue-dhcp": Sign(
        "The machine has an address that our server did not give, or asks for the offer of another server; or two "
        "servers' logs offer it different addresses.",
        (
            "dnsmasq-dhcp[22860]: 55077322 DHCPOFFER(br0) 10.44.7.208 52:54:00:a1:b2:01",
            "dhcpd[22859]: DHCPOFFER on 10.44.7.100 to 52:54:00:a1:b2:01 via br0",
        ),
    ),
    "tftp-unreachable": Sign(
        "The machine has its lease and a file name, and then `PXE-E32` (open timeout), `PXE-E35` or `PXE-E99`; "
        "the TFTP server's log does not show its request, or shows it again and again.",
        (
            "PXE-E32: TFTP open timeout",
            "NBP filesize is 0 Bytes",
            "PXE-E99: Unexpected network error.",
        ),
    ),
    "tftp-file-missing": Sign(
        "`PXE-E23`, `PXE-E3B` or `PXE-T01` on the console, or an error (NAK) in the TFTP server's log, for the "
        "file that DHCP names.",
        (
            "in.tftpd[3916]: sending NAK (1, File not found) to 10.0.100.51",
            "NBP filename is missing.efi",
            "PXE-E23: Client received TFTP error from server.",
        ),
    ),
    "tftp-slow": Sign(
        "Between the request for the loader and the next sign of the machine pass many times the usual seconds.",
        ("in.tftpd[18542]: RRQ from 10.44.7.51 filename ipxe.efi",),
    ),
    "secure-boot-refused": Sign(
        "The firmware refuses what it fetched: `Access Denied`, `Security Violation`; or iPXE may not start the "
        "kernel.",
        (
            'BdsDxe: failed to load Boot0001 "UEFI PXEv4 (MAC:52545201002C)" from PciRoot(0x0)/Pci(0x1,0x0)/...: '
            "Access Denied",
        ),
    ),
}

_IPXE_SIGNS = {
    "ipxe-loop": Sign(
        "iPXE's banner comes twice or more in one boot, and between them the TFTP server sends the loader again.",
        (
            "in.tftpd[18542]: RRQ from 10.44.7.51 filename ipxe.efi",
            "iPXE initialising devices...ok",
            "in.tftpd[18842]: RRQ from 10.44.7.51 filename ipxe.efi",
            "iPXE initialising devices...ok",
        ),
    ),
    "http-unreachable": Sign(
        "iPXE says `Connection timed out`, `Connection reset`, `Input/output error` or a percentage that stands "
        "still, and no web server's log shows the request, or shows less than the whole file.",
        (
            "http://10.0.100.77:8080/boot/ipxe/boot.ipxe.................. Connection timed out "
            "(http://ipxe.org/4c0a6035)",
            "http://10.44.7.2:8088/os/initrd.img... 15%",
        ),
    ),
    "boot-script-missing": Sign(
        "The web server answers 404 or 403 for the script, and iPXE says `No such file or directory`.",
        (
            '10.0.100.51 - - [21/Nov/2026:00:39:11 +0000] "GET /boot/ipxe/boot.ipxe HTTP/1.1" 404 153 "-" '
            '"iPXE/1.21.1"',
            "http://10.0.100.10:8080/boot/ipxe/boot.ipxe... No such file or directory (http://ipxe.org/2d0c618e)",
        ),
    ),
    "boot-script-error": Sign(
        "The script was fetched whole, and iPXE then says `command not found`, `Exec format error` of the script "
        "itself, or returns to its prompt.",
        (
            "intird: command not found",
            "Could not boot image: Exec format error (http://ipxe.org/2e022081)",
        ),
    ),
    "ipxe-unsupported": Sign(
        "iPXE says `Operation not supported` for a URL or a command of the script.",
        ("Could not start download: Operation not supported (https://ipxe.org/3c092003)",),
    ),
    "kernel-missing": Sign(
        "The web server answers 404 or 403 for the kernel; iPXE says `No such file or directory`.",
        (
            '10.0.100.51 - - [21/Nov/2026:00:39:11 +0000] "GET /boot/nixos/control-plane/bzImage HTTP/1.1" 404 '
            '153 "-" "iPXE/1.0.0+git"',
            "http://10.0.100.10:8080/boot/nixos/control-plane/bzImage... No such file or directory "
            "(http://ipxe.org/2d0c618e)",
        ),
    ),
    "kernel-not-executable": Sign(
        "The kernel was fetched whole, and iPXE cannot select or start it: `Exec format error`.",
        ("Could not select: Exec format error (http://ipxe.org/2e008081)",),
    ),
    "initrd-missing": Sign(
        "The web server answers 404 or 403 for the initial RAM disk, or 200 with 0 bytes.",
        (
            '10.44.7.52 - - [28/Nov/2026:00:00:12 +0000] "GET /os/missing.img HTTP/1.1" 404 153 "-" "iPXE/1.0.0+git"',
            "http://10.44.7.2:8088/os/missing.img... No such file or directory (http://ipxe.org/2d0c618e)",
        ),
    ),
    "initrd-truncated": Sign(
        "The kernel starts and says `Initramfs unpacking failed`; or fewer bytes were sent than others got of the "
        "same file.",
        (
            '10.44.7.51 - - [27/Nov/2026:23:54:35 +0000] "GET /os/initrd.img HTTP/1.1" 200 614772 "-" "iPXE/1.0.0+git"',
            "[    1.255234] Initramfs unpacking failed: read error",
        ),
    ),
    "stalled": Sign(
        "No stage began or ended, and no byte came, for longer than is usual for the stage.",
        ("Nothing moved for 144 s; the stage is http-initrd, which takes 2 s usually.",),
    ),
}

_KERNEL_SIGNS = {
    "kernel-panic": Sign(
        "`Kernel panic - not syncing` on the console, for any reason but a root file system or memory.",
        ("[    4.100000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",),
    ),
    "kernel-panic-rootfs": Sign(
        "The kernel panics because it has no root: `VFS: Unable to mount root fs`, `No working init found`.",
        ("[    1.907213] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",),
    ),
    "out-of-memory": Sign(
        "`System is deadlocked on memory`, `Out of memory: Killed process`, or an initial RAM disk for which "
        "there is `not enough memory`.",
        (
            "[    2.923029] Initramfs unpacking failed: write error",
            "[    3.133029] Kernel panic - not syncing: System is deadlocked on memory",
        ),
    ),
    "emergency-shell": Sign(
        "`You are in emergency mode`, or the prompt of the initial RAM disk's shell, after a unit that failed.",
        (
            "[ TIME ] Timed out waiting for device /dev/disk/by-label/scratch.",
            "[  OK  ] Reached target Emergency Mode.",
            "You are in emergency mode.",
        ),
    ),
    "boot-loop": Sign(
        "Its kernel started twice or more in a row, each time the machine restarted, and no login prompt was seen.",
        (
            "[    4.100000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
            "[    9.104411] Rebooting in 5 seconds..",
            "iPXE initialising devices...ok",
        ),
    ),
    "installer-no-network": Sign(
        "The installer's login prompt is there, and the DHCP server saw no third question of this boot, or the "
        "network's unit failed.",
        (
            "[FAILED] Failed to start Wait for Network to be Configured.",
            "nixos login:",
        ),
    ),
    "rebooted-to-network": Sign(
        "After the installer was up the machine restarted, and the loader was fetched again instead of the disk's.",
        (
            "reboot: Restarting system",
            "iPXE initialising devices...ok",
        ),
    ),
    "install-loop": Sign(
        "Three boots in a row bring the installer up from the network.",
        (
            "reboot: Restarting system",
            "iPXE initialising devices...ok",
            "nixos login:",
        ),
    ),
    "wrong-boot": Sign(
        "An order to boot from the network ended at the login prompt of an installed system, and no server's log "
        "shows the machine.",
        ("node07 login:",),
    ),
}

SIGNS: dict[str, Sign] = {**_BMC_SIGNS, **_LOADER_SIGNS, **_IPXE_SIGNS, **_KERNEL_SIGNS, **SYSTEM_SIGNS}
"""Id of every finding and failure -> its signs; a test holds it against the catalogue."""
