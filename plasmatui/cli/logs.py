"""`plasmatui logs`: lines of the boot servers' logs and of consoles, of nodes, as they come."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.engine_link import engine, expect, run_async
from plasmatui.cli.failure import DONE
from plasmatui.cli.output import clean, note, print_json, result
from plasmatui.cli.sets import pick
from plasmatui.cli.settings import Settings
from plasmatui.cli.times import moment_of
from plasmatui.client import EngineClient, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.boot import LogFilter, LogLine

KINDS = ("dhcp", "tftp", "http", "console")

PAGE = 1000
"""Lines that are asked for at once."""

TAIL = 200
"""Lines that are shown when neither a number nor a time is given."""


def _complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[str]:
    return [*(kind for kind in KINDS if kind.startswith(typed)), *complete_set(ctx, param, typed)]


@click.command()
@click.argument("words", metavar="[dhcp|tftp|http|console] [SET]", nargs=-1, shell_complete=_complete)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until ctrl-c.")
@click.option("--since", metavar="T", help="Only lines since T: a duration (90s, 10m, 2h), 14:30 or a date.")
@click.option("--grep", metavar="PATTERN", default="", help="Only lines that match this regular expression.")
@click.option("-n", "--lines", type=click.IntRange(0, 1_000_000), help=f"Lines of the past, the last ones ({TAIL}).")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def logs(
    settings: Settings,
    words: tuple[str, ...],
    follow: bool,
    since: str | None,
    grep: str,
    lines: int | None,
    as_json: bool,
) -> int:
    """Print lines of server logs and consoles.

    Without a kind all of them; without SET also those that are no node's.
    """
    if follow and as_json:
        raise click.UsageError("--json and --follow exclude each other")
    kinds, rest = (words[:1], words[1:]) if words and words[0] in KINDS else ((), words)
    if len(rest) > 1:
        raise click.UsageError(f"expected at most a kind ({', '.join(KINDS)}) and a node set, found {' '.join(words)}")
    begin = moment_of("--since", since) if since else 0.0
    wanted = LogFilter(kinds=kinds, include=grep, since=begin)
    limit = lines if lines is not None else 1_000_000 if since else TAIL
    return run_async(_logs(settings, wanted, rest[0] if rest else None, limit, follow, as_json))


async def _logs(
    settings: Settings, wanted: LogFilter, node_set: str | None, limit: int, follow: bool, as_json: bool
) -> int:
    import msgspec

    async with engine(settings, read_only=True) as client:
        if node_set is not None:
            wanted = msgspec.structs.replace(wanted, nodes=pick(node_set, client.welcome.nodes))
        coming: deque[wire.LogLines] = deque()
        news = asyncio.Event()
        if follow:

            def take(pushed: wire.LogLines) -> None:
                coming.append(pushed)
                news.set()

            client.on_logs = take
            client.on_lost = lambda _: news.set()
            await client.ask(wire.FollowLogs(wanted))
        past = await _past(client, wanted, limit)
        if as_json:
            print_json({"lines": [msgspec.to_builtins(line) for line in past]})
            return DONE
        for line in past:
            result(_text(line))
        if follow:
            await _follow(client, coming, news, {line.seq for line in past})
    return DONE


async def _past(client: EngineClient, wanted: LogFilter, limit: int) -> list[LogLine]:
    """The last lines that pass, in the order of their times."""
    found: deque[LogLine] = deque()
    seq = 0
    while len(found) < limit:
        ask = wire.ListLogs(wanted, seq=seq, limit=min(PAGE, limit - len(found)))
        page = expect(await client.ask(ask), wire.LogPage)
        found.extendleft(reversed(page.lines))
        if not page.more or not page.lines:
            break
        seq = page.lines[0].seq
    return sorted(found, key=lambda line: line.wall)


async def _follow(client: EngineClient, coming: deque[wire.LogLines], news: asyncio.Event, seen: set[int]) -> None:
    note("following; ctrl-c ends")
    while True:
        await news.wait()
        news.clear()
        while coming:
            pushed = coming.popleft()
            if pushed.skipped:
                note(f"{pushed.skipped} lines were left out: this terminal is slow")
            for line in pushed.lines:
                if line.seq not in seen:
                    result(_text(line))
        if client.lost is not None:
            raise EngineUnreachableError(f"the connection to the engine ended: {client.lost}")


def _text(line: LogLine) -> str:
    stamp = time.strftime("%H:%M:%S", time.localtime(line.wall)) + f".{int(line.wall % 1 * 1000):03d}"
    return f"{stamp}  {line.kind:<7}  {clean(line.node or '-'):<10}  {clean(line.text)}"
