"""The command line: global options, lazily imported commands, and the one place where failures become exit codes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from plasmatui import __version__
from plasmatui.cli.failure import DONE, FAILED, INTERRUPTED, UNREACHABLE, USAGE, Failure, write_crash_file
from plasmatui.cli.settings import SIM_NODES, Settings

_COMMANDS = {
    "check": "check",
    "certs": "certs",
    "sshkeys": "sshkeys",
    "nodes": "nodes",
    "health": "health",
    "power": "power",
    "bootdev": "bootdev",
    "identify": "bootdev",
    "console": "console",
    "sel": "hardware",
    "sensors": "hardware",
    "inventory": "hardware",
    "boot": "provisioning",
    "install": "provisioning",
    "provision": "provisioning",
    "reprovision": "provisioning",
    "add": "lifecycle",
    "replace": "lifecycle",
    "decommission": "lifecycle",
    "recover": "lifecycle",
    "drain": "service",
    "undrain": "service",
    "update": "update",
    "backup": "backup",
    "restore": "restore",
    "recover-cluster": "restore",
    "rollback": "generations",
    "generations": "generations",
    "ops": "ops",
    "audit": "people",
    "who": "people",
    "note": "people",
    "lock": "people",
    "unlock": "people",
    "engine": "engine",
    "info": "info",
    "sim": "sim",
    "timeline": "timeline",
    "logs": "logs",
    "explain": "explain",
    "bundle": "bundle",
    "replay": "replay",
    "render": "render",
    "serve": "serve",
    "images": "images",
    "completions": "terminal",
    "reset-terminal": "terminal",
}
"""Command -> module of this package, in the order in which help lists them."""

_OUTPUT_FAILED = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class _Commands(click.Group):
    """Imports a command's module when the command is used, so that `--version` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        loaded = importlib.import_module(f"plasmatui.cli.{module}")
        command = getattr(loaded, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"no such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_sim_number(args))


def _with_sim_number(args: Sequence[str]) -> list[str]:
    """`--sim` takes a number only when one follows: `--sim nodes` is a rack of the usual size and a command."""
    done: list[str] = []
    for index, argument in enumerate(args):
        following = args[index + 1] if index + 1 < len(args) else ""
        bare = argument == "--sim" and not re.fullmatch(r"-?\d+", following)
        done.append(f"--sim={SIM_NODES}" if bare else argument)
    return done


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-i", "--inventory", type=click.Path(path_type=Path), metavar="FILE", help="The inventory to use.")
@click.option(
    "--sim",
    type=click.IntRange(1, 4000),
    metavar="[N]",
    help=f"Use a simulated rack of N nodes ({SIM_NODES} without a number); it is started when it does not run.",
)
@click.option("--read-only", is_flag=True, help="Look only: nothing can be changed through this client.")
@click.option("--theme", metavar="NAME", help="Theme of the screen.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII only.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.version_option(__version__, prog_name="plasmatui", message="%(prog)s %(version)s")
@click.pass_context
def cli(
    ctx: click.Context,
    inventory: Path | None,
    sim: int | None,
    read_only: bool,
    theme: str | None,
    ascii_only: bool,
    no_mouse: bool,
) -> None:
    """Mission control for bare metal, in a terminal. Without a command: the screen."""
    ctx.obj = Settings(inventory, sim, read_only, theme, ascii_only, not no_mouse)
    if ctx.invoked_subcommand is None:
        from plasmatui.cli.screen import open_screen

        ctx.exit(open_screen(ctx.obj))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Never raises for an `Exception`."""
    try:
        code = cli.main(list(arguments), prog_name="plasmatui", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Failure as failure:
        _say(failure.message, failure.hint)
        return failure.code
    except BrokenPipeError:
        _silence_stdout()
        return FAILED
    except OSError as error:
        if error.errno not in _OUTPUT_FAILED or error.filename is not None:
            return _unexpected(error)
        _silence_stdout()
        _say(f"the output cannot be written: {error.strerror}")
        return FAILED
    except Exception as error:  # noqa: BLE001 - the boundary: whatever was not foreseen ends here, without a traceback
        return _unexpected(error)
    return code if isinstance(code, int) else DONE


def main() -> NoReturn:
    """Entry point: runs the process's command line and exits."""
    sys.exit(run(sys.argv[1:]))


def _say(message: str, hint: str = "") -> None:
    from plasmatui.cli.output import note
    from plasmatui.text import clean_text

    note(clean_text(f"plasmatui: {message}"))
    if hint:
        note(clean_text(f"next: {hint}"))


def _unexpected(error: Exception) -> int:
    from plasmatui.client import EngineError, EngineUnreachableError

    if isinstance(error, EngineUnreachableError):
        _say(str(error), "plasmatui engine status; plasmatui info names the engine's log")
        return UNREACHABLE
    if isinstance(error, EngineError):
        from plasmatui.cli.failure import code_of_problem

        _say(error.problem.message)
        return code_of_problem(error.problem.id)
    path = write_crash_file(error)
    place = str(path) if path is not None else "nowhere: the crash file cannot be written"
    _say(
        f"unexpected error ({type(error).__name__}); the engine and its operations are not affected",
        f"report it with {place}",
    )
    return FAILED


def _silence_stdout() -> None:
    """Whoever read our output left. Nothing more may be written, not even by the interpreter's last flush."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
