"""`plasmatui serve`: the boot service, and what it would answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.failure import DONE, FAILED, USAGE, Failure
from plasmatui.cli.output import clean, clock, note, print_json, result, table
from plasmatui.cli.settings import Settings

if TYPE_CHECKING:
    from plasmatui.pxe.service.answers import Problem, Source
    from plasmatui.pxe.service.files import Images
    from plasmatui.pxe.service.once import BootStates
    from plasmatui.pxe.service.query import Query

ADDRESS = "127.0.0.1:8080"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Store:
    """Where the rules and the images are; None for the inventory's."""

    settings: Settings
    data: Path | None = None
    images: Path | None = None
    once: bool = False

    def with_own(self, data: Path | None, images: Path | None) -> Store:
        """With what a command below `serve` was given itself."""
        return replace(self, data=data or self.data, images=images or self.images)


_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_data_option = click.option(
    "--data-path",
    "data",
    type=_DIRECTORY,
    metavar="DIR",
    envvar=["BOOTCFG_DATA_PATH", "MATCHBOX_DATA_PATH"],
    help="A data directory of bootcfg or of matchbox; without it, the inventory is used.",
)


def _store_options(function: F) -> F:
    """The options that say where the rules and the images are."""
    images = click.option(
        "--images-path",
        "--assets-path",
        "images",
        type=_DIRECTORY,
        metavar="DIR",
        envvar=["BOOTCFG_IMAGES_PATH", "MATCHBOX_ASSETS_PATH"],
        help="Files to serve below /images/, /assets/ and /boot/.",
    )
    return _data_option(images(function))


@click.group(invoke_without_command=True)
@click.option(
    "--address",
    metavar="HOST:PORT",
    envvar=["BOOTCFG_ADDRESS", "MATCHBOX_ADDRESS"],
    help=f"Where to listen; {ADDRESS} with a data path, else the inventory's server and port.",
)
@_store_options
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Access log.")
@click.option("--once", is_flag=True, help="With a data path: leave machines to their disks once they are installed.")
@click.pass_context
def serve(
    context: click.Context,
    address: str | None,
    data: Path | None,
    images: Path | None,
    log_file: Path | None,
    once: bool,
) -> int:
    """Serve boot scripts, configurations and images over HTTP until ctrl-c.

    As bootcfg or matchbox from a data directory, or from the inventory. The access log goes to standard output unless
    a file is named.
    """
    settings = context.obj if isinstance(context.obj, Settings) else Settings()
    context.obj = Store(settings, data, images, once)
    if context.invoked_subcommand is not None:
        return DONE
    return _serve(context.obj, address, log_file)


def _serve(store: Store, address: str | None, log_file: Path | None) -> int:
    import asyncio

    from plasmatui.pxe.service.server import BootService, listen, prepare_process

    source, files, listening = _open(store)
    host, port = _address(address or listening)
    states = _states(store) if store.once or store.data is None else None
    try:
        listener = listen(host, port)
    except OSError as error:
        raise Failure(
            FAILED,
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "name another address with --address HOST:PORT, or stop what holds this one",
        ) from error
    if states is not None:
        left = sum(machine.state == "installed" for machine in states.all().values())
        note(
            f"plasmatui serve: {left} machines are installed and left to their disks; every other one that a rule "
            "matches gets its installer when it boots from the network"
        )
    bound = listener.getsockname()
    shown = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
    service = BootService(
        source, files, states, listener, lambda text: note(clean(f"plasmatui serve: {text}")), log_file
    )
    prepare_process()
    try:
        asyncio.run(service.run(lambda: note(f"plasmatui serve: http://{shown}/boot.ipxe")))
    except OSError as error:
        raise Failure(FAILED, f"{log_file or 'standard output'}: {error.strerror or error}") from error
    return DONE


def _open(store: Store) -> tuple[Source, Images | None, str]:
    """The source, the images, and where to listen unless something else is said."""
    from plasmatui.pxe.service.files import Images

    listening = ADDRESS
    images = store.images
    if store.data is not None:
        from plasmatui.pxe.service.sources import open_directory

        try:
            source = open_directory(store.data)
        except OSError as error:
            raise Failure(USAGE, f"--data-path {store.data}: {error.strerror or error}", "name a directory") from error
    else:
        source, assets, listening = _inventory(store)
        images = images or (assets if assets.is_dir() else None)
    try:
        files = Images(images) if images is not None else None
    except OSError as error:
        raise Failure(USAGE, f"--images-path {images}: {error.strerror or error}", "name a directory") from error
    return source, files, listening


