"""The program on a terminal before there is an inventory, with a wrong one, and with a starter that it wrote itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.site import ROOT, Screen

pytestmark = pytest.mark.pty


def test_first_run(private_directories: Path) -> None:
    """No inventory: said on the screen; one is written there, broken by hand, seen with its place, left alone again."""
    home = private_directories / "home"
    home.mkdir()
    command = ["env", "-C", str(home), "-u", "PLASMATUI_INVENTORY", sys.executable, "-m", "plasmatui"]
    environment = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    with Screen(command, rows=24, columns=80, environment=environment) as screen:
        screen.see("no rack to show yet")
        screen.see("Write a first inventory")
        screen.send(b"w")
        screen.see("A first inventory was written")
        path = Path(os.environ["XDG_CONFIG_HOME"]) / "plasmatui" / "inventory.yaml"
        path.write_text(path.read_text().replace("driver: ipmi", "drivr: ipmi", 1))
        screen.send(b"r")
        screen.see("the inventory has an error")
        screen.see(r"13 \|   drivr: ipmi")
        screen.send(b"q")
        assert screen.wait(40) == 2
        screen.see("next: correct it")
