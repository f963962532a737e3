"""The closed sets of words that code, screen, command line and journal share."""

from __future__ import annotations

from enum import StrEnum


class Power(StrEnum):
    """What the BMC says of the chassis. Silence is `unknown`, never `off`."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class PowerAction(StrEnum):
    """Orders to a chassis (IPMI 2.0 section 28.3, Redfish ComputerSystem.Reset).

    `soft` asks the operating system through ACPI; `cycle` is off, then on; `reset` keeps the power rails up.
    """

    ON = "on"
    OFF = "off"
    SOFT = "soft"
    CYCLE = "cycle"
    RESET = "reset"


class Role(StrEnum):
    """What a Unix user may do with an engine that several share, from the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


class Lifecycle(StrEnum):
    """Where a machine stands between unpacking and scrapping."""

    DISCOVERED = "discovered"
    ENROLLED = "enrolled"
    VERIFIED = "verified"
    READY = "ready"
    DEPLOYING = "deploying"
    JOINING = "joining"
    ACTIVE = "active"
    DRAINING = "draining"
    DRAINED = "drained"
    UPDATING = "updating"
    ROLLING_BACK = "rolling-back"
    MAINTENANCE = "maintenance"
    RESCUE = "rescue"
    RETIRED = "retired"


class Health(StrEnum):
    """What a machine's services say of themselves. Silence is `unknown`."""

    UNKNOWN = "unknown"
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


class Stage(StrEnum):
    """The stages of a boot or install, in order."""

    OVERRIDE_SET = "override-set"
    POWERING_ON = "powering-on"
    FIRMWARE = "firmware"
    DHCP_LOADER = "dhcp-loader"
    TFTP_LOADER = "tftp-loader"
    DHCP_IPXE = "dhcp-ipxe"
    IPXE_SCRIPT = "ipxe-script"
    HTTP_KERNEL = "http-kernel"
    HTTP_INITRD = "http-initrd"
    KERNEL_START = "kernel-start"
    INITRD_START = "initrd-start"
    INSTALLER_UP = "installer-up"
    SSH_READY = "ssh-ready"
    FACTS = "facts"
    KEXEC = "kexec"
    DISKO = "disko"
    CLOSURE_COPY = "closure-copy"
    EXTRA_FILES = "extra-files"
    BOOTLOADER = "bootloader"
    REBOOT = "reboot"
    DISK_BOOT = "disk-boot"
    FIRST_BOOT = "first-boot"
    SERVICES_UP = "services-up"
    JOINING = "joining"
    VOTER = "voter"
    HEALTHY = "healthy"


class BmcStatus(StrEnum):
    """How the engine stands with one BMC.

    `waiting` backs off before the next try; `refused` needs a person (wrong password, untrusted certificate) and is
    not tried again by itself; `none` means that the inventory names no BMC.
    """

    NONE = "none"
    UNKNOWN = "unknown"
    CONNECTING = "connecting"
    UP = "up"
    WAITING = "waiting"
    REFUSED = "refused"


class ConsoleStatus(StrEnum):
    """How the engine stands with one serial console.

    `held` means that another client of the BMC has it (finding `sol-in-use`); it is taken over only when asked.
    `unavailable`: the machine offers no console that the engine can open.
    """

    CLOSED = "closed"
    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"
    HELD = "held"
    UNAVAILABLE = "unavailable"


class RebootRule(StrEnum):
    """When an update reboots a node: when the kernel, its initrd or its parameters are others; never; always."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class OperationState(StrEnum):
    """State of an operation, of one of its nodes."""

    PLANNED = "planned"
    WAITING = "waiting"
    RUNNING = "running"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DONE = "done"

    @property
    def ended(self) -> bool:
        return self in (OperationState.FAILED, OperationState.CANCELLED, OperationState.DONE)


class StepResult(StrEnum):
    """Result of one step. `uncertain`: it was begun, and whether it took effect is not known."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
