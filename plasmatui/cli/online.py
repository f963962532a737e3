"""`plasmatui check --online`: the checklist that asks machines and servers, through the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from plasmatui.cli.engine_link import engine, run_async
from plasmatui.cli.failure import DONE, FAILED, SOME_FAILED, USAGE, Failure
from plasmatui.cli.output import LiveLine, clean, print_json, result
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.checks import CHECKS, DHCP_SERVERS, Check, CheckAnswer, CheckState

_ORDER = (CheckState.FAILED, CheckState.UNKNOWN, CheckState.WARNING, CheckState.OK, CheckState.SKIPPED)
_MARKS = {
    CheckState.OK: "[ok]",
    CheckState.WARNING: "[? ]",
    CheckState.FAILED: "[!!]",
    CheckState.UNKNOWN: "[??]",
}


def check_online(settings: Settings, only: Sequence[str], interface: str | None, as_json: bool) -> int:
    """Look at everything, or at `only` these; print it; the exit code.

    Raises:
        Failure: there is no such check.
    """
    known = [check.id for check in (*CHECKS, DHCP_SERVERS)]
    unknown = [name for name in only if name not in known]
    if unknown:
        raise Failure(USAGE, f"--only: there is no check {unknown[0]!r}", f"checks: {', '.join(known)}")
    if DHCP_SERVERS.id in only and interface is None:
        raise Failure(USAGE, f"{DHCP_SERVERS.id} needs an interface", "add --dhcp-probe IFACE, and run it as root")
    answers = run_async(_look(settings, only, interface))
    if as_json:
        print_json(_json(answers))
    else:
        result("\n".join(_lines(answers)))
    return exit_code(answers)


def exit_code(answers: Iterable[CheckAnswer]) -> int:
    """0: nothing failed or is unknown; 1: nothing else; 3: some. What was not looked at does not count."""
    states = [answer.state for answer in answers if answer.state is not CheckState.SKIPPED]
    wrong = sum(state in (CheckState.FAILED, CheckState.UNKNOWN) for state in states)
    if not wrong:
        return DONE
    return FAILED if wrong == len(states) else SOME_FAILED


async def _look(settings: Settings, only: Sequence[str], interface: str | None) -> list[CheckAnswer]:
    answers: list[CheckAnswer] = []
    if interface is not None and (not only or DHCP_SERVERS.id in only):
        answers.append(await _probe(settings, interface))
    asked = [check for check in CHECKS if not only or check.id in only]
    if not asked:
        return answers
    waiting = {check.id: check for check in asked}
    live = LiveLine()
    try:
        async with engine(settings, read_only=True) as client:
            live.show(_progress(asked, waiting.values()))
            async for answer in client.stream(wire.AskChecks(tuple(waiting) if only else ())):
                answers.append(answer)
                waiting.pop(answer.id, None)
                live.show(_progress(asked, waiting.values()))
    finally:
        live.clear()
    return answers


def _progress(asked: Sequence[Check], waiting: Iterable[Check]) -> str:
    open_ = [check.id for check in waiting]
    return f"{len(asked) - len(open_)} of {len(asked)} looked at; waiting for {', '.join(open_[:4])}"


async def _probe(settings: Settings, interface: str) -> CheckAnswer:
    """Here and not in the engine: it needs root, and root's engine would be another one."""
    from plasmatui.cli.check import load_inventory
    from plasmatui.pxe.preflight.dhcp import probe

    ours = load_inventory(settings).pxe.server
    state, reason, fix = CheckState.OK, "", ""
    try:
        offers = await probe(interface)
    except PermissionError:
        state, reason = CheckState.UNKNOWN, "only root may send DHCP requests"
        fix = f"sudo plasmatui check --online --only {DHCP_SERVERS.id} --dhcp-probe {interface}"
    except OSError as error:
        state, reason, fix = CheckState.UNKNOWN, f"{interface}: {error.strerror or error}", "ip link"
    else:
        told = [
            f"{offer.server} offers {'boot data only' if not int(offer.address) else str(offer.address)}"
            f"{f' and the file {offer.boot_file}' if offer.boot_file else ''}"
            for offer in offers
        ]
        reason = "; ".join(told) or f"no server answered on {interface}"
        strange = [offer for offer in offers if ours is not None and offer.server != ours]
        if not offers:
            state, fix = CheckState.FAILED, "systemctl status the DHCP server; check VLAN and relay"
        elif strange:
            state = CheckState.FAILED
            fix = (
                f"switch off the DHCP server at {strange[0].server}; its MAC address: ip neigh show {strange[0].server}"
            )
        elif len(offers) > 1:
            state, fix = CheckState.WARNING, "only one DHCP server should answer where machines boot"
    return CheckAnswer(DHCP_SERVERS.id, DHCP_SERVERS.group, DHCP_SERVERS.what, state, clean(reason), clean(fix))


def _lines(answers: Sequence[CheckAnswer]) -> list[str]:
    groups: dict[str, list[CheckAnswer]] = {}
    for check in (DHCP_SERVERS, *CHECKS):
        groups.setdefault(check.group, [])
    for answer in answers:
        if answer.state is not CheckState.SKIPPED:
            groups.setdefault(answer.group, []).append(answer)
    lines: list[str] = []
    for group, found in sorted(groups.items(), key=lambda item: _worst(item[1])):
        if not found:
            continue
        lines += [*([""] if lines else []), group]
        for answer in sorted(found, key=lambda each: _ORDER.index(each.state)):
            well = answer.state is CheckState.OK
            about = f": {answer.reason}" if answer.reason and well else ""
            lines.append(f"{_MARKS[answer.state]} {clean(f'{answer.id}: {answer.what}{about}')}")
            if not well:
                lines.append(f"     {clean(answer.reason)}")
                lines += [f"     fix: {clean(answer.fix)}"] if answer.fix else []
    left = [answer for answer in answers if answer.state is CheckState.SKIPPED]
    if left:
        lines += ["", "Not looked at"]
        lines += [f"     {clean(f'{answer.id}: {answer.reason}')}" for answer in left]
    counts = Counter(answer.state for answer in answers)
    lines += ["", ", ".join(f"{state.value} {counts[state]}" for state in _ORDER if counts[state])]
    return lines


def _worst(found: Sequence[CheckAnswer]) -> int:
    return min((_ORDER.index(answer.state) for answer in found), default=len(_ORDER))


def _json(answers: Sequence[CheckAnswer]) -> dict[str, Any]:
    counts = Counter(answer.state.value for answer in answers)
    return {
        "ok": exit_code(answers) == DONE,
        "counts": {state.value: counts[state.value] for state in _ORDER},
        "results": [
            {
                "id": answer.id,
                "group": answer.group,
                "what": answer.what,
                "state": answer.state.value,
                "reason": answer.reason,
                "fix": answer.fix or None,
                "nodes": list(answer.nodes),
            }
            for answer in answers
        ],
    }
