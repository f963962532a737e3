"""Boot the lab's machines one after the other, and print how long each stage took.

    python -m tests.lab [NAME ...]

Needs root and the programs that `.ci/run` installs. Without names: every boot that comes up. Times are seconds on this
machine, whose processors are emulated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from plasmatui.model.words import Stage
from tests.lab.boots import BROKEN, ORDERED, UP, Boot, Images, Scenario, missing
from tests.support.boot_lab import NODE

SCENARIOS: dict[str, Scenario] = {**UP, **ORDERED, **{name: scenario for name, (scenario, _) in BROKEN.items()}}
SHOWN = (*UP, *ORDERED)


def stages_of(boot: Boot) -> tuple[list[dict[str, Any]], str]:
    """The stages of a boot that has ended, and what stopped it."""
    if not boot.scenario.story:
        timeline, _ = boot.timeline()
    else:
        told, _ = boot.story()
        (timeline,) = told["timeline"]["nodes"][NODE]["boots"]
    errors = [finding["id"] for finding in timeline.get("findings", ()) if finding["severity"] == "error"]
    return timeline["stages"], "".join(errors[:1])


def times_of(stages: list[dict[str, Any]]) -> dict[str, str]:
    """By stage: from its beginning to that of the next one, so that a column adds up to the boot."""
    times = {}
    for place, stage in enumerate(stages):
        later = [each["begin"] for each in stages[place + 1 :] if each["begin"] is not None]
        end = later[0] if later else stage["end"]
        if stage["begin"] is not None and end is not None:
            times[stage["stage"]] = f"{end - stage['begin']:.1f}"
        else:
            times[stage["stage"]] = stage["state"] if stage["state"] == "failed" else "-"
    begun = [stage["begin"] for stage in stages if stage["begin"] is not None]
    ended = [stage["end"] for stage in stages if stage["end"] is not None]
    if begun and ended:
        times["in all"] = f"{max(ended) - min(begun):.1f}"
    return times


def table(columns: dict[str, dict[str, str]]) -> str:
    """As Markdown has it: a line for each stage, a column for each boot."""
    rows = [["stage", *columns], ["---"] * (len(columns) + 1)]
    for stage in (*map(str, Stage), "in all", "stopped by"):
        if any(stage in times for times in columns.values()):
            rows.append([stage, *(times.get(stage, "") for times in columns.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(SCENARIOS))
    names = parser.parse_args().names or SHOWN
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown or missing():
        parser.error(f"no such boot: {', '.join(unknown)}" if unknown else missing())
    columns: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="plasmatui-lab-") as place:
        images = Images(Path(place, "images"))
        for number, name in enumerate(names):
            print(f"-- {name}", file=sys.stderr, flush=True)  # noqa: T201 - the program's progress
            directory = Path(place, str(number))
            directory.mkdir()
            boot = Boot(SCENARIOS[name], directory, images)
            boot.wrong = Future()
            try:
                boot.wrong.set_result(boot.lab.run())
                stages, stopped = stages_of(boot)
            finally:
                boot.lab.end()
            columns[name] = times_of(stages) | ({"stopped by": stopped} if stopped else {})
    print(table(columns))  # noqa: T201 - the program's result
    return 0


if __name__ == "__main__":
    sys.exit(main())
