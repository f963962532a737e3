"""What an installation brings along: built here, without the network, and looked into."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(out)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return out


def sources() -> set[str]:
    """Files of the package that git would keep: no caches."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "plasmatui").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_all_that_runs_and_nothing_of_the_tests(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(next(wheel.read(n).decode() for n in names if n.endswith("/METADATA")))
        scripts = next(wheel.read(n).decode() for n in names if n.endswith("/entry_points.txt"))
    assert sources() - names == set()
    for directory in ("themes", "docs"):
        there = {
            f"plasmatui/{path.relative_to(ROOT)}" for path in (ROOT / directory).glob("*.*") if path.suffix != ".py"
        }
        assert there - names == set()
    assert any(name.endswith(".data/data/share/man/man1/plasmatui.1") for name in names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "plasmatui/tests"))]
    assert "plasmatui = plasmatui.__main__:main" in scripts
    assert (metadata["Name"], metadata["Version"]) == ("plasmatui", PROJECT["version"])
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", PROJECT["requires-python"])
    assert str(metadata.get_payload()).startswith("# plasmatui")


def test_the_source_archive_can_be_built_tested_and_read(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "constraints.txt",
        "inventory.yaml",
        "tests/run",
        "tests/conftest.py",
    }
    assert (wanted | sources()) - names == set()
    assert {f"themes/{path.name}" for path in (ROOT / "themes").glob("*.yaml")} - names == set()
    assert not [name for name in names if ".venv" in name or "__pycache__" in name]


def test_the_version_is_one() -> None:
    import plasmatui

    assert plasmatui.__version__ == PROJECT["version"]
