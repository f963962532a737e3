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
        "The BMC's TLS certificate is not trusted.",
        "Give its CA or fingerprint as `verify_tls` in the inventory, or install a certificate of your CA.",
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
)

FINDINGS: dict[str, FindingKind] = {kind.id: kind for kind in _ALL}
