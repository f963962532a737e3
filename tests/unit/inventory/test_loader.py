"""Loading: what a good file gives, every error of a bad one at its place, and only `InventoryError` from any bytes."""

from __future__ import annotations

import os
import re
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmatui.inventory import values
from plasmatui.inventory.catalogue import SERVICES
from plasmatui.inventory.checks import CHECKS, CLUSTER_ACCESS, CREDENTIALS
from plasmatui.inventory.inventory import Access, Diagnostic, Inventory, InventoryError
from plasmatui.inventory.loader import CLUSTER_KEYS, TOP_KEYS, load
from plasmatui.inventory.nodes import BMC_KEYS, NODE_KEYS, SECRET_KEYS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
HEAD = "version: 1\ncluster: {name: c}\n"


def load_text(tmp_path: Path, text: str | bytes) -> Inventory:
    path = tmp_path / "i.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def errors(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        load_text(tmp_path, text)
    return [str(d).partition("i.yaml:")[2] for d in caught.value.diagnostics]


def diagnostics(tmp_path: Path, text: str | bytes) -> tuple[Diagnostic, ...] | None:
    """What the error says, None when the file loads; any other exception is the test's failure."""
    try:
        load_text(tmp_path, text)
    except InventoryError as error:
        return error.diagnostics
    return None


def test_the_runbooks_cluster_loads_without_errors_or_warnings() -> None:
    inventory = load(ROOT / "inventory.yaml")
    assert list(inventory.nodes) == ["node01", "node02", "node03", "worker01", "worker02"]
    assert inventory.warnings == ()
    node = inventory.nodes["node02"]
    assert node.macs == ("52:54:00:12:34:57",)
    assert (node.bmc_address, node.bmc_driver, node.voter) == ("10.0.10.51:623", "ipmi", True)
    assert inventory.nodes["worker02"].production_ip == "10.0.200.21"
    assert inventory.nodes["worker02"].unit == 21
    bmc = inventory.bmcs["worker02"]
    assert (bmc.address, bmc.port, bmc.username, bmc.password.env) == (
        "10.0.10.61",
        None,
        "admin",
        "PLASMATUI_BMC_PASSWORD",
    )
    assert inventory.policy.bandwidth == 10**9
    assert inventory.policy.stagger == 2.0
    assert inventory.policy.per_rack == 0
    assert inventory.networks["provisioning"].pool == (IPv4Address("10.0.100.100"), IPv4Address("10.0.100.200"))
    assert inventory.services["chainfire"].raft_port == 2380
    assert [log.kind for log in inventory.logs] == ["dhcp", "tftp", "http"]


def test_every_error_of_a_bad_file_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    with pytest.raises(InventoryError) as caught:
        load(Path("bad.yaml"))
    found = str(caught.value) + "\n"
    assert "hunter2" not in found
    assert found == (HERE / "bad.txt").read_text()


def test_only_three_keys_are_needed(tmp_path: Path) -> None:
    inventory = load_text(tmp_path, HEAD + "nodes:\n  a:\n")
    assert list(inventory.nodes) == ["a"]
    assert inventory.bmcs == {}
    assert set(inventory.profiles) == {"control-plane", "worker", "all-in-one"}
    assert inventory.nodes["a"].bmc_address == ""


def test_an_empty_list_of_nodes_is_an_inventory(tmp_path: Path) -> None:
    assert load_text(tmp_path, HEAD + "nodes: {}\n").nodes == {}


