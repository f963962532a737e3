"""What consoles say, as data: patterns and the signals that they stand for.

Sources of the texts: EDK II `NetworkPkg/UefiPxeBcDxe`, `NetworkPkg/HttpBootDxe` and `MdeModulePkg/.../BdsDxe`; SeaBIOS
`src/boot.c`; Intel Boot Agent and Broadcom PXE ROM guides; iPXE `src/usr`, `src/core/errno`; Linux `init/main.c`,
`kernel/panic.c`, `mm/oom_kill.c`; nixpkgs `stage-1-init.sh`, `stage-2-init.sh`; systemd `src/core`, `src/shutdown`.
Words differ between vendors and versions, so patterns hold on to the short distinctive part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from plasmatui.model.boot import SignalKind
from plasmatui.watch.facts import STALLED

K = SignalKind


class Phase(IntEnum):
    """Who writes to the console now."""

    FIRMWARE = 1
    IPXE = 2
    LOADER = 4
    KERNEL = 8
    USER = 16


BEFORE_KERNEL: Final = Phase.FIRMWARE | Phase.IPXE | Phase.LOADER
SYSTEM: Final = Phase.KERNEL | Phase.USER
ANY: Final = BEFORE_KERNEL | SYSTEM


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a console can say.

    Attributes:
        kind: None for what is only remembered (`remember`).
        pattern: searched in a clean line. Its groups are fields of `Signal` (ip, mac, uuid, host, file, total, bytes,
            percent, code, text, server); `mac` and numbers are normalised.
        code, text: constants, where the pattern has no such group.
        phases: where it may be said; elsewhere it is somebody quoting it.
        early: seen before the end of the line. What it matches must not change when the line goes on.
        hard: always a new start of the machine or program, even with the same words in the same phase.
        remember: names of groups that later signals of the boot carry.
        more: later rules are tried on the same line, too.
    """

    kind: SignalKind | None
    pattern: re.Pattern[str]
    code: str = ""
    text: str = ""
    phases: int = ANY
    early: bool = False
    hard: bool = False
    remember: tuple[str, ...] = ()
    more: bool = False


def _rule(
    kind: SignalKind | None,
    pattern: str,
    *,
    code: str = "",
    text: str = "",
    phases: int = ANY,
    early: bool = False,
    hard: bool = False,
    remember: tuple[str, ...] = (),
    more: bool = False,
) -> Rule:
    return Rule(kind, re.compile(pattern), code, text, phases, early, hard, remember, more)


_IP = r"(?:\d{1,3}\.){3}\d{1,3}"
_MAC = r"[0-9A-Fa-f]{2}(?:[-: ]?[0-9A-Fa-f]{2}){5}"
_STAMP = r"^(?:\[ *\d+\.\d+\](?:\[[^\]]*\])? )?"  # printk's time, and its caller
UNLOADABLE: Final = "unloadable"
"""What a refusal says that only counts when the loader came whole."""
_NETWORK_ENTRY = r'"[^"]*(?:PXE|HTTP|Network|IPv[46])[^"]*"'

