"""The global options, and which inventory they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from plasmatui.cli.failure import USAGE, Failure
from plasmatui.paths import config_dir

SIM_NODES = 12
"""Nodes of a simulated rack when nothing says how many."""

SYSTEM_INVENTORY = Path("/etc/plasmatui/inventory.yaml")


class NoInventoryError(Failure):
    """There is no inventory. `starter` is where a first one would be found, None when it could not be one."""

    def __init__(self, message: str, hint: str, starter: Path | None) -> None:
        super().__init__(USAGE, message, hint)
        self.starter = starter


@dataclass(frozen=True)
class Settings:
    """What was given before the command.

    Attributes:
        inventory: `-i`, None when it was not given.
        sim: number of simulated nodes, None without `--sim`.
        read_only: nothing may be changed through this client.
    """

    inventory: Path | None = None
    sim: int | None = None
    read_only: bool = False
    theme: str | None = None
    ascii: bool = False
    mouse: bool = True

    @property
    def engine_idle(self) -> float | None:
        """Seconds without clients after which an engine that we start leaves; None is its own default."""
        if self.sim is None:
            return None
        from plasmatui.cli.rack import ENGINE_IDLE

        return ENGINE_IDLE

    def inventory_path(self, *, start_rack: bool = True) -> Path:
        """The inventory to use. With `--sim` and `start_rack`, the simulated rack is started when it does not run.

        Raises:
            NoInventoryError: there is none; the places that were looked at are named.
            Failure: the simulated rack cannot be started, or both were given.
        """
        if self.sim is not None:
            if self.inventory is not None:
                raise Failure(USAGE, "-i and --sim exclude each other: a simulated rack brings its own inventory")
            from plasmatui.cli.rack import ensure_rack, rack_directory

            return ensure_rack(self.sim) if start_rack else rack_directory(self.sim) / "inventory.yaml"
        return find_inventory(self.inventory)


def find_inventory(given: Path | None) -> Path:
    """`given`, else the first inventory that exists: $PLASMATUI_INVENTORY, here, the user's, the system's.

    Raises:
        NoInventoryError: a named one does not exist, or none was found.
    """
    if given is not None:
        return _existing(given, "-i")
    variable = os.environ.get("PLASMATUI_INVENTORY", "")
    if variable:
        return _existing(Path(variable), "$PLASMATUI_INVENTORY")
    places = (Path("inventory.yaml"), config_dir() / "inventory.yaml", SYSTEM_INVENTORY)
    for place in places:
        if place.exists():
            return place.resolve()
    looked = "\n".join(f"  {place.absolute()}" for place in places)
    raise NoInventoryError(
        f"no inventory found; $PLASMATUI_INVENTORY is not set, and none of these exists:\n{looked}",
        "name one with -i FILE, or try the simulated rack: plasmatui --sim",
        places[1],
    )


def found_everywhere() -> tuple[Path, ...]:
    """Inventories that are found without being named, whatever the directory one works in."""
    return tuple(place.resolve() for place in (config_dir() / "inventory.yaml", SYSTEM_INVENTORY))


def _existing(path: Path, source: str) -> Path:
    path = Path(os.path.expanduser(path))
    if not path.exists():
        raise NoInventoryError(f"no inventory: {path} (from {source}) does not exist", "check the path", path)
    if path.is_dir():
        raise NoInventoryError(f"no inventory: {path} (from {source}) is a directory", "name the YAML file in it", None)
    return path.resolve()
