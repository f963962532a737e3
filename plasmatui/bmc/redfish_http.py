"""One BMC's Redfish service over HTTPS: session, limits, and what can go wrong with each request.

DMTF DSP0266 (Redfish specification): "Session login", "Error responses", "ETags". One client per BMC: httpcore scans
all connections of a pool at every request, so a client shared by 256 BMCs costs 25 times more. The BMC is not trusted:
answers are bounded in size and time, compressed ones are refused, links never lead to another host.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx
import msgspec

from plasmatui.bmc import redfish_parse as parse
from plasmatui.bmc.controller import BmcError, BmcTarget
from plasmatui.bmc.redfish_tls import TlsContexts, shown_fingerprint, untrusted
from plasmatui.inventory.secrets import SecretError
from plasmatui.text import clean_line
from plasmatui.tls import causes

PORT: Final = 443
PLAIN_PORT: Final = 80
ROOT: Final = "/redfish/v1/"
SYSTEMS: Final = "/redfish/v1/Systems"
SESSIONS: Final = "/redfish/v1/SessionService/Sessions"

CONNECT_LIMIT: Final = 5.0
SILENCE_LIMIT: Final = 10.0
REQUEST_LIMIT: Final = 20.0
"""Seconds for: a connection with its handshake, one step of an exchange without a byte, a whole exchange."""
KEEP_ALIVE: Final = 600.0
RETRY_AFTER: Final = 10.0
RETRIES: Final = 3
"""Seconds that a BMC which is busy may ask to be left alone before a read or a change is sent again, and how often."""
BODY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of an answer. The longest honest ones, event logs in one page, stay below 2 MB."""
_HEADER_LIMIT: Final = 4096

# How h11 and httpcore say that the other side went away; what else they call a protocol error is one.
_ENDED: Final = re.compile("Server disconnected|peer closed connection")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_OFFERED: Final = frozenset({404, 405, 501})
# Message ids end with the same word whatever their registry and version. RAC0218 is iDRAC's.
_LIMIT_IDS: Final = ("SessionLimitExceeded", "CreateLimitReachedForResource", "RAC0218")
_LIMIT_WORDS: Final = ("maximum number of user sessions", "maximum number of sessions", "session limit")
_AUTH_IDS: Final = ("UnauthorizedLoginAttempt", "PasswordChangeRequired", "ResourceAtUriUnauthorized")

# Its debug lines hold response headers, and with them session tokens.
logging.getLogger("httpcore").setLevel(logging.INFO)


@dataclass(frozen=True)
class Answer:
    """A response: `body` is {} when there was none, `etag` "" when it has none that can be sent back."""

    status: int
    body: parse.Json
    headers: Mapping[str, str]

    @property
    def etag(self) -> str:
        return self.header("etag")

    @property
    def match(self) -> str:
        """What a change of the resource is made conditional on: its ETag; some BMCs give it in the body alone."""
        return self.etag or _sendable(parse.text(self.body, "@odata.etag", limit=_HEADER_LIMIT))

    def header(self, name: str) -> str:
        """A header that may be sent back to the BMC, or ""."""
        return _sendable(self.headers.get(name, ""))


def _sendable(value: str) -> str:
    return value if len(value) <= _HEADER_LIMIT and value.isascii() and value.isprintable() else ""


class RefusedError(BmcError):
    """The BMC answered with an error: `status` of HTTP, `ids` of its messages."""

    def __init__(self, id: str, message: str, status: int, ids: tuple[str, ...]) -> None:  # noqa: A002 - as BmcError
        super().__init__(id, message)
        self.status = status
        self.ids = ids


class _DroppedError(Exception):
    """The connection ended before the answer did."""