def test_missing_keys_are_all_named(tmp_path: Path) -> None:
    assert errors(tmp_path, "flake: /x\n") == [
        "1:1: error: found no key cluster, expected one at the top level",
        "1:1: error: found no key nodes, expected one at the top level",
        "1:1: error: found no key version, expected one at the top level",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "1:1: error: found an empty file, expected an inventory with the keys version, cluster and nodes"),
        (
            b"# only a comment\n",
            "1:1: error: found an empty file, expected an inventory with the keys version, cluster and nodes",
        ),
        (b"version: 1\ncluster: {name: \xff}\n", "2:17: error: found the byte 0xff, expected UTF-8 text"),
        (b"a\x00b", "1:2: error: YAML: found the control character \\x00, expected printable text"),
        (b"- 1\n", "1:1: error: inventory: found a list, expected a mapping (key: value)"),
        (b"[" * 100_000, "1:33: error: found more than 32 levels of nesting"),
        (b"a: 1\n---\nb: 1\n", "2:1: error: found a second YAML document, expected one"),
    ],
)
def test_files_that_are_no_inventory(tmp_path: Path, data: bytes, expected: str) -> None:
    assert expected in errors(tmp_path, data)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, message in (
        (tmp_path / "none.yaml", "cannot be read: No such file or directory"),
        (tmp_path, "found no regular file"),
        (fifo, "found no regular file"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(InventoryError, match=message):
            load(path)


def test_who_shares_an_engine(tmp_path: Path) -> None:
    text = HEAD + 'nodes: {}\npolicy: {access: {admin: [alice, "%wheel"], viewer: "%staff"}}\n'
    assert load_text(tmp_path, text).policy.access == Access(admin=("alice", "%wheel"), viewer=("%staff",))
    assert load_text(tmp_path, HEAD + "nodes: {}\n").policy.access is None
    wrong = errors(tmp_path, HEAD + 'nodes: {}\npolicy: {access: {admins: [a], operator: ["a b", 7]}}\n')
    assert len(wrong) == 3
    assert 'found the unknown key "admins"; did you mean admin?' in wrong[0]
    assert 'policy.access.operator: found "a b", expected a Unix user such as alice' in wrong[1]


def test_syntax_errors_of_several_parts_are_told_at_once(tmp_path: Path) -> None:
    text = (
        HEAD
        + "policy: {parallel: 99999\nssh: {user: root}\nbad: 'open\n"
        + 'nodes:\n  a: [1\n  b: {unit: 1}\n  c: {unit: x}\n  d: "\\q"\n'
    )
    found = errors(tmp_path, text)
    assert [line.split(" ")[0] for line in found] == ["3:9:", "5:6:", "7:6:", "9:13:", "10:7:"]
    assert "10:7: error: YAML: found unknown escape character while parsing a quoted scalar" in found[-1]


def test_duplicate_keys_and_merge_keys(tmp_path: Path) -> None:
    text = HEAD + (
        "nodes:\n"
        "  a: &a {profile: worker, rack: r1, bmc: {address: 10.0.0.1, username: u, password: {env: P}}}\n"
        "  b:\n    <<: *a\n    bmc: 10.0.0.2\n    rack: r2\n"
        "  c: {<<: [{unit: 3}, *a], bmc: 10.0.0.3}\n"
    )
    nodes = load_text(tmp_path, text).nodes
    assert (nodes["b"].rack, nodes["b"].profile, nodes["b"].bmc_address) == ("r2", "worker", "10.0.0.2:623")
    assert (nodes["c"].rack, nodes["c"].unit) == ("r1", 3)
    assert errors(tmp_path, HEAD + "nodes:\n  a: {rack: r1, rack: r2}\n") == [
        "4:17: error: nodes.a.rack: found the key a second time, it stands at line 4 already"
    ]


def test_recursive_and_exploding_aliases_end(tmp_path: Path) -> None:
    lines = ["x0: &x0 {rack: r1}"] + [f"x{i}: &x{i} {{<<: [*x{i - 1}, *x{i - 1}]}}" for i in range(1, 30)]
    found = errors(tmp_path, HEAD + "\n".join(lines) + "\nnodes: &n\n  a: {<<: *x29}\n  b: *n\n")
    assert any("found the unknown key" in line for line in found)


@pytest.mark.parametrize(
    "mac", ["52:54:00:12:34:56", '"52:54:00:12:34:56"', "52-54-00-12-34-56", "[52:54:00:12:34:56]", "52:54:00:AB:CD:EF"]
)
def test_macs_with_and_without_quotes(tmp_path: Path, mac: str) -> None:
    (found,) = load_text(tmp_path, HEAD + f"nodes: {{a: {{mac: {mac}}}}}\n").nodes["a"].macs
    assert found == mac.strip('"[]').lower().replace("-", ":")


def test_unquoted_numbers_are_text_where_text_is_meant(tmp_path: Path) -> None:
    node = load_text(tmp_path, HEAD + "nodes: {a: {rack: 010, tags: [1, 2024-01-01]}}\n").nodes["a"]
    assert node.rack == "010"
    assert node.tags == ("1", "2024-01-01")


def test_a_range_gives_each_node_its_own(tmp_path: Path) -> None:
    text = HEAD + (
        "nodes:\n"
        "  w[08-09,12-14/2]:\n"
        "    mac: ['52:54:00:00:00:01', ['52:54:00:00:00:02', '52:54:00:00:00:12'],\n"
        "          '52:54:00:00:00:03', '52:54:00:00:00:04']\n"
        "    provisioning_ip: 10.0.0.254+\n"
        "    production_ip: [10.1.0.1, 10.1.0.5, 10.1.0.9, 10.1.0.2]\n"
        "    bmc: {address: 10.2.0.1+, port: 6230}\n"
    )
    nodes = load_text(tmp_path, text).nodes
    assert list(nodes) == ["w08", "w09", "w12", "w14"]
    assert [n.provisioning_ip for n in nodes.values()] == ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]
    assert [n.production_ip for n in nodes.values()] == ["10.1.0.1", "10.1.0.5", "10.1.0.9", "10.1.0.2"]
    assert nodes["w09"].macs == ("52:54:00:00:00:02", "52:54:00:00:00:12")
    assert nodes["w14"].bmc_address == "10.2.0.4:6230"


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("10.0.0.1", "10.0.0.1", None),
        ("10.0.0.1:6230", "10.0.0.1", 6230),
        ("bmc01.example.com", "bmc01.example.com", None),
        ("bmc01:443", "bmc01", 443),
        ("::1", "::1", None),
        ("[fe80::1]:623", "fe80::1", 623),
    ],
)
def test_bmc_addresses(text: str, address: str, port: int | None) -> None:
    assert values.bmc_address(text) == (address, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":623",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.1:",
        "10.0.0.1:0",
        "10.0.0.1:99999",
        "[::1",
        "[::1]x",
        "a b",
        "-x",
        "http://x",
    ],
)
def test_bmc_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        values.bmc_address(text)


