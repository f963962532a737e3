"""Progress of nixos-anywhere, from recorded runs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.model.words import Stage
from plasmatui.nix.lines import LONGEST, LineSplitter, is_noise
from plasmatui.nix.progress import AnywhereProgress, AnywhereState
from plasmatui.text import is_clean
from tests.unit.nix import recorded

RUNS = [
    ("happy", ""),
    ("fail2", "wrong attr auto"),
    ("fail2", "kexec ok debian->installer"),
    ("fail2", "nixos-install fails"),
    ("fail3", "nix copy out of space on /mnt"),
    ("fail3", "unreachable host"),
]
sizes = st.lists(st.integers(1, 200), min_size=1, max_size=8)


def states(data: bytes) -> list[AnywhereState]:
    progress = AnywhereProgress()
    return [progress.feed(line) for line in data.splitlines(keepends=True)] + [progress.finish()]


def stages(data: bytes) -> list[Stage]:
    return list(dict.fromkeys(state.stage for state in states(data) if state.stage is not None))


def test_a_good_run() -> None:
    S = Stage  # noqa: N806
    seen = states(recorded.anywhere("happy"))
    assert stages(recorded.anywhere("happy")) == [
        S.FACTS, S.DISKO, S.CLOSURE_COPY, S.EXTRA_FILES, S.BOOTLOADER, S.REBOOT,
    ]  # fmt: skip
    assert seen[-1].done
    assert seen[-1].unpinned
    texts = [state.text for state in seen]
    assert "copying nixos-system-node01-25.11.lab" in texts
    assert "updating GRUB 2 menu..." in texts
    assert not any("Permanently added" in text or "Pseudo-terminal" in text for text in texts)


def test_kexec_and_facts_once_more() -> None:
    data = recorded.anywhere("fail2", "kexec ok debian->installer")
    assert stages(data) == [Stage.FACTS, Stage.KEXEC, Stage.DISKO]
    assert "machine will boot into nixos in 6s..." in [state.text for state in states(data)]


def test_disko_says_what_it_works_on() -> None:
    seen = states(b"### Formatting hard drive with disko ###\n" + recorded.disko())
    assert seen[-1].disk == "/dev/disk/by-partlabel/disk-main-ESP" or seen[-1].disk.startswith("/dev/")
    assert "/dev/loop7" in [state.disk for state in seen]
    assert seen[-1].steps >= 6
    texts = [state.text for state in seen]
    assert "mkfs.ext4 /dev/disk/by-partlabel/disk-main-root" in texts
    assert all(later.steps >= earlier.steps for earlier, later in pairwise(seen))


def test_copied_paths_give_percent() -> None:
    copies = b"".join(b"copying path '/nix/store/%032d-p%d' to 'ssh://root@n'...\n" % (n, n) for n in range(4))
    seen = states(b"### Uploading the system closure ###\ncopying 4 paths...\n" + copies)
    assert [state.percent for state in seen if state.percent is not None][::1][:4] == [0.0, 25.0, 50.0, 75.0]
    assert (seen[-1].paths, seen[-1].paths_expected, seen[-1].text) == (4, 4, "copying p3")


@given(st.sampled_from(RUNS), sizes)
def test_any_chunking_gives_the_same(run: tuple[str, str], sizes: list[int]) -> None:
    data = recorded.anywhere(*run)
    progress = AnywhereProgress()
    for chunk in recorded.cut(data, sizes):
        progress.feed(chunk)
    assert progress.finish() == states(data)[-1]


marks = st.sampled_from([line for run in RUNS for line in recorded.anywhere(*run).splitlines(keepends=True)])


@given(st.lists(marks | st.binary(max_size=60).map(lambda data: data + b"\n"), max_size=60))
def test_nothing_breaks_it_and_it_never_goes_back(lines: list[bytes]) -> None:
    order = list(Stage)
    last = -1
    for state in states(b"".join(lines)):
        place = -1 if state.stage is None else order.index(state.stage)
        assert place >= last
        last = place
        assert is_clean(state.text)
        assert state.percent is None or 0 <= state.percent <= 100


@pytest.mark.parametrize(
    "line",
    [
        "Warning: Identity file /tmp/tmp.X/nixos-anywhere not accessible: No such file or directory.",
        "Warning: Permanently added '10.0.100.50' (ED25519) to the list of known hosts.",
        "/usr/bin/ssh-copy-id: INFO: 1 key(s) remain to be installed -- if you are prompted now it is to install",
        "don't know how to build these paths:",
        "warning: unknown setting 'json-log-path'",
    ],
)
def test_noise(line: str) -> None:
    assert is_noise(line)


def test_errors_are_no_noise() -> None:
    assert not is_noise("/usr/bin/ssh-copy-id: ERROR: ssh: connect to host n port 22: Connection refused")
    assert not is_noise("error: flake 'path:/x' does not provide attribute 'y'")


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 40))
def test_lines_as_split_at_once_but_bounded(chunks: list[bytes], longest: int) -> None:
    splitter = LineSplitter(longest)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()
    whole = b"".join(chunks).split(b"\n")
    if not whole[-1]:
        whole.pop()
    assert lines == [line[:longest] for line in whole]


def test_a_line_that_never_ends_takes_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 100_000) == []
    assert len(splitter._rest) <= LONGEST
    assert len(splitter.feed(b"\nnext\n")) == 2