_FIRMWARE = (
    _rule(K.FIRMWARE, r"^SeaBIOS \(version|^coreboot-\d", hard=True),
    _rule(None, r"^Machine UUID (?P<uuid>[0-9a-fA-F-]{36})", phases=Phase.FIRMWARE, remember=("uuid",)),
    _rule(K.FIRMWARE, rf"^ *>>Start (?:PXE|HTTP Boot) over IPv[46] on MAC: (?P<mac>{_MAC})", more=True),
    _rule(K.PXE_START, r"^ *>>Start (?P<text>(?:PXE|HTTP Boot) over IPv[46])", early=True),
    _rule(K.PXE_START, rf"CLIENT MAC ADDR: *(?P<mac>{_MAC})(?: +GUID: *(?P<uuid>[0-9A-Fa-f][0-9A-Fa-f -]{{31,}}))?"),
    _rule(K.PXE_ADDRESS, r"Station IP(?:v6)? address is (?!0\.0\.0\.0\b)(?P<ip>[0-9A-Fa-f.:]+)", phases=BEFORE_KERNEL),
    _rule(
        K.PXE_ADDRESS,
        rf"CLIENT IP: *(?P<ip>{_IP}) +MASK: *{_IP}(?: +(?:DHCP|PROXY) IP: *(?P<server>{_IP}))?",
        phases=BEFORE_KERNEL,
    ),
    _rule(None, r"Server IP(?:v6)? address is (?P<server>[0-9A-Fa-f.:]+)", phases=BEFORE_KERNEL, remember=("server",)),
    _rule(K.PXE_FILE, r"(?:NBP filename is|^ *URI:) (?P<file>\S+)", phases=BEFORE_KERNEL, remember=("file",)),
    _rule(
        K.PXE_FILE,
        r"(?:NBP filesize is|^ *File Size:) (?P<total>\d+) Bytes",
        phases=BEFORE_KERNEL,
        remember=("total",),
    ),
    _rule(K.PXE_LOADED, r"NBP file downloaded successfully|Succeed to download NBP file", phases=BEFORE_KERNEL),
    _rule(K.PXE_FILE, r"^ *Downloading\.\.\.(?P<percent>\d{1,3})%", phases=Phase.FIRMWARE, early=True, more=True),
    _rule(K.PXE_LOADED, r"^ *Downloading\.\.\.100%", phases=Phase.FIRMWARE, early=True),
    _rule(K.PXE_ERROR, r"\b(?P<code>PXE-[EMT][0-9A-Fa-f]{2})\b:? *(?P<text>.*)", phases=BEFORE_KERNEL),
    _rule(K.PXE_ERROR, r"^ *Error: (?P<text>(?:Could not retrieve NBP|Server response|Client Error|Access forb).*)"),
    _rule(K.PXE_ERROR, r"(?P<text>TLS session connection failed.*)", phases=Phase.FIRMWARE),
    _rule(K.PXE_ERROR, r"(?P<text>Exiting (?:Intel Boot Agent|Broadcom PXE ROM|PXE ROM).*)", phases=BEFORE_KERNEL),
    _rule(
        K.BOOT_REFUSED,
        r"Secure Boot Violation|Image Authorization Fail|Invalid signature detected|[Vv]erification failed: \(0x1A\)"
        r"|failed to verify with \* ACCESS DENIED|hash (?:is|and certificate are) not allowed|of the Secure Boot policy"
        r"|bad shim signature|shim_lock protocol not found"
        r"|BdsDxe: failed to (?:load|start) Boot[0-9A-F]{4} .*: (?:Access Denied|Security Violation)",
        code="secure-boot",
        phases=BEFORE_KERNEL,
    ),
    _rule(
        K.BOOT_REFUSED,
        r"BdsDxe: failed to start Boot[0-9A-F]{4} .*: (?:Unsupported|Load Error)|[Ii]mage type \S+ can't be loaded on",
        phases=BEFORE_KERNEL,
    ),
    # EDK II says `Not Found` of a file that came whole and that it cannot load: of another architecture, or damaged.
    _rule(K.BOOT_REFUSED, rf"BdsDxe: failed to load Boot[0-9A-F]{{4}} {_NETWORK_ENTRY}", text=UNLOADABLE, more=True),
    _rule(
        K.NO_BOOT_DEVICE,
        r"No bootable (?:option or )?device|Reboot and Select proper Boot device|No boot(?:able)? device (?:is )?"
        r"(?:available|found|detected)|(?:Operating System|operating system) not found|Missing operating system"
        r"|No Operating System|Non-System disk or disk error",
        phases=BEFORE_KERNEL,
    ),
    _rule(K.PXE_LOADED, rf"BdsDxe: starting Boot[0-9A-F]{{4}} {_NETWORK_ENTRY}"),
    _rule(
        K.DISK_LOADER,
        r"BdsDxe: starting Boot[0-9A-F]{4} (?!\"[^\"]*(?:DVD|CD-ROM|UiApp|Shell)).*(?:HD\(|NVMe\(|Sata\(|Scsi\()",
        text="disk",
    ),
    _rule(
        K.FIRMWARE,
        r"BdsDxe: (?:loading|starting|failed to (?:load|start)) Boot[0-9A-F]{4}"
        r"(?:.*?\bMAC[(:](?P<mac>[0-9A-F]{12})\b)?",
    ),
    _rule(K.FIRMWARE, r"^Booting from (?:ROM|Hard Disk|DVD/CD|Floppy)\b", phases=BEFORE_KERNEL),
    # Vendors' banners. The first are said by nobody else; the others count only where no system runs.
    _rule(
        K.FIRMWARE,
        r"American Megatrends,? (?:Inc|International)|^AMIBIOS|^Phoenix(?:BIOS| Technologies)"
        r"|^ *Press <?(?:DEL|F2|F1|ESC|Del)>? .*(?:[Ss]etup|SETUP)"
        r"|\bF2 {0,4}(?:=|:|-)? {0,4}(?:System )?Setup\b|\bF11 {0,4}(?:=|:|-)? {0,4}Boot (?:Menu|Manager)"
        r"|!!!! (?:X64|AARCH64|IA32|RISCV64) Exception Type|^Intel\(R\) Boot Agent|^Broadcom (?:UNDI|NetXtreme)",
        more=True,
    ),
    _rule(
        K.FIRMWARE,
        r"(?:BIOS|UEFI|firmware) (?:Date|[Vv]ersion|Revision|firmware)\b|Lifecycle Controller|^HPE? ProLiant"
        r"|^(?:Supermicro|SUPERMICRO|Super Micro|Lenovo|ThinkSystem|Dell|Inspur|Gigabyte|ASRock|Fujitsu|Quanta)\b"
        r"|Setup Utility|^(?:Initializing|Memory Test|Configuring) (?:USB|memory|Memory|iDRAC|Intelligent|:)"
        r"|^POST [0-9A-Fa-f]{2}\b|UEFI Interactive Shell|^(?:TianoCore|EDK II|InsydeH2O)",
        phases=BEFORE_KERNEL,
        more=True,
    ),
)

