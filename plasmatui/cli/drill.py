"""`plasmatui sim --drill`: faults to find, asked and answered where the rack runs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from random import Random

from plasmatui.cli.output import duration, note, result
from plasmatui.model.findings import FINDINGS
from plasmatui.sim.drill import Drill, Score, begin, choose, finish
from plasmatui.sim.rack import Rack

PROMPT = "> "

HELP = "Answer NODE FINDING (`plasmatui explain` tells of findings), or: hint, give up, quit"


class Lines:
    """Lines of standard input without a thread, so that ctrl-c ends the rack at once."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._rest = b""
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        data = os.read(sys.stdin.fileno(), 4096)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._queue.put_nowait(line.decode(errors="replace").strip())
        if not data:
            self.close()
            self._queue.put_nowait(None)

    async def next(self) -> str:
        """The next line that is typed.

        Raises:
            EOFError: there are no more.
        """
        sys.stderr.write(PROMPT)
        sys.stderr.flush()
        line = await self._queue.get()
        if line is None:
            raise EOFError
        return line

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


async def drills(rack: Rack, random: Random) -> None:
    """One drill after the other, until the person has enough."""
    lines = Lines()
    try:
        note("\nThe fire drill begins when plasmatui is connected to the rack.")
        await rack.attached.wait()
        while (drill := choose(rack, random)) is not None:
            await begin(rack, drill)
            _announce(drill)
            if not await _one(drill, lines):
                return
            await finish(rack, drill)
            note("\nEnter for another one, quit to end.")
            if (await lines.next()) in ("q", "quit", "exit"):
                return
        note("no machine is free for another drill")
    except EOFError:
        return
    finally:
        lines.close()


def _announce(drill: Drill) -> None:
    happens = (
        f"{len(drill.nodes)} machines are switched on to boot from the network, and one does not arrive."
        if drill.boots
        else "Something happens to a machine that runs."
    )
    note(f"\nFire drill. {happens}\nOn which node, and what is it?\n{HELP}")


async def _one(drill: Drill, lines: Lines) -> bool:
    """Ask until it is found or given up; False when the person leaves."""
    score, begun, hints = Score(), time.monotonic(), drill.hints()
    while True:
        answer = (await lines.next()).lower()
        if answer in ("q", "quit", "exit"):
            _tell(drill, "not found")
            return False
        if answer == "give up":
            _tell(drill, "given up")
            return True
        if answer == "hint":
            score.hints += 1
            note(next(hints, "there are no more hints"))
        elif len(answer.split()) != 2:
            note(HELP)
        elif problem := score.judge(drill, answer):
            note(problem)
        else:
            took = duration(time.monotonic() - begun)
            _tell(drill, f"found in {took}, wrong answers: {len(score.wrong)}, hints: {score.hints}")
            return True


def _tell(drill: Drill, how: str) -> None:
    kind = FINDINGS[drill.finding]
    result(f"{drill.node} {drill.finding}: {how}")
    note(f"  why     {kind.cause}\n  remedy  {kind.remedy}")
    seen = f"plasmatui timeline {drill.node}" if drill.boots else f"plasmatui nodes {drill.node}, plasmatui health"
    note(f"  seen in {seen}")
