"""`cluster-config.json`: how a node's first boot finds the cluster (operator runbook, section 5.3 step 3.2).

The first voters bootstrap the cluster together, with the same list of peers; everybody else joins it. That is
for the cluster's first forming: a node that bootstraps after that would make a second cluster of its own, so an
installation takes the file along as it must be then (`operations/firstboot.py`).
"""

from __future__ import annotations

import json

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.node import Node

BOOTSTRAP = 3
"""Voters that bootstrap, where there are as many; with fewer than that, one."""


def bootstrap_voters(inventory: Inventory) -> tuple[Node, ...]:
    """The voters that form the cluster, in the inventory's order; only those with a production address."""
    voters = tuple(node for node in inventory.nodes.values() if node.voter and node.production_ip)
    return voters[:BOOTSTRAP] if len(voters) >= BOOTSTRAP else voters[:1]


def cluster_config(inventory: Inventory, node: Node) -> str:
    """The file of a node; empty when the cluster has no voter or the node no production address."""
    first = bootstrap_voters(inventory)
    if not first or not node.production_ip:
        return ""
    chainfire, flaredb = inventory.services["chainfire"], inventory.services["flaredb"]
    found: dict[str, object] = {
        "node_id": node.name,
        "node_role": node.profile,
        "bootstrap": node in first,
        "cluster_name": inventory.cluster,
        "leader_url": f"https://{_name(inventory, first[0])}:{chainfire.port}",
        "raft_addr": f"{node.production_ip}:{chainfire.raft_port}",
    }
    if node in first:
        found["initial_peers"] = [f"{_name(inventory, each)}:{chainfire.raft_port}" for each in first]
        found["flaredb_peers"] = [f"{_name(inventory, each)}:{flaredb.raft_port}" for each in first]
    return json.dumps(found, indent=2) + "\n"


def _name(inventory: Inventory, node: Node) -> str:
    """The name that is in the node's certificate; without a domain its address."""
    return f"{node.name}.{inventory.domain}" if inventory.domain else node.production_ip
