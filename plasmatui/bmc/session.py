"""One RMCP+ session with a BMC (IPMI 2.0, section 13), driven by the event loop.

The protocol is pyghmi's `Session`; replaced are its sending, timers, logon steps that wait, and its end.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from pyghmi.ipmi.private import session as pyghmi_session

from plasmatui.bmc.pyghmi_io import Sockaddr, UnsupportedPyghmiError, channels
from plasmatui.bmc.rmcp import (
    ACCEPTED,
    ADMINISTRATOR,
    CIPHER_REFUSED,
    OPERATOR,
    SUITES,
    LogonError,
    Reply,
    SessionLostError,
    logon_error,
    rmcp_text,
)

log = logging.getLogger(__name__)

SILENCE_LIMIT = 4.0
"""Seconds after which a BMC that has not answered at all counts as unreachable."""
LOGON_LIMIT = 30.0
"""Seconds for a whole logon of a BMC that answers, but slowly (RAKP on a small processor) or over a lossy network."""
CLOSE_LIMIT = 1.0

_NETFN_APP = 6
_SET_PRIVILEGE, _CLOSE_SESSION = 0x3B, 0x3C
_PRIVILEGE_REFUSED = (0x80, 0x81)
_RMCP_PLUS = 6  # authentication type
_SOL_PAYLOAD = 1
_FIRST_RTO, _SLOW_RTO, _RTO_GROWTH = 0.5, 1.5, 1.4
_SPARE = 1.5
"""How many times as long as for its last answer a BMC is waited for during the logon: one that takes seconds for each
would otherwise be asked anew before it can answer, and each question voids the one before."""


class LoopSession(pyghmi_session.Session):  # type: ignore[misc]
    """A session. `log_on` makes one; one `exchange` at a time, which the owner's lock must see to."""

    # pyghmi's attributes that are used here
    broken: bool
    logged: int
    logging: bool
    privlevel: int
    seqlun: int
    timeout: float
    sessionid: int
    ipmiversion: float
    remseqnumber: int | None
    sessioncontext: str | None
    lastpayload: Any
    ipmicallback: Callable[[dict[str, Any]], None]

    def __new__(cls, *_args: object, **_named: object) -> LoopSession:
        # pyghmi looks the name up and shares sessions here; both are the owner's affair.
        return object.__new__(cls)

    def __init__(self, family: int, peer: Sockaddr, user: bytes, password: bytes, suites: Sequence[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._channels = channels()
        self._peer = peer
        self._suites = tuple(suites)
        self._suite = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._logon: asyncio.Future[None] = self._loop.create_future()
        self._rmcp_code = 0
        self._again = False
        self._repeat_until = math.inf
        self._asked_at = 0.0  # of the question, not of its repetitions: which of them is answered cannot be told
        self._asking_again = False
        self.expiration = 0.0
        self.heard = False
        self.heard_at = 0.0
        self.send_error: OSError | None = None
        self.sol_handler: Callable[[bytes], None] | None = None
        self._channel = self._channels.join(self, family, peer)
        self.local_port = self._channel.port
        self.forbidsock: tuple[()] = ()
        # Bytes, because pyghmi compares what it was given with what it has encoded.
        super().__init__(
            bmc=str(peer[0]), userid=user, password=password, port=peer[1], onlogon=_ignore, keepalive=False
        )

    # --- for the owner -------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return bool(self.logged) and not self.broken

    @property
    def id(self) -> int:
        """The BMC's number of this session."""
        return int(self.sessionid)

    @property
    def privilege(self) -> int:
        return int(self.privlevel)

    @property
    def suite(self) -> int:
        return self._suites[self._suite]

    async def exchange(
        self,
        netfn: int,
        command: int,
        data: bytes = b"",
        *,
        limit: float,
        lun: int = 0,
        bridge: dict[str, int] | None = None,
        repeat: float = math.inf,
    ) -> Reply:
        """Send a command and wait for its answer, retransmitting it meanwhile, for `repeat` seconds at most.

        Raises:
            TimeoutError: no answer within `limit` seconds.
            SessionLostError: the session has ended.
        """
        if not self.up:
            raise SessionLostError("the session has ended")
        self._waiting = self._loop.create_future()
        self.request_entry.clear()
        # An answer to an earlier command that nobody waits for any more must not be taken for this one's.
        self.seqlun = (self.seqlun + 1) & 0x3F
        self.lastpayload = None
        self.timeout = _first_timeout()
        self._again = False
        self._repeat_until = time.monotonic() + repeat
        self.ipmicallback = self._answered
        try:
            self._send_ipmi_net_payload(netfn, command, data, bridge_request=bridge, retry=True, rslun=lun)
            # Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes together with the answer.
            async with asyncio.timeout(limit):
                return await self._waiting
        finally:
            self._waiting = None
            self.lastpayload = None
            self.ipmicallback = _ignore

    def send_sol(self, payload: bytes) -> None:
        """Send one SOL payload at once: not behind a command that waits for its answer, and without retransmission."""
        if not self.up:
            return
        outstanding, self.lastpayload = self.lastpayload, None
        try:
            self.send_payload(bytearray(payload), payload_type=_SOL_PAYLOAD, retry=False)
        finally:
            self.lastpayload = outstanding

    def interrupt(self) -> None:
        """Whoever waits for an answer gets a `SessionLostError`; the session stays open."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(SessionLostError("the session is being closed"))

    async def close(self) -> bool:
        """Give the session's slot back to the BMC; whether it answered that. Never raises but for cancellation."""
        try:
            if self.up:
                await self.exchange(_NETFN_APP, _CLOSE_SESSION, struct.pack("<I", self.id), limit=CLOSE_LIMIT)
                return True
        except (TimeoutError, SessionLostError):
            log.debug("session with %s ended without an answer", self._peer[0])
        finally:
            self.drop("closed")
        return False

    def drop(self, why: str) -> None:
        """End the session here without telling the BMC: it is lost, or the logon failed."""
        if self.broken:
            return
        self.broken = True
        self.logged = 0
        self.logging = False
        self.lastpayload = None
        self.sol_handler = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._channels.leave(self._channel, self, self._peer)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(SessionLostError(why))
        if not self._logon.done():
            self._logon.set_exception(LogonError("bmc-unreachable", why))
        self._logon.exception()  # marks it as seen: who waited for it may be gone

    async def wait_logon(self) -> None:
        """Until the session is up.

        Raises:
            LogonError: it does not come up; the session is dropped then.
        """
        try:
            done, _ = await asyncio.wait({self._logon}, timeout=SILENCE_LIMIT)
            if not done and self.heard:
                done, _ = await asyncio.wait({self._logon}, timeout=LOGON_LIMIT - SILENCE_LIMIT)
            if not done:
                raise self._no_answer()
            self._logon.result()
        except BaseException:
            self.drop("logon failed")
            raise

    def _no_answer(self) -> LogonError:
        if self.send_error is not None:
            return LogonError("bmc-unreachable", f"cannot be reached: {self.send_error.strerror}")
        if self.heard:
            return LogonError("bmc-unreachable", f"answers, but did not finish the logon within {LOGON_LIMIT:g} s")
        return LogonError("bmc-unreachable", f"no answer within {SILENCE_LIMIT:g} s")

    # --- packets and timers --------------------------------------------------------------------------------------

    def packet_received(self, data: bytes, peer: Sockaddr) -> None:
        """A packet of this BMC, or in its name; may raise anything when it is malformed."""
        if data[0] != 6 or data[2:4] != b"\xff\x07":  # RMCP version 1.0, no acknowledge, class IPMI
            return
        # IPMI 1.5 framing carries no proof of its sender, and pyghmi takes its sequence number all the same:
        # it is for the first question only.
        if data[4] != _RMCP_PLUS and self.ipmiversion != 1.5:
            return
        self.heard, self.heard_at = True, time.monotonic()
        if not self.logged:
            self.timeout = max(self.timeout, (self.heard_at - self._asked_at) * _SPARE)
        self._handle_ipmi_packet(bytearray(data), sockaddr=peer, qent=(data, peer, None))

    def _answered(self, response: dict[str, Any]) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Reply(response["code"], bytes(response["data"]), self._again))

    def _xmit_packet(self, retry: bool = True, delay_xmit: float | None = None, timeout: float | None = None) -> None:
        if self.sequencenumber:
            self.sequencenumber += 1
        self.send_error = self._channel.send(bytes(self.netpacket), self._peer)
        if retry:
            now = time.monotonic()
            self._asked_at = self._asked_at if self._asking_again else now
            self._asking_again = False
            self.expiration = now + self.timeout
            if self._timer is None:
                self._timer = self._loop.call_later(self.timeout, self._on_timer)

    def _on_timer(self) -> None:
        """One timer per session, armed again while something waits; cheaper than one per packet."""
        self._timer = None
        if self.broken or not self.lastpayload:
            return
        left = self.expiration - time.monotonic()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._on_timer)
        else:
            self._timedout()

    def _timedout(self) -> None:
        """Send again. Giving up is left to who waits, by its limit."""
        self.timeout *= _RTO_GROWTH
        context = self.sessioncontext
        if context == "FAILED":
            return
        self._asking_again = context not in ("EXPECTINGRAKP2", "EXPECTINGRAKP4")
        if context == "OPENSESSION":
            self.lastpayload = None
            self._open_rmcpplus_request()  # a new session id, so that a late answer is not mistaken
        elif context in ("EXPECTINGRAKP2", "EXPECTINGRAKP4"):
            # BMCs do not take RAKP 1 or 3 twice: start over, but wait longer this time.
            longer = self.timeout
            self._initsession()
            self.timeout = longer
            self._get_channel_auth_cap()
        elif time.monotonic() < self._repeat_until:
            self._again = True
            self.hasretried = 1
            self.send_payload()
        else:
            self._asking_again = False

    # --- logon ---------------------------------------------------------------------------------------------------

    def _assignsocket(self, server: object = None, forbiddensockets: object = ()) -> None:
        """pyghmi's pool of sockets is not used."""

    def login(self) -> None:
        self.logontries = 0  # a transparent relogin would lose the answers that are waited for, and SOL
        self._initsession()
        self._get_channel_auth_cap()

    def _initsession(self) -> None:
        handler = self.sol_handler
        super()._initsession()
        self.sol_handler = handler
        self.localsid = random.getrandbits(31) + 1  # tells sessions apart, protects nothing
        self.attemptedhash = SUITES[self.suite]

    def onlogon(self, parameter: dict[str, Any]) -> None:
        """Called by pyghmi's logon steps with {"success": True} or {"error": text}."""
        if self._logon.done():
            return
        self.lastpayload = None
        if "error" not in parameter:
            self._logon.set_result(None)
        else:
            self._logon.set_exception(logon_error(self._rmcp_code, str(parameter["error"])))

    def _get_session_challenge(self) -> None:
        self.onlogon({"error": "the BMC speaks IPMI 1.5 only; 2.0 is needed"})

    def _got_rmcp_response(self, data: bytearray) -> None:
        if self.sessioncontext != "OPENSESSION" or data[0] != self.rmcptag:
            return
        refused = data[1] in CIPHER_REFUSED or (data[1] == 0 and not self._accepts(data))
        if refused and self._suite + 1 < len(self._suites):
            self._suite += 1
            self.attemptedhash = SUITES[self.suite]
            self.lastpayload = None
            self._open_rmcpplus_request()
        elif refused:
            self._rmcp_code = 0x11
            names = " and ".join(str(suite) for suite in self._suites)
            self.onlogon({"error": f"the BMC refuses cipher suite {names}"})
        elif data[1]:
            self._rmcp_code = data[1]
            self.onlogon({"error": rmcp_text(data[1])})
        else:
            self.remseqnumber = None
            self.timeout = max(self.timeout, _SLOW_RTO)  # RAKP takes a small BMC a second
            super()._got_rmcp_response(data)

    def _accepts(self, data: bytearray) -> bool:
        """Whether the BMC accepted the algorithms that were proposed (IPMI 2.0, table 13-10), if it says so."""
        return len(data) < 36 or (data[16], data[24], data[32]) == ACCEPTED[self.suite]

    def _got_rakp2(self, data: bytearray) -> None:
        if data[0] == self.rmcptag:
            self._rmcp_code = data[1]
        super()._got_rakp2(data)

    def _got_rakp4(self, data: bytearray) -> None:
        if data[0] == self.rmcptag:
            self._rmcp_code = data[1]
        super()._got_rakp4(data)

    def _req_priv_level(self) -> None:
        """The last step, with callbacks; pyghmi waits here inside a packet handler."""
        self.logged = 1
        self.logoutexpiry = None
        self.timeout = _first_timeout()
        self.ipmicallback = self._got_privilege
        self._send_ipmi_net_payload(netfn=_NETFN_APP, command=_SET_PRIVILEGE, data=[self.privlevel])

    def _got_privilege(self, response: dict[str, Any]) -> None:
        code = response["code"]
        if code in _PRIVILEGE_REFUSED and self.privlevel == ADMINISTRATOR:
            self.privlevel = OPERATOR
            # pyghmi clears what it waits for only after this callback: the next command goes out behind it.
            self._loop.call_soon(self._req_priv_level_again)
        elif code:
            self._rmcp_code = 0x0A
            self.onlogon({"error": f"privilege level {self.privlevel} is refused (code 0x{code:02x})"})
        else:
            self.logging = False
            self.onlogon({"success": True})

    def _req_priv_level_again(self) -> None:
        if not self.broken:
            self._req_priv_level()

    # --- the end -------------------------------------------------------------------------------------------------

    def logout(self, sessionok: bool = True) -> None:
        """pyghmi gives up on the session."""
        self.drop("given up")

    def _mark_broken(self, error: str | None = None) -> None:
        self.drop(error or "given up")


async def log_on(
    family: int, peer: Sockaddr, user: bytes, password: bytes, suites: Sequence[int] = (17, 3)
) -> LoopSession:
    """Open a session with the BMC at `peer`, as administrator, else as operator.

    Raises:
        LogonError: "bmc-auth", "bmc-session-limit", "bmc-unreachable" or "unsupported".
    """
    try:
        session = LoopSession(family, peer, user, password, suites)
    except UnsupportedPyghmiError as error:
        raise LogonError("unsupported", f"is not asked: {error}") from error
    await session.wait_logon()
    return session


def _ignore(_response: object) -> None:
    """An answer that nobody waits for."""


def _first_timeout() -> float:
    return _FIRST_RTO * (1 + random.random())  # noqa: S311 - spreads retransmissions
