"""Logs of servers: any line, by the right parser or by another, in any order, gives signals or nothing."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from plasmatui.model.boot import Signal
from plasmatui.watch.identity import NodeIdentity
from plasmatui.watch.parsers import FORMATS, make_parser
from plasmatui.watch.timeline import Correlator
from tests.fuzz.target import Target
from tests.fuzz.targets import data

NODE: Final = NodeIdentity("node01", ("52:54:00:12:34:56", "52:54:00:00:0a:01"), ("10.10.0.50", "10.99.0.100"))

_NAMES: Final = {"boot_service": "nginx-access", "plasmatui-serve": "nginx-access", "journal": ""}


def corpus(format_: str) -> list[bytes]:
    return data.logs(_NAMES.get(format_, format_)) or data.logs("")


def feed(format_: str, raw: bytes) -> None:
    """Parse, correlate and diagnose. What is said of a boot is in order, and within its bounds."""
    parser = make_parser(format_, "fuzzed", reference=1_700_000_000.0)
    correlator = Correlator((NODE,))
    for number, line in enumerate(raw.decode(errors="replace").split("\n"), 1):
        parser.repeats(line)
        for signal in parser.feed(line, number):
            assert isinstance(signal, Signal)
            assert signal.evidence.line == number or signal.evidence.line < number
            correlator.feed(signal, time.time())
    boot = correlator.timeline(NODE.name, time.time())
    if boot is None:
        return
    for span in boot.stages:
        assert span.percent is None or 0 <= span.percent <= 100, span
        assert span.begin is None or span.end is None or span.begin <= span.end, span
        assert span.bytes is None or span.bytes >= 0, span


TARGETS: Final = tuple(Target(f"log-{name}", partial(corpus, name), partial(feed, name)) for name in FORMATS)
