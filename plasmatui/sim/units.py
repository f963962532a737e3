"""The systemd units of a running system. Whoever plays the services listens to changes and says how they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from plasmatui.sim.nodejournal import SYSTEMD, Journal

Changed = Callable[[str, bool], None]


class UnitState(StrEnum):
    """systemd's ActiveState."""

    INACTIVE = "inactive"
    ACTIVATING = "activating"
    ACTIVE = "active"
    DEACTIVATING = "deactivating"
    FAILED = "failed"


@dataclass
class Unit:
    """One unit.

    Attributes:
        since: Unix seconds of the last change of state.
        enabled: started at boot.
        oneshot: runs once, and stays active when it went well.
        result: systemd's word for how it ended: success, exit-code, timeout.
        pid: of the main process, 0 when none runs. code: its exit code.
        transient: made by systemd-run; gone when it is stopped.
        stuck: it never gets further than activating. preparing: its ExecStartPre runs.
        reloads: it knows how to read its files again while it runs.
    """

    name: str
    description: str
    state: UnitState = UnitState.INACTIVE
    since: float = 0.0
    enabled: bool = True
    oneshot: bool = False
    result: str = "success"
    pid: int = 0
    code: int = 0
    transient: bool = False
    stuck: bool = False
    reloads: bool = False
    preparing: bool = False

    @property
    def substate(self) -> str:
        """systemd's SubState."""
        if self.state is UnitState.ACTIVE:
            return "exited" if self.oneshot else "running"
        if self.preparing:
            return "start-pre"
        return {
            UnitState.INACTIVE: "dead",
            UnitState.FAILED: "failed",
            UnitState.ACTIVATING: "start",
            UnitState.DEACTIVATING: "stop-sigterm",
        }[self.state]


class NoSuchUnitError(LookupError):
    """systemd does not know a unit of this name."""


def full_name(name: str) -> str:
    """`chainfire` is `chainfire.service`."""
    return name if "." in name.rpartition("@")[2] else f"{name}.service"


