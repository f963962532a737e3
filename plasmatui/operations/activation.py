"""Following an activation that runs on a node in a unit of its own."""

from __future__ import annotations

import asyncio

from plasmatui.model.command import CommandError
from plasmatui.nix import generations
from plasmatui.nix.generations import Outcome, explain_code, parse_unit, unit_argv
from plasmatui.nix.tools import OutputError
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.generations import LIMIT
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork
from plasmatui.text import clean_line

PACE = 0.5
"""Seconds between two looks at an activation."""


async def ended(work: NodeWork, unit: str, *, silence: float = 0.0) -> Outcome | None:
    """Follow the unit to its end; None when the node knows no such unit. Failed units are said in the message.

    Args:
        silence: seconds after which a node that does not answer is given up; 0: the step's limit.

    Raises:
        NodeFailedError: "activation-failed" with what it printed; "ssh-lost" after the silence.
    """
    host = system(work)
    loop = asyncio.get_running_loop()
    heard = loop.time()
    while True:
        try:
            ran = await host.run(unit_argv(unit), limit=LIMIT, check=True)
            state = parse_unit(ran.out.decode(errors="replace"))
        except CommandError as error:
            if error.lasting:
                raise
            if silence and loop.time() - heard > silence:
                text = f"{work.node}: it did not answer any more after the activation was begun: {error.message}"
                raise NodeFailedError("ssh-lost", text, (error.message,)) from error
            work.progress(f"{error.message}; the activation goes on there")  # it may restart sshd or the network
            await asyncio.sleep(PACE)
            continue
        except OutputError as error:
            raise NodeFailedError("activation-failed", f"{work.node}: {error}") from error
        heard = loop.time()
        if not state.known:
            return None
        if not state.running:
            break
        work.progress("switch-to-configuration runs")
        await asyncio.sleep(PACE)
    return await _outcome(work, unit, state.code if state.code is not None else 1)


async def _outcome(work: NodeWork, unit: str, code: int) -> Outcome:
    output = await _forget(work, unit)
    for line in output.splitlines()[-200:]:
        work.log(clean_line(line, 300))
    outcome = explain_code(code)
    if not outcome.switched:
        lines = tuple(clean_line(line, 300) for line in output.splitlines() if line.strip())
        raise NodeFailedError("activation-failed", f"{work.node}: {outcome.message}", lines[-6:])
    if outcome.word != "done":
        units = ", ".join(generations.failed_units(output))
        outcome = Outcome(outcome.switched, outcome.word, f"{outcome.message}{f': {units}' if units else ''}")
    return outcome


async def _forget(work: NodeWork, unit: str) -> str:
    """What the unit printed, which systemd then forgets; "" when the node went silent just now."""
    host = system(work)
    try:
        output = (await host.run(generations.unit_log_argv(unit), limit=LIMIT)).out.decode(errors="replace")
        for argv in generations.release_argvs(unit):
            await host.run(argv, limit=LIMIT)
    except CommandError as error:
        work.log(f"{error.message}; what the activation printed is in the node's journal")
        return ""
    return output
