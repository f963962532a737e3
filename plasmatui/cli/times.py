"""Times that options take."""

from __future__ import annotations

import time

import click

from plasmatui.cli.failure import USAGE, Failure
from plasmatui.cli.output import clock, duration, note
from plasmatui.model import wire
from plasmatui.moments import moment

at_option = click.option(
    "--at", metavar="T", help="As it was known at T: 10m (ago), 14:30, 2026-11-21 or '2026-11-21 14:30'."
)


def moment_of(option: str, text: str) -> float:
    """What an option says, as Unix seconds.

    Raises:
        Failure: it is no time.
    """
    try:
        return moment(text, time.time())
    except ValueError as error:
        raise Failure(USAGE, f"{option}: {error}") from None


def past_of(text: str) -> float:
    """The moment of `--at`.

    Raises:
        Failure: it is no time, or lies ahead.
    """
    at = moment_of("--at", text)
    if at > time.time():
        raise Failure(USAGE, f"--at {text}: that lies ahead", "name a moment that is over")
    return at


def note_of(past: wire.Past) -> None:
    """Say which moment is shown, and that nothing is kept of it where that is so."""
    note(f"plasmatui: as known at {clock(past.at)}, {duration(time.time() - past.at)} ago")
    if past.silent:
        note(f"plasmatui: no engine ran then: this was known at {clock(past.silent)}")
