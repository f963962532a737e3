"""Packets and their cryptography: round trips, vectors made with the openssl program, and refusal of what is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.sim import rmcp

KEY = b"correct horse"
REMOTE_RANDOM = bytes(range(0x10, 0x20))
BMC_RANDOM = bytes(range(0x30, 0x40))
GUID = bytes(range(0x50, 0x60))
REMOTE, BMC, ROLE, USER = 0xA0A2A3A4, 0x01020304, 0x14, b"admin"

# openssl dgst -sha1|-sha256 -mac HMAC over the byte strings of IPMI 2.0, sections 13.20 to 13.23 and 13.31
VECTORS = {
    3: {
        "rakp2": "a024585550fff3926e5a581fdc90a795b4ebc7d1",
        "rakp3": "2194f6365ba5b18ac93e1e51b67acbd3f5e27790",
        "sik": "79ee7288d2b9594fbff3f434f0645563be17767d",
        "k1": "4b3c2c5076b682a8c7bd2500087c2206c322f343",
        "aes": "60bc60ebedffdde3c26b17896e261e09",
        "rakp4": "fbfb0bf7dd5952eeb7e1a0dc",
    },
    17: {
        "rakp2": "52786210494406a77e789e1c6aed62c7eec601a6642068b52ebd34ce6cba45c3",
        "rakp3": "95b30746e5da0b6c3507d4fc3087732b74c95d14e021c131e9ed36e2a70017ac",
        "sik": "18d7bbb42e4aca3071054b5bd3bc46a8110a7218bd2ba62c954eae1bf09076eb",
        "k1": "e85d2ddd3c87a7c37bc4fcfb3ba90030331357a3971dcf7ab7b4c94b9daf80eb",
        "aes": "f759d774599a07a8a9d60a6fb44eae4b",
        "rakp4": "f36ad718a687fed692313286c9ddbbe6",
    },
}


def keys_of(suite: rmcp.Suite) -> rmcp.SessionKeys:
    return rmcp.session_keys(suite, KEY, REMOTE_RANDOM, BMC_RANDOM, ROLE, USER)


@pytest.mark.parametrize("suite", rmcp.SUITES, ids=lambda suite: f"suite{suite.number}")
def test_rakp_codes_are_those_of_openssl(suite: rmcp.Suite) -> None:
    keys = keys_of(suite)
    codes = {
        "rakp2": rmcp.rakp2_code(suite, KEY, REMOTE, BMC, REMOTE_RANDOM, BMC_RANDOM, GUID, ROLE, USER),
        "rakp3": rmcp.rakp3_code(suite, KEY, BMC_RANDOM, REMOTE, ROLE, USER),
        "sik": keys.sik,
        "k1": keys.k1,
        "aes": keys.aes,
        "rakp4": rmcp.rakp4_code(suite, keys.sik, REMOTE_RANDOM, BMC, GUID),
    }
    assert {name: code.hex() for name, code in codes.items()} == VECTORS[suite.number]


@given(
    suite=st.sampled_from(rmcp.SUITES),
    payload=st.binary(max_size=300),
    kind=st.sampled_from([rmcp.PAYLOAD_IPMI, rmcp.PAYLOAD_SOL]),
    session=st.integers(1, 2**32 - 1),
    sequence=st.integers(1, 2**32 - 1),
)
def test_sealed_packets_open_again(suite: rmcp.Suite, payload: bytes, kind: int, session: int, sequence: int) -> None:
    packet = rmcp.parse(rmcp.seal(keys_of(suite), kind, session, sequence, payload))
    assert isinstance(packet, rmcp.Packet20)
    assert (packet.payload_type, packet.session, packet.sequence) == (kind, session, sequence)
    assert len(packet.body) % 4 == suite.icv % 4
    assert rmcp.unseal(keys_of(suite), packet) == payload


@given(suite=st.sampled_from(rmcp.SUITES), payload=st.binary(max_size=64), data=st.data())
def test_one_changed_bit_is_noticed(suite: rmcp.Suite, payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(rmcp.seal(keys_of(suite), 0, 7, 9, payload))
    position = data.draw(st.integers(4, len(sealed) - 1))
    sealed[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(rmcp.PacketError):  # noqa: PT012 - either may notice it
        packet = rmcp.parse(bytes(sealed))
        if not isinstance(packet, rmcp.Packet20):
            raise rmcp.PacketError("became another kind of packet")
        rmcp.unseal(keys_of(suite), packet)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda tail: rmcp.RMCP_IPMI + b"\x06" + tail)))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    try:
        packet = rmcp.parse(data)
        if isinstance(packet, rmcp.Packet20):
            rmcp.unseal(keys_of(rmcp.SUITE_17), packet)
    except rmcp.PacketError:
        pass


@given(
    st.builds(
        rmcp.Request,
        netfn=st.integers(0, 0x3F),
        command=st.integers(0, 255),
        data=st.binary(max_size=60),
        sequence=st.integers(0, 63),
        responder_lun=st.integers(0, 3),
        requester_lun=st.integers(0, 3),
    )
)
def test_requests_read_back(request_: rmcp.Request) -> None:
    assert rmcp.parse_request(request_.encode()) == request_
    answer = request_.response(0xC1, b"xyz")
    assert answer[1] >> 2 == request_.netfn | 1
    assert answer[4] >> 2 == request_.sequence
    assert answer[5:10] == bytes([request_.command, 0xC1]) + b"xyz"
    assert sum(answer[:3]) % 256 == 0
    assert sum(answer[3:]) % 256 == 0


def test_wrong_checksums_are_refused() -> None:
    good = rmcp.Request(6, 1, b"").encode()
    for position in (0, 2, 5, 6):
        with pytest.raises(rmcp.PacketError):
            rmcp.parse_request(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])


def test_ping_and_pong() -> None:
    assert rmcp.parse(bytes.fromhex("0600ff06000011be80420000")) == rmcp.Ping(0x42)
    pong = rmcp.pong(0x42)
    assert pong[8:12] == b"\x40\x42\x00\x10"
    assert len(pong) == 12 + 16
    assert pong[20] == 0x81
