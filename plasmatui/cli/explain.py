"""`plasmatui explain`: what a finding means and what to do."""

from __future__ import annotations

import click

from plasmatui.cli.failure import DONE, USAGE, Failure
from plasmatui.cli.output import print_json, result
from plasmatui.model.findings import FINDINGS


def _complete(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    return [name for name in FINDINGS if name.startswith(typed)]


@click.command()
@click.argument("finding", metavar="FINDING", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def explain(finding: str, as_json: bool) -> int:
    """Say what FINDING means and what to do about it."""
    kind = FINDINGS.get(finding)
    if kind is None:
        raise Failure(USAGE, f"no finding {finding!r}; there are: {' '.join(FINDINGS)}")
    if as_json:
        print_json({"id": kind.id, "severity": kind.severity, "cause": kind.cause, "remedy": kind.remedy})
    else:
        result(f"{kind.id} ({kind.severity})\ncause:  {kind.cause}\nremedy: {kind.remedy}")
    return DONE
