"""The cluster's own authority: what it issues works in a real handshake, and nothing is lost or let out."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.certs import rotate
from plasmatui.certs.authorized import has_key, with_key, without_key
from plasmatui.certs.files import in_secrets
from plasmatui.certs.issue import IssueError, Plan, issue, make_plan, names
from plasmatui.certs.read import CertificateError, key_fits, missing_names, parse_der, parse_pem, read_file
from plasmatui.certs.sshkeys import KeyFileError, make_key, next_path, public_line, read_key, rotation
from plasmatui.cli.main import run
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.loader import load
from plasmatui.inventory.secrets import Secret, reference

TEXT = """
version: 1
cluster: {name: lab, domain: example.com}
secrets: secrets
nodes:
  node[01-02]: {production_ip: 10.0.200.10+, profile: worker}
"""
NODES = ("node01", "node02")


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    (tmp_path / "inventory.yaml").write_text(TEXT)
    return load(tmp_path / "inventory.yaml")


def issued(
    inventory: Inventory, nodes: tuple[str, ...] = NODES, *, renew: bool = False, secret: Secret | None = None
) -> Plan:
    plan = make_plan(inventory, nodes, renew=renew)
    issue(inventory, plan, secret or Secret())
    return plan


def modes(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): f"{path.stat().st_mode & 0o777:04o}" for path in directory.rglob("*")}


def handshake(directory: Path, node: str, asked: str) -> None:
    """A TLS connection whose client believes the CA alone, with strict checks."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / node / f"{node}-cert.pem", directory / node / f"{node}-key.pem")
    client = ssl.create_default_context(cafile=str(directory / node / "ca-cert.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(ours, server_hostname=asked).close()
    finally:
        ours.close()
        thread.join()


def test_what_is_issued_is_trusted_under_every_name(inventory: Inventory) -> None:
    plan = issued(inventory)
    assert [item.what for item in plan.items] == ["make", "make", "make"]
    directory = Path(inventory.secrets)
    assert names(inventory, "node02") == ("node02.example.com", "node02", "localhost", "10.0.200.11", "127.0.0.1")
    for name in names(inventory, "node02"):
        handshake(directory, "node02", name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(directory, "node02", "node01.example.com")
    found = read_file(directory / "node01/node01-cert.pem")[0]
    assert key_fits(found, (directory / "node01/node01-key.pem").read_bytes())
    assert not key_fits(found, (directory / "node02/node02-key.pem").read_bytes())
    assert found.issued_by(read_file(directory / "_ca/ca-cert.pem")[0])
    assert not found.issued_by(found)
    assert found.days_left(found.begin) == 365


def test_modes_and_places(inventory: Inventory) -> None:
    os.umask(0o022)
    issued(inventory, ("node01",))
    assert modes(Path(inventory.secrets)) == {
        "_ca": "0700", "_ca/ca-key.pem": "0600", "_ca/ca-cert.pem": "0644",
        "node01": "0700", "node01/node01-key.pem": "0400", "node01/node01-cert.pem": "0644",
        "node01/ca-cert.pem": "0644",
    }  # fmt: skip
    assert Path(inventory.secrets).stat().st_mode & 0o777 == 0o700


def test_nothing_is_replaced_unless_asked_and_then_the_old_one_is_kept(inventory: Inventory) -> None:
    issued(inventory)
    directory = Path(inventory.secrets)
    before = {path: path.read_bytes() for path in directory.rglob("*.pem")}
    again = issued(inventory)
    assert [item.what for item in again.items] == ["keep", "keep", "keep"]
    assert {path: path.read_bytes() for path in directory.rglob("*.pem")} == before
    renewed = issued(inventory, ("node01",), renew=True)
    assert [item.what for item in renewed.items] == ["keep", "renew"]
    for name in ("node01-cert.pem", "node01-key.pem"):
        old = next((directory / "_old/node01").glob(f"*/{name}"))
        assert old.read_bytes() == before[directory / "node01" / name] != (directory / "node01" / name).read_bytes()
    assert next((directory / "_old/node01").glob("*/node01-key.pem")).stat().st_mode & 0o777 == 0o400
    assert (directory / "node02/node02-cert.pem").read_bytes() == before[directory / "node02/node02-cert.pem"]
    issued(inventory, ("node01",), renew=True)
    assert len(list((directory / "_old/node01").iterdir())) == 2
    handshake(directory, "node01", "localhost")


def test_a_passphrase_guards_the_ca(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CA_WORD", "hunter2")
    issued(inventory, ("node01",), secret=Secret(env="CA_WORD"))
    assert b"ENCRYPTED" in (Path(inventory.secrets) / "_ca/ca-key.pem").read_bytes()
    with pytest.raises(IssueError, match="needs a passphrase"):
        issued(inventory, ("node02",))
    monkeypatch.setenv("CA_WORD", "wrong")
    with pytest.raises(IssueError, match="wrong passphrase") as raised:
        issued(inventory, ("node02",), secret=Secret(env="CA_WORD"))
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("CA_WORD", "hunter2")
    issued(inventory, ("node02",), secret=Secret(env="CA_WORD"))


def test_a_ca_that_is_there_is_not_made_again(inventory: Inventory, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("a CA of somebody")
    with pytest.raises(IssueError, match="there is a CA already"):
        make_plan(replace(inventory, ca=str(ca)), NODES, renew=False)
    issued(inventory)
    place = Path(inventory.secrets) / "_ca"
    (place / "ca-key.pem").rename(place / "elsewhere")
    with pytest.raises(IssueError, match="is not there: put the key"):
        make_plan(inventory, NODES, renew=True)
    (place / "ca-key.pem").write_bytes((Path(inventory.secrets) / "node01/node01-key.pem").read_bytes())
    (place / "ca-key.pem").chmod(0o600)
    with pytest.raises(IssueError, match="is not the key of"):
        issued(inventory, NODES, renew=True)
    (place / "ca-key.pem").chmod(0o644)
    with pytest.raises(IssueError, match="chmod 600"):
        issued(inventory, NODES, renew=True)


def test_secrets_where_others_could_read_them_are_refused(inventory: Inventory) -> None:
    Path(inventory.secrets).mkdir(mode=0o755)
    with pytest.raises(IssueError, match="chmod 700"):
        make_plan(inventory, NODES, renew=False)
    inside = replace(inventory, flake=str(inventory.path.parent))
    Path(inventory.secrets).chmod(0o700)
    with pytest.raises(IssueError, match="lies in the flake"):
        make_plan(inside, NODES, renew=False)
    with pytest.raises(IssueError, match="add `secrets"):
        make_plan(replace(inventory, secrets=""), NODES, renew=False)


def test_the_list_of_files_names_what_cannot_be_read(inventory: Inventory) -> None:
    issued(inventory)
    odd = Path(inventory.secrets) / "node01/other.crt"
    odd.write_text("-----BEGIN CERTIFICATE-----\n\x1b]0;owned\x07\n-----END CERTIFICATE-----\n")
    seen = {Path(each.place).name: each for each in in_secrets(inventory, NODES)}
    assert set(seen) == {"ca-cert.pem", "node01-cert.pem", "node02-cert.pem", "other.crt"}
    assert "no certificate that can be read" in seen["other.crt"].problem
    assert "\x1b" not in seen["other.crt"].problem
    assert seen["node01-cert.pem"].issuer == "lab CA"


@given(st.binary(max_size=300))
def test_no_bytes_upset_the_reader_of_certificates(data: bytes) -> None:
    for read in (parse_der, parse_pem):
        with pytest.raises(CertificateError):
            read(data)


def test_wildcards_cover_one_label(inventory: Inventory) -> None:
    issued(inventory, ("node01",))
    found = replace(read_file(Path(inventory.secrets) / "node01/node01-cert.pem")[0], names=("*.example.com",))
    assert missing_names(found, ("NODE01.example.com",)) == ()
    assert missing_names(found, ("a.b.example.com", "example.com")) == ("a.b.example.com", "example.com")


def test_command_shows_the_plan_and_wants_a_word(inventory: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["-i", str(inventory.path)]
    assert run([*at, "certs", "issue", "--plan"]) == 0
    assert "make  node01: issue for node01.example.com" in capsys.readouterr().out
    assert not Path(inventory.secrets).exists()
    assert run([*at, "certs", "issue"]) == 2
    assert "no terminal to confirm" in capsys.readouterr().err
    assert run([*at, "--read-only", "certs", "issue", "--yes"]) == 4
    assert run([*at, "certs", "issue", "--passphrase", "hunter2", "--yes"]) == 2
    assert "hunter2" not in "".join(capsys.readouterr())
    assert not Path(inventory.secrets).exists()
    assert run([*at, "certs", "issue", "node01", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [item["what"] for item in told["plan"]] == ["make", "make"]
    assert len(told["written"]) == 5


def test_provisioning_key(inventory: Inventory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_key(str(tmp_path / "none")).problem == "No such file or directory"
    key = tmp_path / "key"
    key.write_text("no key")
    key.chmod(0o600)
    assert "cannot be read" in read_key(str(key)).problem
    blob = "AAAAC3NzaC1lZDI1NTE5AAAAIFHCvo7jGBF7AzTuGDkZEVmXh1EQmXIzTHl6FhfTzWvX"
    key.with_name("key.pub").write_text(f"ssh-ed25519 {blob} ops\x1b[2J")
    found = read_key(str(key))
    assert (found.kind, found.problem) == ("ssh-ed25519", "")
    assert found.fingerprint.startswith("SHA256:")
    assert "\x1b" not in found.comment
    steps = rotation(inventory, NODES, "node[01-02]")
    assert any("Permission denied" in step.proof for step in steps)
    assert run(["-i", str(inventory.path), "sshkeys", "plan", "node01"]) == 0
    assert "10.0.200.10" in capsys.readouterr().out


# --- rotation --------------------------------------------------------------------------------------------------------


def trusted(inventory: Inventory) -> Inventory:
    issued(inventory)
    return replace(inventory, ca=str(Path(inventory.secrets) / "_ca/ca-cert.pem"))


def test_a_next_pair_lies_apart_until_it_is_adopted(inventory: Inventory) -> None:
    inventory = trusted(inventory)
    directory = Path(inventory.secrets)
    assert rotate.why_not(inventory, Secret()) == ""
    before = (directory / "node01/node01-cert.pem").read_bytes()
    pair = rotate.stage(inventory, "node01", Secret())
    assert (directory / "node01/node01-cert.pem").read_bytes() == before
    assert modes(directory / "_new") == {
        "node01": "0700", "node01/ca-cert.pem": "0644",
        "node01/node01-cert.pem": "0644", "node01/node01-key.pem": "0400",
    }  # fmt: skip
    assert rotate.staged(inventory, "node01") == pair
    assert rotate.staged(inventory, "node02") is None
    assert b"PRIVATE" not in repr(pair).encode()
    for _ in range(2):  # as after an engine's end in the middle
        rotate.adopt(inventory, "node01")
    assert (directory / "node01/node01-cert.pem").read_bytes() == pair.certificate
    handshake(directory, "node01", "node01.example.com")
    kept = list((directory / "_old/node01").rglob("node01-cert.pem"))
    assert [path.read_bytes() for path in kept] == [before]
    rotate.discard(inventory, "node01")
    assert rotate.staged(inventory, "node01") is None
    with pytest.raises(IssueError, match="no whole key"):
        rotate.adopt(inventory, "node01")


def test_a_pair_that_does_not_fit_is_none(inventory: Inventory) -> None:
    inventory = trusted(inventory)
    pair = rotate.stage(inventory, "node01", Secret())
    other = rotate.stage(inventory, "node02", Secret())
    assert rotate.faults(inventory, "node01", pair) == ()
    assert rotate.faults(inventory, "node01", replace(pair, key=other.key)) == ("the key is not the certificate's",)
    assert "does not name node02.example.com" in rotate.faults(inventory, "node02", pair)[0]
    assert "was not issued by" in rotate.faults(inventory, "node01", replace(pair, ca=other.certificate))[0]
    assert rotate.faults(inventory, "node01", replace(pair, certificate=b"nothing")) != ()
    (rotate.staged_at(inventory, "node01") / "node01-key.pem").unlink()
    assert rotate.staged(inventory, "node01") is None


def test_a_ca_that_clients_do_not_trust_issues_nothing_to_rotate(inventory: Inventory, tmp_path: Path) -> None:
    assert "plasmatui certs issue makes one" in rotate.why_not(inventory, Secret())
    inventory = trusted(inventory)
    assert "cluster.ca is not given" in rotate.why_not(replace(inventory, ca=""), Secret())
    stranger = tmp_path / "other.pem"
    stranger.write_bytes((Path(inventory.secrets) / "node01/node01-cert.pem").read_bytes())
    assert "not among those of" in rotate.why_not(replace(inventory, ca=str(stranger)), Secret())
    both = tmp_path / "both.pem"
    both.write_bytes(stranger.read_bytes() + Path(inventory.ca).read_bytes())
    assert rotate.why_not(replace(inventory, ca=str(both)), Secret()) == ""


@pytest.mark.parametrize(
    ("text", "given"), [("env:CA", Secret(env="CA")), ("file:/x", Secret(file="/x")), ("", Secret())]
)
def test_references_name_where_a_secret_is(text: str, given: Secret) -> None:
    assert reference(text) == given


@pytest.mark.parametrize("text", ["hunter2", "env:", "env:two words", "file:", "command:cat"])
def test_what_is_no_reference_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="expected env:NAME or file:PATH") as raised:
        reference(text)
    assert "hunter2" not in str(raised.value)


# --- SSH keys --------------------------------------------------------------------------------------------------------

OLD, NEW, THIRD = "ssh-ed25519 AAAAold", "ssh-ed25519 AAAAnew", "ssh-ed25519 AAAAoldest"


def test_a_new_key_is_let_in_under_the_old_ones_conditions() -> None:
    text = f'# ours\nfrom="10.0.0.1,10.0.0.2",command="echo  x" {OLD} a comment\n{THIRD}\n'
    both = with_key(text, OLD, f"{NEW} provisioning")
    assert both.splitlines()[2] == f'from="10.0.0.1,10.0.0.2",command="echo  x" {NEW} provisioning'
    assert with_key(both, OLD, NEW) == both
    assert has_key(both, NEW)
    assert not has_key(f"# {OLD}\n", OLD)
    left = without_key(both, OLD)
    assert (has_key(left, OLD), has_key(left, NEW), has_key(left, THIRD)) == (False, True, True)
    assert left.startswith("# ours\n")
    assert without_key(f"{OLD}\n", OLD) == ""


_LINES = st.lists(
    st.text(st.characters(exclude_characters="\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30), max_size=5
)


@given(_LINES, st.sampled_from(["", f"{OLD}\n", f"restrict {OLD}\tx\n", f"ssh-ed25519  {OLD.split()[1]}\n"]))
def test_adding_and_taking_out_a_key_leaves_the_other_lines(others: list[str], own: str) -> None:
    text = own + "".join(f"{line}\n" for line in others)
    added = with_key(text, OLD, NEW)
    assert has_key(added, NEW)
    assert has_key(added, OLD) is bool(own)
    kept = without_key(without_key(added, OLD), NEW).splitlines()
    assert kept == [line for line in others if not has_key(line, OLD) and not has_key(line, NEW)]


def test_a_key_that_many_make_at_once_is_one_and_never_seen_half_written(tmp_path: Path) -> None:
    key = str(tmp_path / "id")

    def make(_: int) -> str:
        make_key(key, "")
        return public_line(key)

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(make, range(64)))) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["id", "id.pub"]


def test_a_key_is_made_once_and_privately(tmp_path: Path) -> None:
    key = tmp_path / "id-20260101"
    assert next_path(str(key), "20261128") == str(tmp_path / "id-20261128")
    make_key(str(key), "provisioning")
    (tmp_path / "id-20261128").touch()
    assert next_path(str(key), "20261128") == str(tmp_path / "id-20261128-2")
    private = key.read_bytes()
    make_key(str(key), "provisioning")
    assert key.read_bytes() == private
    assert modes(tmp_path)["id-20260101"] == "0600"
    assert (tmp_path / "id-20260101.pub").read_text() == public_line(str(key), "provisioning") + "\n"
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        public_line(str(key))
    with pytest.raises(KeyFileError, match="No such file"):
        make_key(str(tmp_path / "nowhere/key"), "")
