"""What leaves in a bundle holds no secret: planted ones are looked for byte by byte."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.engine.redact import Redactor
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.inventory.secrets import Secret
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import BootDeviceOrder
from plasmatui.watch.replay import replay
from tests.engine.bootserver import IPS, KERNEL, MACS, S, Server, boots, following, stage
from tests.engine.conftest import Start, until

BMC = 'hunter22-of "the" BMC\\'
"""With what JSON and YAML escape."""
TOKEN = "cluster-t0ken"
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\r\nAAAAC3NzaC1lZDI1NTE5\r\n"
    "-----END OPENSSH PRIVATE KEY-----"
)

PLANTED = {
    "password=Tr0ub4dor&3": "Tr0ub4dor",
    '"password": "Tr0ub4dor"': "Tr0ub4dor",
    "root_passwd: s3cr3tvalue": "s3cr3tvalue",
    "GET /boot.ipxe?token=abcdef0123&mac=52:54 HTTP/1.1": "abcdef0123",
    "GET /a?X-Amz-Signature=feedface00&x=1": "feedface00",
    "GET /a?x=1&sig=feedface01 HTTP/1.1": "feedface01",
    "http://boot:s3cret.pw@10.0.0.1/x": "s3cret.pw",
    "https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com/x": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "Authorization: Bearer abc.def-ghi": "abc.def-ghi",
    'authorization: Digest username="anna", response="66290001"': "66290001",
    "proxy-authorization: Basic YWRtaW46aHVudGVy": "YWRtaW46aHVudGVy",
    '"-" "Cookie: session=cafe0123"': "cafe0123",
    "Set-Cookie: sid=cafe0456; Path=/": "cafe0456",
    "node1 login: root\r\nPassword: correct horse battery\r\nLast login": "correct horse battery",
    "Enter passphrase for key '/root/.ssh/id_ed25519': open sesame\r\n": "open sesame",
    "[sudo] password for anna: swordfish\r\n": "swordfish",
    KEY: "AAAAC3NzaC1lZDI1NTE5",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ": "MIIEvQIBADANBgkqhkiG9w0BAQ",
    "root:$6$saltsalt$hashhashhashhash:19000:": "hashhashhashhash",
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl end": "eyJzdWIiOiIxMjM0In0",
    "key AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQ": "AGE-SECRET-KEY-1QQQQ",
}


def with_secrets(inventory: Inventory) -> Inventory:
    bmcs = {name: dataclasses.replace(bmc, password=Secret(literal=BMC)) for name, bmc in inventory.bmcs.items()}
    return dataclasses.replace(inventory, bmcs=bmcs, token=Secret(literal=TOKEN))


@pytest.mark.parametrize("text", PLANTED)
def test_what_is_written_like_a_secret(inventory: Inventory, text: str) -> None:
    redactor = Redactor(inventory)
    for before, after in (("", ""), ("Nov 28 00:00:00 pxe01 x[1]: ", " end"), ("a\n", "\nb\r\n")):
        whole = f"{before}{text}{after}".encode()
        clean = redactor.clean(whole)
        assert PLANTED[text].encode() not in clean
        assert len(clean) == len(whole)
        assert [i for i, b in enumerate(clean) if b in b"\r\n"] == [i for i, b in enumerate(whole) if b in b"\r\n"]


def test_the_inventory_s_secrets_in_every_form(inventory: Inventory) -> None:
    redactor = Redactor(with_secrets(inventory))
    value = BMC.encode()
    cut = value[:9] + b"\r\n" + value[9:]
    for form in (value, quote(BMC).encode(), base64.b64encode(value), cut):
        clean = redactor.clean(b"x " + form + b" y")
        assert form not in clean
        assert b"hunter22" not in clean
    assert json.loads(json.dumps(redactor.tree({"a": [BMC, {TOKEN: 1}]}))) == {
        "a": ["*" * len(BMC), {"*" * len(TOKEN): 1}]
    }


def test_a_password_of_digits_leaves_times_alone(inventory: Inventory) -> None:
    bmcs = {name: dataclasses.replace(bmc, password=Secret(literal="1128")) for name, bmc in inventory.bmcs.items()}
    redactor = Redactor(dataclasses.replace(inventory, bmcs=bmcs))
    assert redactor.clean(b"1764281128.5 tried 1128 today") == b"1764281128.5 tried **** today"


@given(st.binary(max_size=300))
def test_lengths_and_line_ends_stay(data: bytes) -> None:
    redactor = Redactor.__new__(Redactor)
    redactor._values = []
    for whole in (data, b"password: " + data, b"-----BEGIN PRIVATE KEY-----" + data):
        clean = redactor.clean(whole)
        assert len(clean) == len(whole)
        assert [b for b in clean if b in b"\r\n"] == [b for b in whole if b in b"\r\n"]


async def test_a_bundle_of_a_running_rack(start: Start, inventory: Inventory, server: Server, tmp_path: Path) -> None:
    """It replays to the same boot, times included, and holds none of the planted secrets, nor do its files' names."""
    odd = tmp_path / "token=abcdef0123456789" / "hunter22-of log"
    odd.parent.mkdir()
    server.http.rename(odd)
    server.http = odd
    entries = (server.entries[0], LogEntry("http", "nginx-access", file=str(odd)))
    inventory = dataclasses.replace(with_secrets(inventory), logs=entries)
    running = await start(inventory=inventory)
    await following(running)
    async with await running.client() as client:
        await client.ask(wire.StartOrder(BootDeviceOrder(BootDevice(Device.PXE)), ("n1",)))
        await until(lambda: running.engine._store.states["n1"].boot_verified)
    running.backend.on_console("n1", b"iPXE initialising devices...ok\r\n")
    server.boot("n1", upto=1)
    server.fetch(IPS["n1"], f"/bzImage?password={quote(BMC)}", size=9_000_000)
    server.fetch(IPS["n1"], "/initrd", size=50_000_000)
    for text in PLANTED:
        for line in text.splitlines():
            server.write(server.http, f"{MACS['n1']} {line}")
    await until(lambda: stage(running, "n1") is S.HTTP_INITRD)
    running.backend.on_console("n1", KERNEL)
    await until(lambda: stage(running, "n1") is S.INSTALLER_UP)
    for text in (*PLANTED, BMC, TOKEN):
        running.backend.on_console("n1", text.encode() + b"\r\n")
    (live,) = await boots(running, "n1")
    directory = tmp_path / "bundle"
    async with await running.client() as client:
        reply = await client.ask(wire.MakeBundle((), str(directory), operation=1))
    assert isinstance(reply, wire.BundleReply)
    assert reply.nodes == ("n1",)
    assert {"operations.json", "events.json", "timelines.json"} <= set(reply.files)
    everything = {path.name: path.name.encode() + path.read_bytes() for path in directory.iterdir()}
    secrets = {word.encode() for word in PLANTED.values()} | {TOKEN.encode(), b"hunter22", b"abcdef0123456789"}
    found = {(name, secret) for name, data in everything.items() for secret in secrets if secret in data}
    assert found == set()
    again = replay(directory)["n1"]
    heard = [span for span in live.stages if span.stage not in (S.OVERRIDE_SET, S.POWERING_ON)]
    assert [(span.stage, span.state) for span in again.stages] == [(span.stage, span.state) for span in heard]
    assert (again.reached, again.outcome) == (live.reached, live.outcome)
    assert [finding.id for finding in again.findings] == [finding.id for finding in live.findings]
    for one, other in zip(again.stages, heard, strict=True):
        for a, b in ((one.begin, other.begin), (one.end, other.end)):
            assert (a is None) == (b is None), one.stage
            assert a is None or b is None or abs(a - b) <= 1.0, f"{one.stage}: {a} is not {b}"
