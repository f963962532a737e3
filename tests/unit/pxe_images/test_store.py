"""The store of images: published whole or not at all, switched in one step, and never left half-done."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmatui.pxe.assets import Activation, Store, StoreError, active_at, script_of, split_name, version_of_path
from plasmatui.pxe.imagecheck import check_boot_script, check_image, check_version
from plasmatui.pxe.netboot import Netboot, parse_netboot
from plasmatui.pxe.publishing import NotBootableError, activate, deploy, locked, rollback
from plasmatui.pxe.service.files import Images
from tests.support.images import OTHER, TOPLEVEL, script, write_image


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "www")


def tree(directory: Path) -> dict[str, str]:
    """Everything below a directory, but the lock."""
    return {
        str(path.relative_to(directory)): os.readlink(path) if path.is_symlink() else str(path.stat().st_size)
        for path in directory.rglob("*")
        if path.name != ".lock"
    }


def deployed(store: Store, source: Path, size: int = 5000, *, keep: int = 5, at: float = 1.8e9) -> str:
    """A build of another size, deployed."""
    return deploy(store, write_image(source, size=size), keep=keep, reserve=0, now=lambda: at).version


def test_a_deployed_image_is_served_and_named_by_its_version(store: Store, tmp_path: Path) -> None:
    version = deployed(store, tmp_path / "worker")
    assert split_name(version) == ("worker", version.removeprefix("worker."))
    assert version.startswith("worker.20270115T080000Z-")
    assert os.readlink(store.root / "nixos/worker") == f"../versions/{version}"
    text = (store.root / "nixos/worker/netboot.ipxe").read_text()
    assert f"kernel ../../versions/{version}/bzImage init={TOPLEVEL}/init initrd=initrd loglevel=4 ${{cmdline}}" in text
    assert parse_netboot(text) == Netboot(f"{TOPLEVEL}/init", ("loglevel=4",), f"versions/{version}")
    image = check_version(store, store.find(version))
    assert image.bootable, image.checks
    served = Images(store.root)
    for path in ("nixos/worker/initrd", f"versions/{version}/bzImage"):
        served.open(path).close()
    for hidden in ("versions/.history.json", "versions/.lock"):
        with pytest.raises(FileNotFoundError):
            served.open(hidden)


def test_files_are_readable_for_servers_whatever_the_umask(store: Store, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        version = deployed(store, tmp_path / "worker")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (store.root / "versions" / version).iterdir()} == {0o644}
    assert check_version(store, store.find(version)).bootable
    (store.root / "versions" / version).chmod(0o750)
    checks = check_version(store, store.find(version)).checks
    assert any(check.ok is False and "chmod a+rx" in check.message for check in checks)


def test_the_same_image_is_not_copied_again_and_a_damaged_one_is(store: Store, tmp_path: Path) -> None:
    first = deploy(store, write_image(tmp_path / "worker"), reserve=0)
    again = deploy(store, tmp_path / "worker", reserve=0)
    assert (again.version, again.existed, again.before) == (first.version, True, first.version)
    assert len(store.history()) == 1
    damaged = store.root / "versions" / first.version / "initrd"
    data = bytearray(damaged.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    third = deploy(store, tmp_path / "worker", reserve=0, now=lambda: 1.9e9)
    assert not third.existed
    assert third.version != first.version


def test_activate_and_roll_back(store: Store, tmp_path: Path) -> None:
    one, two, three = (deployed(store, tmp_path / "worker", 5000 + n, at=1.8e9 + n) for n in range(3))
    assert store.active()["worker"] == three
    assert rollback(store, "worker") == (three, two)
    assert rollback(store, "worker") == (two, one)
    with pytest.raises(StoreError, match="no version was active before"):
        rollback(store, "worker")
    assert activate(store, store.find(three.removeprefix("worker."))) == one
    assert rollback(store, "worker") == (three, one)


def test_few_versions_are_kept_but_never_without_a_way_back(store: Store, tmp_path: Path) -> None:
    names = [deployed(store, tmp_path / "worker", 5000 + n, keep=3, at=1.8e9 + n) for n in range(5)]
    assert [version.name for version in store.versions()] == names[:1:-1]
    activate(store, store.find(names[2]))
    last = deployed(store, tmp_path / "worker", 6000, keep=1, at=1.8e9 + 9)
    assert {version.name for version in store.versions()} == {names[2], last}
    assert rollback(store, "worker") == (last, names[2])


def test_profiles_do_not_touch_each_other(store: Store, tmp_path: Path) -> None:
    worker = deployed(store, tmp_path / "worker")
    other = deployed(store, tmp_path / "control.plane-1", 5001, keep=1)
    assert dict(store.active()) == {"worker": worker, "control.plane-1": other}
    with pytest.raises(StoreError, match="no version was active"):
        rollback(store, "worker")


def test_what_cannot_boot_is_not_deployed(store: Store, tmp_path: Path) -> None:
    source = write_image(tmp_path / "worker")
    whole = (source / "initrd").read_bytes()
    (source / "initrd").write_bytes(whole[:-100])
    with pytest.raises(NotBootableError, match="cut off"):
        deploy(store, source)
    (source / "initrd").write_bytes(whole)
    (source / "netboot.ipxe").write_text(script().replace(TOPLEVEL, "/nix/store/*"))
    with pytest.raises(NotBootableError, match=r"init= has a \*"):
        deploy(store, source)
    (source / "netboot.ipxe").write_text(script())
    (source / "build.json").write_text(json.dumps({"profile": "worker", "toplevel": OTHER}))
    with pytest.raises(NotBootableError, match="but the system is"):
        deploy(store, source)
    (source / "bzImage").unlink()
    with pytest.raises(NotBootableError, match="bzImage is missing"):
        deploy(store, source)
    assert not store.root.exists()


def test_no_room_is_said_before_anything_is_copied(store: Store, tmp_path: Path) -> None:
    first = deployed(store, tmp_path / "worker")
    before = tree(store.root)
    with pytest.raises(StoreError, match="MiB free"):
        deploy(store, write_image(tmp_path / "worker", size=7000), reserve=1 << 60)
    assert tree(store.root) == before
    assert store.active()["worker"] == first


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes behind `size` fail, as on a full disk (setrlimit(2), RLIMIT_FSIZE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_in_the_middle_leaves_nothing(store: Store, tmp_path: Path) -> None:
    first = deployed(store, tmp_path / "worker")
    before = tree(store.root)
    source = write_image(tmp_path / "worker", size=60_000)
    with largest_file(20_000), pytest.raises(StoreError, match="was removed again"):
        deploy(store, source, reserve=0)
    assert tree(store.root) == before
    assert store.active()["worker"] == first


def test_a_deployment_that_is_interrupted_leaves_nothing(store: Store, tmp_path: Path) -> None:
    deployed(store, tmp_path / "worker")
    before, seen = tree(store.root), 0
    source = write_image(tmp_path / "worker", size=6000)
    total = sum((source / name).stat().st_size for name in ("bzImage", "initrd", "netboot.ipxe"))

    def tick(size: int) -> None:
        nonlocal seen
        seen += size
        if any(path.name.startswith(".staging-") for path in store.versions_directory.iterdir()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy(store, source, reserve=0, tick=tick)
    assert seen > total
    assert tree(store.root) == before


def test_what_a_killed_deployment_left_is_removed_by_the_next(store: Store, tmp_path: Path) -> None:
    deployed(store, tmp_path / "worker")
    left = store.versions_directory / ".staging-killed"
    left.mkdir()
    (left / "initrd").write_bytes(b"half")
    deployed(store, tmp_path / "worker", 6000)
    assert not left.exists()


def test_one_deployment_at_a_time(store: Store, tmp_path: Path) -> None:
    deployed(store, tmp_path / "worker")
    program = (
        "import sys; from pathlib import Path; from plasmatui.pxe.publishing import locked\n"
        "with locked(Path(sys.argv[1]), 'x'):\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.versions_directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=f"runs already, process {other.pid}"):
            deploy(store, write_image(tmp_path / "worker", size=6000), reserve=0)
        other.stdin.close()  # type: ignore[union-attr]
    assert deployed(store, tmp_path / "worker", 6000)
    with locked(store.versions_directory, "x"):
        pass


def test_a_damaged_manifest_is_said_and_hides_no_other(store: Store, tmp_path: Path) -> None:
    one = deployed(store, tmp_path / "worker")
    two = deployed(store, tmp_path / "worker", 6000, at=1.81e9)
    (store.versions_directory / one / "manifest.json").write_text('{"profile": 3')
    versions = {version.name: version for version in store.versions()}
    assert versions[one].manifest is None
    assert "damaged" in versions[one].problem
    assert versions[two].manifest is not None
    with pytest.raises(StoreError, match="not activated"):
        activate(store, versions[one])
    with pytest.raises(StoreError, match="not activated"):
        rollback(store, "worker")
    assert store.active()["worker"] == two
    assert not check_version(store, versions[one]).bootable


def test_a_damaged_history_costs_the_way_back_only(store: Store, tmp_path: Path) -> None:
    one = deployed(store, tmp_path / "worker")
    deployed(store, tmp_path / "worker", 6000, at=1.81e9)
    (store.versions_directory / ".history.json").write_text("[{")
    with pytest.raises(StoreError, match="damaged"):
        rollback(store, "worker")
    activate(store, store.find(one))
    assert store.active()["worker"] == one
    assert [each.version for each in store.history()] == [one]


def test_a_changed_or_truncated_version_is_found(store: Store, tmp_path: Path) -> None:
    version = store.find(deployed(store, tmp_path / "worker"))
    path = version.directory / "initrd"
    data = path.read_bytes()
    path.write_bytes(data[:-50])
    messages = [check.message for check in check_version(store, version).checks if check.ok is False]
    assert any("cut off" in message for message in messages)
    with pytest.raises(StoreError, match="the manifest says"):
        activate(store, version)
    path.write_bytes(data[:-3] + b"abc")  # of zstd's check sum, which nobody computes
    messages = [check.message for check in check_version(store, version).checks if check.ok is False]
    assert messages == ["initrd was changed: its SHA-256 is not the manifest's"]


def test_links_out_of_the_root_are_refused(store: Store, tmp_path: Path) -> None:
    version = store.find(deployed(store, tmp_path / "worker"))
    outside = tmp_path / "outside"
    (version.directory / "initrd").rename(outside)
    (version.directory / "initrd").symlink_to(outside)
    checks = check_version(store, version).checks
    assert any(check.name == "place" and check.ok is False for check in checks)
    elsewhere = Store(tmp_path / "other")
    elsewhere.root.mkdir()
    (tmp_path / "far").mkdir()
    elsewhere.versions_directory.symlink_to(tmp_path / "far")
    with pytest.raises(StoreError, match="leads elsewhere"):
        deploy(elsewhere, tmp_path / "worker", reserve=0)
    assert not list((tmp_path / "far").iterdir())


def test_a_directory_of_somebodys_own_is_not_replaced(store: Store, tmp_path: Path) -> None:
    own = write_image(store.root / "nixos/worker")
    before = tree(store.root)
    with pytest.raises(StoreError, match="somebody's own"):
        deploy(store, write_image(tmp_path / "worker", size=6000), reserve=0)
    assert {path for path in tree(store.root) if path != "versions"} == set(before)
    assert check_image(own).bootable


def test_the_boot_script_is_compared_with_what_is_active(store: Store, tmp_path: Path) -> None:
    version = deployed(store, tmp_path / "worker")
    rendered = store.root / "ipxe/boot.ipxe"
    assert check_boot_script(store)[0].ok is None
    rendered.parent.mkdir()
    rendered.write_text("#!ipxe\nchain ${base}/nixos/worker/netboot.ipxe || goto failed\n")
    assert [check.ok for check in check_boot_script(store)] == [True]
    rendered.write_text(f"kernel ${{base}}/nixos/worker/bzImage init={OTHER}/init initrd=initrd || goto failed\n")
    assert "render it again" in check_boot_script(store)[0].message
    rendered.write_text("initrd --name initrd ${base}/nixos/worker/initrd.img || goto failed\n")
    assert "which is missing" in check_boot_script(store)[0].message
    pinned = f"kernel ${{base}}/versions/{version}/bzImage init={TOPLEVEL}/init\n"
    rendered.write_text(pinned)
    assert [check.ok for check in check_boot_script(store)] == [True]
    deployed(store, tmp_path / "worker", 6000, at=1.81e9)
    checks = check_boot_script(store)
    assert (checks[0].ok, "not active" in checks[0].message) == (None, True)


def test_which_version_was_served_when() -> None:
    history = [Activation("a", "a1", 10.0), Activation("b", "b1", 11.0), Activation("a", "a2", 20.0)]
    assert [active_at(history, "a", wall) for wall in (5.0, 10.0, 19.0, 25.0)] == ["", "a1", "a1", "a2"]


def test_a_version_is_read_from_a_url() -> None:
    name = "control.plane-1.20270115T080000Z-0123abcd"
    assert version_of_path(f"GET /boot/versions/{name}/bzImage HTTP/1.1") == name
    assert version_of_path("GET /boot/nixos/worker/bzImage") == ""
    assert f"../../versions/{name}/initrd" in script_of(name, Netboot(f"{TOPLEVEL}/init", ()))
