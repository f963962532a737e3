"""All exchanges pass here: they are logged, counted, and while they run their progress is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plasmatui.pxe.service.accesslog import access_line, transfer_line
from plasmatui.pxe.service.exchange import ClientGoneError, Exchange, make_exchange
from plasmatui.pxe.service.meters import Meters

TELL_EVERY: Final = 1.0
"""Seconds between two lines about a transfer."""


class Transfers:
    """An ASGI middleware.

    Args:
        log: takes the lines of the access log.
    """

    def __init__(self, app: ASGIApp, log: Callable[[str], None], meters: Meters) -> None:
        self._app = app
        self._log = log
        self._meters = meters
        self.running: set[Exchange] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = make_exchange(scope)
        self.running.add(exchange)

        async def noting(message: Message) -> None:
            if exchange.large and message["type"] == "http.response.body" and not message.get("more_body"):
                await exchange.settle()
            await send(message)
            exchange.see(message)

        try:
            await self._app(scope, receive, noting)
        except ClientGoneError:
            pass
        finally:
            exchange.end()
            self.running.discard(exchange)
            self._meters.count(scope["path"], exchange)
            self._log(access_line(exchange, time.time()))

    async def tell(self) -> None:
        """Tell the progress of large answers, until cancelled."""
        while True:
            await asyncio.sleep(TELL_EVERY)
            wall = time.time()
            for exchange in tuple(self.running):
                taken = exchange.taken
                if exchange.large and taken != exchange.told:
                    exchange.told = taken
                    self._log(transfer_line(exchange, wall))
