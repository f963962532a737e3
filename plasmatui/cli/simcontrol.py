"""`plasmatui sim --tell`: speaks with a simulated rack that another terminal serves."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from plasmatui.cli.failure import FAILED, USAGE, Failure

LIMIT: Final = 10.0
"""Seconds that a rack may take for an answer."""

CONTROL: Final = "control.sock"
"""The socket's name beside the rack's inventory; what it understands stands in `plasmatui.sim.control`."""


def tell(directory: Path, lines: tuple[str, ...]) -> list[str]:
    """What the rack of `directory` answers to `lines`, which it obeys in their order, up to the first that it refuses.

    Raises:
        Failure: no rack is served there, it does not answer, or it refuses.
    """
    said: list[str] = []
    path = directory / CONTROL
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT)
            connection.connect(str(path))
            with connection.makefile("rw", encoding="utf-8", newline="\n") as stream:
                for line in lines:
                    stream.write(" ".join(line.split()) + "\n")
                    stream.flush()
                    answer = stream.readline().strip()
                    if not answer.startswith("ok"):
                        why = answer.removeprefix("error: ") or "the rack ended"
                        raise Failure(USAGE, f"{line}: {why}")
                    said.append(answer.removeprefix("ok").strip())
    except OSError as error:
        text = f"no simulated rack answers at {path}: {error.strerror or error}"
        raise Failure(FAILED, text, f"serve one: plasmatui sim -o {directory}") from None
    return said
