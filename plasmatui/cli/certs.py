"""`plasmatui certs`: which certificates there are and how long they last, a CA of the cluster's own, new ones."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from plasmatui.cli.check import load_inventory
from plasmatui.cli.completion import complete_set
from plasmatui.cli.engine_link import engine, expect, require_writable, run_async
from plasmatui.cli.failure import DONE, FAILED, SOME_FAILED, USAGE, Failure
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.output import clean, note, print_json, result, table
from plasmatui.cli.records import outcome_json
from plasmatui.cli.sets import ALL, pick
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.checks import CertificateSeen
from plasmatui.model.operation import CertsRotateOrder

if TYPE_CHECKING:
    from plasmatui.certs.issue import Plan
    from plasmatui.inventory.inventory import Inventory
    from plasmatui.inventory.secrets import Secret


@click.group()
def certs() -> None:
    """List, issue and rotate certificates."""


@certs.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def status(settings: Settings, node_set: str, as_json: bool) -> int:
    """List certificates of services and in the secrets.

    SET is @all when it is left out. Services are asked on nodes that are on.
    """
    inventory = load_inventory(settings)
    nodes = pick(node_set, tuple(inventory.nodes.values()))
    seen = (*_files(inventory, nodes), *run_async(_live(settings, nodes)))
    now = time.time()
    words = {each.place: _state(each, now) for each in seen}
    if as_json:
        print_json({"certificates": [_json(each, words[each.place], now) for each in seen]})
    else:
        rows = [_row(each, words[each.place], now) for each in seen]
        result(table(("WHERE", "SUBJECT", "ISSUER", "DAYS", "MODE", "STATE", "NAMES"), rows))
    wrong = sum(word != "ok" for word in words.values())
    return DONE if not wrong else FAILED if wrong == len(words) else SOME_FAILED


@certs.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--renew", is_flag=True, help="Issue again where there is a certificate; the old one is kept.")
@click.option("--passphrase", metavar="REF", help="Of the CA's key: env:NAME or file:PATH.")
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan, do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def issue(
    settings: Settings, node_set: str, renew: bool, passphrase: str | None, only_plan: bool, yes: bool, as_json: bool
) -> int:
    """Make the cluster's CA, where there is none, and nodes' certificates.

    They go into the secrets directory. Nothing there is replaced without --renew. SET is @all when it is left out.
    """
    from plasmatui.certs.issue import IssueError, make_plan
    from plasmatui.certs.issue import issue as carry_out

    inventory = load_inventory(settings)
    nodes = pick(node_set, tuple(inventory.nodes.values()))
    secret = _reference(passphrase)
    try:
        plan = make_plan(inventory, nodes, renew=renew)
        if not only_plan:
            require_writable(settings)
        if not as_json or not (only_plan or yes):
            (result if only_plan else note)("\n".join(_plan_lines(plan)))
        written: tuple[Any, ...] = ()
        if plan.changes and not only_plan:
            _confirm(yes)
            written = carry_out(inventory, plan, secret)
    except IssueError as error:
        raise Failure(FAILED, str(error)) from None
    if as_json:
        items = [{"node": i.node or None, "what": i.what, "path": str(i.path), "text": i.text} for i in plan.items]
        print_json({"plan": items, "written": [str(path) for path in written]})
    elif written:
        result("\n".join(clean(f"wrote {path}") for path in written))
    if written and plan.ca is None:
        note(clean(f"next: name the CA in the inventory: cluster: {{ca: {plan.items[0].path}}}; keep its key safe"))
    return DONE


@certs.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--passphrase", metavar="REF", default="", help="Of the CA's key: env:NAME of the engine, or file:PATH.")
@order_options
@click.pass_obj
def rotate(settings: Settings, node_set: str, passphrase: str, options: OrderOptions) -> int:
    """Give nodes new certificates, one service after the other.

    Issued with the cluster's CA, seen on the wire; what does not take it gets the old one back. SET is @all when it is
    left out.
    """
    _reference(passphrase)
    return give_order(settings, CertsRotateOrder(passphrase), node_set, options, outcome_json)


def _reference(text: str | None) -> Secret:
    from plasmatui.inventory.secrets import reference

    try:
        return reference(text or "")
    except ValueError as error:
        raise Failure(USAGE, f"--passphrase: {error}") from None


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(USAGE, "this writes keys and there is no terminal to confirm it on", "add --yes, or see --plan")
    if not click.confirm("Go on?", default=False, err=True):
        raise Failure(FAILED, "not confirmed; nothing was done")


def _plan_lines(plan: Plan) -> list[str]:
    lines = [clean(f"{item.what:<5} {item.node or 'CA'}: {item.text} ({item.path})") for item in plan.items]
    return lines if plan.changes else [*lines, "nothing to do"]


async def _live(settings: Settings, nodes: tuple[str, ...]) -> tuple[CertificateSeen, ...]:
    async with engine(settings, read_only=True) as client:
        return expect(await client.ask(wire.AskCertificates(nodes)), wire.Certificates).certificates


def _files(inventory: Inventory, nodes: tuple[str, ...]) -> tuple[CertificateSeen, ...]:
    from plasmatui.certs.files import in_secrets

    return in_secrets(inventory, nodes)


def _state(seen: CertificateSeen, now: float) -> str:
    from plasmatui.certs.read import SOON

    if seen.end and seen.end <= now:
        return "ended"
    if seen.problem:
        return seen.problem
    if seen.end - now < SOON:
        return "ends soon"
    return "ok"


def _days(seen: CertificateSeen, now: float) -> int | None:
    return int((seen.end - now) // 86400) if seen.end else None


def _row(seen: CertificateSeen, state: str, now: float) -> tuple[str, ...]:
    days = _days(seen, now)
    mode = "" if seen.mode is None else f"{seen.mode:04o}"
    return (seen.place, seen.subject, seen.issuer, "" if days is None else str(days), mode, state, " ".join(seen.names))


def _json(seen: CertificateSeen, state: str, now: float) -> dict[str, Any]:
    return {
        "place": seen.place,
        "node": seen.node or None,
        "subject": seen.subject,
        "issuer": seen.issuer,
        "names": list(seen.names),
        "begin": seen.begin or None,
        "end": seen.end or None,
        "days": _days(seen, now),
        "mode": None if seen.mode is None else f"{seen.mode:04o}",
        "state": state,
    }
