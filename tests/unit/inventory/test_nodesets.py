"""Node sets: ClusterShell's syntax over the inventory's nodes, where every unknown name is an error."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.inventory.nodesets import NodeSetError, fold, groups, resolve
from plasmatui.inventory.ranges import LARGEST, expand
from plasmatui.model.node import Node

NODES = (
    Node("node03", profile="control-plane", rack="r2", voter=True),
    Node("node01", profile="control-plane", rack="r1", voter=True, tags=("ssd",)),
    Node("node02", profile="control-plane", rack="r1", voter=True),
    Node("worker01", profile="worker", rack="r1", tags=("ssd", "gpu")),
    Node("worker02", profile="worker", rack="r2"),
    Node("worker10", profile="worker", rack="r2"),
    Node("spare"),
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("node01", "node01"),
        ("node[01-03]", "node03 node01 node02"),
        ("node[02,03]", "node03 node02"),
        ("node[01-03/2]", "node03 node01"),
        ("worker[01-02,10]", "worker01 worker02 worker10"),
        ("node0[1-2]", "node01 node02"),
        ("worker02,node01,worker02", "node01 worker02"),
        (" node01 , spare ", "node01 spare"),
        ("@all", " ".join(n.name for n in NODES)),
        ("@*", " ".join(n.name for n in NODES)),
        ("@worker", "worker01 worker02 worker10"),
        ("@profile:worker", "worker01 worker02 worker10"),
        ("@voter", "node03 node01 node02"),
        ("@rack:r1", "node01 node02 worker01"),
        ("@rack:r[1-2]!@voter", "worker01 worker02 worker10"),
        ("@rack:*", "node03 node01 node02 worker01 worker02 worker10"),
        ("@tag:ssd", "node01 worker01"),
        ("@all!@worker", "node03 node01 node02 spare"),
        ("@rack:r1&@worker", "worker01"),
        ("@rack:r1^@tag:ssd", "node02"),
        ("node01,node02!node01,node01", "node01 node02"),
        ("worker*", "worker01 worker02 worker10"),
        ("worker?[0-1]", "worker01 worker10"),
        ("*!@all,spare", "spare"),
    ],
)
def test_resolves(expression: str, expected: str) -> None:
    assert resolve(expression, NODES) == tuple(expected.split())


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "found no node set, expected one such as node[01-03], @worker, or @all for every node"),
        ("  \t", "found no node set, expected one such as node[01-03], @worker, or @all for every node"),
        ("node1", "the inventory has no node node1; did you mean node01?"),
        ("@worker!wroker01", "the inventory has no node wroker01; did you mean worker01?"),
        ("worker", "the inventory has no node worker; did you mean worker10?"),
        ("node[01-05]", "the inventory has no nodes node[04-05]"),
        ("@wroker", "the inventory has no group @wroker; did you mean @worker?"),
        ("@rack:r7", "the inventory has no group @rack:r7; did you mean @rack:r2?"),
        ("@row:7", "found the group @row:7, expected @PROFILE, @rack:NAME or @tag:NAME"),
        ("@worker!@worker", 'the node set "@worker!@worker" stands for no node'),
        ("@rack:r2&spare", 'the node set "@rack:r2&spare" stands for no node'),
        ("node01,", 'the node set "node01," lacks a name at its end'),
        (",node01", 'the node set ",node01" lacks a name before the , at column 1'),
        ("!node01", 'the node set "!node01" lacks a name before the ! at column 1'),
        ("node[01", 'the node set "node[01": expected brackets that pair, as in worker[01-64]'),
        ("node[3-1]", 'the node set "node[3-1]": expected ranges that go up, not [3-1]'),
        ("x*", "no node matches x*"),
        ("node[1-999999999]", f'the node set "node[1-999999999]": expected at most {LARGEST} names in one range'),
        ("\x1b]52;c;x\x07", r'"\x1b]52;c;x\x07" is neither a node nor a group: node[01-03], @PROFILE, @rack:NAME'),
    ],
)
def test_refuses(expression: str, message: str) -> None:
    with pytest.raises(NodeSetError) as caught:
        resolve(expression, NODES)
    assert str(caught.value) == message


def test_never_means_all_when_there_is_nothing() -> None:
    for expression in ("@all", "*", "@*"):
        with pytest.raises(NodeSetError):
            resolve(expression, ())


def test_groups_for_completion() -> None:
    found = groups(NODES)
    assert found["rack:r2"] == ("node03", "worker02", "worker10")
    assert {"all", "voter", "worker", "control-plane", "tag:gpu"} <= set(found)


@given(st.text(max_size=40) | st.text(alphabet="node0123[]-,/!&^@*?: rack", max_size=30))
def test_raises_nothing_else(expression: str) -> None:
    try:
        found = resolve(expression, NODES)
    except NodeSetError:
        return
    assert found
    assert set(found) <= {n.name for n in NODES}


_names = st.builds(
    "{}{:0{}d}".format, st.sampled_from(("n", "node", "r1n", "a-")), st.integers(0, 120), st.integers(1, 3)
)


@given(st.sets(_names, min_size=1, max_size=40))
def test_fold_and_resolve_are_inverse_and_agree_with_clustershell(names: set[str]) -> None:
    nodes = [Node(name) for name in sorted(names)]
    assert set(resolve(fold(names), nodes)) == names
    assert {str(n) for n in NodeSet(fold(names), resolver=RESOLVER_NOGROUP)} == names


_range = st.builds(
    lambda low, more, step: f"{low}-{low + more}/{step}", st.integers(0, 50), st.integers(0, 40), st.integers(1, 5)
)
_padded = st.builds(lambda low, more: f"{low:03}-{low + more:03}", st.integers(0, 50), st.integers(0, 40))
_body = st.lists(_range | _padded | st.integers(0, 99).map(str), min_size=1, max_size=4).map(",".join)


@given(st.sampled_from(("n", "r1n", "node-")), _body, st.sampled_from(("", "x", "-ilo")))
def test_expand_agrees_with_clustershell(head: str, body: str, tail: str) -> None:
    pattern = f"{head}[{body}]{tail}"
    assert set(expand(pattern)) == {str(n) for n in NodeSet(pattern, resolver=RESOLVER_NOGROUP)}


def test_a_thousand_nodes_are_quick() -> None:
    nodes = [Node(f"n{i:04}", profile="worker", rack=f"r{i // 40}") for i in range(1000)]
    resolve("n[0000-0001]", nodes)
    begin = time.perf_counter()
    assert len(resolve("n[0000-0999]!@rack:r3,n012*", nodes)) == 1000 - 40 + 10
    folded = fold(n.name for n in nodes)
    print(f"1000 nodes: {(time.perf_counter() - begin) * 1e3:.1f} ms")  # noqa: T201 - a measurement
    assert folded == "n[0000-0999]"


def test_import_loads_no_clustershell_and_reads_no_group_files() -> None:
    code = (
        "import sys; from plasmatui.inventory.nodesets import resolve; from plasmatui.model.node import Node\n"
        "assert resolve('@all!b', [Node('a'), Node('b')]) == ('a',)\n"
        "assert not any(m.startswith('ClusterShell') for m in sys.modules)\n"
        "assert resolve('n[1-2]', [Node('n1'), Node('n2')]) == ('n1', 'n2')\n"
        "assert not {'ClusterShell.Defaults', 'ClusterShell.NodeUtils'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
