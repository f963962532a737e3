"""The port at which Prometheus reads the metrics: an HTTP server of libraries, in a thread, off unless asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import TimeoutError as LateError
from typing import TYPE_CHECKING, Final

from plasmatui.engine.store import Store
from plasmatui.model import wire

if TYPE_CHECKING:  # loaded when metrics are asked for
    from wsgiref.simple_server import WSGIServer

    from plasmatui.engine.metrics import EngineMetrics

log = logging.getLogger(__name__)

ANSWER_LIMIT: Final = 5.0
"""Seconds that the engine's loop may take for a scrape."""

NOTICE: Final = "metrics"


class MetricsPort:
    """See the module. `retarget` when the inventory was read, `close` in the end."""

    def __init__(self, store: Store, status: Callable[[], wire.EngineStatus], started: float) -> None:
        self._store = store
        self._status = status
        self._started = started
        self._metrics: EngineMetrics | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._server: WSGIServer | None = None
        self._place = ""

    @property
    def place(self) -> str:
        """Where it listens, "" for nowhere."""
        return self._place if self._server is not None else ""

    async def retarget(self, place: str) -> None:
        """Listen at `HOST:PORT`, or nowhere. That it cannot is a standing notice, and costs nothing else."""
        if place == self._place and (self._server is not None or not place):
            return
        await self._shut()
        self._place = place
        self._store.notice(NOTICE, "")
        if not place:
            return
        host, _, port = place.rpartition(":")
        try:
            self._server = await asyncio.to_thread(self._listen, host, int(port), asyncio.get_running_loop())
        except OSError as error:
            text = f"no metrics: {place} (policy.metrics) cannot be listened at: {error.strerror or error}"
            log.warning("%s", text)
            self._store.notice(NOTICE, text)
            return
        metrics = self._counting()
        self._unsubscribe = self._store.subscribe(metrics.on_changes)
        log.info("metrics at http://%s/metrics", place)

    async def close(self) -> None:
        await self._shut()

    def _counting(self) -> EngineMetrics:
        """Counters go on when the place changes."""
        from plasmatui.engine.metrics import EngineMetrics

        if self._metrics is None:
            self._metrics = EngineMetrics(self._store, self._status, self._started)
        return self._metrics

    def _listen(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> WSGIServer:
        """Begin to serve. The text is made on the loop, where the state is; a request waits in a thread of its own."""
        import threading
        from wsgiref.simple_server import WSGIRequestHandler, make_server

        from prometheus_client.exposition import ThreadingWSGIServer

        class Quiet(WSGIRequestHandler):
            timeout = ANSWER_LIMIT

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        async def text() -> bytes:
            return self._counting().text()

        def answer(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
            if environ.get("PATH_INFO") not in ("/metrics", "/") or environ.get("REQUEST_METHOD") not in (
                "GET",
                "HEAD",
            ):
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"/metrics\n"]
            try:
                body = asyncio.run_coroutine_threadsafe(text(), loop).result(ANSWER_LIMIT)
            except (LateError, RuntimeError):
                start("503 Service Unavailable", [("Content-Type", "text/plain")])
                return [b"the engine does not answer\n"]
            start("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
            return [body]

        server = make_server(host, port, answer, ThreadingWSGIServer, handler_class=Quiet)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return server

    async def _shut(self) -> None:
        self._unsubscribe()
        self._unsubscribe = lambda: None
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.shutdown)
            server.server_close()
