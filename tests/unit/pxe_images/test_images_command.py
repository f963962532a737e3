"""`plasmatui images`, as a person uses it, with a stand-in of nix."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmatui.cli.main import run
from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.words import Stage
from plasmatui.pxe.assets import Activation
from plasmatui.pxe.booted import booted_version
from plasmatui.sim import toyflake
from plasmatui.sim.tools import site
from tests.support.images import write_image

LIMIT = 30.0

INVENTORY = """\
version: 1
cluster: {{name: lab}}
networks:
  provisioning: {{cidr: 10.0.100.0/24}}
policy: {{bandwidth: 1Gbit}}
pxe: {{server: 10.0.100.10, interface: eth0, assets: {root}/www}}
flake: {root}/flake
tools: {root}/tools/bin
bmc_defaults: {{username: admin, password: {{env: BMC}}}}
nodes:
  node[01-02]: {{bmc: 10.0.10.51+, profile: worker}}
"""


@dataclass
class Place:
    """A host with a flake, a stand-in of nix and an HTTP root."""

    root: Path
    capture: pytest.CaptureFixture[str]

    @property
    def inventory(self) -> str:
        return str(self.root / "inventory.yaml")

    def images(self, *arguments: str) -> int:
        return run(["-i", self.inventory, "images", *arguments])

    def told(self, *arguments: str, code: int = 0) -> Any:
        """What a command says as JSON."""
        self.capture.readouterr()
        assert self.images(*arguments, "--json") == code
        return json.loads(self.capture.readouterr().out)

    def edit(self, change: Callable[[toyflake.Flake], None]) -> None:
        flake = toyflake.load(self.root / "flake")
        change(flake)
        toyflake.save(self.root / "flake", flake)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    for variable in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        directory = tmp_path / variable.lower()
        directory.mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(directory))
    (tmp_path / "tools").mkdir()
    site.create(tmp_path / "tools", 1000)
    nodes = {"node01": toyflake.NodeConfiguration("worker"), "node02": toyflake.NodeConfiguration("control-plane")}
    toyflake.create(tmp_path / "flake", nodes)
    (tmp_path / "inventory.yaml").write_text(INVENTORY.format(root=tmp_path))
    return Place(tmp_path, capsys)


def test_build_deploy_and_roll_back(place: Place) -> None:
    built = place.told("build")["builds"]
    assert {name: each["ok"] for name, each in built.items()} == {"control-plane": True, "worker": True}
    init = built["worker"]["image"]["init"]
    assert init.startswith("/nix/store/")
    assert "*" not in init
    log = Path(built["worker"]["log"]).read_text()
    assert "building '/nix/store/" in log
    assert "installing" in log  # what a builder says
    first = {each["profile"]: each["version"] for each in place.told("deploy")["deployed"]}
    assert place.images("build", "worker") == 0
    assert "initrd 2.0 MB, as the active version" in place.capture.readouterr().out
    place.edit(lambda flake: setattr(flake, "version", "26.05.1.abc"))
    again = place.told("build", "worker")["builds"]["worker"]
    assert again["active"]["version"] == first["worker"]
    assert again["image"]["init"] != init
    second = place.told("deploy", "worker")["deployed"][0]
    assert second["before"] == first["worker"]
    versions = place.told("list", "--plan", "64")["versions"]
    assert [(each["version"], each["active"]) for each in versions] == [
        (first["control-plane"], True),
        (second["version"], True),
        (first["worker"], False),
    ]
    assert versions[0]["plan"]["seconds"] == 64 * versions[0]["size"] * 8 / 1e9
    assert versions[0]["booted_by"] is None  # no engine runs, and none is started
    assert place.told("rollback", "worker") == {
        "schema": 1, "profile": "worker", "before": second["version"], "active": first["worker"]
    }  # fmt: skip
    assert place.told("activate", second["version"])["active"] == second["version"]
    assert all(image["bootable"] for image in place.told("verify")["images"].values())


def test_a_build_that_fails_does_not_keep_the_next_from_being_built(place: Place) -> None:
    place.edit(lambda flake: setattr(flake, "broken_images", ("netboot-control-plane",)))
    built = place.told("build", code=3)["builds"]
    assert built["control-plane"]["error"]["id"] == "build-failed"
    assert built["control-plane"]["evidence"]
    assert "assertion" in Path(built["control-plane"]["log"]).read_text()
    assert built["worker"]["ok"]
    assert [each["profile"] for each in place.told("deploy")["deployed"]] == ["worker"]


def test_an_image_that_the_flake_lacks_is_refused_with_those_that_it_has(place: Place) -> None:
    assert place.images("build", "wroker") == 2
    err = place.capture.readouterr().err
    assert "has no image of 'wroker'" in err
    assert "control-plane, worker" in err


def test_without_nix_it_is_said_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.root / "tools/bin/nix").unlink()
    monkeypatch.setenv("PATH", str(place.root))
    assert place.images("build") == 1
    assert "install Nix" in place.capture.readouterr().err


def test_ctrl_c_ends_nix(place: Place) -> None:
    site.create(place.root / "tools", 0.01)
    code = "import sys; from plasmatui.cli.main import run; sys.exit(run(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", code, "-i", place.inventory, "images", "build", "worker", "-o", str(place.root / "out")],
        env={**os.environ, "PYTHONPATH": str(Path(toyflake.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        until(lambda: bool(nix_processes(place.root)) or process.poll() is not None)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert not nix_processes(place.root)
    assert not (place.root / "out/worker/netboot.ipxe").exists()


def nix_processes(root: Path) -> list[str]:
    """Processes of the stand-ins of a place."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().decode(errors="replace")
            if "plasmatui.sim.tools" in line and str(root) in line:
                found.append(line)
    return found


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_directory_of_somebodys_own_can_be_deployed_and_damage_is_refused(place: Place) -> None:
    source = write_image(place.root / "mine")
    assert place.told("deploy", "--profile", "rescue", str(source))["deployed"][0]["profile"] == "rescue"
    (source / "initrd").write_bytes((source / "initrd").read_bytes()[:-9])
    assert place.images("verify", str(source)) == 1
    assert "cut off" in place.capture.readouterr().out
    assert place.images("deploy", "--profile", "rescue", str(source)) == 4
    assert "nothing was changed" in place.capture.readouterr().err


