"""How commands end: exit codes, messages without tracebacks, streams, and what is imported on the way."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import plasmatui
from plasmatui.cli import main as command_line
from plasmatui.cli.main import run
from plasmatui.model import wire
from plasmatui.paths import crash_dir, make_private
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.program import command, environment


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nodes", "node99"), 2, "node99"),
        (("nodes", ""), 2, "@all"),
        (("nodes", "node[01"), 2, "node[01"),
        (("nodes", "node01!node01"), 2, "no node"),
        (("nodes", "@nowhere"), 2, "nowhere"),
        (("power", "on"), 2, "SET"),
        (("power", "on", "", "--yes"), 2, "node set"),
        (("power", "explode", "node01"), 2, "explode"),
        (("power", "on", "node01", "--parallel", "0"), 2, "parallel"),
        (("bootdev", "pxe"), 2, "SET"),
        (("identify", "node01", "--on", "--off", "--yes"), 2, "exclude"),
        (("console", "node[01-02]"), 2, "takes one"),
        (("console", "node01", "--read-only", "--steal"), 2, "--steal"),
        (("powr",), 2, "power"),
        (("ops", "show", "x"), 2, "x"),
    ],
)
def test_bad_input(cli: Cli, engine: FakeEngine, arguments: tuple[str, ...], code: int, says: str) -> None:
    outcome = cli(*arguments)
    assert outcome.code == code
    assert says in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert engine.asked(wire.StartOrder) == []


def test_node_set_syntax(cli: Cli, engine: FakeEngine) -> None:
    for expression, expected in [
        ("node[01-02]", ["node01", "node02"]),
        ("@worker!node04", ["node02", "node03"]),
        ("@tag:ssd", ["node01"]),
        ("node03,node01", ["node01", "node03"]),
    ]:
        assert list(cli("nodes", expression, "--json").json["nodes"]) == expected


@pytest.mark.parametrize(("problem", "code"), [("refused", 4), ("read-only", 4), ("busy", 1), ("unknown-node", 2)])
def test_problems_of_the_engine_become_exit_codes(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, problem: str, code: int
) -> None:
    monkeypatch.setattr(engine, "_reply", lambda *_: wire.Problem(problem, "because of the test"))
    outcome = cli("ops", "list")
    assert outcome.code == code
    assert outcome.err == "plasmatui: because of the test\n"


def test_text_of_the_engine_is_cleaned(cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_reply", lambda *_: wire.Problem("busy", "evil\x1b]52;c;AAAA\x07\x1b[?1049h text"))
    assert cli("ops", "list").err == "plasmatui: evil text\n"
    assert "\x1b" not in cli("nodes", "\x1b[?1049h").err


def test_notices_of_the_engine_are_said_once(cli: Cli, engine: FakeEngine) -> None:
    engine.notices = ("inventory.yaml:7:3: warning: node01: this is odd",)
    assert cli("power", "on", "node01", "--yes").err.count("this is odd") == 1


def test_engine_that_dies_while_a_command_waits(cli: Cli, engine: FakeEngine) -> None:
    import threading

    engine.silent = True
    killer = threading.Thread(target=lambda: (engine.wait_for(wire.Query), engine.drop_clients()))
    killer.start()
    outcome = cli("power", "status", "node01")
    killer.join()
    assert outcome.code == 5
    assert "next:" in outcome.err
    assert "Traceback" not in outcome.err


def test_engine_that_dies_during_an_operation_names_the_operation(cli: Cli, engine: FakeEngine) -> None:
    import threading

    engine.hold = True
    killer = threading.Thread(target=lambda: (engine.wait_for(wire.StartOrder), engine.drop_clients()))
    killer.start()
    outcome = cli("power", "on", "node01", "--yes")
    killer.join()
    assert outcome.code == 5


def test_wrong_inventory_is_named_with_every_error(cli: Cli, inventory: Path) -> None:
    inventory.write_text("version: 2\ncluster: {name: lab}\nnodes: {a: {bmcx: 1}}\n")
    for arguments in (("check",), ("nodes",)):
        outcome = cli(*arguments)
        said = outcome.out + outcome.err
        assert outcome.code == 2
        assert f"{inventory}:1:10:" in said
        assert f"{inventory}:3:13:" in said


def test_check(cli: Cli, inventory: Path) -> None:
    inventory.write_text("version: 1\ncluster: {name: lab}\nnodes: {node01: {bmc: 10.0.0.1}}\n")
    outcome = cli("check")
    assert outcome.code == 0
    assert "[ok] " in outcome.out
    value = cli("check", "--json").json
    assert (value["schema"], value["ok"], value["counts"]["nodes"]) == (1, True, 1)
    inventory.write_text("version: [\n")
    outcome = cli("check", "--json")
    assert outcome.code == 2
    assert outcome.json["errors"][0]["line"] >= 1


def test_places_where_an_inventory_was_looked_for(
    private_directories: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(private_directories)
    monkeypatch.setattr("plasmatui.cli.settings.SYSTEM_INVENTORY", private_directories / "etc.yaml")
    assert run(["nodes"]) == 2
    said = capfd.readouterr().err
    for place in ("inventory.yaml", "config/plasmatui/inventory.yaml", "etc.yaml"):
        assert str(private_directories / place) in said
    monkeypatch.setenv("PLASMATUI_INVENTORY", "/nowhere/at/all.yaml")
    assert run(["nodes"]) == 2
    assert "$PLASMATUI_INVENTORY" in capfd.readouterr().err


def test_inventory_is_found_in_order(
    private_directories: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from plasmatui.cli.settings import find_inventory

    monkeypatch.chdir(private_directories)
    user = private_directories / "config/plasmatui/inventory.yaml"
    user.parent.mkdir(parents=True)
    user.touch()
    assert find_inventory(None) == user.resolve()
    here = private_directories / "inventory.yaml"
    here.touch()
    assert find_inventory(None) == here.resolve()
    named = private_directories / "named.yaml"
    named.touch()
    monkeypatch.setenv("PLASMATUI_INVENTORY", str(named))
    assert find_inventory(None) == named.resolve()
    assert find_inventory(here) == here.resolve()


def test_sim_and_inventory_exclude_each_other(cli: Cli) -> None:
    assert cli("--sim", "nodes").code == 2


def test_screen_needs_a_terminal(cli: Cli) -> None:
    outcome = cli()
    assert outcome.code == 2
    assert "plasmatui nodes" in outcome.err


def test_unexpected_error_leaves_a_private_redacted_file(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        password = "hunter2"
        raise RuntimeError(f"the password is {password}")

    monkeypatch.setattr("plasmatui.cli.nodes.pick", explode)
    outcome = cli("nodes")
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 2
    (file,) = crash_dir().iterdir()
    assert str(file) in outcome.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert "RuntimeError" in text
    assert "in explode" in text
    assert "hunter2" not in text + outcome.err


def test_a_crash_file_leaves_private_directories(tmp_path: Path) -> None:
    """Those above it too: the engine refuses to use a state directory that others can look into."""
    previous = os.umask(0o022)
    try:
        made = make_private(tmp_path / "state" / "plasmatui" / "crash")
    finally:
        os.umask(previous)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (made, made.parent, made.parent.parent)] == [0o700] * 3


def test_help_lists_every_command(cli: Cli) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    for name in command_line._COMMANDS:
        assert f"\n  {name} " in outcome.out
    for name in command_line._COMMANDS:
        assert cli(name, "--help").code == 0


def test_broken_pipe_is_quiet(engine: FakeEngine, inventory: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("-i", str(inventory), "nodes"), stdout=writer, stderr=subprocess.PIPE, env=environment(), timeout=30
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


def test_full_disk_is_said(engine: FakeEngine, inventory: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("-i", str(inventory), "nodes"), stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"plasmatui: the output cannot be written: No space left on device\n"


def test_interrupt_while_following(engine: FakeEngine, inventory: Path) -> None:
    engine.hold = True
    process = subprocess.Popen(
        command("-i", str(inventory), "power", "on", "node01", "--yes"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    engine.wait_for(wire.StartOrder)
    # The reply is on its way; the interrupt may come before or after it is read, and both must be said truly.
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"operation 1 goes on" in err or b"plasmatui ops list" in err
    assert out == b""
    assert not engine.operations[1].state.ended


HEAVY = ("textual", "rich", "asyncssh", "httpx", "pyghmi", "cryptography", "ruamel", "yaml", "ClusterShell")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["explain", "sol-in-use"]])
def test_light_commands_import_nothing_heavy(arguments: list[str], private_directories: Path) -> None:
    program = (
        "import sys, json\n"
        "from plasmatui.cli.main import run\n"
        f"code = run({arguments!r})\n"
        f"print(json.dumps([code, [m for m in {HEAVY!r} if m in sys.modules]]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment(), timeout=30, check=True
    )
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert loaded == []


def test_version_imports_nothing_of_ours_but_the_command_line(private_directories: Path) -> None:
    program = (
        "import sys\n"
        "from plasmatui.cli.main import run\n"
        "run(['--version'])\n"
        "print(' '.join(m for m in sys.modules if m in ('asyncio', 'msgspec', 'plasmatui.client')), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment(), timeout=30, check=True
    )
    assert done.stdout.decode().strip() == f"plasmatui {plasmatui.__version__}"
    assert done.stderr.strip() == b""
