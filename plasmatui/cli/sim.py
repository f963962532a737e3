"""`plasmatui sim`: a simulated rack to connect to, for training, demos, tests and fire drills."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import click

from plasmatui.cli.failure import FAILED, USAGE, Failure
from plasmatui.cli.output import note, result
from plasmatui.cli.rack import serving

if TYPE_CHECKING:
    from plasmatui.sim.main import Work


def _list_faults(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from plasmatui.sim.faults import CATALOGUE

    for kind in CATALOGUE.values():
        number = f"={kind.default:g}" if kind.default is not None else ""
        result(f"{kind.name + number:<26}{kind.help}")
    context.exit()


@click.command()
@click.option("--nodes", type=click.IntRange(1, 4000), default=12, show_default=True, help="Machines in the rack.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same machines.")
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Times real time.")
@click.option("--on", type=click.IntRange(0), metavar="N", help="How many run from the start.  [default: a third]")
@click.option("--redfish", type=click.IntRange(0), default=0, show_default=True, help="How many have Redfish BMCs.")
@click.option("--fault", "faults", multiple=True, metavar="NODE=FAULT", help="A fault to find; may be repeated.")
@click.option(
    "--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults, help="Print them, and end."
)
@click.option(
    "--dhcp", type=click.Choice(["kea", "dhcpd", "dnsmasq"]), default="kea", show_default=True, help="Logs of."
)
@click.option(
    "--tftp",
    type=click.Choice(["tftpd-hpa", "atftpd", "dnsmasq"]),
    default="tftpd-hpa",
    show_default=True,
    help="Server.",
)
@click.option("--boot-url", metavar="URL", help="The iPXE script of a boot service to boot from; else the rack's own.")
@click.option("--strangers", type=click.IntRange(0, 100), default=0, help="Machines that no inventory knows.")
@click.option("--drill", is_flag=True, help="Fire drill: something breaks, find out where and what.")
@click.option("--tell", "lines", multiple=True, metavar="TEXT", help="To the rack that DIR has: `fault NODE=FAULT`.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Where the inventory is written.")
@click.option("--idle-exit", type=click.FloatRange(min=0, min_open=True), hidden=True)
@click.option("--detached", is_flag=True, hidden=True)
def sim(
    nodes: int,
    seed: int,
    speed: float,
    on: int | None,
    redfish: int,
    faults: tuple[str, ...],
    dhcp: str,
    tftp: str,
    boot_url: str | None,
    strangers: int,
    drill: bool,
    lines: tuple[str, ...],
    output: Path | None,
    idle_exit: float | None,
    detached: bool,
) -> int:
    """Serve a simulated rack until ctrl-c.

    Prints the path of its inventory, and how to use it. With --tell it speaks
    with the rack that runs in DIR instead, and ends: `fault NODE=FAULT`,
    `clear NODE`, `list`.
    """
    if lines:
        return _tell(output, lines)
    from plasmatui.sim.addresses import AddressError
    from plasmatui.sim.faults import FaultError
    from plasmatui.sim.main import run
    from plasmatui.sim.rack import Rack, RackOptions
    from plasmatui.sim.services import ServiceOptions

    def ready(rack: Rack) -> None:
        if detached:
            _leave_starter(rack.inventory_path)
        else:
            _how_to(rack.inventory_path, rack.control_path, nodes)

    try:
        with tempfile.TemporaryDirectory(prefix="plasmatui-sim-") as temporary:
            directory = _directory(output or Path(temporary))
            with serving(directory):
                return run(
                    RackOptions(
                        nodes=nodes,
                        seed=seed,
                        speed=speed,
                        on=None if on is None else min(on, nodes),
                        redfish=redfish,
                        faults=faults,
                        boot=ServiceOptions(dhcp=dhcp, tftp=tftp, boot_url=boot_url),
                        strangers=strangers,
                        directory=directory,
                        password=_old_password(directory),
                        exit_when_idle=idle_exit,
                    ),
                    ready,
                    _drills() if drill else None,
                )
    except BlockingIOError as error:
        raise Failure(USAGE, f"another simulated rack already serves {output}") from error
    except (FaultError, ValueError) as error:
        raise Failure(USAGE, str(error)) from error
    except AddressError as error:
        raise Failure(FAILED, str(error), "stop another simulated rack, or ask for fewer nodes") from error


def _tell(directory: Path | None, lines: tuple[str, ...]) -> int:
    from plasmatui.cli.simcontrol import tell

    if directory is None:
        raise Failure(USAGE, "--tell needs -o DIR, the directory of the rack that is meant")
    for answer in tell(directory, lines):
        if answer:
            result(answer)
    return 0


def _drills() -> Work:
    """Of a seed that was asked for the same drills each time, else others."""
    from plasmatui.cli.drill import drills

    context = click.get_current_context()
    asked = context.get_parameter_source("seed") is not click.core.ParameterSource.DEFAULT
    random = Random(context.params["seed"] if asked else None)  # noqa: S311 - which drill
    return lambda rack: drills(rack, random)


def _directory(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(USAGE, f"{path} cannot be made: {error.strerror or error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise Failure(USAGE, f"{path} cannot be written")
    return path.resolve()


def _old_password(directory: Path) -> str | None:
    """The password of the rack that was here before: an engine that still runs can go on with the new one."""
    try:
        return (directory / "bmc-password").read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _how_to(inventory: Path, control: Path, nodes: int) -> None:
    result(str(inventory))
    note(f"\n{nodes} simulated machines answer. In another terminal:\n")
    note(f"  plasmatui -i {inventory}                     the screen")
    note(f"  plasmatui -i {inventory} power status @all   a command")
    note(f"\nA fault while it runs: plasmatui sim -o {control.parent} --tell 'fault NODE=FAULT'")
    note("ctrl-c ends the rack.")


def _leave_starter(inventory: Path) -> None:
    """Tell the starter, which reads one line, and let go of its pipe."""
    result(str(inventory))
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
