"""The stand-ins of `nix` and `nixos-rebuild`: what the product makes of their output, and what they do to machines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plasmatui.nix import flake as questions
from plasmatui.nix import generations
from plasmatui.nix.jsonlog import BuildLog
from plasmatui.nix.tools import parse_version
from plasmatui.sim import toyflake
from plasmatui.sim.rack import Rack, RackOptions
from tests.unit.sim.nodes import reachable
from tests.unit.sim.toolbox import flake, host, run, site_arguments


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    """node01 runs."""
    async with Rack(RackOptions(nodes=3, port=0, on=1, speed=400)) as made:
        await reachable(made.machines["node01"])
        yield made


async def test_what_is_asked_of_a_flake(rack: Rack) -> None:
    where = flake(rack)
    assert parse_version((await run(rack, "nix", "--version")).out.decode()) == (2, 34, 8)
    assert questions.parse_names((await run(rack, *questions.names_argv("nix", where))).out) == (
        *sorted({f"netboot-{node.profile}" for node in toyflake.load(Path(where)).nodes.values()}),
        "node01",
        "node02",
        "node03",
    )
    devices = questions.parse_devices((await run(rack, *questions.devices_argv("nix", where, "node02"))).out)
    assert [(disk.name, disk.device, disk.destroy) for disk in devices] == [
        ("main", rack.machines["node02"].identity.disk, True)
    ]
    assert (await run(rack, *questions.exists_argv("nix", where, "node01"))).out == b"true\n"
    metadata = questions.parse_metadata((await run(rack, *questions.metadata_argv("nix", where))).out)
    assert metadata.path.endswith("-source")
    assert not metadata.dirty


async def test_a_build_tells_its_progress_and_is_made_once(rack: Rack) -> None:
    first = await run(rack, *questions.build_argv("nix", flake(rack), "node02"))
    built = questions.parse_built(first.out)
    log = BuildLog()
    for line in first.err.splitlines():
        log.feed(line.encode() + b"\n")
    log.finish()
    assert (log.progress.builds, log.progress.builds_expected, log.progress.errors) == (5, 5, ())
    again = await run(rack, *questions.build_argv("nix", flake(rack), "node02"))
    assert questions.parse_built(again.out) == built
    assert "building '" not in again.err
    mount = questions.parse_built(
        (await run(rack, *questions.build_argv("nix", flake(rack), "node02", wipe=False))).out
    )
    assert mount.script not in ("", built.script)


async def test_an_edited_flake_makes_another_build(rack: Rack) -> None:
    argv = questions.system_argv("nix", flake(rack), "node01")
    before = questions.parse_built((await run(rack, *argv)).out).toplevel
    edited = toyflake.load(rack.provisioning.flake)
    edited.version = "25.11.20251201.fedcba9"
    toyflake.save(rack.provisioning.flake, edited)
    after = questions.parse_built((await run(rack, *argv)).out).toplevel
    assert after != before
    assert after.endswith("-nixos-system-node01-25.11.20251201.fedcba9")
    info = json.loads((await run(rack, "nix", "path-info", "--json", "-S", after)).out)
    assert info[after]["closureSize"] > 1_000_000_000


async def test_faults_of_the_flake(rack: Rack) -> None:
    await rack.set_fault("node02", "build-fails")
    failed = await run(
        rack, "nix", "build", "--no-link", f"{flake(rack)}#nixosConfigurations.node02.config.system.build.toplevel"
    )
    assert failed.code == 1
    assert "Reason: builder failed with exit code 3." in failed.err
    await rack.clear_faults("node02")
    await rack.set_fault("node02", "install-flake-missing")
    missing = await run(rack, *questions.exists_argv("nix", flake(rack), "node02"))
    assert missing.code == 1
    assert "does not provide attribute" in missing.err
    assert "Did you mean" in missing.err
    await rack.clear_faults("node02")
    assert (await run(rack, *questions.exists_argv("nix", flake(rack), "node02"))).code == 0
    nowhere = await run(rack, "nix", "build", "--no-link", "/nonexistent#x")
    assert (nowhere.code, nowhere.err) == (1, 'error: getting status of "/nonexistent": No such file or directory\n')


async def test_a_copy_is_followed_in_bytes(rack: Rack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = questions.parse_built((await run(rack, *questions.system_argv("nix", flake(rack), "node01"))).out)
    for name, value in questions.copy_environment(
        {}, front="", path="", key=str(rack.provisioning.ssh_key), port=rack.nodes["node01"].sshd.port
    ).items():
        if name == "NIX_SSHOPTS":
            monkeypatch.setenv(name, value)
    log_path = tmp_path / "log.json"
    argv = questions.copy_argv("nix", [built.toplevel], host(rack, "node01"))
    copied = await run(rack, *argv, "--option", "json-log-path", str(log_path))
    assert copied.code == 0
    done = [
        record["fields"][:2] for record in map(json.loads, log_path.read_text().splitlines())
        if record["action"] == "result" and record["type"] == 105 and record["fields"][1] > 1000
    ]  # fmt: skip
    assert len(done) > 3
    assert done == sorted(done)
    assert done[-1][0] == done[-1][1]
    log = BuildLog()
    log.feed(log_path.read_bytes())
    log.finish()
    assert log.progress.bytes == log.progress.bytes_expected > 1_000_000_000
    assert (log.progress.paths, log.progress.percent) == (1, 100.0)
    system = rack.machines["node01"].system
    assert system is not None
    assert built.toplevel in system.store
    again = await run(rack, *argv)
    assert '"copying 0 paths"' in again.err


async def test_nixos_rebuild_switches_a_node(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    _, key, _, port = site_arguments(rack, "node01")
    monkeypatch.setenv("NIX_SSHOPTS", f"-i {key} -p {port}")
    target = ("--flake", flake(rack, "node01"), "--target-host", host(rack, "node01"))
    tried = await run(rack, "nixos-rebuild", "test", *target)
    assert (tried.code, system.profile, len(system.generations)) == (0, 3, 3)
    assert system.current is not system.booted
    switched = await run(rack, "nixos-rebuild", "switch", *target)
    assert (switched.code, system.profile, system.default) == (0, 4, 4)
    assert switched.out.decode().strip() == system.generations[4].build.path
    back = await run(rack, "nixos-rebuild", "switch", "--rollback", *target)
    assert (back.code, system.profile, system.default) == (0, 3, 3)
    preview = await run(rack, "nixos-rebuild", "dry-activate", *target)
    assert "would restart the following units: chainfire.service" in preview.err
    assert (await run(rack, "nixos-rebuild", "list-generations", *target)).code == 2


@pytest.mark.parametrize(("family", "code"), [("ng", 4), ("bash", 1)])
async def test_both_families_of_exit_codes(rack: Rack, monkeypatch: pytest.MonkeyPatch, family: str, code: int) -> None:
    _, key, _, port = site_arguments(rack, "node01")
    monkeypatch.setenv("NIX_SSHOPTS", f"-i {key} -p {port}")
    monkeypatch.setenv("PLASMATUI_SIM_REBUILD", family)
    await rack.set_fault("node01", "switch-fails")
    done = await run(
        rack, "nixos-rebuild", "switch", "--flake", flake(rack, "node01"), "--target-host", host(rack, "node01")
    )
    assert done.code == code
    assert generations.failed_units(done.err) == ("plasmavmc.service",)
