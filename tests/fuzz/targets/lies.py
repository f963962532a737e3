"""Logs and consoles that lie: boots that never were, of other nodes' cards, out of order, from any time.

Whatever is told, timelines keep their order and bounds, say of a node only what was told of it, and cost so much memory
and no more.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from plasmatui.model.boot import BootTimeline, Signal, SignalKind
from plasmatui.model.words import Stage
from plasmatui.text import is_clean
from plasmatui.watch.console.reader import ConsoleReader
from plasmatui.watch.facts import DHCP, EXCHANGES_KEPT, MARKS_KEPT
from plasmatui.watch.identity import UNKNOWN_KEPT, NodeIdentity
from plasmatui.watch.parsers import FORMATS, make_parser
from plasmatui.watch.timeline import HISTORY_KEPT, SIZES_KEPT, Correlator
from tests.fuzz.mutate import TOKENS
from tests.fuzz.target import Target
from tests.fuzz.targets import data

NODES: Final = tuple(
    NodeIdentity(f"node0{n}", (f"52:54:00:00:0a:0{n}",), (f"10.99.0.10{n}",), (f"0000000{n}-0000-4000-8000-{n:012}",))
    for n in (1, 2, 3)
)
NOW: Final = 1_795_225_600.0
_ORDER: Final = {stage: place for place, stage in enumerate(Stage)}
_TIMES: Final = (
    "Nov 21 00:3{}:1{}",
    "Feb 29 2{}:59:5{}",
    "1970-01-01T00:0{}:0{}+00:00",
    "2026-11-21T00:3{}:1{}Z",
    "9998-12-31T23:5{}:5{}Z",
)
_STAMPS: Final = ("21/Nov/2026:00:3{}:1{} +0000", "01/Jan/1970:00:0{}:0{} -1400", "31/Dec/9998:23:5{}:5{} +1400")
_FILES: Final = (
    "ipxe.efi", "undionly.kpxe", "/boot/ipxe/boot.ipxe", "/boot/nixos/worker/bzImage", "/boot/nixos/worker/initrd",
    "../../etc/shadow", "boot.ipxe?mac={mac}&hostname={name}", "\x1b[2Jx", "\u202eexe.efi",
)  # fmt: skip
_LINES: Final = {
    "dhcpd": (
        "DHCPDISCOVER from {mac} via eth0",
        "DHCPOFFER on {ip} to {mac} via eth0",
        "DHCPREQUEST for {ip} from {mac} via eth0",
        "DHCPACK on {ip} to {mac} ({name}) via eth0",
        "DHCPDISCOVER from {mac} via eth0: network x: no free leases",
        "DHCPRELEASE of {ip} from {mac} via eth0 (found)",
        "Abandoning IP address {ip}: pinged before offer",
    ),
    "dnsmasq": (
        "7 vendor class: PXEClient:Arch:00007:UNDI:003016",
        "7 DHCPDISCOVER(eth0) {mac}",
        "7 DHCPOFFER(eth0) {ip} {mac}",
        "7 DHCPACK(eth0) {ip} {mac} {name}",
        "sent /srv/tftp/{file} to {ip}",
        "file /srv/tftp/{file} not found for {ip}",
        "7 user class: iPXE",
        "7 bootfile name: {file}",
        "PXE(eth0) {mac} {file}",
    ),
    "atftpd": (
        "Serving {file} to {ip}:49152",
        "End of transfer",
        "File {file} not found",
        "Aborting transfer",
        "tsize option -> 999999",
    ),
    "tftpd-hpa": (
        "RRQ from {ip} filename {file}",
        "Client {ip} finished {file}",
        "sending NAK (1, File not found) to {ip}",
    ),
}
_PROGRAMS: Final = {"dhcpd": "dhcpd", "dnsmasq": "dnsmasq", "atftpd": "atftpd", "tftpd-hpa": "in.tftpd"}
_HTTP: Final = (
    '{ip} - - [{stamp}] "GET {file} HTTP/1.1" {status} {size} "-" "{agent}"',
    'transfer {ip} [{stamp}] {size}/999999 {status} "GET {file}" "{agent}"',
)


def make(random: Random) -> bytes:
    """Lines `FORMAT\\tLINE`, each log's in any order; and pieces of consoles, `console NODE\\tHEX`."""
    lines = []
    for _ in range(random.randint(1, 80)):
        kind = random.random()
        if kind < 0.15:
            piece = random.choice(data.consoles())
            begin = random.randrange(len(piece))
            lines.append(f"console node0{random.randint(1, 3)}\t{piece[begin : begin + 700].hex()}")
        elif kind < 0.4:
            name = random.choice(("nginx-access", "plasmatui-serve"))
            lines.append(f"{name}\t{_filled(random.choice(_HTTP), random)}")
        else:
            name = random.choice(list(_LINES))
            time = random.choice(_TIMES).format(random.randrange(10), random.randrange(10))
            told = _filled(random.choice(_LINES[name]), random)
            lines.append(f"{name}\t{time} pxe {_PROGRAMS[name]}[{random.randrange(3)}]: {told}")
    return "\n".join(lines).encode("utf-8", "replace")


