"""A first inventory for a rack that has none: few lines, each explained, right as it stands but for its addresses."""

from __future__ import annotations

import os
from pathlib import Path

from plasmatui.paths import make_private

STARTER = """\
# The machines of this rack. Every key is described in docs/inventory.md; `plasmatui check` names every mistake with its
# place. Replace the addresses, then add nodes: the fewest keys that are of use are `bmc` and, to watch boots, `mac`.

version: 1

cluster:
  name: my-rack                 # typed before a guard of the cluster is overridden
  # domain: example.com         # nodes are then node01.example.com

# How to log in on BMCs. The password stays out of this file: {env: NAME} takes it from the environment of whoever
# starts plasmatui, {file: PATH} from a file that only you can read (chmod 600).
bmc_defaults:
  driver: ipmi                  # or redfish
  username: admin
  password: {env: PLASMATUI_BMC_PASSWORD}

nodes:
  # One entry for several alike: addresses that end in + count up, so that node02's BMC is 192.0.2.12.
  node[01-03]:
    bmc: 192.0.2.11+
    # rack: r1

  # One machine with all that an installation needs:
  # node04:
  #   profile: worker           # control-plane, worker or all-in-one
  #   mac: "52:54:00:12:34:56"  # of the card that it boots from
  #   bmc: {address: 192.0.2.14, driver: redfish, verify_tls: false}
  #   provisioning_ip: 198.51.100.14
  #   production_ip: 203.0.113.14
  #   disks: [/dev/disk/by-id/nvme-EXAMPLE]

# What boots are watched by, if the servers' logs can be read from here:
# logs:
#   - {kind: dhcp, format: kea, file: /var/log/kea/kea-dhcp4.log}
#   - {kind: tftp, format: tftpd-hpa, journal: tftpd-hpa.service}
#   - {kind: http, format: nginx-access, file: /var/log/nginx/access.log}
"""


def write_starter(path: Path) -> Path:
    """Write `STARTER` to a file that does not exist yet, for its owner alone; returns its whole path.

    Raises:
        FileExistsError: there is one by now; it is left as it is.
        UnsafeDirectoryError: a directory that had to be made is not private.
        OSError: it cannot be written.
    """
    path = path.expanduser().absolute()
    if not path.parent.exists():
        make_private(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(STARTER)
    return path
