"""Ports of the simulated services."""

from __future__ import annotations

import socket

SERVICES: dict[str, int] = {
    "chainfire": 2379,
    "flaredb": 2479,
    "iam": 8080,
    "plasmavmc": 9090,
    "prismnet": 9091,
    "flashdns": 8853,
    "fiberlb": 9092,
}
"""Service and port of its HTTPS API (operator runbook, section 3.4). FlashDNS's is that of its health, 853 there, which
only root may open."""
DNS_PORT = 8053
"""FlashDNS's over UDP, 53 there."""
RAFT_PORTS = {"chainfire": 2380, "flaredb": 2480}
_ELSEWHERE = 20000


def choose(address: str) -> dict[str, int]:
    """The ports that are free on an address; a program that listens on all addresses takes the usual one away."""
    return {service: port if _free(address, port) else port + _ELSEWHERE for service, port in SERVICES.items()}


def _free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
