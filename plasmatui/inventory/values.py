"""The small languages inside an inventory's values: addresses, MACs, durations, rates. Pure functions of text.

Each raises `ValueError` whose text says what was expected; what was found is added by the caller, who knows the place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A host name without a domain (RFC 1123 section 2.1, RFC 1035 section 2.3.4)."""

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Names of profiles, racks, tags, networks, services: safe on screen, in paths and in node sets."""

_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BITS = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9, "Tbit": 10**12}


def host_name(text: str) -> str:
    """A node's name: letters, digits and hyphens."""
    if not NAME.fullmatch(text):
        raise ValueError(
            "a host name without a domain: letters, digits and hyphens, at most 63, no hyphen at either end (RFC 1123)"
        )
    return text


def domain(text: str) -> str:
    """A DNS domain, without a dot at the end."""
    name = text.rstrip(".")
    if len(name) > 253 or not all(NAME.fullmatch(part) for part in name.split(".")):
        raise ValueError("a DNS domain such as example.com")
    return name


def label(text: str) -> str:
    """A name of a thing that is not a host."""
    if not LABEL.fullmatch(text):
        raise ValueError(
            "a name of letters, digits, '.', '_' and '-' that begins with a letter or digit, at most 63 long"
        )
    return text


def mac(text: str) -> str:
    """An Ethernet address of one machine, as six bytes in lower case with colons (IEEE 802, section 8)."""
    if not _MAC.fullmatch(text):
        raise ValueError("a MAC address of six bytes such as 52:54:00:12:34:56")
    address = text.lower().replace("-", ":")
    if int(address[:2], 16) & 1:
        raise ValueError("the MAC address of one machine; the lowest bit of the first byte marks a multicast address")
    if address == "00:00:00:00:00:00":
        raise ValueError("a MAC address that is not all zeros")
    return address


def ipv4(text: str) -> IPv4Address:
    """An IPv4 address in dotted decimals."""
    try:
        return IPv4Address(text)
    except ipaddress.AddressValueError:
        raise ValueError("an IPv4 address such as 10.0.200.10") from None


def network(text: str) -> IPv4Network:
    """An IPv4 network with its prefix length, without host bits."""
    try:
        found = ipaddress.IPv4Interface(text).network
    except (ipaddress.AddressValueError, ipaddress.NetmaskValueError):
        raise ValueError("an IPv4 network such as 10.0.100.0/24") from None
    if "/" not in text:
        raise ValueError("an IPv4 network with a prefix length, such as 10.0.100.0/24")
    if text.split("/")[0] != str(found.network_address):
        raise ValueError(f"the network's first address; did you mean {found}?")
    return found


def pool(text: str) -> tuple[IPv4Address, IPv4Address]:
    """A range of addresses `FIRST-LAST`, both included."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        low, high = IPv4Address(first), IPv4Address(last)
    except ipaddress.AddressValueError:
        raise ValueError("two IPv4 addresses FIRST-LAST, such as 10.0.100.100-10.0.100.200") from None
    if not dash or high < low:
        raise ValueError("a range FIRST-LAST whose first address is not after its last")
    return low, high


def bmc_address(text: str) -> tuple[str, int | None]:
    """An IP address or host name, with or without port: `10.0.10.50`, `10.0.10.50:623`, `bmc01.lan`, `[::1]:623`."""
    host, number = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            host = ""
        number = rest[1:] if rest else ""
    elif text.count(":") == 1:
        host, number = text.split(":")
    port = None
    if number or text.endswith(":"):
        if not re.fullmatch(r"[0-9]{1,5}", number) or not 1 <= int(number) <= 65535:
            raise ValueError("a port from 1 to 65535 after the colon")
        port = int(number)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        pass
    if re.fullmatch(r"[0-9.]+", host) or not host:
        raise ValueError("an IP address or host name, with or without a port, such as 10.0.10.50 or 10.0.10.50:623")
    try:
        return domain(host), port
    except ValueError:
        raise ValueError("an IP address or host name, with or without a port, such as 10.0.10.50:623") from None


def boot_file(text: str) -> str:
    """A boot file's name below the TFTP root, or `none` for no file. At most 127 bytes (RFC 2131, field `file`)."""
    if text == "none":
        return ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,126}", text) or ".." in text or "//" in text:
        raise ValueError("a file name below the TFTP root such as ipxe.efi, or none")
    if "." not in text.rpartition("/")[2]:
        raise ValueError("a file name with a dot, since dnsmasq appends .0 to others")
    return text


