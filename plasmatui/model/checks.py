"""The pre-deployment checklist that asks machines and servers: what is looked at, and what was found.

Runbook, section 4. What can be seen in the inventory alone is `inventory.report`'s.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class CheckState(StrEnum):
    """`unknown`: it could not be seen, which is never ok. `skipped`: the inventory names nothing to look at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True):
    """One line of the checklist. `what`: what should be so."""

    id: str
    group: str
    what: str


class CheckAnswer(msgspec.Struct, frozen=True, tag="check"):
    """What one check found.

    Attributes:
        id, group, what: as in `Check`.
        reason: what was seen, one clean line.
        fix: what to do, a command where there is one; "" for nothing.
        nodes: those that are not as they should be.
    """

    id: str
    group: str
    what: str
    state: CheckState
    reason: str = ""
    fix: str = ""
    nodes: tuple[str, ...] = ()


class AskChecks(msgspec.Struct, frozen=True, tag="checks"):
    """Look at everything now, or at `only` these ids. Changes no machine. Items: `CheckAnswer`, as they are found.
    Reply: `Done`."""

    only: tuple[str, ...] = ()


class CertificateSeen(msgspec.Struct, frozen=True):
    """A certificate of a service or in a file.

    Attributes:
        place: "NODE SERVICE:PORT", or the file's path.
        node: whose it is, "" for a CA's.
        subject, issuer: common names, or the whole names where there are none.
        names: subject alternative names.
        begin, end: Unix seconds; 0 when there is no certificate.
        mode: of the file, None for a service's.
        problem: why there is none, or why it is not trusted; "" when it is.
    """

    place: str
    node: str = ""
    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    begin: float = 0.0
    end: float = 0.0
    mode: int | None = None
    problem: str = ""


class AskCertificates(msgspec.Struct, frozen=True, tag="certificates"):
    """Look at the certificates that services of these nodes show (of all when none is named). Reply: `Certificates`."""

    nodes: tuple[str, ...] = ()


class Certificates(msgspec.Struct, frozen=True, tag="certificates"):
    certificates: tuple[CertificateSeen, ...]


DHCP_SERVERS: Final = Check("dhcp-servers", "PXE server", "only one DHCP server answers where machines boot")
"""Asked by the command itself, and only when an interface is named: it needs root."""

_PXE, _BMC, _SSH, _DNS = "PXE server", "BMCs", "Nodes over SSH", "Names"
_CERTIFICATES, _CLUSTER, _HERE = "Certificates and secrets", "Cluster", "This host"

CHECKS: Final = (
    Check("tftp-loaders", _PXE, "every boot loader that is configured comes by TFTP, whole"),
    Check("loader-architecture", _PXE, "every boot loader is made for the machines that get it"),
    Check("http-port", _PXE, "the HTTP server takes connections"),
    Check("http-script", _PXE, "the boot script comes by HTTP and is a script"),
    Check("http-loaders", _PXE, "loaders for UEFI HTTP boot are served"),
    Check("http-kernel", _PXE, "every profile's kernel is served and is a kernel"),
    Check("http-initrd", _PXE, "every profile's initrd is served"),
    Check("http-netboot", _PXE, "every profile's netboot.ipxe is served and belongs to its kernel"),
    Check("http-ranges", _PXE, "the HTTP server serves parts of files, so that broken transfers go on"),
    Check("assets-served", _PXE, "what is served has the size of what is on disk"),
    Check("dhcp-port", _PXE, "a DHCP server listens on the PXE server"),
    Check("boot-service", _PXE, "the boot service takes connections"),
    Check("clock-pxe", _PXE, "the PXE server's clock agrees with this host's"),
    Check("bmc-reachable", _BMC, "every BMC answers and lets us in"),
    Check("bmc-credentials", _BMC, "BMC passwords can be had and are not the vendor's"),
    Check("bmc-power", _BMC, "every BMC tells the power"),
    Check("boot-device", _BMC, "every BMC tells which device the next boot takes"),
    Check("boot-override", _BMC, "no machine boots from the network for ever"),
    Check("console-open", _BMC, "every serial console is open"),
    Check("console-recorded", _BMC, "every open console is recorded"),
    Check("ssh-key", _SSH, "the provisioning key is there, private, and can be used"),
    Check("host-keys", _SSH, "the host key of every node that is installed is known"),
    Check("ssh-login", _SSH, "nodes that are on let us in with the provisioning key"),
    Check("clock-nodes", _SSH, "the nodes' clocks agree with this host's"),
    Check("node-space", _SSH, "/nix/store of the nodes has room for another system"),
    Check("dns-forward", _DNS, "every node's name leads to its production address"),
    Check("dns-reverse", _DNS, "every production address leads to its node's name"),
    Check("cluster-ca", _CERTIFICATES, "the cluster's CA is there, is a CA, and stays valid"),
    Check("service-chain", _CERTIFICATES, "every service's certificate is trusted, for the name it is asked by"),
    Check("service-expiry", _CERTIFICATES, "no service's certificate ends soon"),
    Check("service-names", _CERTIFICATES, "every service's certificate names its node, not in the common name alone"),
    Check("secrets-present", _CERTIFICATES, "every node has its secrets"),
    Check("secrets-modes", _CERTIFICATES, "secrets are open to nobody else"),
    Check("secrets-certificates", _CERTIFICATES, "certificates in the secrets fit their keys and nodes, and last"),
    Check("quorum-voters", _CLUSTER, "the number of voters is odd, and three or more"),
    Check("quorum-members", _CLUSTER, "every raft group lists the voters of the inventory and no others"),
    Check("quorum-margin", _CLUSTER, "every raft group can lose a voter"),
    Check("service-health", _CLUSTER, "every service of the nodes that are on is healthy"),
    Check("flake-nodes", _HERE, "the flake evaluates and names every node"),
    Check("disks-named", _HERE, "every node's disks are named by id"),
    Check("tools", _HERE, "the programs that installations need are here"),
    Check("space-journal", _HERE, "there is room for the journal and the recordings"),
    Check("space-assets", _HERE, "there is room for boot images"),
    Check("space-store", _HERE, "/nix/store of this host has room for builds"),
    Check("journal", _HERE, "the journal is kept"),
    Check("log-sources", _HERE, "every log source can be read"),
    Check("log-recent", _HERE, "every log source said something lately"),
)
