"""`plasmatui who|audit|note|lock|unlock`: several operators on one engine."""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import msgspec

from plasmatui.cli.completion import complete_node, complete_set
from plasmatui.cli.engine import ask_status
from plasmatui.cli.engine_link import Watcher, engine, expect, require_writable, run_async
from plasmatui.cli.failure import DONE, UNREACHABLE, Failure
from plasmatui.cli.output import clean, clock, duration, print_json, result, table
from plasmatui.cli.output import note as say
from plasmatui.cli.sets import fold, pick, pick_one
from plasmatui.cli.settings import Settings
from plasmatui.cli.times import moment_of
from plasmatui.model import wire
from plasmatui.model.event import AuditLine
from plasmatui.model.node import NodeState

_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.command()
@_JSON
@click.pass_obj
def who(settings: Settings, as_json: bool) -> int:
    """Say who is attached to the engine, with which role, and what they look at."""
    status = run_async(ask_status(settings))
    if isinstance(status, str):
        raise Failure(UNREACHABLE, f"no engine runs: {status}", "plasmatui engine start")
    if as_json:
        print_json({"clients": [msgspec.to_builtins(client) for client in status.clients]})
        return DONE
    now = time.time()
    rows = [
        (client.user, client.role, client.kind, client.terminal, client.address or "-", duration(now - client.since),
         client.place or ("(looks only)" if client.read_only else "-"))
        for client in status.clients
    ]  # fmt: skip
    result(table(("USER", "ROLE", "CLIENT", "TERMINAL", "FROM", "SINCE", "LOOKS AT"), rows))
    return DONE


@click.command()
@click.argument("node_set", metavar="[SET]", required=False, shell_complete=complete_set)
@click.option("--since", metavar="T", help="Only what was done since T: a duration (90s, 10m, 2h), 14:30 or a date.")
@click.option("--user", metavar="U", default="", help="Only what this user ordered.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="The newest so many.")
@_JSON
@click.pass_obj
def audit(settings: Settings, node_set: str | None, since: str | None, user: str, limit: int, as_json: bool) -> int:
    """Say who ordered what, when and from where, and what it changed.

    With SET only what concerns these nodes one by one; without it everything, the oldest first.
    """
    lines = run_async(_audit(settings, node_set, moment_of("--since", since) if since else 0.0, user, limit))
    if as_json:
        print_json({"lines": [msgspec.to_builtins(line) for line in lines]})
        return DONE
    if not lines:
        say("nothing was ordered" + (" that passes" if node_set or since or user else " yet"))
    for line in lines:
        result(_audit_text(line))
    return DONE


async def _audit(
    settings: Settings, node_set: str | None, since: float, user: str, limit: int
) -> tuple[AuditLine, ...]:
    async with engine(settings, read_only=True) as client:
        nodes = pick(node_set, client.welcome.nodes) if node_set is not None else ()
        reply = expect(await client.ask(wire.ListAudit(limit, nodes, since, user)), wire.Audit)
    return tuple(reversed(reply.lines))


def _audit_text(line: AuditLine) -> str:
    by = line.by or "engine"
    uid = f"({line.uid})" if line.uid >= 0 else ""
    client = f" [{line.client}]" if line.client else ""
    change = f"  {line.before or '?'} -> {line.after or '?'}" if line.before or line.after else ""
    told = f": {line.result}" if line.result else ""
    node = f" {line.node}" if line.node else ""
    return clean(f"{clock(line.wall)} {by}{uid}{client}{node}: {line.text}{told}{change}")


@click.command()
@click.argument("node", shell_complete=complete_node)
@click.argument("text", required=False, default="")
@click.option("--clear", is_flag=True, help="Take all notes of the node away.")
@_JSON
@click.pass_obj
def note(settings: Settings, node: str, text: str, clear: bool, as_json: bool) -> int:
    """Write a note about NODE for everybody to read, or print its notes.

    Changes no machine.
    """
    if clear and text:
        raise click.UsageError("TEXT and --clear exclude each other")
    if clear or text:
        require_writable(settings)
    state = run_async(_note(settings, node, text, clear))
    if as_json:
        print_json({"nodes": {state.name: {"ok": True, "notes": msgspec.to_builtins(state.notes), "error": None}}})
        return DONE
    for each in state.notes:
        result(clean(f"{state.name}: {clock(each.wall)} {each.by}: {each.text}"))
    if not state.notes:
        say(f"{state.name} has no notes")
    return DONE


async def _note(settings: Settings, node: str, text: str, clear: bool) -> NodeState:
    async with engine(settings, read_only=not (text or clear)) as client:
        name = pick_one(node, client.welcome.nodes)
        if text or clear:
            await client.ask(wire.PutNote(name, text, clear))
        watcher = Watcher(client)
        await watcher.begin()
        return watcher.states.get(name) or NodeState(name)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--reason", required=True, metavar="R", help="Why; everybody sees it.")
@click.option("--until", metavar="T", help="It ends by itself: after a duration (90s, 10m, 2h), at 14:30 or a date.")
@_JSON
@click.pass_obj
def lock(settings: Settings, node_set: str, reason: str, until: str | None, as_json: bool) -> int:
    """Keep everybody else's acts from the nodes of SET.

    Changes no machine. Orders of others, and their writing on the console, are refused; an admin may go on with
    --break-lock. Operations that run already are not stopped.
    """
    require_writable(settings)
    end = _later(until) if until else 0.0
    names = run_async(_ask(settings, node_set, lambda nodes: wire.LockNodes(nodes, reason, end)))
    if as_json:
        print_json({"nodes": {name: {"ok": True, "locked": True, "error": None} for name in names}})
    else:
        result(f"{fold(names)}: locked{f' until {clock(end)}' if end else ''}")
    return DONE


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--break-lock", is_flag=True, help="Also locks of others; for admins.")
@_JSON
@click.pass_obj
def unlock(settings: Settings, node_set: str, break_lock: bool, as_json: bool) -> int:
    """Take locks away from the nodes of SET."""
    require_writable(settings)
    names = run_async(_ask(settings, node_set, lambda nodes: wire.UnlockNodes(nodes, break_lock)))
    if as_json:
        print_json({"nodes": {name: {"ok": True, "locked": False, "error": None} for name in names}})
    else:
        result(f"{fold(names)}: unlocked")
    return DONE


def _later(text: str) -> float:
    """A time to come as Unix seconds: after a duration, at a time of day, or a date."""
    now, found = time.time(), moment_of("--until", text)
    if text[-1:].isalpha():  # a duration, which `moment` counts back
        return 2 * now - found
    return found if found > now or "-" in text else found + 86400.0


async def _ask(
    settings: Settings, node_set: str, body: Callable[[tuple[str, ...]], wire.LockNodes | wire.UnlockNodes]
) -> tuple[str, ...]:
    async with engine(settings) as client:
        names = pick(node_set, client.welcome.nodes)
        await client.ask(body(names))
    return names
