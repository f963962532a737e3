"""Checks over the whole inventory, the checklist that `plasmatui check` prints, and secrets that never show."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from plasmatui.inventory.report import CheckReport, check
from plasmatui.inventory.secrets import Secret, SecretError

HEAD = "version: 1\ncluster: {name: c}\n"
NETS = (
    "networks:\n"
    "  management: {cidr: 10.0.10.0/24}\n"
    "  provisioning: {cidr: 10.0.100.0/24, gateway: 10.0.100.1, pool: 10.0.100.100-10.0.100.200}\n"
    "  production: {cidr: 10.0.200.0/24}\n"
)


def report(tmp_path: Path, text: str) -> CheckReport:
    path = tmp_path / "i.yaml"
    path.write_text(HEAD + text)
    return check(path)


def messages(found: CheckReport) -> list[str]:
    return [f"{d.place.line}:{d.place.column} {d.severity} {d.message}" for d in (*found.errors, *found.warnings)]


@pytest.mark.parametrize(
    ("id_", "text", "expected"),
    [
        (
            "macs",
            "nodes:\n  a: {mac: '52:54:00:00:00:01'}\n  b: {mac: ['52:54:00:00:00:02', 52-54-00-00-00-01]}\n",
            ["5:34 error b: found the MAC 52:54:00:00:00:01, which a has already, expected another"],
        ),
        (
            "addresses",
            "nodes:\n  a: {production_ip: 10.0.0.1}\n  b: {provisioning_ip: 10.0.0.1}\n",
            ["5:24 error b: found provisioning_ip 10.0.0.1, which is a.production_ip already, expected another"],
        ),
        (
            "addresses",
            "pxe: {server: 10.0.0.1}\nnodes:\n  a: {production_ip: 10.0.0.1}\n",
            ["5:22 error a: found production_ip 10.0.0.1, which is pxe.server already, expected another"],
        ),
        (
            "address-in-network",
            NETS + "nodes:\n  w[1-9]: {production_ip: 10.0.200.251+}\n",
            [
                "8:27 error w5: production_ip is the first or last address of 10.0.200.0/24, which no host can have",
                "8:27 error w[6-9]: production_ip lies outside the network production (10.0.200.0/24)",
            ],
        ),
        (
            "reservations",
            NETS + "nodes:\n  w[1-3]: {provisioning_ip: 10.0.100.99+}\n",
            [
                "8:29 error w[2-3]: provisioning_ip lies inside the DHCP pool 10.0.100.100-10.0.100.200 "
                "of provisioning, expected an address outside it"
            ],
        ),
        (
            "networks",
            "pxe: {server: 10.1.0.1}\nnetworks:\n  a: {cidr: 10.0.0.0/16, vlan: 7}\n"
            "  provisioning: {cidr: 10.0.1.0/24, vlan: 7, gateway: 10.0.2.1, pool: 10.0.1.9-10.0.2.9}\nnodes: {}\n",
            [
                "3:15 error pxe.server: 10.1.0.1 lies outside the network provisioning (10.0.1.0/24)",
                "6:24 error networks.provisioning: 10.0.1.0/24 overlaps with a (10.0.0.0/16)",
                "6:55 error networks.provisioning: the gateway 10.0.2.1 lies outside 10.0.1.0/24",
                "6:71 error networks.provisioning: the pool 10.0.1.9-10.0.2.9 contains the gateway 10.0.2.1",
                "6:71 error networks.provisioning: the pool 10.0.1.9-10.0.2.9 lies outside 10.0.1.0/24",
                "6:24 warning networks.provisioning: the VLAN 7 is that of a too",
            ],
        ),
        (
            "profiles",
            "nodes:\n  a[1-2]: {profile: wroker}\n",
            ["4:21 error a[1-2]: found the unknown profile wroker; did you mean worker?"],
        ),
        (
            "services",
            "profiles: {p: {services: [iam, x9]}}\nnodes: {}\n",
            ["3:32 error profiles.p: found the unknown service x9; define it under services with its port"],
        ),
        (
            "voters",
            "nodes:\n  a[1-4]: {profile: control-plane}\n",
            ["4:3 warning found 4 voters (a[1-4]), expected an odd number: like 3 they survive the loss of 1"],
        ),
        ("names", "nodes:\n  worker: {}\n", ["4:3 warning worker: the node has the name of the group @worker"]),
        (
            "rack-units",
            "nodes:\n  a: {rack: r1, unit: 3}\n  b: {rack: r2, unit: 3}\n  c: {rack: r1, unit: 3}\n",
            ["6:23 warning c: found rack r1 unit 3, where a is already"],
        ),
        (
            "disks",
            "nodes:\n  a: {disks: [/dev/disk/by-id/x, /dev/nvme0n1]}\n",
            ["4:34 warning a: the disk /dev/nvme0n1 may be another after a reboot, expected /dev/disk/by-id/..."],
        ),
        (
            "address-in-network",
            NETS + "bmc_defaults: {username: u, password: {command: [x]}}\nnodes:\n  a: {bmc: 10.0.11.1}\n",
            ["9:12 warning a: the BMC lies outside the network management (10.0.10.0/24)"],
        ),
    ],
)
def test_each_check_finds_what_it_is_for(tmp_path: Path, id_: str, text: str, expected: list[str]) -> None:
    found = report(tmp_path, text)
    assert messages(found) == expected
    assert [result.id for result in found.results if not result.ok] == [id_]
    assert found.ok == all(" warning " in line for line in expected)
    assert (found.inventory is not None) == found.ok


def test_bmcs_behind_one_address_need_different_ports(tmp_path: Path) -> None:
    login = "bmc_defaults: {username: u, password: {command: [x]}}\n"
    assert messages(report(tmp_path, login + "nodes: {a: {bmc: '127.0.0.1:1'}, b: {bmc: '127.0.0.1:2'}}\n")) == []
    (same,) = messages(report(tmp_path, login + "nodes: {a: {bmc: 127.0.0.1}, b: {bmc: '127.0.0.1:623'}}\n"))
    assert same.endswith("b: found bmc 127.0.0.1 port 623, which is a.bmc already, expected another")


def test_a_good_inventory_passes_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLASMATUI_BMC_PASSWORD", "correct horse")
    path = tmp_path / "inventory.yaml"
    text = (Path(__file__).parents[3] / "inventory.yaml").read_text()
    path.write_text(text.replace("\nflake:", "\n# flake:"))  # what installations need, this host may not have
    found = check(path)
    assert messages(found) == []
    assert all(result.ok for result in found.results)
    assert found.counts == {"nodes": 5, "voters": 3, "bmcs": 5, "macs": 3, "networks": 3}
    assert "worker[01-02] without a MAC address" in found.results[-1].message


def test_a_file_that_cannot_be_read_leaves_the_rest_open(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path / "i.yaml"):
        (tmp_path / "i.yaml").write_text("a: [")
        found = check(path)
        assert found.errors
        assert [result.ok for result in found.results][:2] == [False, None]


def test_vendor_logins_are_found_and_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACK_PW", "calvin")
    text = (
        "bmc_defaults: {username: ADMIN, password: ADMIN}\n"
        "nodes:\n  a[1-2]: {bmc: 10.0.0.1+}\n"
        "  b: {bmc: {address: 10.0.0.3, username: root, password: {env: RACK_PW}}}\n"
        "  c: {bmc: {address: 10.0.0.4, username: root, password: {command: [touch, FILE]}}}\n"
    ).replace("FILE", str(tmp_path / "ran"))
    found = messages(report(tmp_path, text))
    assert "3:43 warning a[1-2]: the BMC's user ADMIN still has the vendor's default password" in found
    assert "6:12 warning b: the BMC's user root still has the vendor's default password" in found
    assert "calvin" not in "".join(found)
    assert not (tmp_path / "ran").exists()


def test_secrets_that_cannot_be_had_are_warnings_told_once(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("x")
    (tmp_path / "open").chmod(0o644)
    text = (
        "bmc_defaults: {username: u, password: {env: NOT_SET_ANYWHERE}}\n"
        "nodes:\n  a[1-9]: {bmc: 10.0.0.1+}\n  b: {bmc: {address: 10.0.0.20, password: {file: open}}}\n  c: {}\n"
    )
    found = report(tmp_path, text)
    assert found.ok
    assert messages(found) == [
        "3:39 warning a[1-9]: the BMC's password cannot be had here: environment variable NOT_SET_ANYWHERE is not set",
        f"6:12 warning b: the BMC's password cannot be had here: {tmp_path}/open is open to others (mode 0644): "
        f"chmod 600 {tmp_path}/open",
    ]


def test_a_secret_shows_its_origin_only(tmp_path: Path) -> None:
    literal = Secret(literal="hunter2")
    for text in (
        repr(literal),
        str(literal),
        f"{literal}",
        f"{literal:>40}",
        f"{[literal]}",
        repr(literal.origin),
    ):
        assert "hunter2" not in text
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(literal)


def test_secrets_are_read_from_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "from env")
    file = tmp_path / "pw"
    file.write_text("from file\n")
    file.chmod(0o600)
    assert Secret(env="PW").reveal() == "from env"
    assert Secret(file=str(file)).reveal() == "from file"
    assert Secret(command=("printf", "from command\n")).reveal() == "from command"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("false",), "command false ended with code 1"),
        (("/no/such/program",), "command /no/such/program"),
        (("printf", r"\377"), "command printf printed something that is not UTF-8 text"),
        (("true",), "command true printed nothing"),
    ],
)
def test_commands_that_give_no_secret(command: tuple[str, ...], message: str) -> None:
    with pytest.raises(SecretError, match=message):
        Secret(command=command).reveal()


def test_files_that_give_no_secret(tmp_path: Path) -> None:
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    (tmp_path / "bin").chmod(0o600)
    for name, message in (("none", "No such file"), ("bin", "not UTF-8")):
        with pytest.raises(SecretError, match=message):
            Secret(file=str(tmp_path / name)).reveal()


def test_the_clusters_ca_and_token_are_read_and_looked_at_where_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "i.yaml"
    path.write_text("version: 1\ncluster: {name: c, ca: ca.pem, token: {env: PLASMATUI_TEST_TOKEN}}\nnodes: {}\n")
    monkeypatch.delenv("PLASMATUI_TEST_TOKEN", raising=False)
    missing = check(path)
    assert messages(missing) == [
        f"2:24 warning cluster.ca: {tmp_path / 'ca.pem'}: No such file or directory",
        "2:39 warning cluster.token: it cannot be had here: environment variable PLASMATUI_TEST_TOKEN is not set",
    ]
    (tmp_path / "ca.pem").write_text("no certificate")
    monkeypatch.setenv("PLASMATUI_TEST_TOKEN", "s3cret-token")
    empty = check(path)
    assert messages(empty) == [
        f"2:24 warning cluster.ca: {tmp_path / 'ca.pem'}: found no certificate that can be used, expected CAs in PEM"
    ]
    assert empty.inventory is not None
    assert empty.inventory.ca == str(tmp_path / "ca.pem")
    assert empty.inventory.token.reveal() == "s3cret-token"
    assert "s3cret" not in repr(empty)


def test_a_cluster_without_ca_and_token_is_not_complained_about(tmp_path: Path) -> None:
    found = report(tmp_path, "nodes: {}\n")
    assert messages(found) == []
    assert found.inventory is not None
    assert not found.inventory.ca
    assert not found.inventory.token.given


def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An inventory that lacks nothing that an installation needs, and the host that it fits."""
    for name in ("flake", "secrets/a", "tools"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "flake/flake.nix").touch()
    for name in ("tools/nix", "tools/nixos-anywhere", "key"):
        (tmp_path / name).touch(mode=0o700)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return (
        f"flake: ./flake\ntools: {tmp_path}/tools\nsecrets: ./secrets\nssh: {{key: {tmp_path}/key}}\n"
        "profiles: {p: {}}\nnodes: {a: {disks: [/dev/disk/by-id/x]}}\n"
    )


