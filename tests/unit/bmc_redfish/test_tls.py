"""Whom the driver trusts, and that nothing secret is said to anybody else."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from plasmatui.model.words import Power
from tests.unit.bmc_redfish.conftest import Make
from tests.unit.bmc_redfish.stub import Certificate, Reply, Stub, make_certificate, serving

DROP = Reply(drop=True)


async def refused(controller: RedfishController) -> BmcError:
    with pytest.raises(BmcError) as caught:
        await controller.connect()
    assert caught.value.id == "certificate-untrusted"
    return caught.value


async def test_a_ca_file(make: Make, certificate: Certificate) -> None:
    assert await make(str(certificate.cert)).power() is Power.OFF


async def test_a_pin_in_any_spelling(make: Make, certificate: Certificate) -> None:
    digits = certificate.pin.removeprefix("sha256:").upper()
    assert await make("SHA256:" + ":".join(digits[i : i + 2] for i in range(0, 64, 2))).power() is Power.OFF


async def test_no_verification(make: Make) -> None:
    assert await make(False).power() is Power.OFF


async def test_self_signed_is_not_trusted_by_default_and_its_fingerprint_is_told(
    stub: Stub, make: Make, certificate: Certificate
) -> None:
    caught = await refused(make(True))
    assert "self-signed" in caught.message
    assert certificate.pin in caught.message
    assert stub.asked == []


async def test_another_pin_says_the_new_fingerprint_and_no_request_is_written(
    stub: Stub, make: Make, certificate: Certificate
) -> None:
    caught = await refused(make("sha256:" + "0" * 64))
    assert certificate.pin in caught.message
    assert stub.asked == []


async def test_a_certificate_that_changes_under_a_session_is_noticed_before_the_token_is_sent(
    make: Make, certificate: Certificate, tmp_path: Path
) -> None:
    first, second = Stub(), Stub()
    async with serving(first, certificate):
        controller = make(port=first.port)
        await controller.connect()
        first.on("GET", "/redfish/v1/Systems/1", lambda _: DROP)
        with pytest.raises(BmcError):
            await controller.power()
    second.port = first.port
    other = make_certificate(tmp_path, "other")
    async with serving(second, other):
        assert other.pin in (await refused(controller)).message
    assert second.asked == []


async def test_expired(make: Make, tmp_path: Path) -> None:
    old = make_certificate(tmp_path, "old", days=-3)
    async with serving(Stub(), old) as stub:
        assert "expired" in (await refused(make(str(old.cert), port=stub.port))).message


async def test_issued_to_another_address(make: Make, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "elsewhere", "127.99.99.99")
    async with serving(Stub(), other) as stub:
        assert "another address" in (await refused(make(str(other.cert), port=stub.port))).message


@pytest.mark.parametrize("verify", ["sha256:12", "sha256:" + "g" * 64, "/no/such/ca.pem"])
async def test_a_setting_that_cannot_be_used(make: Make, verify: str) -> None:
    assert "verify_tls" in (await refused(make(verify))).message


async def test_a_ca_file_without_a_certificate(make: Make, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing here\n")
    assert "holds no certificate" in (await refused(make(str(empty)))).message


async def test_a_port_that_speaks_no_tls(make: Make, unused_tcp_port: int) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", unused_tcp_port)
    async with server:
        with pytest.raises(BmcError, match="TLS fails") as caught:
            await make(port=unused_tcp_port).connect()
    assert caught.value.id == "bmc-unreachable"


async def test_equal_settings_share_a_context_and_a_changed_ca_file_is_read_again(
    certificate: Certificate, tmp_path: Path
) -> None:
    tls = TlsContexts()
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate.cert.read_bytes())
    first = await tls.get(str(file), "node01")
    assert await tls.get(str(file), "node02") is first
    assert await tls.get(True, "node01") is await tls.get(True, "node02")
    assert (await tls.get(True, "node01")).verify_mode is ssl.CERT_REQUIRED
    os.utime(file, ns=(1, 1))
    assert await tls.get(str(file), "node01") is not first
