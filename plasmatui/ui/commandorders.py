"""The words of the `:` line that give orders to systems and operations; each opens the dialog that its key opens."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.model import wire
from plasmatui.model.operation import (
    AddOrder,
    BackupOrder,
    BootOrder,
    DecommissionOrder,
    InstallOrder,
    ProvisionOrder,
    RecoverClusterOrder,
    ReplaceOrder,
    ReprovisionOrder,
    RestoreOrder,
    RollbackOrder,
    UpdateOrder,
)
from plasmatui.model.words import RebootRule
from plasmatui.ui.actions import BY_ID

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen

FIRMWARE = ("--uefi", "--bios")
ORDER_FLAGS: dict[str, tuple[str, ...]] = {
    "boot": ("--disk", *FIRMWARE),
    "install": (),
    "provision": FIRMWARE,
    "reprovision": FIRMWARE,
    "add": FIRMWARE,
    "replace": (*FIRMWARE, "--mac", "--bmc"),
    "decommission": (),
    "recover": (),
    "drain": (),
    "undrain": (),
    "update": ("--batch", "--reboot", "--no-drain"),
    "backup": ("-o", "--service", "--live", "--secrets"),
    "restore": ("--service",),
    "recover-cluster": (),
    "rollback": ("--to", "--next-boot"),
    "certs": (),
    "sshkeys": (),
}
ROTATED = ("certs", "sshkeys")
ROTATE = "rotate"
"""The word after those that name what is rotated."""
_ACTION = {
    "provision": "install",
    "add": "install",
    "replace": "reprovision",
    "decommission": "reprovision",
    "recover-cluster": "restore",
}
"""Words whose action in the registry has another name."""
OPS = ("show", "log", "cancel", "hold", "release", "resume", "retry")
LOOKING = ("show", "log")

Sets = Callable[[list[str]], tuple[str, ...]]


class OrderError(ValueError):
    """A command cannot be understood or done; the message says why."""


def _absolute(directory: str) -> str:
    """As the command line takes it: the engine has another working directory."""
    return str(Path(os.path.expanduser(directory)).absolute())


class OrderWords:
    """Does these commands for one main screen. `sets` resolves node sets."""

    def __init__(self, main: MainScreen, sets: Sets) -> None:
        self._main = main
        self._sets = sets
        self.commands: dict[str, Callable[[list[str]], None]] = {
            "boot": self._boot,
            "install": self._install,
            "provision": self._provision,
            "reprovision": self._reprovision,
            "add": self._add,
            "replace": self._replace,
            "decommission": self._decommission,
            "recover": lambda words: self._main.orders.recover(self._nodes("recover", words)[0]),
            "drain": lambda words: self._main.orders.drain(self._nodes("drain", words)[0]),
            "undrain": lambda words: self._main.orders.undrain(self._nodes("undrain", words)[0]),
            "update": self._update,
            "backup": self._backup,
            "restore": self._restore,
            "recover-cluster": self._recover_cluster,
            "rollback": self._rollback,
            "sshkeys": lambda words: self._main.orders.rotate_keys(self._rotated("sshkeys", words)),
            "certs": lambda words: self._main.orders.rotate_certs(self._rotated("certs", words)),
            "ops": self._ops,
        }

    def candidates(self, words: Sequence[str]) -> list[str]:
        """What may follow `ops`."""
        numbers = [str(number) for number in sorted(self._main.context.store.operations, reverse=True)]
        return [*OPS, *numbers] if not words else numbers if len(words) == 1 and words[0] in OPS else []

    # Orders

    def _nodes(self, name: str, words: list[str]) -> tuple[tuple[str, ...], frozenset[str]]:
        """The nodes of the set and the flags; says why not when orders cannot be given now."""
        action = BY_ID[f"nodes.{_ACTION.get(name, name)}"]
        if reason := self._main.context.disabled(action):
            raise OrderError(reason)
        flags = frozenset(word for word in words if word.startswith("--"))
        for flag in sorted(flags - set(ORDER_FLAGS[name])):
            raise OrderError(f"no option {flag}; options: {' '.join(ORDER_FLAGS[name]) or 'none'}")
        return self._sets([word for word in words if word not in flags]), flags

    @staticmethod
    def _mode(flags: frozenset[str]) -> bool | None:
        if flags.issuperset(FIRMWARE):
            raise OrderError("--uefi and --bios exclude each other")
        return True if "--uefi" in flags else False if "--bios" in flags else None

    def _boot(self, words: list[str]) -> None:
        nodes, flags = self._nodes("boot", words)
        self._main.orders.boot(nodes, BootOrder("--disk" in flags, self._mode(flags)))

    def _install(self, words: list[str]) -> None:
        nodes, _ = self._nodes("install", words)
        self._main.orders.install(nodes, InstallOrder())

    def _provision(self, words: list[str]) -> None:
        nodes, flags = self._nodes("provision", words)
        self._main.orders.install(nodes, ProvisionOrder(self._mode(flags)))

    def _reprovision(self, words: list[str]) -> None:
        nodes, flags = self._nodes("reprovision", words)
        self._main.orders.replace(nodes, ReprovisionOrder(self._mode(flags)))

    def _add(self, words: list[str]) -> None:
        nodes, flags = self._nodes("add", words)
        self._main.orders.install(nodes, AddOrder(self._mode(flags)))

    def _replace(self, words: list[str]) -> None:
        given = {"--mac": "", "--bmc": ""}
        for option in given:
            if option in words:
                place = words.index(option)
                given[option], words = "".join(words[place + 1 : place + 2]), words[:place] + words[place + 2 :]
                if not given[option] or given[option].startswith("--"):
                    raise OrderError(f"expected an address after {option}")
        nodes, flags = self._nodes("replace", words)
        self._main.orders.replace(nodes, ReplaceOrder(self._mode(flags), given["--mac"], given["--bmc"]))

    def _decommission(self, words: list[str]) -> None:
        nodes, _ = self._nodes("decommission", words)
        self._main.orders.replace(nodes, DecommissionOrder())

    @staticmethod
    def _value(flag: str, words: list[str]) -> tuple[str | None, list[str]]:
        """What follows a flag, None without it; and the other words."""
        if flag not in words:
            return None, words
        place = words.index(flag)
        return "".join(words[place + 1 : place + 2]), words[:place] + words[place + 2 :]

    def _update(self, words: list[str]) -> None:
        batch, words = self._value("--batch", words)
        if batch is not None and (not batch.isdigit() or int(batch) < 1):
            raise OrderError(f"expected a number of nodes after --batch, found {batch!r}")
        reboot, words = self._value("--reboot", words)
        if reboot is not None and reboot not in tuple(RebootRule):
            raise OrderError(f"expected {', '.join(RebootRule)} after --reboot, found {reboot!r}")
        nodes, flags = self._nodes("update", words)
        order = UpdateOrder(int(batch or 1), RebootRule(reboot or RebootRule.AUTO), "--no-drain" not in flags)
        self._main.orders.update(nodes, order)

    def _services(self, words: list[str]) -> tuple[tuple[str, ...], list[str]]:
        """What follows each --service, and the other words."""
        found: list[str] = []
        while "--service" in words:
            value, words = self._value("--service", words)
            if not value or value.startswith("-"):
                raise OrderError("expected the name of a service after --service")
            found.append(value)
        return tuple(found), words

    def _backup(self, words: list[str]) -> None:
        directory, words = self._value("-o", words)
        if directory is not None and (not directory or directory.startswith("-")):
            raise OrderError("expected a directory after -o")
        services, words = self._services(words)
        nodes, flags = self._nodes("backup", words)
        place = _absolute(directory) if directory else ""
        self._main.orders.backup(nodes, BackupOrder(place, services, "--live" in flags, "--secrets" in flags))

    def _restore(self, words: list[str]) -> None:
        services, words = self._services(words)
        place, words = self._place("restore", words)
        nodes, _ = self._nodes("restore", words)
        self._main.orders.restore(nodes, RestoreOrder(place, services))

    def _recover_cluster(self, words: list[str]) -> None:
        place, words = self._place("recover-cluster", words)
        nodes, _ = self._nodes("recover-cluster", words)
        self._main.orders.restore(nodes, RecoverClusterOrder(place))

    @staticmethod
    def _place(name: str, words: list[str]) -> tuple[str, list[str]]:
        """The directory that comes first, and the other words."""
        if len(words) < 2 or words[0].startswith("-"):
            raise OrderError(f"expected {name} DIR SET")
        return _absolute(words[0]), words[1:]

    def _rollback(self, words: list[str]) -> None:
        to, words = self._value("--to", words)
        if to is not None and (not to.isdigit() or int(to) < 1):
            raise OrderError(f"expected the number of a generation after --to, found {to!r}")
        nodes, flags = self._nodes("rollback", words)
        chosen = RollbackOrder(int(to or 0), "--next-boot" in flags)
        self._main.orders.rollback(nodes, chosen if to or flags else None)

    def _rotated(self, name: str, words: list[str]) -> tuple[str, ...]:
        if words[:1] != [ROTATE]:
            raise OrderError(f"expected {name} {ROTATE} SET; the command line has more of it")
        return self._nodes(name, words[1:])[0]

    # Operations

    def _ops(self, words: list[str]) -> None:
        verb = words[0] if words and words[0] in OPS else "show"
        rest = words[1:] if words and words[0] in OPS else words
        if not rest and verb == "show":
            self._main.spawn(self._view(), "view operations")
            return
        number, node = rest[0] if rest else "", rest[1] if len(rest) == 2 else ""
        if not number.isdigit() or len(rest) > 2 or (node and verb not in ("release", "log")):
            raise OrderError(f"expected ops [{'|'.join(OPS)}] NUMBER, and for release and log also NODE")
        if verb not in LOOKING and (reason := self._main.context.disabled(BY_ID["operations.cancel"])):
            raise OrderError(reason)
        self._main.spawn(self._operation(verb, int(number), node), f"ops {verb}")

    async def _view(self) -> None:
        await self._main.show_view("operations")

    async def _operation(self, verb: str, number: int, node: str) -> None:
        store = self._main.context.store
        if number not in store.operations:
            reply = await self._main.context.link.ask(wire.ListOperations(1, number))
            for record in reply.operations if isinstance(reply, wire.Operations) else ():
                store.remember_operation(record)
        found = store.operations.get(number)
        if found is None:
            self._main.tell(f"there is no operation {number}", "warning")
            return
        await self._main.open_operation(number, node, log=verb == "log")
        desk = self._main.operations
        acts: dict[str, Callable[[], None]] = {
            "cancel": lambda: desk.cancel(found),
            "hold": lambda: desk.hold(found),
            "release": lambda: desk.answer(found, node),
            "resume": lambda: desk.release(found),
            "retry": lambda: desk.retry(found),
        }
        if verb in acts:
            acts[verb]()
