"""Run the fuzzers: all, or those whose names are given. What is found is written beside, to be fed again.

python -m tests.fuzz [NAME ...] [--seconds N] [--seed N] [--output DIR] [--again FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from pathlib import Path

from tests.fuzz.target import Run, Target, run, shrunk
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds for each (default: 10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("fuzz-finds"), help="where finds are written")
    parser.add_argument("--again", type=Path, metavar="FILE", help="feed this find once more, to the one NAME")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # what readers complain of is what they are for
    unknown = [name for name in options.names if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    chosen = [TARGETS[name] for name in options.names or TARGETS]
    if options.again is not None:
        for target in chosen:
            target.feed(options.again.read_bytes())
        return 0
    runs = [_told(target, options) for target in chosen]
    return 1 if any(each.finds for each in runs) else 0


def _told(target: Target, options: argparse.Namespace) -> Run:
    result = run(target, seed=options.seed, seconds=options.seconds)
    print(  # noqa: T201 - printing is what it is for
        f"{result.target:<24} {result.executions:>9} inputs {result.cpu:>8.1f} s  {len(result.finds)} finds", flush=True
    )
    for find in [shrunk(target, find) for find in result.finds]:
        options.output.mkdir(parents=True, exist_ok=True)
        path = options.output / f"{find.target}-{hashlib.sha256(find.input).hexdigest()[:12]}"
        path.write_bytes(find.input)
        print(f"  {path}: {find.what.strip().splitlines()[-1]}", flush=True)  # noqa: T201
        path.with_suffix(".txt").write_text(find.what)
    return result


if __name__ == "__main__":
    sys.exit(main())
