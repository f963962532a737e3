"""`plasmatui info`: versions, paths, and what is reachable."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import click

from plasmatui import __version__
from plasmatui.cli.engine import ask_status, status_json, status_lines
from plasmatui.cli.engine_link import run_async
from plasmatui.cli.failure import DONE, Failure
from plasmatui.cli.output import print_json, result
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.paths import config_dir, crash_dir, engine_paths, runtime_root, state_root

_PACKAGES = ("textual", "pyghmi", "httpx", "msgspec", "cryptography", "click")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def info(settings: Settings, as_json: bool) -> int:
    """Print versions, paths, and what is reachable. Starts nothing."""
    versions = _versions()
    paths = {
        "config": str(config_dir()),
        "state": str(state_root()),
        "runtime": str(runtime_root()),
        "crash files": str(crash_dir()),
    }
    problem = ""
    status: wire.EngineStatus | str = "no inventory"
    try:
        engine = engine_paths(settings.inventory_path(start_rack=False))
        paths |= {
            "inventory": str(engine.inventory),
            "engine socket": str(engine.socket),
            "engine log": str(engine.log),
            "journal": str(engine.journal),
            "console recordings": str(engine.consoles),
            "operation logs": str(engine.operations),
            "jobs": str(engine.jobs),
            "known host keys": str(engine.known_hosts),
        }
        status = run_async(ask_status(settings))
    except Failure as failure:
        problem = failure.message
    if as_json:
        print_json({"versions": versions, "paths": paths, "engine": _engine_json(status), "problem": problem or None})
    else:
        result("\n".join(_lines(versions, paths, status, problem)))
    return DONE


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {
        "plasmatui": __version__,
        "protocol": str(wire.PROTOCOL),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _engine_json(status: wire.EngineStatus | str) -> dict[str, Any]:
    if isinstance(status, str):
        return {"running": False, "reason": status}
    return {"running": True, **status_json(status)}


def _lines(versions: dict[str, str], paths: dict[str, str], status: wire.EngineStatus | str, problem: str) -> list[str]:
    lines = [f"{name}: {value}" for name, value in versions.items()]
    lines.append(f"terminal: TERM={os.environ.get('TERM', 'unset')}, encoding {sys.stdout.encoding}")
    lines += [f"{name}: {path}" for name, path in paths.items()]
    if problem:
        lines.append(f"inventory: {problem}")
    elif isinstance(status, str):
        lines.append(f"engine: not running ({status})")
    else:
        lines += status_lines(status)
    return lines