def _inventory(store: Store) -> tuple[Source, Path, str]:
    from plasmatui.cli.check import refuse_wrong_inventory
    from plasmatui.inventory.loader import load
    from plasmatui.pxe.service.machines import InventorySource

    path = store.settings.inventory_path()
    refuse_wrong_inventory(path)
    pxe = load(path).pxe
    assets = store.images or Path(pxe.assets)
    listening = pxe.boot_service or (f"{pxe.server}:{pxe.http_port}" if pxe.server is not None else ADDRESS)
    return InventorySource(path, assets), assets, listening


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise Failure(USAGE, f"--address {text!r}: expected HOST:PORT", f"for example --address {ADDRESS}")
    return host or "0.0.0.0", int(port)  # noqa: S104 - an empty host means every address, as in Go's servers


def _state_path(store: Store) -> Path:
    from plasmatui.paths import boot_states

    return boot_states(store.data or store.settings.inventory_path())


def _states(store: Store) -> BootStates:
    from plasmatui.paths import UnsafeDirectoryError, make_private
    from plasmatui.pxe.service.once import BootStates, StateFileError

    path = _state_path(store)
    states = BootStates(path)
    try:
        make_private(path.parent)
        states.prepare()
    except (OSError, UnsafeDirectoryError, StateFileError) as error:
        raise Failure(FAILED, f"the states of machines cannot be kept: {error}") from error
    return states


@serve.command()
@click.option("--mac", default="", help="The machine's MAC.")
@click.option("--uuid", default="", help="The machine's SMBIOS UUID.")
@_store_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.argument("labels", nargs=-1, metavar="[LABEL=VALUE]...")
@click.pass_obj
def explain(
    store: Store, mac: str, uuid: str, data: Path | None, images: Path | None, as_json: bool, labels: tuple[str, ...]
) -> int:
    """Tell which rule a machine gets, why, and the script that results.

    Every problem of the store is named. Asks nobody: it reads the store as the service does.
    """
    query = _query(mac, uuid, labels)
    store = store.with_own(data, images)
    source, files, _ = _open(store)
    explanation = _explain(store, source, files, query)
    source.close()
    if as_json:
        print_json(explanation.json())
    else:
        explanation.print()
    return DONE if explanation.script is not None else FAILED


@dataclass(frozen=True)
class _Explanation:
    """What the service would answer a machine, and why. `script` is None for nothing."""

    kind: str
    rule: str
    steps: tuple[str, ...]
    script: str | None
    problems: tuple[Problem, ...]

    def json(self) -> dict[str, Any]:
        return {
            "source": self.kind,
            "rule": self.rule or None,
            "steps": list(self.steps),
            "script": self.script,
            "problems": [_problem(problem) for problem in self.problems],
        }

    def print(self) -> None:
        from plasmatui.text import clean_text

        for problem in self.problems:
            note(clean(str(problem)))
        result(f"source: {self.kind}")
        for number, step in enumerate(self.steps, 1):
            result(clean(f"{number:3}. {step}"))
        if self.script is None:
            result("\n/ipxe answers 404: the machine goes on with its next boot device")
        else:
            result(f"\n/ipxe answers by {clean(self.rule)}:\n")
            result(clean_text(self.script).rstrip("\n"))


def _explain(store: Store, source: Source, files: Images | None, query: Query) -> _Explanation:
    from plasmatui.pxe.service.answers import Terms

    choice = source.choice(query)
    steps = list(choice.steps)
    if choice.boot is not None:
        steps += [_about_file(files, path) for path in (choice.boot.kernel, *choice.boot.initrd)]
    since = _installed_since(store, query.mac)
    if since:
        steps.append(f"{query.mac} is installed since {since}: it is left to its disk")
    script = source.script(query, Terms(installed=since))
    return _Explanation(source.kind, choice.rule, tuple(steps), script, tuple(source.problems))


