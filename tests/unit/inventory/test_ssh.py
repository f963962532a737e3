"""`ssh` of the inventory and of its nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmatui.inventory.edit import Editor
from plasmatui.inventory.inventory import Inventory, InventoryError, Ssh, SshEntry
from plasmatui.inventory.loader import load

HEAD = "version: 1\ncluster: {name: c}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "i.yaml"
    path.write_text(HEAD + text)
    return path


def loaded(tmp_path: Path, text: str) -> Inventory:
    return load(written(tmp_path, text))


def errors(tmp_path: Path, text: str) -> str:
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def test_defaults_and_all_keys(tmp_path: Path) -> None:
    assert loaded(tmp_path, "nodes: {a: {}}").ssh == Ssh("root", "", None, "", False, "strict")
    given = "ssh: {user: ops, key: ~/k, port: 2222, jump: me@gate:2200, sudo: yes, host_keys: accept-new}\nnodes: {}"
    inventory = loaded(tmp_path, given)
    assert inventory.ssh == Ssh("ops", "~/k", 2222, "me@gate:2200", True, "accept-new")
    assert [(d.place.line, d.severity) for d in inventory.warnings] == [(3, "warning")]
    assert "accept-new" in inventory.warnings[0].message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{host_keys: no}", "found the boolean no"),
        ("{host_keys: accept}", "expected one of: strict, accept-new"),
        ("{jump: 'a b@c'}", "expected a host to log in on"),
        ("{jump: 'u@h:99999'}", "expected a host to log in on"),
        ("{jump: '-oProxyCommand=x'}", "expected a host to log in on"),
        ("{port: 0}", "expected a number from 1 to 65535"),
        ("{sudo: '1'}", "expected true or false"),
        ("{users: x}", "did you mean user?"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, given: str, message: str) -> None:
    assert message in errors(tmp_path, f"ssh: {given}\nnodes: {{}}")


def test_a_nodes_own_address_and_port(tmp_path: Path) -> None:
    text = """nodes:
  a: {ssh: {address: gate.example.com, port: 2201}}
  b: {ssh: {port: 2202}}
  c[1-3]: {ssh: {address: 10.9.0.1+, port: 22}}
  d[1-2]: {ssh: [{address: 10.9.1.1}, {address: 10.9.1.7, port: 23}]}
  e: {}
"""
    assert loaded(tmp_path, text).ssh_entries == {
        "a": SshEntry("gate.example.com", 2201),
        "b": SshEntry("", 2202),
        "c1": SshEntry("10.9.0.1", 22),
        "c2": SshEntry("10.9.0.2", 22),
        "c3": SshEntry("10.9.0.3", 22),
        "d1": SshEntry("10.9.1.1", None),
        "d2": SshEntry("10.9.1.7", 23),
    }


def test_two_nodes_at_one_place_are_an_error(tmp_path: Path) -> None:
    nodes = "a: {ssh: {address: 10.9.0.1}}, b: {ssh: {address: 10.9.0.1, port: 2222}}"
    loaded(tmp_path, f"nodes: {{{nodes}}}")
    assert "b: found ssh.address 10.9.0.1 port 2222, which a has already" in errors(
        tmp_path, f"ssh: {{port: 2222}}\nnodes: {{{nodes}}}"
    )
    assert "counts up" in errors(tmp_path, "nodes: {'c[1-2]': {ssh: {address: 10.9.0.1}}}")
    assert "without a port" in errors(tmp_path, "nodes: {a: {ssh: {address: '10.9.0.1:22'}}}")
    assert "address, port" in errors(tmp_path, "nodes: {a: {ssh: {user: x}}}")


def test_a_split_range_keeps_each_nodes_place(tmp_path: Path) -> None:
    path = written(tmp_path, "nodes:\n  c[1-3]:\n    ssh: {address: 10.9.0.1+}\n")
    editor = Editor(path)
    editor.remove_node("c2")
    editor.edit().apply()
    assert load(path).ssh_entries == {"c1": SshEntry("10.9.0.1", None), "c3": SshEntry("10.9.0.3", None)}