# Bounded, as everything here that may repeat before something that may fail: a machine chooses what it prints, and a
# line of dots or blanks took a fifth of a second.
_WORDS = r"[^(]{0,300}?) {0,80}"
_IPXE_CODE = r"\(https?://ipxe\.org/(?P<code>[0-9a-f]{8})\)"
_IPXE = (
    _rule(K.IPXE_START, r"^iPXE initiali[sz]ing devices", hard=True, text="initialising"),
    _rule(K.IPXE_START, r"^iPXE (?P<text>\S.*?) -- Open Source Network Boot Firmware"),
    _rule(None, rf"^net\d+: (?P<mac>{_MAC}) using ", phases=BEFORE_KERNEL, remember=("mac",)),
    _rule(None, rf"^Configuring \(net\d+ (?P<mac>{_MAC})\)", phases=BEFORE_KERNEL, remember=("mac",), more=True),
    _rule(
        K.IPXE_NO_ADDRESS,
        rf"^Configuring \(net\d+ (?P<mac>{_MAC})\)\.*+ *+(?P<text>[^.( ]{_WORDS}{_IPXE_CODE}",
        phases=BEFORE_KERNEL,
    ),
    _rule(K.IPXE_NO_ADDRESS, rf"(?P<text>No configuration methods succeeded) *{_IPXE_CODE}", phases=BEFORE_KERNEL),
    _rule(K.IPXE_ADDRESS, rf"^net\d+: (?P<ip>{_IP})/{_IP}", phases=BEFORE_KERNEL),
    _rule(K.IPXE_ADDRESS, r"^net\d+: (?P<ip>(?!fe80)[23][0-9a-f]{3}:[0-9a-f:]+)/\d+", phases=BEFORE_KERNEL),
    _rule(None, r"^Filename: (?P<named>\S+)", phases=BEFORE_KERNEL, remember=("named",)),
    _rule(None, rf"^Next server: (?P<server>{_IP})", phases=BEFORE_KERNEL, remember=("server",)),
    _rule(
        K.IPXE_FETCH,
        r"^(?P<file>(?:https?|tftp|ftp|nfs|iscsi|aoe)://\S+?)\.{3}",
        phases=BEFORE_KERNEL,
        early=True,
        remember=("file",),
        more=True,
    ),
    # A dot a second (iPXE, src/core/monojob.c).
    _rule(
        K.IPXE_FETCH,
        r"^(?P<file>(?:https?|tftp|ftp)://[^\s.]+(?:\.[^\s.]+)*+)\.{43}",
        code=STALLED,
        phases=BEFORE_KERNEL,
        early=True,
        more=True,
    ),
    _rule(
        K.IPXE_FETCH,
        r"^(?P<file>(?!\.)[^\s:]+?(?<!\.))\.{3}(?=\.*+ *+(?:\d{1,3}%|ok\b|[A-Z][^(]{0,300}\(https?://ipxe))",
        phases=Phase.IPXE,
        remember=("file",),
        more=True,
    ),
    _rule(
        K.IPXE_FETCH,
        r"^(?P<file>(?!\.)\S+?(?<!\.))\.{3}\.*+ *+(?P<percent>\d{1,3})%",
        phases=Phase.IPXE,
        early=True,
        more=True,
    ),
    _rule(K.IPXE_FETCHED, r"^(?P<file>(?!\.)\S+?(?<!\.))\.{3}\.*+ *+ok\b", phases=Phase.IPXE),
    _rule(K.IPXE_FETCHED, r"^(?P<name>\S+) : (?P<bytes>\d+) bytes\b(?: \[(?P<text>[\w-]+)\])?", phases=Phase.IPXE),
    _rule(
        K.IPXE_ERROR,
        rf"^(?P<file>(?!\.)\S+?(?<!\.))\.{{3}}\.*+ *+(?P<text>[^.( ]{_WORDS}{_IPXE_CODE}",
        phases=Phase.IPXE,
    ),
    _rule(K.IPXE_ERROR, rf"^(?P<text>{_WORDS}{_IPXE_CODE}", phases=BEFORE_KERNEL),
    _rule(K.IPXE_ERROR, r"^(?P<text>\S+: command not found)", phases=Phase.IPXE),
    _rule(K.IPXE_SHELL, r"^iPXE> ", early=True),
)

