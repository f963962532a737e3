"""Incident bundles: a directory with everything that tells what happened to some nodes, and no secret."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from plasmatui.model.node import Node


def write_bundle(directory: Path, nodes: Iterable[Node]) -> tuple[str, ...]:
    """Write a bundle; the names of its files.

    Raises:
        OSError: the directory cannot be made, or holds a bundle already.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = {
        "version": 1,
        "nodes": {node.name: {"mac": node.macs[0] if node.macs else "", "ip": node.provisioning_ip} for node in nodes},
        "files": [],
    }
    path = directory / "bundle.yaml"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        yaml.safe_dump(head, file, sort_keys=False)
    return ("bundle.yaml",)