def _filled(text: str, random: Random) -> str:
    n = random.randint(1, 9)
    known = {
        "mac": random.choice((f"52:54:00:00:0a:0{n}", "ff:ff:ff:ff:ff:ff")),
        "ip": random.choice((f"10.99.0.10{n}", "0.0.0.0", "255.255.255.255", "::ffff:10.99.0.101")),
        "name": random.choice(("node01", "node02", "localhost", "(x) y", TOKENS[3].decode())),
        "stamp": random.choice(_STAMPS).format(random.randrange(10), random.randrange(10)),
        "status": random.choice(("200", "206", "404", "304", "999")),
        "size": random.choice(("0", "520", "99999999", "9" * 18)),
        "agent": random.choice(("iPXE/1.21.1", "curl/8", "UefiHttpBoot/1.0", "-", "\\x1b[2J")),
    }
    return text.format(**known, file=random.choice(_FILES).format(**known))


def boots(raw: bytes) -> None:
    correlator = Correlator(NODES)
    parsers = {name: make_parser(name, name, reference=NOW) for name in FORMATS}
    readers = {node.name: ConsoleReader(node.name, f"console {node.name}") for node in NODES}
    told: dict[str, set[int]] = {}
    clock = NOW
    for number, line in enumerate(raw.decode(errors="replace").split("\n"), 1):
        name, _, text = line.partition("\t")
        clock += 1.0
        if name.startswith("console ") and name[8:] in readers:
            signals = readers[name[8:]].feed(_bytes(text), clock)
        elif name in parsers:
            signals = parsers[name].feed(text, number)
        else:
            continue
        for signal in signals:
            bounded(signal)
            changed = correlator.feed(signal, clock)
            assert len(changed) <= 1
            if signal.node:
                assert changed <= {signal.node}
            elif signal.kind in DHCP and signal.mac in _OWNERS:  # other lines are whose address asks
                assert changed <= {_OWNERS[signal.mac]}
            told.setdefault(name, set()).add(signal.evidence.line)
    correlator.tick(clock + 100.0)
    for node in NODES:
        current = correlator.timeline(node.name, clock)
        for boot in (*correlator.history(node.name), *((current,) if current is not None else ())):
            sound(boot, node.name)
            for evidence in (each for span in boot.stages for each in span.evidence):
                assert evidence.line in told[evidence.file]
                assert not evidence.file.startswith("console") or evidence.file == f"console {node.name}"
        track = correlator._tracks.get(node.name)
        if track is not None:
            assert len(track.ended) <= HISTORY_KEPT
            for facts in (track.current, *(each.facts for each in track.ended)):
                assert len(facts.marks) <= MARKS_KEPT + len(SignalKind)
                assert len(facts.exchanges) <= EXCHANGES_KEPT + 1
    assert len(correlator.unknown_clients()) <= UNKNOWN_KEPT
    assert len(correlator._largest) <= SIZES_KEPT + 1


_OWNERS: Final = {mac: node.name for node in NODES for mac in node.macs}


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode("utf-8", "replace")


def bounded(signal: Signal) -> None:
    """Every text of a signal may be shown, and none is longer than a line."""
    for name in signal.__struct_fields__:
        value = getattr(signal, name)
        if isinstance(value, str):
            assert is_clean(value), (name, value[:200])
            assert len(value) <= 4096, name
    assert is_clean(signal.evidence.text)
    assert signal.percent is None or 0 <= signal.percent <= 100
    assert signal.bytes is None or signal.bytes >= 0


def sound(boot: BootTimeline, node: str) -> None:
    """A timeline in its order and bounds, and one that goes over the wire."""
    assert boot.node == node
    places = [_ORDER[span.stage] for span in boot.stages]
    assert places == sorted(set(places))
    for span in boot.stages:
        assert span.begin is None or span.end is None or span.begin <= span.end, span
        assert span.percent is None or 0 <= span.percent <= 100, span
        assert span.bytes is None or span.bytes >= 0, span
        assert span.tries >= 1
        assert len(span.evidence) <= 64
    for finding in boot.findings:
        for text in (finding.cause, finding.remedy, *finding.evidence):
            assert is_clean(str(text)), finding
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(boot), type=BootTimeline) == boot


TARGETS: Final = (Target("boots", lambda: [make(Random(seed)) for seed in range(8)], boots, make, 60),)