def about_operations(found: CheckReport) -> tuple[bool | None, list[str]]:
    (result,) = [item for item in found.results if item.id == "operations"]
    return result.ok, [d.message for d in found.warnings]


def test_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert about_operations(report(tmp_path, ready(tmp_path, monkeypatch))) == (True, [])


@pytest.mark.parametrize(
    ("line", "instead", "says"),
    [
        ("./flake", "./other", "holds no flake.nix"),
        ("tools: ", "#", "nix, which installs, is not in PATH"),
        ("tools\n", "key\n", "nixos-anywhere, which installs, is neither in"),
        ("secrets: ", "#", "secrets is not given"),
        ("./secrets", "./key", "a: "),
        ("disks: [/dev/disk/by-id/x]", "", "a: disks are not given"),
        ("ssh: ", "#", "no SSH agent runs here"),
        ("/key", "/gone", "cannot be read here"),
        ("p: {}", "p: {services: [chainfire]}", "cluster.ca is not given"),
    ],
)
def test_what_operations_lack_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, instead: str, says: str
) -> None:
    text = ready(tmp_path, monkeypatch)
    assert line in text
    found = report(tmp_path, text.replace(line, instead))
    ok, warnings = about_operations(found)
    assert found.ok
    assert ok is False
    assert any(says in message for message in warnings), warnings


def test_without_a_flake_nothing_is_asked_about_operations(tmp_path: Path) -> None:
    found = report(tmp_path, "nodes: {a: {}}\n")
    assert "operations" not in {item.id for item in found.results}
    assert found.warnings == ()
