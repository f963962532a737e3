"""curl of a simulated host, to its own services and to other nodes by address. Exit codes of curl(1)."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import SplitResult, urlsplit

from plasmatui.sim.arguments import Options
from plasmatui.sim.host import Host
from plasmatui.sim.nodeshell import Call, Command
from plasmatui.sim.siteconfig import DOMAIN

_VALUES = (
    "X",
    "H",
    "d",
    "o",
    "w",
    "m",
    "u",
    "cacert",
    "connect-timeout",
    "resolve",
    "retry",
    "data-raw",
    "data-binary",
)
_ALIASES = {"request": "X", "header": "H", "data": "d", "data-raw": "d", "data-binary": "d", "output": "o",
            "write-out": "w", "max-time": "m", "insecure": "k", "silent": "s", "show-error": "S", "fail": "f",
            "include": "i", "head": "I"}  # fmt: skip
_LIMIT = 30.0


class _CurlError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"curl: ({code}) {text}")
        self.code = code


async def _curl(call: Call) -> int:
    options = Options(call.arguments, _VALUES, aliases=_ALIASES)
    if not options.rest:
        return call.fail("curl: (2) no URL specified", 2)
    url = urlsplit(options.rest[0] if "://" in options.rest[0] else f"http://{options.rest[0]}")
    try:
        status, head, body = await asyncio.wait_for(_request(call, url, options), float(options.get("m", str(_LIMIT))))
    except _CurlError as error:
        if "s" not in options or "S" in options:
            call.fail(str(error))
        return error.code
    except TimeoutError:
        return call.fail(f"curl: (28) Operation timed out after {options.get('m', str(_LIMIT))} seconds", 28)
    if "f" in options and status >= 400:
        return call.fail(f"curl: (22) The requested URL returned error: {status}", 22)
    if "i" in options or "I" in options:
        call.write(head + b"\r\n\r\n")
    if "o" not in options:
        call.write(body)
    elif options["o"] != "/dev/null":
        call.files.write(options["o"], body)
    call.write(options.get("w").replace("%{http_code}", str(status)).replace("\\n", "\n").encode())
    return 0


def _address(host: Host, name: str) -> str:
    own = (host.hostname, f"{host.hostname}.{DOMAIN}", "localhost", "127.0.0.1")
    if name in own:
        return str(host.identity.production)
    if name.replace(".", "").isdigit():
        return name
    raise _CurlError(6, f"Could not resolve host: {name}")


def _context(call: Call, options: Options) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if "k" in options:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif "cacert" in options:
        try:
            context.load_verify_locations(cadata=call.files.read(options["cacert"]).decode())
        except (OSError, ssl.SSLError, ValueError):
            raise _CurlError(77, f"error setting certificate verify locations: CAfile: {options['cacert']}") from None
    return context


async def _request(call: Call, url: SplitResult, options: Options) -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer.

    Raises:
        _CurlError: there is none.
    """
    name = url.hostname or ""
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    address = _address(call.host, name)
    context = _context(call, options) if secure else None
    try:
        reader, writer = await asyncio.open_connection(
            address, port, ssl=context, server_hostname=name if secure else None
        )
    except ssl.SSLCertVerificationError as error:
        raise _CurlError(60, f"SSL certificate problem: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise _CurlError(35, f"TLS connect error: {error.reason}") from None
    except OSError:
        raise _CurlError(
            7, f"Failed to connect to {name} port {port} after 0 ms: Could not connect to server"
        ) from None
    data = options.get("d").encode()
    method = options.get("X", "HEAD" if "I" in options else "POST" if "d" in options else "GET")
    headers = [
        f"Host: {name}:{port}",
        "User-Agent: curl/8.16.0",
        "Accept: */*",
        "Connection: close",
        *options.each("H"),
    ]
    if "d" in options:
        headers.append(f"Content-Length: {len(data)}")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = "\r\n".join([f"{method} {path} HTTP/1.1", *headers])
    try:
        writer.write(f"{lines}\r\n\r\n".encode() + data)
        answer = await reader.read()
    except OSError as error:
        raise _CurlError(56, f"Recv failure: {error.strerror}") from None
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[1].isdigit():
        raise _CurlError(52, "Empty reply from server")
    return int(words[1]), head, body


COMMANDS: dict[str, Command] = {"curl": _curl}
