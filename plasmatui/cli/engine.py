"""`plasmatui engine`: start, stop and look at the background process that holds every session."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click

from plasmatui.cli.engine_link import engine as connected
from plasmatui.cli.engine_link import expect, run_async
from plasmatui.cli.failure import DONE, FAILED, UNREACHABLE, Failure
from plasmatui.cli.output import clean, duration, note, print_json, result
from plasmatui.cli.settings import Settings
from plasmatui.client import NOBODY, EngineClient, EngineUnreachableError, connect
from plasmatui.model import wire
from plasmatui.paths import engine_paths

STOP_LIMIT = 30.0
"""Seconds that an engine gets to close its sessions with the BMCs."""


@click.group()
def engine() -> None:
    """The background process: start stop reload status run."""


@engine.command()
@click.pass_obj
def start(settings: Settings) -> int:
    """Start the inventory's engine when it does not run."""
    return run_async(_start(settings))


async def _start(settings: Settings) -> int:
    async with connected(settings, read_only=True) as client:
        result(f"engine runs: process {client.welcome.pid}, {len(client.welcome.nodes)} nodes of {_inventory(client)}")
    return DONE


@engine.command()
@click.option("--force", is_flag=True, help="Even while operations run.")
@click.pass_obj
def stop(settings: Settings, force: bool) -> int:
    """Stop the engine; it closes every session with a BMC first."""
    return run_async(_stop(settings, force))


async def _stop(settings: Settings, force: bool) -> int:
    paths = engine_paths(settings.inventory_path(start_rack=False))
    try:
        connected_client = await connect(paths, kind="cli")
    except EngineUnreachableError as error:
        if isinstance(error.__cause__, NOBODY):
            note("the engine does not run")
            return DONE
        raise
    ended = asyncio.Event()
    async with connected_client as client:
        pid = client.welcome.pid
        client.on_lost = lambda _reason: ended.set()
        await client.ask(wire.StopEngine(force))
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await ended.wait()
        except TimeoutError:
            raise Failure(
                FAILED, f"the engine (process {pid}) has not ended after {STOP_LIMIT:g} s", f"see {paths.log}"
            ) from None
    result(f"engine stopped: process {pid}")
    return DONE


@engine.command()
@click.pass_obj
def reload(settings: Settings) -> int:
    """Have the running engine read the inventory again; a wrong one is refused with every error."""
    return run_async(_reload(settings))


async def _reload(settings: Settings) -> int:
    async with await connect(engine_paths(settings.inventory_path(start_rack=False)), kind="cli") as client:
        nodes = expect(await client.ask(wire.Reload()), wire.Snapshot).nodes
        result(f"engine has read {_inventory(client)} again: {len(nodes)} nodes")
    return DONE


@engine.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def status(settings: Settings, as_json: bool) -> int:
    """Say whether the engine runs and what it does; exit code 5 when it does not run."""
    return run_async(_status(settings, as_json))


async def _status(settings: Settings, as_json: bool) -> int:
    status_ = await ask_status(settings)
    if isinstance(status_, str):
        if as_json:
            print_json({"engine": {"running": False, "reason": status_}})
        else:
            result(f"engine: not running ({status_})")
        return UNREACHABLE
    if as_json:
        print_json({"engine": {"running": True, **status_json(status_)}})
    else:
        result("\n".join(status_lines(status_)))
    return DONE


async def ask_status(settings: Settings) -> wire.EngineStatus | str:
    """What the engine says of itself; a reason when none answers. Never starts one."""
    paths = engine_paths(settings.inventory_path(start_rack=False))
    try:
        async with await connect(paths, kind="cli", read_only=True) as client:
            return expect(await client.ask(wire.AskEngine()), wire.EngineStatus)
    except EngineUnreachableError as error:
        return str(error)


def status_json(status_: wire.EngineStatus) -> dict[str, Any]:
    """The engine's answer about itself as plain values."""
    import msgspec

    values = msgspec.to_builtins(status_)
    assert isinstance(values, dict)
    values.pop("type", None)
    values["operations"] = values.pop("running")
    return values


def status_lines(status_: wire.EngineStatus) -> list[str]:
    """The engine's answer about itself for people."""
    bmcs = ", ".join(f"{count} {word}" for word, count in sorted(status_.counts.items())) or "none"
    running = ", ".join(str(number) for number in status_.running) or "none"
    up = duration(time.time() - status_.started)
    lines = [
        f"engine: process {status_.pid}, version {clean(status_.version)}, up {up}",
        f"inventory: {clean(status_.inventory)}",
        f"BMCs: {bmcs}; consoles open: {status_.consoles_open}; operations running: {running}",
        f"load: {status_.cpu_percent:.0f} % of a core, event loop late by {status_.lag_p99_ms:.1f} ms (p99)",
        f"journal: {clean(status_.journal) or 'kept'}",
    ]
    if status_.idle_exit:
        lines.append(f"leaves after {duration(status_.idle_exit)} without clients and work")
    for client in status_.clients:
        mode = ", read-only" if client.read_only else ""
        lines.append(
            f"client {client.client}: {client.kind}, {clean(client.user)} on {clean(client.terminal)}, "
            f"since {duration(time.time() - client.since)}{mode}"
        )
    return lines


@engine.command()
@click.option("--idle", type=float, metavar="S", help="Leave after S seconds without clients and work; 0 never.")
def run(idle: float | None) -> int:
    """Run the engine in the foreground (for systemd: Type=notify)."""
    # The program's entry sends this command to the engine itself before any command line is read; it stands here so
    # that help lists it. Getting here means that it was called in an unusual way.
    raise click.UsageError("run it as: plasmatui [-i FILE] engine run [--idle S]")


def _inventory(client: EngineClient) -> str:
    return clean(client.welcome.inventory)