@pytest.mark.parametrize("arguments", [("deploy", "x"), ("activate", "x"), ("rollback", "worker")])
def test_read_only_changes_nothing(place: Place, arguments: tuple[str, ...]) -> None:
    assert run(["--read-only", "-i", place.inventory, "images", *arguments]) == 4
    assert not (place.root / "www").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("activate", "worker.20270115T080000Z-0123abcd"), 1, "there is no version"),
        (("rollback", "worker"), 1, "no version was active before"),
        (("rollback", "../x"), 1, "expected letters"),
        (("deploy", "worker"), 2, "no image in"),
        (("deploy",), 2, "nothing is built"),
        (("verify", "/nowhere/at-all"), 2, "is no directory"),
        (("list", "--plan", "0"), 2, "--plan"),
    ],
)
def test_wrong_words_are_told(place: Place, arguments: tuple[str, ...], code: int, words: str) -> None:
    (place.root / "www").mkdir()
    assert place.images(*arguments) == code
    assert words in place.capture.readouterr().err


def test_a_damaged_manifest_is_listed_with_its_damage(place: Place) -> None:
    assert place.images("deploy", "--profile", "worker", str(write_image(place.root / "mine"))) == 0
    version = place.told("list")["versions"][0]
    (Path(version["directory"]) / "manifest.json").write_text("{\x1b]0;x\x07")
    assert place.images("list") == 0
    out = place.capture.readouterr().out
    assert "damaged" in out
    assert "\x1b" not in out
    assert place.told("list")["versions"][0]["problem"]
    assert place.images("verify") == 1


VERSION = "worker.20270115T080000Z-0123abcd"


def boot(*texts: str, begin: float | None = 50.0, stage: Stage = Stage.HTTP_KERNEL) -> BootTimeline:
    evidence = tuple(Evidence("access.log", 1, text) for text in texts)
    return BootTimeline("node01", 1, begin, None, "running", (StageSpan(stage, begin, None, "done", evidence),))


def test_which_version_a_node_booted_is_read_from_its_timeline() -> None:
    history = (Activation("worker", "w1", 10.0), Activation("worker", "w2", 60.0))
    named = boot(f'10.0.100.50 "GET /boot/versions/{VERSION}/bzImage HTTP/1.1" 200')
    unnamed = boot('10.0.100.50 "GET /boot/nixos/worker/bzImage HTTP/1.1" 200')
    disk = boot("systemd-boot", stage=Stage.DISK_BOOT)
    assert booted_version([named], ()) == VERSION
    assert booted_version([disk, named], ()) == VERSION
    assert booted_version([unnamed], history) == "w1"
    assert booted_version([unnamed], ()) is None
    timeless = msgspec.structs.replace(unnamed, stages=boot("GET /boot/nixos/worker/bzImage", begin=None).stages)
    assert booted_version([timeless, named], history) is None
    assert booted_version([disk], history) is None
