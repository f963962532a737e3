"""The manual names every command and option, and no other; the examples in the documents are understood."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from plasmatui.cli.main import cli, run
from plasmatui.cli.troubleshooting import SECTIONS
from plasmatui.model.findings import FAILURES, FINDINGS
from plasmatui.model.signs import SIGNS

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "docs/cli.md").read_text()
EXAMPLES = re.compile(r"(?m)^    plasmatui (.*?)(?:   .*|>.*)?$")
INLINE = re.compile(r"`plasmatui ([^`]*)`")


def commands(group: click.Command = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, f"{path} {name}".strip())


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=lambda value: str(value) if value else "plasmatui")
def test_manual_names_every_command_and_option(path: str, command: click.Command) -> None:
    for word in path.split():
        assert re.search(rf"\b{re.escape(word)}\b", MANUAL)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", MANUAL), f"{path} {option}"


def test_operators_manual_explains_every_finding() -> None:
    """Each stands in one section of the page, which another test holds against the catalogue, with how it is seen."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    assert [name for name in (*FINDINGS, *FAILURES) if text.count(f"\n### {name}\n") != 1] == []
    placed = [id_ for _, ids in SECTIONS.values() for id_ in ids]
    assert sorted(placed) == sorted(SIGNS) == sorted((*FINDINGS, *FAILURES))
    assert [
        id_ for id_, sign in SIGNS.items() if len(sign.seen) < 20 or not all(sign.example) or not sign.example
    ] == []


DESIGNED = """
no-dhcp-answer no-boot-filename wrong-arch-loader pool-exhausted unknown-mac rogue-dhcp tftp-unreachable
tftp-file-missing tftp-slow http-unreachable boot-script-missing boot-script-error ipxe-loop ipxe-unsupported
kernel-missing kernel-not-executable initrd-missing initrd-truncated kernel-panic kernel-panic-rootfs out-of-memory
emergency-shell secure-boot-refused installer-no-network ssh-refused ssh-hostkey-changed disko-device-missing
disko-device-busy install-no-space install-flake-missing install-copy-failed bootloader-failed rebooted-to-network
install-loop first-boot-timeout join-refused certificate-expired certificate-untrusted quorum-lost quorum-at-risk
bmc-unreachable bmc-auth bmc-session-limit sol-in-use console-silent override-reverted stalled clock-skew
generation-drift disk-order-differs
"""


@pytest.mark.parametrize("name", [*DESIGNED.split(), *FAILURES])
def test_every_finding_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", name]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^cause: +\S.*\.$", told, re.M)
    assert re.search(r"^remedy: +\S.*\.$", told, re.M)
    assert re.search(rf"^page: +docs/troubleshooting.md#{name}$", told, re.M)


@pytest.mark.parametrize("name", [*FINDINGS, *FAILURES])
def test_remedies_name_commands_that_there_are(name: str) -> None:
    there = {path for path, _ in commands() if path}
    for example in INLINE.findall((FINDINGS | FAILURES)[name].remedy):
        words = example.split()
        assert words[0] in there, example
        assert words[0] != "ops" or " ".join(words[:2]) in there, example


def test_every_error_of_operations_is_explained() -> None:
    """Every id with which a step may fail, where it is written down."""
    ids: set[str] = set()
    for room in ("operations", "nix", "remote", "cluster"):
        for path in (ROOT / "plasmatui" / room).glob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                name = getattr(getattr(call, "func", None), "id", "")
                if (
                    isinstance(call, ast.Call)
                    and name in ("NodeFailedError", "CommandError", "ConnectError")
                    and call.args
                ):
                    given = call.args[0]
                    ids |= {given.value} if isinstance(given, ast.Constant) else set()
    assert "not-an-installer" in ids
    inside = {"job-exists", "job-missing"}  # between the rooms; no step fails with them
    assert sorted(ids - {*FINDINGS, *FAILURES} - inside) == []


@pytest.mark.parametrize(
    "name",
    ["README.md", "docs/cli.md", "docs/operations.md", "docs/provisioning.md", "docs/updates.md", "docs/backup.md"],
)
def test_examples_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example's command and options exist. Lines with words in capitals or brackets stand for something."""
    for _, command in commands():
        if not isinstance(command, click.Group):
            monkeypatch.setattr(command, "callback", lambda *_, **__: 0)
    monkeypatch.setattr("plasmatui.cli.screen.open_screen", lambda _: 0)
    text = (ROOT / name).read_text()
    examples = [*EXAMPLES.findall(text), *INLINE.findall(text)]
    examples = [line for line in examples if " " in line and not re.search(r"[A-Z]{3,}| \[-|\.\.\.|\|", line)]
    assert len(examples) > 2
    assert {line: run(shlex.split(re.split(r" <| {2,}", line)[0])) for line in examples} == dict.fromkeys(examples, 0)