class RedfishHttp:
    """A session with one Redfish service. Not safe for concurrent calls: the controller serialises them."""

    def __init__(self, target: BmcTarget, tls: TlsContexts) -> None:
        self.host = f"[{target.address}]" if ":" in target.address else target.address
        self.scheme, port = ("https", PORT) if target.tls else ("http", PLAIN_PORT)
        self.port = port if target.port is None else target.port
        self.where = f"{target.node}: BMC {self.host}:{self.port}"
        self.root: parse.Json = {}
        self._target = target
        self._tls = tls
        self._client: httpx.AsyncClient | None = None
        self._auth: dict[str, str] = {}
        self._session = ""
        self._answered = False

    @property
    def logged_on(self) -> bool:
        return bool(self._auth)

    async def get(self, path: str, etag: str = "") -> Answer:
        """Read a resource. With `etag`, the status may be 304: it is still as it was then.

        Raises:
            BmcError: see `call`.
        """
        return await self.call("GET", path, headers={"If-None-Match": etag} if etag else None)

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One authenticated request; logs on before when there is no session, and again when it has expired.

        Raises:
            RefusedError: the BMC answered with an error ("unsupported" for 404, 405 and 501, "rejected" for most).
            BmcError: "bmc-unreachable", "bmc-reset", "bmc-auth", "bmc-session-limit", "certificate-untrusted",
                "rejected" for what is no Redfish.
        """
        fresh = not self._auth
        if fresh:
            await self.log_on()
        answer = await self._request(method, path, body, {**self._auth, **(headers or {})})
        if answer.status == 401 and "X-Auth-Token" in self._auth and not fresh:
            self._forget()
            await self.log_on()
            answer = await self._request(method, path, body, {**self._auth, **(headers or {})})
        if answer.status == 401:
            self._forget()
        if answer.status >= 400:
            raise self._refused(answer, f"{method} {clean_line(path, 120)}")
        return answer

    async def log_on(self) -> None:
        """Open a session; a service without sessions gets HTTP Basic authentication with every request.

        Raises:
            BmcError: as `call`.
        """
        username, password = self._target.username, await self._password()
        root = await self._request("GET", ROOT, None, {})
        if root.status in _NOT_OFFERED:
            raise BmcError("rejected", f"{self.where}: there is no Redfish service ({ROOT} answers {root.status})")
        readable = root.status < 400
        self.root = root.body if readable else {}
        sessions = parse.link(self.root, "Links", "Sessions")
        service = parse.link(self.root, "SessionService")
        if service and not sessions:
            sessions = f"{service.rstrip('/')}/Sessions"
        if sessions or not readable:
            login = {"UserName": username, "Password": password}
            answer = await self._request("POST", sessions or SESSIONS, login, {})
            if self._accept(answer):
                return
            # One that accepts the login and gives no token (DMTF's mock-up server) takes the password each time.
            if answer.status >= 400 and answer.status not in _NOT_OFFERED and (readable or answer.status != 401):
                raise self._login_error(answer)
        basic = base64.b64encode(f"{username}:{password}".encode()).decode()
        auth = {"Authorization": f"Basic {basic}"}
        systems = parse.link(self.root, "Systems") or SYSTEMS
        answer = await self._request("GET", systems, None, auth)
        if answer.status >= 400:
            raise self._login_error(answer)
        self._auth = auth

    async def close(self) -> None:
        """End the session on the BMC and the connection. Never raises; takes a few seconds at most."""
        client, session, auth = self._client, self._session, self._auth
        self._client = None
        self._forget()
        if client is None:
            return
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                if session:
                    await self._exchange(client, "DELETE", session, None, auth)
        except (BmcError, _DroppedError, TimeoutError):
            pass  # the BMC is gone or slow: it ends the session itself when that was idle for a while
        finally:
            await client.aclose()

    # --- one request -------------------------------------------------------------------------------------------

    async def _request(
        self, method: str, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> Answer:
        """One exchange, redirects on the same host followed. A read whose connection drops is tried once more, and so
        is what a BMC was too busy for, when it says for how long."""
        client = await self._open()
        busy = 0
        for _ in range(3 + RETRIES):
            try:
                answer = await self._exchange(client, method, path, body, headers)
            except _DroppedError:
                if method != "GET" or not self._answered:
                    raise self._dropped(method, path) from None
                try:
                    answer = await self._exchange(client, method, path, body, headers)
                except (_DroppedError, BmcError) as error:
                    if isinstance(error, BmcError) and error.id != "bmc-unreachable":
                        raise
                    raise self._dropped(method, path) from None
            if answer.status == 503 and method != "POST" and busy < RETRIES and (pause := _retry_after(answer)):
                busy += 1
                await asyncio.sleep(pause)
                continue
            if answer.status not in _REDIRECTS:
                return answer
            path = self._redirected(answer, method)
        raise BmcError("rejected", f"{self.where}: {method} {clean_line(path, 120)}: redirected in a circle")

    async def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            context = await self._tls.get(self._target.verify_tls, self.where)
            self._client = httpx.AsyncClient(
                verify=context,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(SILENCE_LIMIT, connect=CONNECT_LIMIT),
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "OData-Version": "4.0"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
            self._answered = False
        return self._client

    async def _exchange(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        what = f"{self.where}: {method} {clean_line(path, 120)}"
        try:
            async with asyncio.timeout(REQUEST_LIMIT):
                url = f"{self.scheme}://{self.host}:{self.port}{path}"
                async with client.stream(method, url, json=body, headers=dict(headers)) as response:
                    data = await self._read(response, what)
        except TimeoutError:
            raise BmcError("bmc-unreachable", f"{what}: no whole answer within {REQUEST_LIMIT:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            found = self._network_error(error, what)
            if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
                shown = await shown_fingerprint(self._target.address, self.port, CONNECT_LIMIT)
                found = BmcError("certificate-untrusted", f"{found}{f' (it shows {shown})' if shown else ''}")
            raise found from error
        self._answered = True
        answer = Answer(response.status_code, {}, response.headers)
        if not data or response.status_code in (204, 304):
            return answer
        try:
            decoded: object = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            if response.status_code >= 400 or method != "GET":  # the status says enough
                return answer
            raise BmcError("rejected", f"{what}: the answer is no JSON that can be read ({error})") from error
        return Answer(response.status_code, parse.part(decoded), response.headers)

    async def _read(self, response: httpx.Response, what: str) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise BmcError("rejected", f"{what}: the answer is compressed although that was not asked for")
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > BODY_LIMIT:
                raise BmcError("rejected", f"{what}: the answer is longer than {BODY_LIMIT // 1024**2} MB")
        return bytes(data)

    # --- what went wrong ---------------------------------------------------------------------------------------

    def _network_error(self, error: BaseException, what: str) -> BmcError | _DroppedError:
        """The words for a failed exchange, from the exception or the system's one behind it."""
        for cause in causes(error):
            if reason := untrusted(cause):
                return BmcError("certificate-untrusted", f"{self.where}: {reason}")
            if isinstance(cause, ssl.SSLError) and isinstance(error, httpx.ConnectError | ssl.SSLError):
                reason = clean_line(cause.reason or cause.strerror or "handshake ended", 80)
                return BmcError("bmc-unreachable", f"{what}: TLS fails: {reason}")
        if isinstance(error, httpx.ConnectTimeout):
            return BmcError("bmc-unreachable", f"{self.where}: no connection within {CONNECT_LIMIT:.0f} s")
        if isinstance(error, httpx.TimeoutException):
            return BmcError("bmc-unreachable", f"{what}: no answer within {SILENCE_LIMIT:.0f} s")
        if isinstance(error, httpx.ConnectError | OSError | UnicodeError | httpx.InvalidURL):
            return BmcError("bmc-unreachable", f"{self.where}: no connection: {_reason(error)}")
        ended = isinstance(error, httpx.RemoteProtocolError) and _ENDED.search(str(error))
        if ended or isinstance(error, httpx.NetworkError):
            return _DroppedError()
        return BmcError("rejected", f"{what}: the answer is no HTTP that can be read: {clean_line(str(error), 120)}")

    def _dropped(self, method: str, path: str) -> BmcError:
        if not self._answered:
            return BmcError("bmc-unreachable", f"{self.where}: it closes the connection without an answer")
        unknown = "" if method == "GET" else "; whether it took effect is not known"
        return BmcError(
            "bmc-reset", f"{self.where}: the connection dropped during {method} {clean_line(path, 120)}{unknown}"
        )

    def _redirected(self, answer: Answer, method: str) -> str:
        place = answer.header("location")
        try:
            url = httpx.URL(f"{self.scheme}://{self.host}:{self.port}/").join(place)
        except (httpx.InvalidURL, ValueError):
            place = ""
        here = (self.scheme, self.host.strip("[]"), self.port)
        port = url.port or (PORT if url.scheme == "https" else PLAIN_PORT)
        if method != "GET" or not place or (url.scheme, url.host, port) != here:
            raise BmcError("rejected", f"{self.where}: it redirects to {clean_line(place, 120) or 'nowhere'}")
        return url.raw_path.decode()

    def _refused(self, answer: Answer, what: str) -> BmcError:
        ids, told = parse.extended_info(answer.body)
        message = f"{self.where}: {what}: HTTP {answer.status}{f': {told}' if told else ''}"
        if answer.status == 401:
            return BmcError("bmc-auth", message)
        if answer.status == 503:
            return RefusedError("bmc-unreachable", f"{message} (starting or overloaded)", answer.status, ids)
        return RefusedError("unsupported" if answer.status in _NOT_OFFERED else "rejected", message, answer.status, ids)

    # --- session -----------------------------------------------------------------------------------------------

    async def _password(self) -> str:
        try:
            return await asyncio.to_thread(self._target.password.reveal)
        except SecretError as error:
            raise BmcError("bmc-auth", f"{self.where}: no password: {error}") from None

    def _accept(self, answer: Answer) -> bool:
        token = answer.header("x-auth-token")
        if answer.status not in (200, 201, 202) or not token:
            return False
        self._auth = {"X-Auth-Token": token}
        self._session = parse.local(answer.header("location")) or parse.link(answer.body)
        return True

    def _login_error(self, answer: Answer) -> BmcError:
        ids, told = parse.extended_info(answer.body)
        text = f": {told}" if told else ""
        if any(one.endswith(_LIMIT_IDS) for one in ids) or any(words in told.lower() for words in _LIMIT_WORDS):
            return BmcError("bmc-session-limit", f"{self.where}: it has no free session{text}")
        if answer.status in (401, 403) or any(one.endswith(_AUTH_IDS) for one in ids):
            user = clean_line(self._target.username, 40)
            return BmcError("bmc-auth", f"{self.where}: it refuses user {user} or the password{text}")
        return self._refused(answer, "login")

    def _forget(self) -> None:
        self._auth = {}
        self._session = ""


def _retry_after(answer: Answer) -> float:
    """Seconds to wait, 0.0 when the BMC names none or too many."""
    text = answer.header("retry-after")
    seconds = float(text) if text.isdigit() and len(text) < 6 else 0.0
    return seconds if seconds <= RETRY_AFTER else 0.0


def _reason(error: BaseException) -> str:
    """The system's words ("Connection refused") rather than a library's ("All connection attempts failed")."""
    for cause in reversed(causes(error)):
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno)
        if isinstance(cause, socket.gaierror):
            return f"its name does not resolve: {clean_line(str(cause.strerror), 120)}"
    return clean_line(str(error) or type(error).__name__, 120)