class Units:
    """Units by name, with or without `.service`. Made anew at each boot with everything inactive.

    A unit that is started is active at once, and whoever plays it is told; it may put it to another state in that very
    call (`set_state`), for a service that takes time or fails.
    """

    def __init__(self, journal: Journal, wall: Callable[[], float]) -> None:
        self._journal = journal
        self._wall = wall
        self._units: dict[str, Unit] = {}
        self._listeners: list[Changed] = []
        self._reloaders: list[Callable[[str], None]] = []
        self._pids = 700

    def __contains__(self, name: str) -> bool:
        return full_name(name) in self._units

    def __getitem__(self, name: str) -> Unit:
        """The unit.

        Raises:
            NoSuchUnitError: there is none of this name.
        """
        try:
            return self._units[full_name(name)]
        except KeyError:
            raise NoSuchUnitError(full_name(name)) from None

    def find(self, name: str) -> Unit | None:
        return self._units.get(full_name(name))

    def all(self) -> tuple[Unit, ...]:
        return tuple(self._units.values())

    def define(self, name: str, description: str = "", *, enabled: bool = True, oneshot: bool = False) -> Unit:
        """Add a unit, inactive, or return the one that is there."""
        name = full_name(name)
        return self._units.setdefault(
            name, Unit(name, description or f"{name.removesuffix('.service')} service", UnitState.INACTIVE,
                       self._wall(), enabled, oneshot)
        )  # fmt: skip

    def remove(self, name: str) -> None:
        """Stop a unit and forget it, as transient units are."""
        if name in self:
            self.stop(name)
            del self._units[full_name(name)]

    def is_active(self, name: str) -> bool:
        """False for one that does not exist too."""
        unit = self._units.get(full_name(name))
        return unit is not None and unit.state is UnitState.ACTIVE

    def start(self, name: str) -> None:
        """Start a unit that is not active.

        Raises:
            NoSuchUnitError: there is none of this name.
        """
        unit = self[name]
        if unit.state not in (UnitState.ACTIVE, UnitState.ACTIVATING):
            self._pids += 7
            unit.pid, unit.result = self._pids, "success"
            self.set_state(name, UnitState.ACTIVATING if unit.stuck else UnitState.ACTIVE)

    def stop(self, name: str) -> None:
        """Stop a unit, whatever its state; one that had failed stays failed.

        Raises:
            NoSuchUnitError: there is none of this name.
        """
        unit = self[name]
        if unit.state not in (UnitState.INACTIVE, UnitState.FAILED):
            self.set_state(name, UnitState.INACTIVE)

    def restart(self, name: str) -> None:
        """Stop, then start."""
        self.stop(name)
        self.start(name)

    def reload(self, name: str) -> bool:
        """Let an active unit read its files again; False when it cannot.

        Raises:
            NoSuchUnitError: there is none of this name.
        """
        unit = self[name]
        if not unit.reloads or unit.state is not UnitState.ACTIVE:
            return False
        self._journal.write(unit.name, f"Reloaded {unit.description}.", identifier=SYSTEMD)
        for reloader in tuple(self._reloaders):
            reloader(unit.name)
        return True

    def on_reload(self, callback: Callable[[str], None]) -> None:
        """Call `callback(name)` with the full name whenever a unit is reloaded."""
        self._reloaders.append(callback)

    def fail(self, name: str, result: str = "exit-code", code: int = 1) -> None:
        """Let a unit fail."""
        unit = self[name]
        unit.result, unit.code = result, code
        self.set_state(name, UnitState.FAILED)

    def reset_failed(self, name: str) -> None:
        """Forget that a unit failed; one that was transient is gone.

        Raises:
            NoSuchUnitError: there is none of this name.
        """
        unit = self[name]
        if unit.state is UnitState.FAILED:
            unit.state, unit.result, unit.code = UnitState.INACTIVE, "success", 0
            if unit.transient:
                del self._units[unit.name]

    def set_state(self, name: str, state: UnitState) -> None:
        """Put a unit into a state. Listeners hear of it when being active began or ended; the journal always.

        Raises:
            NoSuchUnitError: there is none of this name.
        """
        unit = self[name]
        was, unit.state = unit.state, state
        if was is state:
            return
        unit.since = self._wall()
        if state in (UnitState.INACTIVE, UnitState.FAILED) or (state is UnitState.ACTIVE and unit.oneshot):
            unit.pid = 0
        self._say(unit, was)
        if (was is UnitState.ACTIVE) is not (state is UnitState.ACTIVE):
            for listener in tuple(self._listeners):
                listener(unit.name, state is UnitState.ACTIVE)

    def on_change(self, callback: Changed) -> None:
        """Call `callback(name, active)` with the full name whenever a unit becomes active or ceases to be."""
        self._listeners.append(callback)

    def stop_all(self) -> None:
        """The system goes down, orderly or not."""
        for unit in self.all():
            self.stop(unit.name)

    def log(self, name: str, message: str | Mapping[str, object], *, priority: int = 6) -> None:
        """Write what a unit's process says to the journal; a mapping becomes one JSON line."""
        name = full_name(name)
        unit = self._units.get(name)
        self._journal.write(name, message, priority=priority, pid=unit.pid if unit is not None and unit.pid else 1)

    def _say(self, unit: Unit, was: UnitState) -> None:
        text, priority = f"Stopped {unit.description}.", 6
        if unit.state is UnitState.FAILED:
            text, priority = f"{unit.name}: Failed with result '{unit.result}'.", 4
        elif unit.state is UnitState.ACTIVE:
            text = f"{'Finished' if unit.oneshot else 'Started'} {unit.description}."
        elif unit.state is UnitState.ACTIVATING:
            text = f"Starting {unit.description}..."
        elif unit.state is UnitState.DEACTIVATING:
            text = f"Stopping {unit.description}..."
        elif was is UnitState.ACTIVATING:
            text = f"{unit.name}: Deactivated successfully."
        self._journal.write(unit.name, text, priority=priority, identifier=SYSTEMD)