def test_bmc_settings_override_the_defaults(tmp_path: Path) -> None:
    text = HEAD + (
        "bmc_defaults: {driver: redfish, username: u, password: {file: secret}, verify_tls: ca.pem}\n"
        "nodes:\n"
        "  a: {bmc: 10.0.0.1}\n"
        "  b: {bmc: {address: 10.0.0.2, driver: ipmi, cipher_suite: 3, verify_tls: no,\n"
        "            password: {command: [pass, show, b]}}}\n"
        f"  c: {{bmc: {{address: 10.0.0.3, verify_tls: 'sha256:{'AB' * 32}', system: '437XR'}}}}\n"
    )
    bmcs = load_text(tmp_path, text).bmcs
    assert bmcs["a"].password.file == str(tmp_path / "secret")
    assert bmcs["a"].verify_tls == str(tmp_path / "ca.pem")
    assert (bmcs["b"].driver, bmcs["b"].cipher_suite, bmcs["b"].verify_tls) == ("ipmi", 3, False)
    assert bmcs["b"].password.command == ("pass", "show", "b")
    assert bmcs["c"].verify_tls == "sha256:" + "ab" * 32
    assert bmcs["c"].system == "437XR"


def test_a_literal_password_is_a_warning_that_does_not_show_it(tmp_path: Path) -> None:
    inventory = load_text(
        tmp_path, HEAD + "bmc_defaults: {username: u, password: hunter2}\nnodes: {a: {bmc: 10.0.0.1}}\n"
    )
    (warning,) = inventory.warnings
    assert "the secret is written here" in warning.message
    assert "hunter2" not in repr(inventory)
    assert inventory.bmcs["a"].password.reveal() == "hunter2"


@pytest.mark.parametrize(
    "password",
    ["*hunter2", "{hunter2}", "{hunter2: x}", "[hunter2]", "!hunter2 x", '"hunter2\\x07"', "@hunter2", "hunter2: x"],
)
def test_a_malformed_password_is_never_printed(tmp_path: Path, password: str) -> None:
    found = errors(tmp_path, HEAD + f"bmc_defaults:\n  password: {password}\nnodes: {{a: {{bmc: 10.0.0.1}}}}\n")
    assert found
    assert "hunter2" not in "\n".join(found)


_hex = st.integers(0, 255).map("{:02x}".format)


@given(st.lists(_hex, min_size=6, max_size=6), st.sampled_from(":-"), st.booleans())
def test_macs_are_normalised_or_refused(parts: list[str], joint: str, upper: bool) -> None:
    text = joint.join(parts)
    expected = ":".join(parts)
    if int(parts[0], 16) & 1 or set(parts) == {"00"}:
        with pytest.raises(ValueError):
            values.mac(text)
    else:
        assert values.mac(text.upper() if upper else text) == expected


