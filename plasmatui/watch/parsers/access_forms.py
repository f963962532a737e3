"""Access logs that are not in the combined format: JSON, one object a line, and formats of a site's own.

Names of fields: nginx's variables, Caddy's `http.log.access`, Traefik's `accessLog`, and the Elastic Common Schema. A
format of text needs a client's address and a request in quotes with its status behind; what else stands there is looked
at only for a time and an agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

_ADDRESS_KEYS: Final = (
    "remote_addr",
    "remote_ip",
    "client_ip",
    "clientip",
    "client",
    "clienthost",
    "remote_host",
    "client.ip",
    "source.ip",
    "source.address",
    "ip",
)
_FORWARDED_KEYS: Final = ("http_x_forwarded_for", "x_forwarded_for")
_TIME_KEYS: Final = ("time_iso8601", "time_local", "time", "@timestamp", "timestamp", "startutc", "ts", "msec", "date")
_REQUEST_KEYS: Final = ("request", "request_line")
_METHOD_KEYS: Final = ("request_method", "requestmethod", "method", "verb", "http.request.method")
_TARGET_KEYS: Final = ("request_uri", "requestpath", "uri", "path", "url", "url.original", "url.path")
_STATUS_KEYS: Final = ("status", "downstreamstatus", "response", "response_code", "code", "http.response.status_code")
_SIZE_KEYS: Final = (
    "body_bytes_sent",
    "downstreamcontentsize",
    "bytes_sent",
    "resp_body_size",
    "response_size",
    "http.response.body.bytes",
    "size",
    "bytes",
)
_AGENT_KEYS: Final = (
    "http_user_agent",
    "user_agent",
    "useragent",
    "request_user-agent",
    "user-agent",
    "user_agent.original",
    "agent",
)
_NESTED: Final = 4
_FIELDS: Final = 256

_ASKED: Final = re.compile(
    r"\"([A-Z]{3,8} [^\"\s]{1,8192}(?: HTTP/[\d.]{1,3})?)\" (\d{3})(?: (\d{1,18}|-))?(?= |$)", re.ASCII
)
_PEER: Final = re.compile(
    r"(?<![\w.:])((?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F.]{0,15}){2,7})(?::\d{1,5})?(?![\w.:])"
)
_STAMP: Final = re.compile(
    r"\[(\d\d/[A-Z][a-z]{2}/\d{4}[: ]\d\d:\d\d:\d\d(?: [+-]\d{4})?)\]"
    r"|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
)
_STRING: Final = re.compile(r'"([^"\\]{0,1024})"')

_OBJECTS: Final = msgspec.json.Decoder(dict[str, object])


class Access(msgspec.Struct, frozen=True):
    """A request, as a log told it: text that is not yet clean. `stamp` and what is not told are empty."""

    peer: str
    request: str
    status: int
    size: int | None = None
    agent: str = ""
    forwarded: str = ""
    stamp: str = ""


def from_json(line: str) -> Access | None:
    """The request of a JSON object, None where it tells none."""
    try:
        fields = dict(_flat(_OBJECTS.decode(line)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    peer, request = _first(fields, _ADDRESS_KEYS), _first(fields, _REQUEST_KEYS)
    if " " not in request:
        method, target = _first(fields, _METHOD_KEYS), _first(fields, _TARGET_KEYS)
        request = f"{method} {target}" if method and target else ""
    status, size = _first(fields, _STATUS_KEYS), _first(fields, _SIZE_KEYS)
    if not is_address(peer) or not request or not _is_number(status, 3):
        return None
    return Access(
        peer=peer,
        request=request,
        status=int(status),
        size=int(size) if _is_number(size, 18) else None,
        agent=_first(fields, _AGENT_KEYS),
        forwarded=_first(fields, _FORWARDED_KEYS),
        stamp=_first(fields, _TIME_KEYS),
    )


def from_text(line: str) -> Access | None:
    """The request of a line in a site's own format, None where it tells none."""
    found = _ASKED.search(line)
    if found is None:
        return None
    request, status, size = found.groups()
    before, rest = line[: found.start()], line[found.end() :]
    peer = next((each for each in _PEER.findall(before) if is_address(each)), "")
    if not peer:
        return None
    stamp = _STAMP.search(before) or _STAMP.search(rest)
    return Access(
        peer=peer,
        request=request,
        status=int(status),
        size=int(size) if size and size != "-" else None,
        agent=next((each for each in _STRING.findall(rest) if "/" in each and "://" not in each), ""),
        stamp=next(filter(None, stamp.groups())) if stamp is not None else "",
    )


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _flat(fields: Mapping[str, object], above: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Fields by their name, and by their path as well where they are nested; of a list the first value."""
    for name, value in list(fields.items())[:_FIELDS]:
        key = name.lower()
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict) and depth < _NESTED:
            yield from _flat(value, f"{above}{key}.", depth + 1)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield f"{above}{key}", str(value)
            if above:
                yield key, str(value)


def _first(fields: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits
