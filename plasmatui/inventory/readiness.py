"""What installations need of this host: flake, programs, secrets, disks, CA, SSH key. Looked at with a flake only."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from plasmatui.inventory.checks import Check, Gathered, place_of
from plasmatui.inventory.fields import Problems
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.nodes import Places

PROGRAMS = ("nix", "nixos-anywhere")


def operations(inventory: Inventory, places: Places, problems: Problems) -> None:
    """Add what is missing here; not asked without a flake.

    Looks at files, runs nothing. Another user or host may have what is missing here: it is never an error.
    """
    directory = inventory.flake_directory
    if directory is not None and not (directory / "flake.nix").is_file():
        message = f"flake: {directory} holds no flake.nix, which installations are made from"
        problems.warning(place_of(places, "flake"), message)
    usual = os.environ.get("PATH") or os.defpath
    path = f"{inventory.tools}{os.pathsep}{usual}" if inventory.tools else usual
    for program in PROGRAMS:
        if shutil.which(program, path=path) is None:
            where = f"neither in {inventory.tools} nor in PATH" if inventory.tools else "not in PATH"
            problems.warning(
                place_of(places, "tools") if inventory.tools else place_of(places, "flake"),
                f"{program}, which installs, is {where} here; install it, or name its directory as tools",
            )
    _secrets(inventory, places, problems)
    _disks(inventory, places, problems)
    if not inventory.ca and any(profile.services for profile in inventory.profiles.values()):
        problems.warning(
            place_of(places, "cluster"),
            "cluster.ca is not given: services are checked against the system's CAs, which seldom issue for clusters",
        )
    _ssh_key(inventory, places, problems)


def _secrets(inventory: Inventory, places: Places, problems: Problems) -> None:
    if not inventory.secrets:
        problems.warning(
            place_of(places, "flake"),
            "secrets is not given: nodes are installed without certificates, and their host keys are not known before "
            "they boot",
        )
        return
    missing = Gathered(problems, "warning")
    for name in inventory.nodes:
        try:
            there = (Path(inventory.secrets) / name).is_dir()
        except OSError:  # the directory is another's
            there = False
        if not there:
            message = f"{inventory.secrets} holds no directory of the node's secrets here, which an installation needs"
            missing.add(place_of(places, "secrets"), message, name)
    missing.report()


def _disks(inventory: Inventory, places: Places, problems: Problems) -> None:
    missing = Gathered(problems, "warning")
    for name, node in inventory.nodes.items():
        if not node.disks:
            missing.add(place_of(places, "nodes", name), "disks are not given, so that it cannot be installed", name)
    missing.report()


def _ssh_key(inventory: Inventory, places: Places, problems: Problems) -> None:
    key = inventory.ssh.key
    if not key:
        if not os.environ.get("SSH_AUTH_SOCK"):
            problems.warning(
                place_of(places, "ssh"), "ssh.key is not given and no SSH agent runs here: nodes cannot be logged in to"
            )
    elif not os.access(Path(os.path.expanduser(key)), os.R_OK):
        problems.warning(place_of(places, "ssh", "key"), f"ssh.key: {key} cannot be read here")


OPERATIONS = Check(
    "operations", "flake, programs, secrets, disks, CA and SSH key of installations are there", operations
)
