"""Following an operation to its end: a live line on a terminal, and loud words where a person must decide."""

from __future__ import annotations

import time

from plasmatui.cli.engine_link import Watcher
from plasmatui.cli.failure import INTERRUPTED, Failure
from plasmatui.cli.output import LiveLine, clean, duration, note
from plasmatui.cli.records import describe, held_words, progress_words
from plasmatui.client import EngineUnreachableError
from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.model.words import OperationState


async def follow(watcher: Watcher, record: OperationRecord) -> OperationRecord:
    """Wait until the operation has ended, with a live line on a terminal; returns its last record. What is held, and
    which nodes failed while others go on, is said once on stderr.

    Raises:
        EngineUnreachableError: the engine went away; the message names the operation.
    """
    live = LiveLine()
    said: set[str] = set()
    # A push may have overtaken the reply's reader: what is kept already is as new or newer.
    current: OperationRecord = watcher.operations.setdefault(record.number, record)
    try:
        while not current.state.ended:
            for text in _news(current, said):
                live.clear()
                note(text)
            live.show(progress(current))
            await watcher.wait(1.0)
            current = watcher.operations[record.number]
    except EngineUnreachableError as error:
        raise EngineUnreachableError(
            f"{error}; whether operation {record.number} ended is not known: plasmatui ops show {record.number}"
        ) from error
    finally:
        live.clear()
    return current


def _news(record: OperationRecord, said: set[str]) -> list[str]:
    """What was not said yet: what is held, and which nodes failed. What is no longer held may be said again."""
    held = [f"HELD: {text}" for text in held_words(record)]
    said.intersection_update({*held, *(text for text in said if not text.startswith("HELD: "))})
    failed = [
        f"{node.node}: {clean(describe(node))}"
        for node in record.nodes
        if node.state is OperationState.FAILED and len(record.nodes) > 1
    ]
    news = [text for text in (*failed, *held) if text not in said]
    said.update(news)
    return news


def interrupted(number: int) -> Failure:
    """How a command ends that was interrupted while it followed an operation."""
    return Failure(
        INTERRUPTED,
        f"no longer following; operation {number} goes on in the engine",
        f"plasmatui ops follow {number}, or plasmatui ops cancel {number}",
    )


def progress(record: OperationRecord) -> str:
    """One line: for how long, how many nodes are done, failed, held, and what the first running one does. What moves
    comes first, since a terminal may be narrow."""
    ended = [node for node in record.nodes if node.state.ended]
    failed = sum(node.state is not OperationState.DONE for node in ended)
    running = [node for node in record.nodes if node.state is OperationState.RUNNING]
    held = [node for node in record.nodes if node.state is OperationState.HELD]
    counts = [f"{len(ended) - failed} of {len(record.nodes)} done"]
    if failed:
        counts.append(f"{failed} failed")
    if held or record.held:
        counts.append(f"{len(held)} HELD" if held else "HELD")
    if len(running) > 1:
        counts.append(f"{len(running)} running")
    if running:
        counts.append(_doing(running[0]))
    return f"operation {record.number}, {duration(time.time() - record.begin)}: {', '.join(counts)}"


def _doing(node: NodeRecord) -> str:
    if not node.steps:
        return f"{node.node} begins"
    step = node.steps[-1]
    at = f"{node.node} [{len(node.steps)}/{node.planned}]" if node.planned else node.node
    usual = f" of usually {duration(step.usual)}" if step.usual else ""
    return f"{at} {duration(time.time() - step.begin)}{usual}: {progress_words(step) or clean(step.text)}"