def seconds(low: int, high: int) -> Callable[[str], int]:
    """A reader of a duration in whole seconds within bounds."""

    def read(text: str) -> int:
        found = duration(text)
        if not low <= found <= high or found != int(found):
            raise ValueError(f"whole seconds from {low}s to {high}s")
        return int(found)

    return read


def account(text: str) -> str:
    """A Unix user, or a group as `%group` (useradd(8), "CAVEATS"; names of directory services may hold `@` and `.`)."""
    if not re.fullmatch(r"%?[A-Za-z_][A-Za-z0-9_.@-]{0,63}\$?", text):
        raise ValueError("a Unix user such as alice, or a group such as %ops (in quotes)")
    return text


def socket(text: str) -> str:
    """An IPv4 address with its port."""
    host, _, port = text.rpartition(":")
    try:
        IPv4Address(host)
        if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
            raise ValueError(port)
    except ValueError:
        raise ValueError("an IPv4 address with a port, such as 127.0.0.1:8082") from None
    return text


def loopback(text: str) -> str:
    """An IPv4 address of this host alone, with its port."""
    if not IPv4Address(socket(text).rpartition(":")[0]).is_loopback:
        raise ValueError(
            "an address of the loopback with a port, such as 127.0.0.1:9108; `policy.metrics_remote: true` takes others"
        )
    return text


def ssh_host(text: str) -> str:
    """A host to log in on, with or without user and port: `[user@]host[:port]`."""
    user, at, host = text.rpartition("@")
    try:
        if at:
            label(user)
        bmc_address(host)
    except ValueError:
        raise ValueError("a host to log in on, such as ops@gate.example.com or ops@10.0.10.2:2222") from None
    return text


def duration(text: str) -> float:
    """Seconds of `2s`, `500ms`, `1.5m`, `0`."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|min|m|h)", text)
    if match:
        return float(match.group(1)) * _SECONDS[match.group(2)]
    if text == "0":
        return 0.0
    raise ValueError("a duration with its unit, such as 2s or 500ms")


def bandwidth(text: str) -> int:
    """Bits per second of `1Gbit`, `100Mbit`; 0 for `0` (no limit)."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(bit|kbit|Mbit|Gbit|Tbit)", text)
    if match and (bits := round(float(match.group(1)) * _BITS[match.group(2)])) > 0:
        return bits
    if text == "0":
        return 0
    raise ValueError("a rate with its unit, such as 1Gbit or 100Mbit, or 0 for no limit")


def verify_tls(text: str) -> str:
    """What a BMC's certificate is checked against: a file with CAs, or a pinned fingerprint `sha256:HEX`."""
    if text.startswith("sha256:"):
        digest = text[7:].replace(":", "").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError("sha256: and 64 hexadecimal digits")
        return f"sha256:{digest}"
    if "/" not in text and not text.endswith((".pem", ".crt", ".cer")):
        raise ValueError("true, false, the path of a CA file, or sha256: and a fingerprint")
    return text


def disk(text: str) -> str:
    """The path of a block device."""
    if not re.fullmatch(r"/dev/[A-Za-z0-9._:+@=,#/-]{1,200}", text) or "/../" in text or text.endswith("/"):
        raise ValueError("a device path such as /dev/disk/by-id/nvme-SAMSUNG_MZ_S1")
    return text


def absolute_path(text: str) -> str:
    """An absolute path, or one below a home directory."""
    if not text.startswith(("/", "~")):
        raise ValueError("an absolute path")
    return text


def data_directory(text: str) -> str:
    """A directory of a service's own on a node: absolute, plain, and at least two levels below the root."""
    parts = text.split("/")[1:]
    plain = re.fullmatch(r"(/[A-Za-z0-9_@.+:-]{1,100}){2,20}", text) is not None
    if not plain or any(part in (".", "..") for part in parts) or parts[0] in ("dev", "proc", "sys", "nix", "run"):
        raise ValueError("a directory of the service's own such as /var/lib/chainfire")
    return text


def unit_name(text: str) -> str:
    """The name of a systemd service unit (systemd.unit(5)), with its suffix."""
    if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]{1,240}\.service", text):
        raise ValueError("a systemd unit such as chainfire.service")
    return text
