"""The options that every operation has: what to show, what to confirm, how fast, what to print."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from plasmatui.model.operation import Pace

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class OrderOptions:
    """What was given.

    Attributes:
        confirm: the phrase of a destructive plan, typed beforehand; empty when it was not.
        override_quorum: the cluster's name, typed to go on although the guard refuses.
        break_lock: go on although others have locked nodes, as an admin.
    """

    plan: bool = False
    yes: bool = False
    confirm: str = ""
    parallel: int | None = None
    stagger: float | None = None
    per_rack: int | None = None
    detach: bool = False
    as_json: bool = False
    override_quorum: str = ""
    break_lock: bool = False

    def pace(self, usual: Pace) -> Pace:
        """`usual` with what was asked for in its place."""
        return Pace(
            usual.parallel if self.parallel is None else self.parallel,
            usual.stagger if self.stagger is None else self.stagger,
            usual.per_rack if self.per_rack is None else self.per_rack,
            usual.bandwidth,
        )


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """`2`, `2s`, `500ms` or `1m`, as seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m)?", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no duration; give seconds as 2, 2s, 500ms or 1m", ctx, param)
    return float(match[1]) * {"ms": 0.001, "m": 60.0}.get(match[2], 1.0)


_PLAN = click.option("--plan", is_flag=True, help="Print the exact commands; do nothing.")
_YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
_CONFIRM = click.option(
    "--confirm",
    metavar="PHRASE",
    default="",
    help="The node's name, or `wipe 12`, as it would be typed. Confirms that data is destroyed; --yes does not.",
)
_PACE = (
    click.option("--parallel", type=click.IntRange(1), metavar="N", help="Nodes at once."),
    click.option("--stagger", callback=_seconds, metavar="S", help="Seconds between two starts."),
    click.option("--per-rack", type=click.IntRange(1), metavar="N", help="Nodes of one rack at once."),
)
_DETACH = click.option("--detach", is_flag=True, help="Start, print the operation's number, and leave.")
_OVERRIDE = click.option(
    "--override-quorum",
    metavar="CLUSTER",
    default="",
    help="Go on although the quorum guard refuses: the cluster's name.",
)
_BREAK = click.option("--break-lock", is_flag=True, help="Go on although others locked nodes; for admins.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def order_options(function: F) -> F:
    """Add the options of an operation that destroys nothing; the command gets them as `options: OrderOptions`."""
    return _gather(function, _PLAN, _YES, *_PACE, _DETACH, _OVERRIDE, _BREAK, _JSON)


def wiping_options(function: F) -> F:
    """As `order_options`, with `--confirm`, for operations that destroy data."""
    return _gather(function, _PLAN, _YES, _CONFIRM, *_PACE, _DETACH, _OVERRIDE, _BREAK, _JSON)


def retry_options(function: F) -> F:
    """As `wiping_options`, without the pace: another try goes as the first did."""
    return _gather(function, _PLAN, _YES, _CONFIRM, _DETACH, _OVERRIDE, _BREAK, _JSON)


def _gather(function: F, *decorators: Callable[[Any], Any]) -> F:
    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in OrderOptions.__dataclass_fields__ if name in kwargs}
        return function(*args, options=OrderOptions(**given), **kwargs)

    for decorate in reversed(decorators):
        command = decorate(command)
    return command  # type: ignore[return-value]
