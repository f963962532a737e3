"""`plasmatui explain`: what a finding or an operation's error means and what to do."""

from __future__ import annotations

import click

from plasmatui.cli.failure import DONE, USAGE, Failure
from plasmatui.cli.output import print_json, result
from plasmatui.model.findings import FAILURES, FINDINGS
from plasmatui.model.signs import SIGNS
from plasmatui.pages import finding_page


def _complete(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    return [name for name in (*FINDINGS, *FAILURES) if name.startswith(typed)]


@click.command()
@click.argument("finding", metavar="FINDING", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def explain(finding: str, as_json: bool) -> int:
    """Say what FINDING, or an operation's error, means and what to do."""
    kind = FINDINGS.get(finding) or FAILURES.get(finding)
    if kind is None:
        raise Failure(USAGE, f"no finding {finding!r}; there are: {' '.join((*FINDINGS, *FAILURES))}")
    sign, page = SIGNS[finding], finding_page(finding)
    if as_json:
        known = {"id": kind.id, "severity": kind.severity, "cause": kind.cause, "remedy": kind.remedy}
        print_json({**known, "recognised": sign.seen, "example": list(sign.example), "page": page})
        return DONE
    result(f"{kind.id} ({kind.severity})\ncause:  {kind.cause}\nremedy: {kind.remedy}")
    result("\n".join((f"seen by: {sign.seen}", *(f"    {line}" for line in sign.example), f"page:   {page}")))
    return DONE
