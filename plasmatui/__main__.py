"""The program: the engine for `engine run`, everything else is the command line's."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Entry point of `plasmatui` and `python -m plasmatui`."""
    arguments = sys.argv[1:]
    if _runs_engine(arguments):
        from plasmatui.engine.main import main as run

        sys.exit(run(arguments))
    from plasmatui.cli.main import main as command_line

    command_line()


def _runs_engine(arguments: Sequence[str]) -> bool:
    """Whether the words are `engine run`, after no option but `-i FILE`. Help for it is the command line's."""
    words = list(arguments)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("-i", "--inventory") and words:
            words.pop(0)
        elif not option.startswith(("--inventory=", "-i")):
            return False
    return words[:2] == ["engine", "run"] and not {"-h", "--help"} & set(words)


if __name__ == "__main__":
    main()
