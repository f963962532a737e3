"""Edits keep the operator's text, and are refused when they would do more or less than they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmatui.inventory.edit import Edit, EditError, Editor
from plasmatui.inventory.loader import load

TEXT = """\
# Our rack. Ask Kim before changing it.
version: 1
cluster: {name: c1,   domain: example.com}   # aligned on purpose

networks:
  provisioning: {cidr: 10.0.100.0/24}

nodes:
  # the first one
  node01:
    profile: control-plane   # votes
    mac: "52:54:00:12:34:56"
    bmc: 10.0.10.50
    # a note below
  node02: {mac: ['52-54-00-12-34-57'],  bmc: {address: 10.0.10.51, password: hunter2}}

  # -- workers --
  worker[01-05]:
    profile: worker
    bmc:
      address: 10.0.10.60+     # counts up
    provisioning_ip: 10.0.100.80+
    unit: 20+
    disks:
      - /dev/disk/by-id/a   # system
      - /dev/disk/by-id/b
  last:            # nothing known

flake: /srv/provisioning   # the end
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(TEXT)
    return path


def changed_lines(edit: Edit) -> list[str]:
    return [line for line in edit.diff().splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_enrol_adds_lines_and_changes_none(inventory: Path) -> None:
    editor = Editor(inventory)
    editor.add_node(
        "node03", {"profile": "worker", "mac": "52:54:00:12:34:58", "bmc": "10.0.10.52", "unit": 3, "tags": ["ssd"]}
    )
    edit = editor.edit()
    assert changed_lines(edit) == [
        "+  node03:",
        "+    profile: worker",
        '+    mac: "52:54:00:12:34:58"',
        "+    bmc: 10.0.10.52",
        "+    unit: 3",
        "+    tags: [ssd]",
    ]
    assert inventory.read_text() == TEXT
    edit.apply()
    after = inventory.read_text()
    head, tail = after.split("  node03:\n")
    assert TEXT.startswith(head)
    assert TEXT.endswith(tail.split("[ssd]\n")[1])
    assert list(load(inventory).nodes)[-1] == "node03"


def test_remove_keeps_comments_around_it(inventory: Path) -> None:
    editor = Editor(inventory)
    editor.remove_node("node01")
    assert changed_lines(editor.edit()) == [
        "-  node01:",
        "-    profile: control-plane   # votes",
        '-    mac: "52:54:00:12:34:56"',
        "-    bmc: 10.0.10.50",
        "-    # a note below",
    ]


def test_remove_from_the_middle_of_a_range_splits_it(inventory: Path) -> None:
    before = load(inventory).nodes
    editor = Editor(inventory)
    editor.remove_node("worker03")
    edit = editor.edit()
    assert changed_lines(edit) == [
        "-  worker[01-05]:",
        "+  worker[01-02]:",
        "+  worker[04-05]:",
        "+    profile: worker",
        "+    bmc:",
        "+      address: 10.0.10.63+     # counts up",
        "+    provisioning_ip: 10.0.100.83+",
        "+    unit: 23+",
        "+    disks:",
        "+      - /dev/disk/by-id/a   # system",
        "+      - /dev/disk/by-id/b",
    ]
    edit.apply()
    after = load(inventory).nodes
    assert after == {name: node for name, node in before.items() if name != "worker03"}


def test_remove_from_the_ends_of_a_range(inventory: Path) -> None:
    before = load(inventory).nodes
    editor = Editor(inventory)
    editor.remove_node("worker01")
    editor.remove_node("worker05")
    editor.remove_node("worker03")
    editor.edit().apply()
    text = inventory.read_text()
    assert "  worker02:\n" in text
    assert "provisioning_ip: 10.0.100.81\n" in text
    assert load(inventory).nodes == {n: v for n, v in before.items() if n not in ("worker01", "worker03", "worker05")}


def test_change_a_field_in_block_flow_and_range(inventory: Path) -> None:
    editor = Editor(inventory)
    editor.set_field("node01", "profile", "worker")
    editor.set_field("node01", "rack", "r1")
    editor.set_field("node02", "mac", "52:54:00:12:34:99")
    editor.set_field("node02", "rack", "7")
    editor.set_field("last", "tags", ["ssd", "gpu"])
    assert changed_lines(editor.edit()) == [
        "-    profile: control-plane   # votes",
        "+    profile: worker   # votes",
        "+    rack: r1",
        "-  node02: {mac: ['52-54-00-12-34-57'],  bmc: {address: 10.0.10.51, password: ********}}",
        '+  node02: {mac: "52:54:00:12:34:99",  bmc: {address: 10.0.10.51, password: ********}, rack: "7"}',
        "-  last:            # nothing known",
        "+  last: {tags: [ssd, gpu]}            # nothing known",
    ]
    before = dict(load(inventory).nodes)
    editor.set_field("worker02", "disks", ["/dev/disk/by-id/c"])
    editor.set_field("worker04", "unit", None)
    editor.set_field("node02", "rack", None)
    editor.edit().apply()
    after = load(inventory).nodes
    assert after["worker02"].disks == ("/dev/disk/by-id/c",)
    assert after["worker04"].unit is None
    assert after["worker04"].provisioning_ip == "10.0.100.83"
    for name in ("worker01", "worker03", "worker05"):
        assert after[name] == before[name]


def test_a_new_bmc_address_leaves_the_rest_of_the_entry(inventory: Path) -> None:
    editor = Editor(inventory)
    for name, address in (("node01", "10.0.10.97"), ("node02", "10.0.10.98"), ("worker03", "10.0.10.99"),
                          ("last", "10.0.10.96")):  # fmt: skip
        editor.set_bmc_address(name, address)
    editor.edit().apply()
    changed = load(inventory)
    assert [changed.bmcs[name].address for name in ("node01", "node02", "worker03", "last")] == [
        "10.0.10.97", "10.0.10.98", "10.0.10.99", "10.0.10.96",
    ]  # fmt: skip
    assert changed.bmcs["worker02"].address == "10.0.10.61"
    text = inventory.read_text()
    assert "bmc: 10.0.10.97\n    # a note below" in text
    assert "bmc: {address: 10.0.10.98, password: hunter2}" in text
    with pytest.raises(EditError):
        editor.set_bmc_address("nobody", "10.0.10.1")


def test_removing_all_leaves_an_inventory_that_loads_and_can_be_filled_again(inventory: Path) -> None:
    editor = Editor(inventory)
    for name in list(load(inventory).nodes):
        editor.remove_node(name)
    editor.add_node("new", {})
    editor.add_node("new2", {"profile": "worker"})
    editor.edit().apply()
    assert list(load(inventory).nodes) == ["new", "new2"]
    assert "# -- workers --" in inventory.read_text()


@pytest.mark.parametrize(
    "nodes", ["nodes:\n", "nodes: {}\n", "nodes: {}   # none yet\nflake: /x\n", "nodes: {a: {unit: 1}}\n", "nodes:"]
)
def test_enrol_into_little(tmp_path: Path, nodes: str) -> None:
    path = tmp_path / "i.yaml"
    path.write_text(f"version: 1\ncluster: {{name: c}}\n{nodes}")
    editor = Editor(path)
    editor.add_node("n1", {"unit": 4})
    editor.add_node("n2", {"bmc": {"address": "10.0.0.1", "password": {"env": "X"}}})
    editor.remove_node("n1")
    editor.edit().apply()
    assert list(load(path).nodes)[-1] == "n2"
    assert "n1" not in load(path).nodes


def test_windows_lines_and_byte_order_mark_stay(tmp_path: Path) -> None:
    path = tmp_path / "i.yaml"
    data = ("\ufeff" + TEXT.replace("\n", "\r\n")).encode()
    path.write_bytes(data)
    editor = Editor(path)
    editor.add_node("n9", {"unit": 4})
    editor.edit().apply()
    new = path.read_bytes()
    assert new.replace(b"  n9:\r\n    unit: 4\r\n", b"") == data


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("node09", "unit", 1, "node09 is not in the inventory"),
        ("node01", "colour", "red", "a node has no key colour"),
        ("node01", "mac", "52:54", "would not load"),
        ("node01", "provisioning_ip", "10.9.9.9", "lies outside the network provisioning"),
        ("worker01", "bmc", "10.0.10.61", "which is worker01.bmc already"),
    ],
)
def test_refuses_what_would_not_load(inventory: Path, name: str, key: str, value: str | int, message: str) -> None:
    editor = Editor(inventory)
    before = editor.edit().after
    with pytest.raises(EditError, match=message):
        editor.set_field(name, key, value)
    assert editor.edit().after == before


