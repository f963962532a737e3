"""What an operator does with the machine behind `bmc_lab`, by commands and by keys. Runs inside the namespaces of
`boot_lab`; what was answered and shown goes to `story.json`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plasmatui.cli.main import run as plasmatui
from tests.support.bmc_lab import NODE

SIZE = ("120", "50")
_AGAIN = 5.0
_ROW = re.compile(rf"^[^\w\n]*{NODE} +\S .*", re.M)


def ask(inventory: Path, *words: str) -> dict[str, Any]:
    """A command's answer as JSON; with its exit code as `code`."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = plasmatui(["-i", str(inventory), *words, "--json"])
    try:
        answer: dict[str, Any] = json.loads(out.getvalue())
    except ValueError:
        raise RuntimeError(f"plasmatui {' '.join(words)}: code {code}, {out.getvalue()!r}") from None
    return {**answer, "code": code}


def with_wrong_password(inventory: Path) -> Path:
    wrong = inventory.with_name("wrong.yaml")
    wrong.write_text(inventory.read_text(encoding="utf-8").replace("/password", "/wrong-password"), encoding="utf-8")
    return wrong


def by_power(inventory: Path, limit: float) -> dict[str, Any]:
    """Boots the machine with separate commands, from the network and from its disk; its image powers itself off."""
    told = {
        "pxe": ask(inventory, "bootdev", "pxe", NODE, "--bios", "--yes"),
        "first": ask(inventory, "power", "on", NODE, "--yes"),
    }
    end = time.monotonic() + limit
    while time.monotonic() < end:
        told["timeline"] = ask(inventory, "timeline", NODE)
        told["status"] = ask(inventory, "power", "status", NODE)
        boots = told["timeline"]["nodes"][NODE]["boots"]
        if told["status"]["nodes"][NODE]["power"] == "off" and boots and boots[0]["outcome"] != "running":
            break
        time.sleep(1)
    else:
        raise RuntimeError(f"the machine had not come up and powered itself off after {limit:g} s: {told}")
    return told | {
        "disk": ask(inventory, "bootdev", "disk", NODE, "--bios", "--yes"),
        "second": ask(inventory, "power", "on", NODE, "--yes"),
        "off": ask(inventory, "power", "off", NODE, "--yes"),
    }


def by_boot(inventory: Path, _: float) -> dict[str, Any]:
    """One command does it all. Before, it is tried with a password that the BMC refuses: whether the operation finds
    that, or the engine did when it began, is not known."""
    wrong = with_wrong_password(inventory)
    return {
        "refused": ask(wrong, "boot", NODE, "--uefi", "--yes"),
        "refused-status": ask(wrong, "power", "status", NODE),
        "refused-nodes": ask(wrong, "nodes"),
        "boot": ask(inventory, "boot", NODE, "--uefi", "--yes"),
        "operation": ask(inventory, "ops", "show", "1"),
        "timeline": ask(inventory, "timeline", NODE),
        "status": ask(inventory, "power", "status", NODE),
    }


class Tmux:
    """A real terminal with the screen in it."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "tmux"

    def do(self, *words: str) -> str:
        argv = ["tmux", "-u", "-f", "/dev/null", "-S", str(self._socket), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def start(self, *argv: str) -> None:
        self.do("new-session", "-d", "-x", SIZE[0], "-y", SIZE[1], *argv)
        self.do("set-option", "remain-on-exit", "on")

    def press(self, *keys: str) -> None:
        self.do("send-keys", *keys)

    @property
    def text(self) -> str:
        return self.do("capture-pane", "-p")

    def see(self, pattern: str, limit: float, key: str = "") -> str:
        """Look until the screen matches. Meanwhile `key` is pressed, again after a while where it was ignored.

        Raises:
            RuntimeError: it does not within `limit` seconds.
        """
        end = time.monotonic() + limit
        due = 0.0
        while not re.search(pattern, text := self.text):
            if time.monotonic() > end:
                raise RuntimeError(f"no {pattern!r} on the screen within {limit:g} s:\n{text}")
            if key and time.monotonic() >= due:
                self.press(key)
                due = time.monotonic() + _AGAIN
            time.sleep(0.1)
        return text


def _stage(row: str) -> str:
    """The fourth cell of a row is a sign, the stage, and how far it is: `~ http-kernel 19%`."""
    return "".join(re.split(r" {2,}", row.strip())[3].split()[1:2])


def by_keys(inventory: Path, limit: float) -> dict[str, Any]:
    """Keys in a terminal: boot the node, watch its row until SSH answers, look at its timeline, leave."""
    tmux = Tmux(inventory.parent)
    tmux.start(sys.executable, "-m", "plasmatui", "-i", str(inventory))
    tmux.see(rf"(?s)link ok.*{NODE}", limit)
    tmux.see("Boot: 1 node", limit, "B")
    tmux.press("i")
    told: dict[str, Any] = {"plan": tmux.see(r"same as: plasmatui.*boot", limit)}
    tmux.see(r"\A(?!(?s:.*)Boot: 1 node)", limit, "y")
    stages: list[str] = []
    rows: list[str] = []
    end = time.monotonic() + limit
    while "ssh-ready" not in stages:
        row = _ROW.search(tmux.text)
        if row is not None and (not rows or rows[-1] != row[0]):
            rows.append(row[0])
            stages.append(_stage(row[0]))
        if time.monotonic() > end:
            raise RuntimeError(f"ssh-ready was not seen within {limit:g} s:\n{tmux.text}")
        time.sleep(0.1)
    told |= {"rows": rows, "stages": stages}
    tmux.press("Enter")
    told["boot"] = tmux.see(r"ssh-ready +\d\d:\d\d", limit, "]")
    tmux.see("Leave the screen", limit, "q")
    tmux.press("y")
    return told | {"timeline": ask(inventory, "timeline", NODE)}


STORIES: dict[str, Callable[[Path, float], dict[str, Any]]] = {"power": by_power, "boot": by_boot, "keys": by_keys}


def tell(story: str, work: Path, limit: float) -> None:
    """Let a story happen; its answers are in `story.json` then, with how the machine was switched on."""
    runtime = Path("/run/lab")
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    told = STORIES[story](work / "inventory.yaml", limit)
    told["events"] = (work / "bmc/events").read_text().splitlines()
    (work / "story.json").write_text(json.dumps(told))