@given(st.lists(_hex, max_size=8).map(":".join) | st.text(max_size=20))
def test_macs_of_other_shapes_are_refused(text: str) -> None:
    try:
        assert len(values.mac(text)) == 17
    except ValueError:
        return
    assert text.count(":") + text.count("-") == 5


_scalars = (
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["10.0.0.1", "10.0.0.1+", "255.255.255.255+", "10.0.0.0/24", "52:54:00:12:34:56", "worker", "1s"])
)  # fmt: skip
_words = """
    version cluster networks pxe logs bmc_defaults ssh flake policy profiles services nodes name cidr pool password env
    file command mac bmc address port unit tags disks rack profile provisioning_ip production_ip n[1-3] n[01-03,5] w
"""
_keys = st.sampled_from(_words.split()) | st.text(max_size=6)
_trees = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=6), max_leaves=25
)
_nodes = st.dictionaries(_keys, st.dictionaries(_keys, _trees, max_size=6) | _trees, max_size=4)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(_trees, _nodes, st.booleans())
def test_any_yaml_loads_or_is_refused(tmp_path: Path, tree: object, nodes: object, flow: bool) -> None:
    document = {"version": 1, "cluster": {"name": "c"}, "nodes": nodes}
    for value in (tree, {**document, **tree} if isinstance(tree, dict) else document):
        text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
        found = diagnostics(tmp_path, text)
        assert found is None or found
        assert all(str(d).isprintable() for d in found or ())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | st.text(alphabet="ab:-?!&*{}[],#|>'\"%@ \n\t1<", max_size=60).map(str.encode))
def test_any_bytes_load_or_are_refused(tmp_path: Path, data: bytes) -> None:
    for text in (data, (HEAD + "nodes:\n  a: ").encode() + data):
        found = diagnostics(tmp_path, text)
        assert found is None or found
        assert all(str(d).isprintable() for d in found or ())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_to_a_good_file_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    text = (ROOT / "inventory.yaml").read_text()
    at = data.draw(st.integers(0, len(text) - 1))
    piece = data.draw(st.text(alphabet="x:-{}[]'\"\n *&!+1", max_size=4))
    found = diagnostics(tmp_path, text[:at] + piece + text[at + data.draw(st.integers(0, 9)) :])
    assert found is None or found
    assert all(d.place.line >= 1 and d.place.column >= 1 for d in found or ())


def test_a_thousand_nodes_load_quickly(tmp_path: Path) -> None:
    lines = [
        f"""  n{i:04}:
    profile: worker
    mac: "52:54:00:12:{i // 256:02x}:{i % 256:02x}"
    bmc: {{address: 10.0.{i // 250}.{i % 250}, port: 623, driver: ipmi, username: admin, password: {{env: X}}}}
    provisioning_ip: 10.1.{i // 250}.{i % 250}
    production_ip: 10.2.{i // 250}.{i % 250}
    disks: [/dev/disk/by-id/nvme-SAMSUNG_MZ_S{i}]
    rack: r{i // 40}
    unit: {i % 40 + 1}
    tags: [ssd]
"""
        for i in range(1000)
    ]
    text = HEAD + "nodes:\n" + "".join(lines)
    begin = time.perf_counter()
    inventory = load_text(tmp_path, text)
    print(f"1000 nodes, {len(text) // 1000} kB: {(time.perf_counter() - begin) * 1e3:.0f} ms")  # noqa: T201 - a measurement
    assert len(inventory.nodes) == 1000


def test_the_references_example_loads_and_every_key_is_described(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "inventory.md").read_text()
    inventory = load_text(tmp_path, text.split("```yaml\n")[1].split("```")[0])
    assert len(inventory.nodes) == 33
    assert inventory.warnings == ()
    keys = {*TOP_KEYS, *CLUSTER_KEYS, *BMC_KEYS, *NODE_KEYS, *SECRET_KEYS}
    assert [key for key in sorted(keys) if not re.search(rf"`\{{?{key}\b", text)] == []
    for check in (*CHECKS, CREDENTIALS, CLUSTER_ACCESS):
        assert f"| `{check.id}` |" in text
    for service in SERVICES.values():
        assert re.search(rf"\| {service.name} \| {service.port} \|", text)
