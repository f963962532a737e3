"""`plasmatui ops log`: what the steps of a node of an operation printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from plasmatui.cli.completion import complete_node
from plasmatui.cli.engine_link import Watcher, engine, expect, run_async
from plasmatui.cli.failure import DONE, INTERRUPTED, USAGE, Failure
from plasmatui.cli.orders import one_operation
from plasmatui.cli.output import clean, clock, note, print_json, result
from plasmatui.cli.settings import Settings
from plasmatui.client import EngineClient
from plasmatui.model import wire
from plasmatui.model.operation import NodeRecord, OperationRecord

PACE = 1.0
"""Seconds between two looks for more."""


@click.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("node", shell_complete=complete_node)
@click.option("-f", "--follow", is_flag=True, help="Go on until the node has ended.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def log(settings: Settings, number: int, node: str, follow: bool, as_json: bool) -> int:
    """Print what the steps of NODE in operation NUMBER printed."""
    if follow and as_json:
        raise click.UsageError("--follow and --json exclude each other")
    try:
        return run_async(_log(settings, number, node, follow, as_json))
    except KeyboardInterrupt:
        raise Failure(INTERRUPTED, f"no longer following; operation {number} goes on in the engine") from None


async def _log(settings: Settings, number: int, node: str, follow: bool, as_json: bool) -> int:
    async with engine(settings, read_only=True) as client:
        _node_of(await one_operation(client, number), node)
        if as_json:
            lines: list[tuple[float, str]] = []
            await _read(client, number, node, 0, lambda wall, text: lines.append((wall, text)))
            kept = [{"time": wall, "text": text} for wall, text in lines]
            print_json({"operation": number, "node": node, "lines": kept})
            return DONE
        offset = await _read(client, number, node, 0, _print)
        if follow:
            await _follow(client, number, node, offset)
        elif not offset:
            note(f"the steps of {node} have printed nothing yet")
    return DONE


async def _follow(client: EngineClient, number: int, node: str, offset: int) -> None:
    watcher = Watcher(client)
    await watcher.begin()
    watcher.operations.setdefault(number, await one_operation(client, number))
    while True:
        ended = _node_of(watcher.operations[number], node).state.ended
        offset = await _read(client, number, node, offset, _print)
        if ended:  # it had before the last look, so that nothing more comes
            return
        await watcher.wait(PACE)


async def _read(
    client: EngineClient, number: int, node: str, offset: int, take: Callable[[float, str], None]
) -> int:  # fmt: skip
    """Take every line from `offset` on that there is now; returns the offset behind it."""
    while True:
        page = expect(await client.ask(wire.AskOperationLog(number, node, offset)), wire.OperationLog)
        for wall, text in _lines(page.text):
            take(wall, text)
        if page.offset <= offset:
            return offset
        offset = page.offset


def _lines(page: str) -> Iterator[tuple[float, str]]:
    for line in page.splitlines():
        stamp, _, text = line.partition(" ")
        try:
            yield float(stamp), clean(text)
        except ValueError:
            yield 0.0, clean(line)


def _print(wall: float, text: str) -> None:
    result(f"{clock(wall)}  {text}")


def _node_of(record: OperationRecord, node: str) -> NodeRecord:
    for each in record.nodes:
        if each.node == node:
            return each
    raise Failure(USAGE, f"operation {record.number} has no node {node}", f"plasmatui ops show {record.number}")