_LOADERS = (
    _rule(K.DISK_LOADER, r"^GRUB loading|^Welcome to GRUB|GNU GRUB +version", text="GRUB"),
    _rule(
        K.DISK_LOADER,
        r"^ *Boot in \d+ ?s|Reboot Into Firmware Interface|^systemd-boot \d",
        text="systemd-boot",
        phases=BEFORE_KERNEL,
    ),
    _rule(K.DISK_LOADER, r"^(?:EXTLINUX|SYSLINUX) \d", text="extlinux"),
)

_KERNEL = (
    _rule(K.OUT_OF_MEMORY, r"^EFI stub: ERROR: (?P<text>Failed to (?:allocate|alloc) .*)"),
    _rule(K.UNIT_FAILED, r"^EFI stub: ERROR: (?P<text>Failed to open file: (?P<file>\S+))", code="initrd-name"),
    _rule(K.KERNEL, r"^EFI stub: (?P<text>(?!ERROR).*)"),
    _rule(K.KERNEL, r"^(?P<text>Decompressing Linux|Booting the kernel|Uncompressing Linux)", phases=BEFORE_KERNEL),
    _rule(K.KERNEL, _STAMP + r"Linux version (?P<text>\S+)", hard=True),
    _rule(
        K.OUT_OF_MEMORY,
        r"^(?!.*(?:CONSTRAINT_MEMCG|Memory cgroup))"
        r".*(?:Out of memory[: ]|invoked oom-killer|oom-kill:|System is deadlocked on memory)",
        more=True,
    ),
    _rule(K.PANIC, r"Kernel panic - not syncing: (?P<text>.*?Unable to mount root fs.*?)(?: \]---)?$", code="rootfs"),
    _rule(K.PANIC, r"Kernel panic(?: - not syncing)?:? (?P<text>.*?)(?: \]---)?$"),
    _rule(K.OUT_OF_MEMORY, r"Initramfs unpacking failed: write error"),
    _rule(K.UNIT_FAILED, r"(?P<text>Initramfs unpacking failed: .*)", code="initrd"),
    _rule(K.INITRD, _STAMP + r"Run /\S+ as init process", text="init"),
    # A kernel that is told to be quiet says nothing before these.
    _rule(K.INITRD, r"<<< NixOS Stage 1 >>>", text="stage 1"),
    _rule(K.INITRD, r"^Begin: (?:Loading essential drivers|Running /scripts/)", text="initramfs-tools"),
    _rule(K.INITRD, r"^Welcome to .*\((?i:initrd|initramfs)\)", text="systemd"),
    _rule(K.REBOOT, r"reboot: Restarting system|kexec_core: Starting new kernel|kexec: Starting new kernel"),
    _rule(K.REBOOT, r"^\[ *\d+\.\d+\] (?:systemd-shutdown\[1\]: Rebooting|Rebooting in \d+ seconds)"),
    _rule(K.POWER_OFF, r"reboot: (?:Power down|System halted)|systemd-shutdown\[1\]: (?:Powering off|Halting system)"),
)

