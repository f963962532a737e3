"""What an inventory need not say: the cluster's services with their ports, and the usual profiles.

Ports follow the operator runbook, section 3.4 (the image builder's document disagrees on some of them), data
directories its section 9.4, which knows no others; an inventory's `services` and `profiles` override what stands here.
"""

from __future__ import annotations

from plasmatui.inventory.inventory import Profile, Service

DEFAULT_SSH_PORT = 22

SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service("chainfire", 2379, raft_port=2380, gossip_port=2381, health_port=2379, data="/var/lib/chainfire"),
        Service("flaredb", 2479, raft_port=2480, health_port=2479, data="/var/lib/flaredb"),
        Service("iam", 8080, health_port=8080),
        Service("plasmavmc", 9090, health_port=9090),
        Service("prismnet", 9091, health_port=9091),
        Service("flashdns", 53, health_port=853),
        Service("fiberlb", 9092, health_port=9092),
        # Not in the runbook's table: the port is the image builder's, and no health address is described.
        Service("lightningstor", 8084),
        # Asked through `kubectl get nodes`, not over its port (runbook, section 6).
        Service("k8shost", 10250),
    )
}

_CONTROL_PLANE = ("chainfire", "flaredb", "iam", "plasmavmc", "prismnet", "flashdns", "fiberlb", "k8shost")

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("control-plane", voter=True, services=_CONTROL_PLANE),
        Profile("worker", services=("plasmavmc", "prismnet")),
        Profile("all-in-one", voter=True, services=tuple(SERVICES)),
    )
}
"""Profiles of an inventory that gives none; the three that the image builder knows."""

LOADERS = ("bios", "efi-ia32", "efi-x64", "efi-arm32", "efi-arm64")
"""Architectures that a boot file can be named for (`pxe.loaders`)."""

DISK_LAYOUTS = ("single", "raid1", "lvm", "luks", "zfs")

DEFAULT_BMC_PORTS = {"ipmi": 623, "redfish": 443}

VENDOR_LOGINS: frozenset[tuple[str, str]] = frozenset(
    (
        ("admin", "ADMIN"),  # Supermicro until 2019
        ("root", "calvin"),  # Dell iDRAC until the fourteenth generation
        ("admin", "admin"),  # ASRock Rack, Gigabyte (older), Inspur
        ("admin", "password"),  # Gigabyte, Quanta, and the example of the runbook, section 5.4
        ("userid", "PASSW0RD"),  # Lenovo XCC, IBM IMM
        ("administrator", "superuser"),  # Huawei and others with AMI firmware
        ("administrator", "password"),  # HPE iLO when reset by hand
        ("administrator", "Admin@9000"),  # Huawei iBMC
        ("root", "Huawei12#$"),  # Huawei iBMC
        ("root", "0penBmc"),  # OpenBMC
        ("root", "root"),  # Intel, Sugon
        ("root", "changeme"),  # Oracle ILOM
        ("root", "superuser"),  # AMI MegaRAC
        ("admin", "cmb9.admin"),  # Foxconn
        ("admin", "default"),
        ("", ""),
    )
)
"""User in lower case, and password, as machines leave the factory (the vendors' manuals)."""