def _about_file(files: Images | None, path: str) -> str:
    """Whether a file that a script names is one of ours, and there."""
    root, _, below = path.removeprefix("/").partition("/")
    if not path.startswith("/") or root not in ("images", "assets", "boot"):
        return f"{path or 'no kernel'}: not one of our files"
    if files is None:
        return f"{path}: no images are served, name them with --images-path"
    try:
        file = files.open(below)
    except OSError as error:
        return f"{path}: is not served: {error.strerror}"
    file.close()
    return f"{path}: {file.size} bytes"


def _installed_since(store: Store, mac: str | None) -> str:
    """See `Terms.installed`."""
    from plasmatui.pxe.service.once import INSTALLED, BootStates, StateFileError

    path = _state_path(store)
    if mac is None or not (store.once or store.data is None) or not path.exists():
        return ""
    try:
        machine = BootStates(path).get(mac)
    except StateFileError as error:
        raise Failure(FAILED, str(error)) from error
    return clock(machine.since) if machine is not None and machine.state == INSTALLED else ""


@serve.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@_data_option
@click.pass_obj
def states(store: Store, data: Path | None, as_json: bool) -> int:
    """List the machines of which it is known whether they are installed."""
    from plasmatui.pxe.service.once import StateFileError

    try:
        known = _states(store.with_own(data, None)).all()
    except StateFileError as error:
        raise Failure(FAILED, str(error)) from error
    if as_json:
        machines = {mac: {"state": m.state, "since": m.since, "by": m.by} for mac, m in sorted(known.items())}
        print_json({"machines": machines})
    else:
        rows = [(mac, m.state, clock(m.since), m.by) for mac, m in sorted(known.items())]
        result(table(("MAC", "STATE", "SINCE", "BY"), rows))
    return DONE


@serve.command()
@_data_option
@click.argument("machines", nargs=-1, required=True, metavar="MAC|SET...", shell_complete=complete_set)
@click.pass_obj
def pending(store: Store, data: Path | None, machines: tuple[str, ...]) -> int:
    """Let machines boot from the network, to be installed (again)."""
    return _say(store.with_own(data, None), machines, "pending")


@serve.command()
@_data_option
@click.argument("machines", nargs=-1, required=True, metavar="MAC|SET...", shell_complete=complete_set)
@click.pass_obj
def installed(store: Store, data: Path | None, machines: tuple[str, ...]) -> int:
    """Leave machines to their disks."""
    return _say(store.with_own(data, None), machines, "installed")


def _say(store: Store, machines: tuple[str, ...], state: str) -> int:
    import getpass

    from plasmatui.pxe.service.once import StateFileError

    macs = list(dict.fromkeys(mac for machine in machines for mac in _macs(store, machine)))
    try:
        fresh = set(_states(store).set(macs, state, getpass.getuser()))
    except StateFileError as error:
        raise Failure(FAILED, str(error)) from error
    for mac in macs:
        result(f"{mac}: {state}{'' if mac in fresh else ' already'}")
    return DONE


def _macs(store: Store, machine: str) -> tuple[str, ...]:
    """The addresses that are meant: one itself, or those of nodes of the inventory."""
    from plasmatui.pxe.service.macs import parse_mac

    mac = parse_mac(machine)
    if mac is not None:
        return (mac,)
    if store.data is not None:
        raise Failure(USAGE, f"{machine!r} is no MAC", "with a data path, machines are named by their MACs")
    from plasmatui.cli.sets import pick
    from plasmatui.inventory.loader import load

    nodes = load(store.settings.inventory_path()).nodes
    macs = tuple(mac for name in pick(machine, tuple(nodes.values())) for mac in nodes[name].macs)
    if not macs:
        raise Failure(USAGE, f"{machine}: the inventory has no MAC of it", "add mac: to the node")
    return macs


def _query(mac: str, uuid: str, labels: tuple[str, ...]) -> Query:
    from plasmatui.pxe.service.query import make_query

    values = {name: value for name, value in (("mac", mac), ("uuid", uuid)) if value}
    for label in labels:
        name, equals, value = label.partition("=")
        if not equals or not name:
            raise Failure(USAGE, f"{label!r}: expected LABEL=VALUE", "for example os=installed")
        values[name] = value
    return make_query(values)


def _problem(problem: Problem) -> dict[str, Any]:
    severity = "warning" if problem.warning else "error"
    return {"file": problem.file, "line": problem.line, "message": problem.message, "severity": severity,
            "kept": problem.kept}  # fmt: skip