def test_refuses_to_enrol_twice(inventory: Path) -> None:
    with pytest.raises(EditError, match="worker02 is in the inventory already"):
        Editor(inventory).add_node("worker02", {})


def test_refuses_an_alias(tmp_path: Path) -> None:
    path = tmp_path / "i.yaml"
    path.write_text("version: 1\ncluster: {name: c}\nnodes:\n  a: &x {rack: r1}\n  b: *x\n")
    with pytest.raises(EditError, match="alias"):
        Editor(path).set_field("b", "rack", "r2")
    with pytest.raises(EditError, match="change b as well"):
        Editor(path).set_field("a", "rack", "r2")
    with pytest.raises(EditError, match="would not load"):
        Editor(path).remove_node("a")


def test_refuses_a_file_that_changed_meanwhile(inventory: Path) -> None:
    editor = Editor(inventory)
    editor.remove_node("last")
    edit = editor.edit()
    inventory.write_text(TEXT + "# by hand\n")
    with pytest.raises(EditError, match="changed by somebody else"):
        edit.apply()
    assert inventory.read_text() == TEXT + "# by hand\n"
    assert os.listdir(inventory.parent) == ["inventory.yaml"]


def test_follows_a_link_and_keeps_the_mode(inventory: Path, tmp_path: Path) -> None:
    inventory.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(inventory)
    editor = Editor(link)
    editor.remove_node("last")
    editor.edit().apply()
    assert link.is_symlink()
    assert inventory.stat().st_mode & 0o777 == 0o640
    assert "last" not in load(inventory).nodes
    assert sorted(os.listdir(tmp_path)) == ["inventory.yaml", "link.yaml"]


