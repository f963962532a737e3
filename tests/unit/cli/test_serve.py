"""`plasmatui serve` and what stands below it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.program import command, environment

MAC = "52:54:00:12:34:56"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A bootcfg directory with one good and one damaged file."""
    data = tmp_path / "data"
    (data / "boot" / "mac").mkdir(parents=True)
    (data / "boot" / "default").write_text(
        json.dumps({"kernel": "/images/k", "initrd": ["/images/gone", "http://x/i"]})
    )
    (data / "boot" / "mac" / MAC).write_text('{\n"kernel": \x1b[31m}')
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "k").write_text("kernel")
    return tmp_path


def paths(store: Path) -> tuple[str, ...]:
    return "--data-path", str(store / "data"), "--images-path", str(store / "images")


def test_explain_tells_rule_files_script_and_problems(cli: Cli, store: Path) -> None:
    outcome = cli("serve", "explain", "--mac", "52-54-00-12-34-57", "--uuid", "u", "os=x", *paths(store))
    assert outcome.code == 0
    assert outcome.out.splitlines()[:4] == [
        "source: bootcfg",
        "  1. boot/uuid/u: not there",
        "  2. boot/mac/52:54:00:12:34:57: not there",
        "  3. boot/default: is there, chosen",
    ]
    assert "/images/k: 6 bytes" in outcome.out
    assert "/images/gone: is not served: No such file or directory" in outcome.out
    assert "http://x/i: not one of our files" in outcome.out
    assert "/ipxe answers by boot/default:\n\n#!ipxe\nkernel /images/k\ninitrd /images/gone\n" in outcome.out
    assert outcome.err == f"boot/mac/{MAC}:2: error: no JSON: Expecting value (column 11)\n"


def test_explain_of_a_machine_that_gets_nothing(cli: Cli, store: Path) -> None:
    outcome = cli("serve", *paths(store), "explain", "--mac", MAC, "--json")
    assert outcome.code == 1
    assert (outcome.json["script"], outcome.json["rule"], outcome.json["source"]) == (
        None,
        f"boot/mac/{MAC}",
        "bootcfg",
    )
    assert outcome.json["problems"] == [
        {
            "file": f"boot/mac/{MAC}",
            "line": 2,
            "message": "no JSON: Expecting value (column 11)",
            "severity": "error",
            "kept": False,
        }
    ]
    assert "/ipxe answers 404" in cli("serve", *paths(store), "explain", "--mac", MAC).out


def test_explain_from_the_inventory(cli: Cli, inventory: Path) -> None:
    inventory.write_text(
        "version: 1\ncluster: {name: lab}\npxe: {assets: " + str(inventory.parent / "none") + "}\n"
        f"profiles: {{worker: {{}}}}\nnodes: {{node01: {{profile: worker, mac: '{MAC}'}}}}\n"
    )
    outcome = cli("serve", "explain", "--mac", MAC)
    assert outcome.code == 0
    assert f"1. {MAC} is a MAC of node node01" in outcome.out
    assert "kernel /boot/nixos/worker/bzImage initrd=initrd plasma.profile=worker plasma.hostname=node01" in outcome.out
    assert "bzImage: warning: is missing" in outcome.err
    assert cli("serve", "explain", "--mac", "52:54:00:00:00:01").code == 1
    assert "names no MAC" in cli("serve", "explain").out
    assert cli("serve", "installed", "node01").out == f"{MAC}: installed\n"
    assert "is installed since" in cli("serve", "explain", "--mac", MAC).out


def test_states_are_said_and_listed(cli: Cli, store: Path) -> None:
    data = ("--data-path", str(store / "data"))
    assert cli("serve", "installed", *data, MAC.upper(), "52:54:00:00:00:01").out == (
        f"{MAC}: installed\n52:54:00:00:00:01: installed\n"
    )
    assert cli("serve", "installed", *data, MAC).out == f"{MAC}: installed already\n"
    assert cli("serve", "pending", *data, MAC).out == f"{MAC}: pending\n"
    machines = cli("serve", "states", *data, "--json").json["machines"]
    assert {mac: each["state"] for mac, each in machines.items()} == {MAC: "pending", "52:54:00:00:00:01": "installed"}
    assert re.search(rf"^{MAC}  pending ", cli("serve", "states", *data).out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--address", "nonsense"), "expected HOST:PORT"),
        (("--address", "127.0.0.1:x"), "expected HOST:PORT"),
        (("--address", "127.0.0.1:99999"), "expected HOST:PORT"),
        (("explain", "label"), "expected LABEL=VALUE"),
        (("explain", "=value"), "expected LABEL=VALUE"),
        (("installed", "node01"), "is no MAC"),
    ],
)
def test_wrong_usage(cli: Cli, store: Path, arguments: tuple[str, ...], words: str) -> None:
    outcome = cli("serve", *paths(store), *arguments)
    assert outcome.code == 2
    assert words in outcome.err


def test_missing_directories_are_refused(cli: Cli, store: Path) -> None:
    outcome = cli("serve", "--data-path", str(store / "no"))
    assert (outcome.code, "No such file or directory" in outcome.err) == (2, True)
    outcome = cli("serve", "--data-path", str(store / "data"), "--images-path", str(store / "no"))
    assert (outcome.code, "No such file or directory" in outcome.err) == (2, True)


def test_an_address_that_is_taken_is_said(cli: Cli, store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = cli("serve", *paths(store), "--address", f"127.0.0.1:{port}")
    assert outcome.code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in outcome.err
    assert "next: name another address" in outcome.err


def test_the_program_serves_until_it_is_told_to_end(store: Path) -> None:
    arguments = ("serve", "--address", "127.0.0.1:0", "--assets-path", str(store / "images"))
    variables = {**environment(), "BOOTCFG_DATA_PATH": str(store / "data")}
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        told = [process.stderr.readline() for _ in range(3)]
        assert f"boot/mac/{MAC}:2: error: no JSON" in told[0]
        assert told[1] == "plasmatui serve: bootcfg: 2 rules, 1 problems\n"
        url = re.search(r"http://127\.0\.0\.1:\d+/", told[2])
        assert url is not None
        with urllib.request.urlopen(url[0] + "assets/k") as answer:
            assert answer.read() == b"kernel"
        assert '"GET /assets/k HTTP/1.1" 200 6 "-" "Python-urllib' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
