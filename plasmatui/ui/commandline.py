"""The `:` line: the command line's words, understood by the screen. Acting words open the same dialogs as the keys."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from plasmatui.inventory.nodesets import groups, resolve
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.findings import FAILURES, FINDINGS
from plasmatui.model.words import PowerAction
from plasmatui.moments import moment
from plasmatui.pages import TROUBLESHOOTING
from plasmatui.ui.actions import BY_ID
from plasmatui.ui.commandorders import ORDER_FLAGS, ROTATE, ROTATED, OrderWords
from plasmatui.ui.commandpeople import PEOPLE_FLAGS, PeopleWords

if TYPE_CHECKING:
    from plasmatui.ui.app import PlasmatuiApp
    from plasmatui.ui.screens.main import MainScreen
    from plasmatui.ui.screens.nodes import NodesView


class CommandError(ValueError):
    """A command cannot be understood; the message says why and what is expected."""


DEVICES = {"pxe": Device.PXE, "disk": Device.DISK, "bios": Device.BIOS, "none": Device.NONE}
LOG_KINDS = ("dhcp", "tftp", "http", "console")
WITH_NODES = frozenset(
    (
        "nodes",
        "logs",
        "consoles",
        "console",
        "power",
        "bootdev",
        "identify",
        "sensors",
        "sel",
        "inventory",
        "mark",
        "refresh",
        *ORDER_FLAGS,
        *PEOPLE_FLAGS,
    )
)
FLAGS = {"bootdev": ("--persistent", "--uefi", "--bios"), "console": ("--steal",), **ORDER_FLAGS, **PEOPLE_FLAGS}


class CommandLine:
    """Parses, completes and does commands for one main screen."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._orders = OrderWords(main, self._set)
        self._commands: dict[str, Callable[[list[str]], object]] = {
            "nodes": self._nodes,
            "consoles": self._consoles,
            "console": self._console,
            "logs": self._logs,
            "health": lambda words: self._view("health", words),
            "replication": self._replication,
            "events": lambda words: self._view("boot", words),
            "check": self._check,
            "power": self._power,
            "bootdev": self._bootdev,
            "identify": self._identify,
            "sensors": lambda words: self._node("sensors", words),
            "sel": lambda words: self._node("sel", words),
            "inventory": lambda words: self._node("inventory", words),
            "mark": self._mark,
            "unmark": lambda words: self._nodes_view().action_unmark(),
            "refresh": self._refresh,
            "problems": lambda words: self._main.action_problems(),
            "log": lambda words: self._main.action_command_log(),
            "at": self._at,
            "now": lambda words: self._main.travel.now(),
            "reload": lambda words: self._main.spawn(self._reload(), "reload"),
            "freeze": lambda words: self._main.action_freeze(),
            "theme": self._theme,
            "help": lambda words: self._main.action_help(),
            "docs": lambda words: self._main.action_docs(),
            "explain": self._explain,
            "quit": lambda words: self._main.orders.ask_to_leave(),
            "q": lambda words: self._main.orders.ask_to_leave(),
            **self._orders.commands,
            **PeopleWords(main, self._set).commands,
        }

    def run(self, text: str) -> str:
        """Do a command; returns what is wrong with it, "" when nothing is."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            return f"{error}"
        if not words:
            return ""
        command = self._commands.get(words[0])
        if command is None:
            near = [name for name in self._commands if name.startswith(words[0][:2])]
            return f"no command {words[0]!r}" + (f"; did you mean {', '.join(near)}?" if near else "; tab lists them")
        try:
            command(words[1:])
        except ValueError as error:  # CommandError, OrderError and NodeSetError
            return str(error)
        return ""

    def complete(self, text: str) -> list[str]:
        """Whole texts that `text` may become."""
        *before, last = text.split(" ")
        words = [word for word in before if word]
        found = [candidate for candidate in self._candidates(words) if candidate.startswith(last)]
        head = " ".join(before) + " " if before else ""
        return [head + candidate for candidate in found]

    def _candidates(self, words: list[str]) -> list[str]:
        if not words:
            return sorted(self._commands)
        name, arguments = words[0], [word for word in words[1:] if not word.startswith("--")]
        nodes = tuple(self._main.context.store.nodes.values())
        names = [node.name for node in nodes] + [f"@{group}" for group in groups(nodes)]
        if name == "theme":
            return list(cast("PlasmatuiApp", self._main.app).theme_names) if not arguments else []
        if name in ("power", "bootdev") and not arguments:
            return [str(action) for action in PowerAction] if name == "power" else list(DEVICES)
        if name in ROTATED and not arguments:
            return [ROTATE]
        if name == "explain":
            return [*FINDINGS, *FAILURES] if not arguments else []
        if name == "ops":
            return self._orders.candidates(arguments)
        if name in WITH_NODES:
            return names + [flag for flag in FLAGS.get(name, ()) if flag not in words]
        return []

    # Helpers

    def _set(self, words: list[str]) -> tuple[str, ...]:
        """The nodes of a set; without one, the marked nodes or the one under the cursor are not assumed."""
        return resolve(",".join(words), tuple(self._main.context.store.nodes.values()))

    def _one(self, words: list[str]) -> str:
        names = self._set(words)
        if len(names) != 1:
            raise CommandError(f"expected one node, found {len(names)}")
        return names[0]

    def _nodes_view(self) -> NodesView:
        from plasmatui.ui.screens.nodes import NodesView

        return self._main.switcher.get_child_by_id("nodes", NodesView)

    def _view(self, name: str, words: list[str]) -> None:
        if words:
            raise CommandError(f"nothing more is expected after this word, found {words[0]!r}")
        self._main.spawn(self._show(name), f"view {name}")

    async def _show(self, name: str) -> None:
        await self._main.show_view(name)

    def _replication(self, words: list[str]) -> None:
        if words:
            raise CommandError(f"nothing more is expected after this word, found {words[0]!r}")
        self._allowed("health.replication")
        self._main.spawn(self._ask_replication(), "view health")

    async def _ask_replication(self) -> None:
        from plasmatui.ui.screens.health import HealthView

        await self._main.show_view("health")
        view = self._main.view
        assert isinstance(view, HealthView)
        view.action_replication()

    def _allowed(self, action_id: str) -> None:
        reason = self._main.context.disabled(BY_ID[action_id])
        if reason:
            raise CommandError(reason)

    @staticmethod
    def _flags(words: list[str], allowed: tuple[str, ...]) -> tuple[set[str], list[str]]:
        flags = {word for word in words if word.startswith("--")}
        for flag in sorted(flags - set(allowed)):
            raise CommandError(f"no option {flag}; options: {' '.join(allowed)}")
        return flags, [word for word in words if not word.startswith("--")]

    # Commands

    def _nodes(self, words: list[str]) -> None:
        problem = self._nodes_view().set_filter(" ".join(words))
        if problem:
            raise CommandError(problem)
        self._view("nodes", [])

    def _consoles(self, words: list[str]) -> None:
        self._main.spawn(self._main.open_consoles(self._set(words) if words else ()), "consoles")

    def _logs(self, words: list[str]) -> None:
        kinds = tuple(word for word in words[:1] if word in LOG_KINDS)
        names = self._set(words[len(kinds) :]) if words[len(kinds) :] else ()
        self._main.spawn(self._main.open_logs(names, kinds), "logs")

    def _console(self, words: list[str]) -> None:
        flags, rest = self._flags(words, FLAGS["console"])
        name = self._one(rest)
        if flags:
            self._allowed("consoles.reopen")
        self._main.spawn(self._main.open_consoles((name,)), f"console {name}")
        if flags:
            self._main.orders.reopen(name)

    def _check(self, words: list[str]) -> None:
        if words:
            raise CommandError(f"nothing more is expected after this word, found {words[0]!r}")
        self._main.spawn(self._main.action_checks(), "checklist")

    def _power(self, words: list[str]) -> None:
        self._allowed("nodes.power")
        if not words or words[0] not in tuple(PowerAction):
            raise CommandError(f"expected power {'|'.join(PowerAction)} SET")
        self._main.orders.power(self._set(words[1:]), PowerAction(words[0]))

    def _bootdev(self, words: list[str]) -> None:
        self._allowed("nodes.bootdev")
        flags, rest = self._flags(words, FLAGS["bootdev"])
        if not rest or rest[0] not in DEVICES:
            raise CommandError(f"expected bootdev {'|'.join(DEVICES)} SET [--persistent] [--uefi|--bios]")
        if {"--uefi", "--bios"} <= flags:
            raise CommandError("--uefi and --bios exclude each other")
        uefi = True if "--uefi" in flags else False if "--bios" in flags else None
        boot = BootDevice(DEVICES[rest[0]], "--persistent" in flags, uefi)
        self._main.orders.bootdev(self._set(rest[1:]), boot)

    def _identify(self, words: list[str]) -> None:
        self._allowed("nodes.all")
        self._main.orders.identify(self._set(words), 0)

    def _node(self, tab: str, words: list[str]) -> None:
        self._main.spawn(self._main.open_node(self._one(words), tab), tab)

    def _mark(self, words: list[str]) -> None:
        self._nodes_view().mark(self._set(words))

    def _refresh(self, words: list[str]) -> None:
        if words:
            self._main.orders.refresh(self._set(words))
        else:
            self._main.action_refresh()

    def _at(self, words: list[str]) -> None:
        """Times are UTC, as the screen shows them."""
        store = self._main.context.store
        try:
            at = moment(" ".join(words), store.clock(), utc=True)
        except ValueError as error:
            raise CommandError(f"at: {error}") from None
        if at > store.clock():
            raise CommandError("at: that lies ahead; name a moment that is over")
        self._main.travel.to(at)

    def _explain(self, words: list[str]) -> None:
        if len(words) != 1 or words[0] not in (*FINDINGS, *FAILURES):
            raise CommandError("expected explain FINDING; tab lists them")
        self._main.action_docs(f"{TROUBLESHOOTING}#{words[0]}")

    def _theme(self, words: list[str]) -> None:
        app = cast("PlasmatuiApp", self._main.app)
        problem = app.set_theme(words[0]) if len(words) == 1 else f"expected one of {', '.join(app.theme_names)}"
        if problem:
            raise CommandError(problem)

    async def _reload(self) -> None:
        reply = await self._main.context.link.ask(wire.Reload())
        if isinstance(reply, wire.Snapshot):
            self._main.context.store.load(reply)
            self._main.tell("the inventory was read again")
