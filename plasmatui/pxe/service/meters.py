"""What the boot service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from plasmatui.pxe.service.exchange import Exchange

_ENDPOINTS: Final = frozenset(
    {
        "boot.ipxe", "boot.ipxe.0", "ipxe", "grub", "pixiecore", "cloud", "ignition", "generic", "metadata", "images",
        "assets", "boot", "installed", "health", "metrics",
    }
)  # fmt: skip
_METHODS: Final = frozenset({"GET", "HEAD", "POST"})


class Meters:
    """Counters of one service; `text` is what `/metrics` answers."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "plasmatui_serve_requests_total", "Requests answered.", ["endpoint", "method", "status"], registry=registry
        )
        self._bytes = Counter(
            "plasmatui_serve_sent_bytes_total", "Bytes of bodies sent.", ["endpoint"], registry=registry
        )
        self._cut = Counter("plasmatui_serve_transfers_cut_total", "Answers that were broken off.", registry=registry)
        self._installed = Counter(
            "plasmatui_serve_installed_total", "Machines that said that they are installed.", registry=registry
        )

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a value that is read when it is asked for."""
        Gauge(f"plasmatui_serve_{name}", text, registry=self._registry).set_function(read)

    def count(self, path: str, exchange: Exchange) -> None:
        """Count an exchange that has ended."""
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        endpoint = first if first in _ENDPOINTS else "other"
        method = exchange.method if exchange.method in _METHODS else "other"
        self._requests.labels(endpoint, method, str(exchange.status or 499)).inc()
        if exchange.taken:
            self._bytes.labels(endpoint).inc(exchange.taken)
        if exchange.total is not None and exchange.method != "HEAD" and exchange.handed < exchange.total:
            self._cut.inc()

    def count_installed(self) -> None:
        self._installed.inc()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
