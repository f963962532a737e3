"""What tab completes: nodes and groups of the inventory that the line names; and bash, which cuts words at @ and :."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from plasmatui.cli.main import cli
from tests.unit.cli.program import environment

INVENTORY = """\
version: 1
cluster: {name: lab}
nodes:
  node[01-03]: {bmc: 192.0.2.11+, rack: r1}
  spare1: {bmc: 192.0.2.21, rack: r2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(INVENTORY)
    return path


def completed(*words: str) -> list[str]:
    *before, last = words
    found = ShellComplete(cli, {}, "plasmatui", "_PLASMATUI_COMPLETE").get_completions(list(before), last)
    return [item.value for item in found]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("power", "on", "node0"), ["node01", "node02", "node03"]),
        (("drain", "@rack"), ["@rack:r1", "@rack:r2"]),
        (("drain", "node01,s"), ["node01,spare1"]),
        (("drain", "@all!@rack:r2"), ["@all!@rack:r2"]),
        (("console", "@a"), []),
        (("console", "sp"), ["spare1"]),
        (("logs", "d"), ["dhcp"]),
        (("logs", "dhcp", "spare"), ["spare1"]),
        (("explain", "kernel-m"), ["kernel-missing"]),
    ],
)
def test_nodes_and_groups_of_the_inventory(file: Path, words: tuple[str, ...], wanted: list[str]) -> None:
    assert completed("-i", str(file), *words) == wanted


def test_every_argument_that_means_nodes_completes_them(file: Path) -> None:
    def arguments(command: click.Command, path: tuple[str, ...] = ()) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                child = command.get_command(click.Context(command), name)
                assert child is not None
                arguments(child, (*path, name))
        for parameter in command.params:
            if isinstance(parameter, click.Argument) and parameter.name in ("node", "node_set"):
                context = click.Context(cli)
                context.params["inventory"] = file
                found = [item.value for item in parameter.shell_complete(context, "spare")]
                assert found == ["spare1"], path

    arguments(cli)


@pytest.mark.parametrize(
    "content", [None, "nodes: [", "version: 1\ncluster: {name: lab}\nnodes: {a: {bcm: 192.0.2.1}}\n"]
)
def test_what_cannot_be_read_completes_nothing(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "inventory.yaml"
    if content is not None:
        path.write_text(content)
    assert completed("-i", str(path), "drain", "") == []
    assert completed("--sim", "drain", "node") == []


@pytest.mark.parametrize(
    ("line", "cur", "wanted"),
    [
        ("plasmatui -i FILE drain @rack:r", "r", ["r1", "r2"]),
        ("plasmatui -i FILE drain node01,@rack:r1,sp", "sp", ["spare1"]),
        ("plasmatui -i FILE power on ", "", ["node01", "node02", "node03", "spare1", "@all"]),
    ],
)
def test_bash_gets_what_stands_behind_its_last_cut(
    tmp_path: Path, file: Path, line: str, cur: str, wanted: list[str]
) -> None:
    program = tmp_path / "plasmatui"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m plasmatui "$@"\n')
    program.chmod(0o755)
    typed = line.replace("FILE", str(file))
    script = 'eval "$("$1" completions bash)"; COMP_LINE=$2 COMP_POINT=${#2}; _plasmatui_completion "$1" "$3"'
    ran = subprocess.run(
        ["bash", "--norc", "-c", f'{script}; printf "%s\\n" "${{COMPREPLY[@]}}"', "bash", str(program), typed, cur],
        env=environment(), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert ran.stdout.split()[: len(wanted)] == wanted