def test_a_directory_that_cannot_be_written_is_told(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = Editor(inventory)
    editor.remove_node("last")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EditError, match="No space left on device; nothing was changed"):
        editor.edit().apply()
    assert inventory.read_text() == TEXT
    assert os.listdir(inventory.parent) == ["inventory.yaml"]


_names = st.sampled_from(["node01", "node02", "last", *(f"worker0{n}" for n in range(1, 6))])
_steps = st.lists(
    st.tuples(st.just("remove"), _names, st.none())
    | st.tuples(st.just("unit"), _names, st.none() | st.integers(60, 90))
    | st.tuples(st.just("tags"), _names, st.lists(st.sampled_from(["ssd", "no", "1"]), max_size=2, unique=True)),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps)
def test_any_sequence_does_what_it_says_and_nothing_else(inventory: Path, steps: list[tuple[str, str, object]]) -> None:
    inventory.write_text(TEXT)
    expected = dict(load(inventory).nodes)
    editor = Editor(inventory)
    for what, name, value in steps:
        if name not in expected:
            with pytest.raises(EditError):
                editor.remove_node(name)
        elif what == "remove":
            editor.remove_node(name)
            del expected[name]
        elif what == "unit":
            assert value is None or isinstance(value, int)
            editor.set_field(name, "unit", value)
        else:
            assert isinstance(value, list)
            editor.set_field(name, "tags", value)
    editor.edit().apply()
    after = load(inventory).nodes
    assert after.keys() == expected.keys()
    text = inventory.read_text()
    untouched = [
        "# Our rack. Ask Kim before changing it.\n",
        "   # aligned on purpose\n",
        "  # the first one\n",
        "  # -- workers --\n",
    ]
    assert all(piece in text for piece in untouched)
    assert text.endswith("flake: /srv/provisioning   # the end\n")
    for name, node in after.items():
        assert node.provisioning_ip == expected[name].provisioning_ip
        assert node.bmc_address == expected[name].bmc_address


def test_the_ssh_key_is_changed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    text = (
        "version: 1\nssh:  # how we log in\n  user: root\n  key: ~/.ssh/old   # rotated each year\nnodes:\n  n1: {}\n"
    )
    path.write_text("cluster: {name: lab}\n" + text)
    editor = Editor(path)
    editor.set_ssh_key("~/.ssh/new key")
    editor.edit().apply()
    assert path.read_text() == "cluster: {name: lab}\n" + text.replace("~/.ssh/old", "~/.ssh/new key")
    assert load(path).ssh.key.endswith("new key")


@pytest.mark.parametrize("ssh", ["", "ssh: {user: root}\n", "ssh: *other\n"])
def test_an_ssh_key_that_does_not_stand_there_is_not_changed(tmp_path: Path, ssh: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(f"version: 1\ncluster: {{name: lab}}\nx-ssh: &other {{key: /k}}\n{ssh}nodes:\n  n1: {{}}\n")
    with pytest.raises(EditError):
        Editor(path).set_ssh_key("/new")


def test_secrets_that_are_written_in_the_file_are_masked_in_a_diff(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "version: 1\ncluster: {name: c, token: marker1}\n# password: marker2\nbmc_defaults: {password: marker3}\n"
        "nodes:\n  node01: {}   # old: {password: 'marker4'}\n"
    )
    editor = Editor(path)
    editor.set_field("node01", "unit", 3)
    assert "marker" not in editor.edit().diff()
    assert "{unit: 3}" in editor.edit().diff()
