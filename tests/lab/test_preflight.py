"""Our TFTP client and DHCP probe against real servers, in a network namespace of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root: network namespaces"),
    pytest.mark.needs("ip", "dnsmasq"),
]

SERVER = "10.0.100.10"
ASK = """
import asyncio, dataclasses, json, sys
from plasmatui.pxe.preflight import dhcp, tftp

async def main():
    offers = await dhcp.probe("boot0", listen=1.5)
    files = {}
    for name in ("ipxe.efi", "small", "none"):
        try:
            got = await tftp.fetch("10.0.100.10", name)
            files[name] = [len(got.data), got.size, got.block_size, got.told]
        except tftp.TftpError as error:
            files[name] = str(error)
    told = [[str(each.server), str(each.address), each.boot_file] for each in offers]
    print(json.dumps({"offers": told, "files": files}))

asyncio.run(main())
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[str]:
    """A namespace with a veth pair: `boot0` asks, the other end is the server's; its name."""
    name = f"pt-{uuid.uuid4().hex[:8]}"
    inner = f"{name}-s"
    ip("netns", "add", name)
    ip("netns", "add", inner)
    try:
        ip("-n", name, "link", "add", "boot0", "type", "veth", "peer", "name", "srv0", "netns", inner)
        ip("-n", name, "addr", "add", "10.0.100.99/24", "dev", "boot0")
        ip("-n", inner, "addr", "add", f"{SERVER}/24", "dev", "srv0")
        for where, device in ((name, "boot0"), (inner, "srv0"), (name, "lo"), (inner, "lo")):
            ip("-n", where, "link", "set", device, "up")
        yield name
    finally:
        ip("netns", "del", name)
        ip("netns", "del", inner)


def dnsmasq(network: str, root: Path) -> subprocess.Popen[bytes]:
    log = root.parent / "dnsmasq.log"
    process = subprocess.Popen(
        [
            "ip", "netns", "exec", f"{network}-s", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
            "--port=0", "--user=root", "--interface=srv0", "--bind-interfaces",
            "--dhcp-range=10.0.100.100,10.0.100.120,5m",
            "--no-ping", "--dhcp-boot=ipxe.efi", "--enable-tftp", f"--tftp-root={root}", f"--log-facility={log}",
            f"--dhcp-leasefile={root.parent}/leases", f"--pid-file={root.parent}/pid",
        ]
    )  # fmt: skip
    deadline = time.monotonic() + 10
    while not (log.exists() and "TFTP root" in log.read_text()):
        assert process.poll() is None, log.read_text() if log.exists() else "dnsmasq ended"
        assert time.monotonic() < deadline, "dnsmasq does not say that it is up"
        time.sleep(0.02)
    return process


def test_a_real_server_answers_probe_and_fetch(network: str, tmp_path: Path) -> None:
    root = tmp_path / "tftp"
    root.mkdir()
    root.chmod(0o755)
    (root / "ipxe.efi").write_bytes(os.urandom(900_001))
    (root / "small").write_bytes(b"x" * 1468)
    for path in root.iterdir():
        path.chmod(0o644)
    server = dnsmasq(network, root)
    try:
        asked = subprocess.run(
            ["ip", "netns", "exec", network, sys.executable, "-c", ASK], check=True, capture_output=True, timeout=30
        )
    finally:
        server.terminate()
        server.wait(10)
    told = json.loads(asked.stdout)
    assert len(told["offers"]) == 1
    assert told["offers"][0][0] == SERVER
    assert told["offers"][0][1].startswith("10.0.100.1")
    assert told["offers"][0][2] == "ipxe.efi"
    read, size, block, known = told["files"]["ipxe.efi"]
    assert (size, block, known) == (900_001, 1468, True)
    assert 64 * 1024 <= read < 70_000
    assert told["files"]["small"] == [1468, 1468, 1468, True]
    assert "file not found" in told["files"]["none"]
