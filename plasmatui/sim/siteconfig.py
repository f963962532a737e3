"""What the site keeps for each node beside its NixOS configuration: `cluster-config.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from plasmatui.sim.identity import Identity

CLUSTER = "sim"
DOMAIN = "sim.example.com"
BOOTSTRAP = 3
"""Voters that bootstrap the cluster, where there are as many."""
CHAINFIRE_PORT, CHAINFIRE_RAFT, FLAREDB_RAFT = 2379, 2380, 2480


def cluster_config(identity: Identity, profile: str, voters: Sequence[str]) -> dict[str, object]:
    """A node's first-boot configuration.

    Args:
        profile: of the inventory; the first of the control plane bootstrap the cluster, the rest joins it.
        voters: names of the control plane's nodes.
    """
    first = voters[:BOOTSTRAP]
    bootstrap = identity.name in first
    config: dict[str, object] = {
        "node_id": identity.name,
        "node_role": profile,
        "bootstrap": bootstrap,
        "cluster_name": CLUSTER,
        "leader_url": f"https://{voters[0]}.{DOMAIN}:{CHAINFIRE_PORT}",
        "raft_addr": f"{identity.production}:{CHAINFIRE_RAFT}",
    }
    if bootstrap:
        config["initial_peers"] = [f"{name}.{DOMAIN}:{CHAINFIRE_RAFT}" for name in first]
        config["flaredb_peers"] = [f"{name}.{DOMAIN}:{FLAREDB_RAFT}" for name in first]
    return config


def config_file(config: dict[str, object]) -> bytes:
    """The file's bytes."""
    return json.dumps(config, indent=2).encode() + b"\n"