_SYSTEM = (
    _rule(K.STAGE2, r"<<< NixOS Stage 2 >>>", text="stage 2"),
    _rule(K.STAGE2, r"^running activation script|Reached target Switch Root|^Switching root", text="switch"),
    _rule(
        K.EMERGENCY,
        r"You are in (?:emergency|rescue) mode|An error occurred in stage 1 of the boot process"
        r"|Reached target (?:Emergency|Rescue) Mode|root account is locked|Give root password for maintenance"
        r"|^Gave up waiting for (?:root|suspend)|^ALERT! .*(?:does not exist|[Dd]ropping to a shell)"
        r"|[Ee]ntering emergency mode|stage 2 init script .{0,300} not found|starting interactive shell"
        r"|^Generating \"/run/initramfs/rdsosreport",
        phases=SYSTEM,
    ),
    _rule(K.EMERGENCY, r"^\(initramfs\) ", text="initramfs shell", phases=SYSTEM, early=True),
    _rule(K.SSH_UP, r"\bsshd(?:\[\d+\])?: Server listening on \S+ port \d+"),
    _rule(
        K.SSH_UP,
        r"(?:Started|Listening on) (?:OpenSSH|SSH|sshd)\b.{0,120}(?:[Dd]aemon|[Ss]erver|[Ss]ocket)",
        phases=SYSTEM,
    ),
    _rule(K.SYSTEMD, r"^Welcome to (?P<text>[^!]+)!", phases=SYSTEM),
    _rule(
        K.SYSTEMD,
        r"Reached target (?P<text>Multi-User System|Network is Online|Basic System|System Initialization"
        r"|Local File Systems|Graphical Interface|Initrd [\w ]+)",
        phases=SYSTEM,
    ),
    _rule(K.UNIT_FAILED, r"\[FAILED\] Failed to (?:start|mount|listen on|activate) (?P<text>.+?)\.?$"),
    _rule(K.UNIT_FAILED, r"systemd\[1\]: Failed to (?:start|mount|listen on|activate) (?P<text>.+?)\.?$"),
    _rule(K.UNIT_FAILED, r"\[DEPEND\] (?P<text>Dependency failed for .+?)\.?$"),
    _rule(K.UNIT_FAILED, r"(?P<text>Timed out waiting for device \S+?)\.?(?:,? trying to mount anyway\.?)?$"),
    # A client's key in an authentication line is no host key.
    _rule(
        K.HOST_KEY,
        r"^(?!.*(?:[Aa]ccepted|[Ff]ailed|[Pp]ostponed|publickey|matching|\bCA\b)).*?(?P<text>SHA256:[A-Za-z0-9+/]{43})",
        phases=SYSTEM,
    ),
    _rule(K.LOGIN, r'"nixos" and "root" accounts have empty passwords', code="installer"),
    _rule(K.LOGIN, r"^\[?(?:nixos|root)@(?P<host>nixos|nixos-installer)(?=[: ])", code="installer", early=True),
    _rule(
        K.LOGIN, r"^(?P<host>nixos|nixos-installer|nixos-minimal) login: ?", code="installer", phases=SYSTEM, early=True
    ),
    _rule(K.LOGIN, r"^(?P<host>(?!Last\b|Failed\b|\S*:)[\w.()-]+) login: ", early=True),
    _rule(K.LOGIN, r"^\[\w+@(?P<host>[\w.-]+):[^\]]*\][#$]", phases=SYSTEM, early=True),
    _rule(K.LOGIN, r"^BusyBox v\S+ .*built-in shell", code="shell", phases=SYSTEM),
    _rule(K.LOGIN, r"^[/~] # ", code="shell", phases=SYSTEM, early=True),
)

