"""Boots as they are seen from outside: signals that logs and consoles give, stages, timelines."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from plasmatui.model.node import Finding
from plasmatui.model.words import Stage


class SignalKind(StrEnum):
    """What one line of a log, or one passage of a console, says.

    `server-*`, `dhcp-*`, `tftp-*`, `http-*` come from servers' logs, the others from a machine's serial console.
    """

    SERVER_UP = "server-up"
    SERVER_DOWN = "server-down"
    DHCP_DISCOVER = "dhcp-discover"
    DHCP_OFFER = "dhcp-offer"
    DHCP_PROXY = "dhcp-proxy"  # a proxy-DHCP answer: boot data without an address
    DHCP_REQUEST = "dhcp-request"
    DHCP_ACK = "dhcp-ack"
    DHCP_NAK = "dhcp-nak"
    DHCP_IGNORED = "dhcp-ignored"  # `code`: "unknown-mac" "pool-exhausted" "no-subnet" or ""
    DHCP_RELEASE = "dhcp-release"  # released, declined or expired: the address is free again
    TFTP_REQUEST = "tftp-request"
    TFTP_DONE = "tftp-done"
    TFTP_ERROR = "tftp-error"  # `code`: "not-found" "denied" "timeout" "aborted" or ""
    HTTP_REQUEST = "http-request"  # with `status`
    HTTP_PROGRESS = "http-progress"  # of an answer that still runs; `bytes`, `total` and `percent`
    HTTP_ERROR = "http-error"  # a line of an error log; `code`: "not-found" "denied" or ""
    FIRMWARE = "firmware"
    PXE_START = "pxe-start"
    PXE_ADDRESS = "pxe-address"
    PXE_FILE = "pxe-file"  # the loader's name, its size in `total`
    PXE_LOADED = "pxe-loaded"
    PXE_ERROR = "pxe-error"  # `code`: "PXE-E18"
    BOOT_REFUSED = "boot-refused"  # firmware refuses a loader; `code`: "secure-boot" or ""
    NO_BOOT_DEVICE = "no-boot-device"
    IPXE_START = "ipxe-start"
    IPXE_ADDRESS = "ipxe-address"
    IPXE_NO_ADDRESS = "ipxe-no-address"
    IPXE_FETCH = "ipxe-fetch"  # `file` is the URL; `percent` where it is shown
    IPXE_FETCHED = "ipxe-fetched"
    IPXE_ERROR = "ipxe-error"  # `code`: eight hex digits of the ipxe.org address
    IPXE_SHELL = "ipxe-shell"
    DISK_LOADER = "disk-loader"  # systemd-boot or GRUB from the disk
    KERNEL = "kernel"
    INITRD = "initrd"  # the initial RAM disk's init runs
    STAGE2 = "stage2"
    SYSTEMD = "systemd"
    LOGIN = "login"  # `host`: the name at the prompt; `code`: "installer" or ""
    SSH_UP = "ssh-up"
    HOST_KEY = "host-key"  # `text`: fingerprint that an installer prints
    PANIC = "panic"  # `code`: "rootfs" or ""
    OUT_OF_MEMORY = "out-of-memory"
    EMERGENCY = "emergency"
    UNIT_FAILED = "unit-failed"
    REBOOT = "reboot"
    POWER_OFF = "power-off"
    CONSOLE_WAITS = "console-waits"  # for a person, `text` says how; `code`: "halted" where no key helps
    STAGE_BEGUN = "stage-begun"  # an operation of ours sees it; `code` is the stage
    STAGE_DONE = "stage-done"
    STAGE_FAILED = "stage-failed"


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """Where a fact was read: the file's or source's name, its line counted from 1 (of a console: the line of text),
    and that line, clean."""

    file: str
    line: int
    text: str = ""


class Signal(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One observation. Only what the line says is given; text is clean.

    Attributes:
        wall: Unix seconds, None when the line has no time.
        node: known for consoles only.
        mac: lower case with colons.
        ip, mac, uuid, host: who it is about, as far as the line tells.
        file: boot file, path or URL.
        bytes: transferred; total: the size of the whole; percent: as shown.
        status: of an HTTP answer. code, text: see `SignalKind`.
        arch: client architecture (RFC 4578 section 2.1), vendor: vendor class, ipxe: whether it says that it is iPXE.
        xid: transaction, where the log has one.
    """

    kind: SignalKind
    evidence: Evidence
    wall: float | None = None
    node: str = ""
    mac: str = ""
    ip: str = ""
    uuid: str = ""
    host: str = ""
    file: str = ""
    bytes: int | None = None
    total: int | None = None
    percent: float | None = None
    status: int | None = None
    code: str = ""
    text: str = ""
    arch: int | None = None
    vendor: str = ""
    ipxe: bool | None = None
    xid: str = ""
    server: str = ""


class StageSpan(msgspec.Struct, frozen=True):
    """One stage of a boot.

    Attributes:
        begin, end: Unix seconds; None where no clock tells; `end` None also while it runs.
        state: "done", "running", "failed".
        inferred: True when a later stage proves it and nothing was seen of it.
        tries: how often it was begun.
        usual: seconds that it takes usually, None when not known.
    """

    stage: Stage
    begin: float | None
    end: float | None
    state: str
    evidence: tuple[Evidence, ...] = ()
    bytes: int | None = None
    total: int | None = None
    percent: float | None = None
    inferred: bool = False
    tries: int = 1
    usual: float | None = None


class BootTimeline(msgspec.Struct, frozen=True):
    """One boot of one node.

    Attributes:
        reached: the last stage that succeeded, None when none did.
        outcome: "installer-up", "healthy", "stopped" or "running".
    """

    node: str
    number: int
    begin: float | None
    reached: Stage | None
    outcome: str
    stages: tuple[StageSpan, ...]
    findings: tuple[Finding, ...] = ()


class UnknownClient(msgspec.Struct, frozen=True):
    """A machine that asks and that no inventory names."""

    mac: str
    ip: str
    vendor: str
    arch: int | None
    first: float | None
    last: float | None
    requests: int
    hostname: str = ""


class SourceState(msgspec.Struct, frozen=True):
    """Standing of one log source.

    Attributes:
        name: unique, as shown ("dhcp kea pxe01"). kind: dhcp, tftp, http or console.
        status: "running", "waiting" (tried again by itself) or "failed"; message: why.
        lag: seconds behind; lines: read since the start; dropped: lines that did not fit and are gone.
        last: Unix seconds of the last line, 0 for none.
    """

    name: str
    kind: str
    format: str
    where: str
    status: str
    message: str = ""
    lag: float = 0.0
    lines: int = 0
    dropped: int = 0
    last: float = 0.0


class LogLine(msgspec.Struct, frozen=True):
    """A line of a log as it is shown. `seq` names it for ever within one engine; text is clean.

    `wall` is the line's own time, or that of its arrival (`arrived`); `severity`: "" "warning" "error".
    """

    seq: int
    wall: float
    source: str
    kind: str
    node: str
    text: str
    severity: str = ""
    arrived: bool = False


class LogFilter(msgspec.Struct, frozen=True):
    """Which lines: empty fields let everything pass.

    Attributes:
        kinds, sources, nodes: any of these.
        include, exclude: regular expressions over the text (case is ignored when they are lower case).
        since, until: Unix seconds, 0 for none.
    """

    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    include: str = ""
    exclude: str = ""
    since: float = 0.0
    until: float = 0.0
