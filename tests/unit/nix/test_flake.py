"""Questions to the flake and their answers; finding the tools."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.inventory.inventory import InventoryError
from plasmatui.inventory.loader import load
from plasmatui.model.command import CommandError
from plasmatui.nix import flake
from plasmatui.nix.flake import Built, DiskoDevice, Metadata
from plasmatui.nix.tools import OutputError, find_tool, parse_version, tool_path
from tests.unit.nix import recorded

HASH = "0" * 32
SYSTEM = f"/nix/store/{HASH}-nixos-system-node01-25.11"
SCRIPT = f"/nix/store/{HASH}-disko"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "i.yaml"
    path.write_text(f"version: 1\ncluster: {{name: c}}\nnodes: {{}}\n{text}")
    return path


def test_vectors() -> None:
    assert flake.build_argv("nix", "/f", "node01")[3:] == (
        *("build", "--json", "--no-link", "--log-format", "internal-json"),
        '/f#nixosConfigurations."node01".config.system.build.toplevel',
        '/f#nixosConfigurations."node01".config.system.build.diskoScript',
    )
    assert flake.build_argv("nix", "/f", "node01", wipe=False)[-1].endswith(".mountScript")
    assert flake.names_argv("nix", "/f")[-3:] == ("/f#nixosConfigurations", "--apply", "builtins.attrNames")
    with pytest.raises(ValueError, match="host name"):
        flake.exists_argv("nix", "/f", 'x".y')
    with pytest.raises(ValueError, match="expected user@address"):
        flake.copy_argv("nix", [SYSTEM], "-oProxyCommand=x")


def test_recorded_answers() -> None:
    for version in ("2.26.3", "2.34.8"):
        found = flake.parse_metadata(recorded.nix_stdout(version, "metadata --json"))
        assert found.modified > 1_700_000_000
        assert found.path.startswith("/nix/store/")
        assert not found.dirty


@pytest.mark.parametrize("order", [[SYSTEM, SCRIPT], [SCRIPT, SYSTEM]])
def test_what_was_built_is_told_apart_by_name(order: list[str]) -> None:
    output = "[" + ",".join(f'{{"drvPath":"/d","outputs":{{"out":"{path}"}}}}' for path in order) + "]"
    assert flake.parse_built(output.encode()) == Built(SYSTEM, SCRIPT)


def test_what_cannot_be_told_apart_is_refused() -> None:
    entry = f'{{"drvPath":"/d","outputs":{{"out":"{SCRIPT}"}}}}'
    for output in (f"[{entry},{entry}]", "[]", "{}", "", "nonsense"):
        with pytest.raises(OutputError):
            flake.parse_built(output.encode())


def test_metadata_and_devices() -> None:
    assert flake.parse_metadata(b'{"dirtyRevision":"abc-dirty","lastModified":5}') == Metadata("abc", True, 5)
    assert flake.parse_metadata(b'{"revision":"abc","path":"/nix/store/x"}') == Metadata("abc", path="/nix/store/x")
    assert flake.parse_devices(b'{"b":{"device":"/dev/b","destroy":false},"a":{"device":"/dev/a"}}') == (
        DiskoDevice("a", "/dev/a"), DiskoDevice("b", "/dev/b", False),
    )  # fmt: skip
    assert flake.parse_names(b'["node01","node02"]') == ("node01", "node02")


@given(st.binary(max_size=200) | st.sampled_from([b"[1]", b"null", b'{"a":1}', b'[{"outputs":null}]']))
def test_anything_else_is_an_output_error(data: bytes) -> None:
    for parse in (
        flake.parse_names,
        flake.parse_toplevel,
        flake.parse_built,
        flake.parse_devices,
        flake.parse_metadata,
    ):
        with contextlib.suppress(OutputError):
            parse(data)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("nix (Nix) 2.34.8", (2, 34, 8)),
        ("nix (Nix) 2.26.3pre2025", (2, 26, 3)),
        ("nix (Determinate Nix 3.1.0) 2.28.1", (2, 28, 1)),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_no_version() -> None:
    with pytest.raises(OutputError, match="expected a version, found what"):
        parse_version("what")


def test_the_inventory_names_where_tools_are(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "bin").mkdir()
    for place in ("tools", "bin"):
        (tmp_path / place / "nix").write_text("")
        (tmp_path / place / "nix").chmod(0o755)
    environ = {"PATH": str(tmp_path / "bin")}
    inventory = load(write(tmp_path, "tools: tools\n"))
    assert find_tool("nix", inventory, environ) == tmp_path / "tools/nix"
    assert tool_path(inventory, environ) == f"{tmp_path}/tools:{tmp_path}/bin"
    assert find_tool("nix", load(write(tmp_path, "")), environ) == tmp_path / "bin/nix"
    with pytest.raises(CommandError, match=r"neither in .*tools nor in PATH .*nixpkgs#nixos-anywhere"):
        find_tool("nixos-anywhere", inventory, environ)


@pytest.mark.parametrize(
    ("given", "reference", "directory"),
    [
        ("/srv/f", "/srv/f", "/srv/f"),
        ("/srv/f#x", "/srv/f", "/srv/f"),
        ("./f", "HERE/f", "HERE/f"),
        ("path:/srv/f", "path:/srv/f", "/srv/f"),
        ("git+file:///srv/f?ref=main", "git+file:///srv/f?ref=main", "/srv/f"),
        ("github:owner/repo", "github:owner/repo", None),
        ("nixpkgs", "nixpkgs", None),
    ],
)
def test_references(tmp_path: Path, given: str, reference: str, directory: str | None) -> None:
    inventory = load(write(tmp_path, f"flake: {given!r}\n"))
    here = str(tmp_path.resolve())
    assert flake.reference(inventory) == reference.replace("HERE", here)
    found = None if directory is None else Path(directory.replace("HERE", here))
    assert inventory.flake_directory == found


def test_secrets_do_not_lie_in_the_flake(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r":5:10: error: secrets: found .*f/secrets, which lies in the flake"):
        load(write(tmp_path, "flake: ./f\nsecrets: f/secrets\n"))
    (tmp_path / "link").symlink_to("f")
    (tmp_path / "f").mkdir()
    with pytest.raises(InventoryError):
        load(write(tmp_path, "flake: ./f\nsecrets: link/secrets\n"))
    assert load(write(tmp_path, "flake: ./f\nsecrets: secrets\n")).secrets == str(tmp_path / "secrets")