_WAITS = (
    _rule(
        K.CONSOLE_WAITS,
        r"(?P<text>(?:[Pp]ress|PRESS|[Ss]trike|[Hh]it) (?:the )?<?(?:F1|F2|[Aa]ny [Kk]ey|[Ee]nter)>?(?: key)? to"
        r" (?:(?i:run setup|load default|continue|resume|reboot|restart)).*)",
        phases=Phase.FIRMWARE,
    ),
    _rule(
        K.CONSOLE_WAITS,
        r"(?P<text>(?:Aptio|BIOS|Insyde\w*|Phoenix \w+|Award) ?(?:Setup|SETUP) (?:Utility|UTILITY)"
        r"|System Setup Main Menu|Front Page\b)",
        phases=Phase.FIRMWARE,
    ),
    _rule(
        K.CONSOLE_WAITS,
        r"(?i:(?:uncorrectable|multi-bit) (?:ecc |memory )?error"
        r"|memory (?:training|test|initiali[sz]ation) (?:failure|failed|error)"
        r"|no (?:usable |system )?memory (?:detected|installed|found|available)|system halted)",
        code="halted",
        phases=Phase.FIRMWARE,
    ),
    _rule(K.CONSOLE_WAITS, r"^(?P<text>(?:grub(?: rescue)?|Shell)> )", phases=BEFORE_KERNEL, early=True),
    _rule(
        K.CONSOLE_WAITS,
        r"(?P<text>(?:[Pp]lease )?[Ee]nter (?:the )?[Pp]assphrase for (?!key )(?:disk |device )?[^:]+"
        r"|^Passphrase for /\S+?)(?=: |: ?\()",
        phases=SYSTEM,
        early=True,
    ),
)

RULES: Final = _FIRMWARE + _WAITS + _IPXE + _LOADERS + _KERNEL + _SYSTEM
"""In order: the first that matches a line wins, unless it lets others follow (`more`)."""

LITERALS: Final = (
    r"signature|ACCESS DENIED|not allowed|Boot policy|"
    r"Supermicro|SUPERMICRO|Super Micro|SeaBIOS|coreboot-|Machine UUID|>>Start|CLIENT |IP(?:v6)? address is|NBP"
    r"|URI:|File Size|Downloading\.|PXE-[EMT]|Error: |TLS session|Exiting |Secure Boot V|Authorization Fail"
    r"|erification failed|shim_lock|BdsDxe|mage type|No boot|Select proper|perating [Ss]ystem"
    r"|No Operating|Non-System|Booting |Megatrends|AMIBIOS|Phoenix|Press |F2|F11|!!!!|Boot Agent|Broadcom"
    r"|BIOS [DVRv]|UEFI|irmware|Lifecycle|ProLiant|Lenovo|Think|Dell|Inspur|Gigabyte|ASRock|Fujitsu|Quanta|Setup"
    r"|Initializing|Memory Test|Configuring|POST|TianoCore|EDK|Insyde|iPXE|ipxe|net\d|Next server|\.\.\.|bytes"
    r"|command not|GRUB|Boot in|systemd-boot|LINUX \d|EFI stub|compressing|Linux version|Kernel panic"
    r"|Out of memory|oom-|unpacking failed|as init proc|Stage [12]|Begin: |Welcome to|reboot: |kexec|-shutdown"
    r"|Rebooting|activation|Switch|emergency|rescue|stage [12]|Emergency|Rescue|Gave up|ALERT!|is locked|root p"
    r"|interactive shell|initramfs\)|rdsosreport|sshd|SSH|Reached|FAILED|systemd\[1\]: F|DEPEND|Timed out|SHA256:"
    r"|[Pp]assphrase|rror|emory|alted|ny [Kk]ey|SETUP|System Setup|Front Page|grub|Shell"
    r"|empty pass|login: |@|BusyBox|[/~] # "
)
"""A line without any of these says nothing that the rules know."""

PRINTK: Final = (
    r"Linux version|Kernel panic|Out of memory|Memory cgroup|oom-|unpacking failed|as init process|reboot: |kexec"
    r"|shutdown|NixOS Stage|sshd|Rebooting|emergency|Emergency|Rescue|Reached|FAILED|DEPEND|Failed to|Started"
    r"|Switch|Timed out|SSH|SHA256:"
)
"""The same for lines that begin with a kernel's time stamp or a unit's status: most lines of a boot."""
