"""`python -m plasmatui.sim.tools RACK-DIRECTORY NAME ARGUMENTS...`: what the scripts in a rack's `bin` run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from plasmatui.sim.tools.program import execute


def main() -> int:
    directory, name, *arguments = sys.argv[1:]
    try:
        return asyncio.run(execute(Path(directory), name, arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


sys.exit(main())
