"""What Kea, dhcpd and dnsmasq make of their configuration files: just enough of each language to tell which boot file,
next server and option 60 a client is given. A syntax checker cannot tell that.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.support.pxe_clients import Client


@dataclass
class Answer:
    """What a client is given; empty for nothing."""

    file: str = ""
    next_server: str = ""
    vendor: str = ""
    no_proxy_wait: bool = False
    subnet: str = ""
    address: str = ""
    matched: list[str] = field(default_factory=list)


def _where(client: Client, own: str) -> str:
    return client.relay or own


class _Expression(ABC):
    """A recursive descent over tokens with `or`, `and`, `not` and parentheses; comparisons are the subclass's."""

    def __init__(self, tokens: list[str], client: Client) -> None:
        self.tokens = tokens
        self.at = 0
        self.client = client

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        assert not expected or token == expected, (token, expected, self.tokens)
        self.at += 1
        return token

    def either(self) -> bool:
        value = self.both()
        while self.peek() == "or":
            self.take()
            value = self.both() or value
        return value

    def both(self) -> bool:
        value = self.negated()
        while self.peek() == "and":
            self.take()
            value = self.negated() and value
        return value

    def negated(self) -> bool:
        if self.peek() == "not":
            self.take()
            return not self.negated()
        if self.peek() == "(":
            self.take()
            value = self.either()
            self.take(")")
            return value
        return self.comparison()

    @abstractmethod
    def comparison(self) -> bool:
        """One comparison of the language."""


class _KeaExpression(_Expression):
    """Kea ARM, "Using Expressions in Classification"."""

    def __init__(self, text: str, client: Client, members: set[str], known: set[str]) -> None:
        pattern = r"'[^']*'|0x[0-9A-Fa-f]+|\w+|==|[()\[\].,]"
        super().__init__(re.findall(pattern, text), client)
        self.members, self.known = members, known

    def comparison(self) -> bool:
        if self.peek() == "member":
            self.take()
            self.take("(")
            name = self.take().strip("'")
            self.take(")")
            assert name in self.known, f"{name} is not defined before it is used"
            return name in self.members
        left = self.data()
        if left is None:
            return True
        if left == "absent":
            return False
        self.take("==")
        return left == self.data()

    def data(self) -> Any:
        token = self.take()
        if token == "substring":
            self.take("(")
            value = self.data()
            self.take(",")
            start = int(self.take())
            self.take(",")
            length = int(self.take())
            self.take(")")
            return value[start : start + length]
        if token == "option":
            self.take("[")
            code = int(self.take())
            self.take("]")
            self.take(".")
            kind = self.take()
            if kind == "exists":
                return None if code in self.client.options else "absent"
            assert kind == "hex"  # .text of these options is a hex dump, which equals nothing
            return self.client.options.get(code, b"")
        if token.startswith("'"):
            return token[1:-1].encode()
        assert token.startswith("0x"), token
        return bytes.fromhex(token[2:])


def kea(text: str, client: Client) -> Answer:
    config = json.loads(re.sub(r"(?m)^//.*$", "", text))["Dhcp4"]
    members: set[str] = set()
    known: set[str] = set()
    answer = Answer()
    for each in config["client-classes"]:
        expression = _KeaExpression(each["test"], client, members, known)
        if expression.either():
            members.add(each["name"])
            if "boot-file-name" in each:
                answer.matched.append(each["name"])
                answer.file, answer.next_server = each["boot-file-name"], each["next-server"]
            for option in each.get("option-data", []):
                if option["name"] == "vendor-class-identifier":
                    answer.vendor = option["data"]
                if option["name"] == "no-pxedhcp":
                    answer.no_proxy_wait = option["data"] == "1"
        assert expression.at == len(expression.tokens)
        known.add(each["name"])
    where = ip_address(_where(client, "10.0.100.10"))
    for subnet in config["subnet4"]:
        if where in ip_network(subnet["subnet"]):
            answer.subnet = subnet["subnet"]
            for host in subnet["reservations"]:
                if host["hw-address"] == client.mac:
                    answer.address = host["ip-address"]
    return answer


class _DhcpdExpression(_Expression):
    """dhcp-eval(5). An option that is absent is null, and equal to nothing."""

    def __init__(self, tokens: list[str], client: Client, declared: dict[str, tuple[int, str]]) -> None:
        super().__init__(tokens, client)
        self.declared = declared

    def comparison(self) -> bool:
        if self.peek() == "exists":
            self.take()
            return self.option(self.take()) is not None
        left = self.data()
        self.take("=")
        right = self.data()
        return left is not None and left == right

    def option(self, name: str) -> bytes | None:
        space, _, _ = name.rpartition(".")
        code, kind = self.declared[name]
        if not space:
            # An option of type encapsulate is taken apart and not kept itself (ISC dhcp, options.c).
            return None if kind == "encapsulate" else self.client.options.get(code)
        return _suboptions(self.client.options.get(175, b"")).get(code)

    def data(self) -> bytes | None:
        token = self.take()
        if token == "option":
            return self.option(self.take())
        if token == "substring":
            self.take("(")
            value = self.data()
            self.take(",")
            start = int(self.take())
            self.take(",")
            length = int(self.take())
            self.take(")")
            return None if value is None else value[start : start + length]
        if token.startswith('"'):
            return token[1:-1].encode()
        return bytes.fromhex(token.replace(":", ""))


def _suboptions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) > 1:
        found[data[0]] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    return found


def dhcpd(text: str, client: Client) -> Answer:
    text = re.sub(r"(?m)#.*$", "", text)
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2})+|[\w./:-]+|[{}();=,]', text)
    declared = {"user-class": (77, ""), "vendor-class-identifier": (60, "")}
    for match in re.finditer(r"option ([\w.-]+) code (\d+) = (\w+)", text):
        declared[match[1]] = (int(match[2]), match[3])
    answer = Answer()
    hosts: list[tuple[str, str]] = []

    def block(at: int, run: bool, subnet: str) -> int:
        """Statements up to the closing brace; returns the place after it."""
        taken = False
        while at < len(tokens) and tokens[at] != "}":
            word = tokens[at]
            if word in ("if", "elsif", "else"):
                taken = taken and word != "if"
                end = tokens.index("{", at)
                true = True
                if word != "else":
                    expression = _DhcpdExpression(tokens[at + 1 : end], client, declared)
                    true = expression.either()
                    assert expression.at == len(expression.tokens)
                at = block(end + 1, run and true and not taken, subnet)
                taken = taken or true
            elif word == "subnet":
                network = str(ip_network(f"{tokens[at + 1]}/{tokens[at + 3]}"))
                here = ip_address(_where(client, "10.0.100.10")) in ip_network(network)
                answer.subnet = network if here else answer.subnet
                at = block(at + 5, here, network)
            elif word == "host":
                end = tokens.index("}", at)
                body = tokens[at:end]
                assert "filename" not in body
                hosts.append((body[body.index("ethernet") + 1].lower(), body[body.index("fixed-address") + 1]))
                at = end + 1
            else:
                end = tokens.index(";", at)
                if run:
                    statement(tokens[at:end])
                at = end + 1
        return at + 1

    def statement(words: list[str]) -> None:
        if words[0] == "filename":
            answer.matched.append(words[1])
            answer.file = words[1].strip('"')
        elif words[0] == "next-server":
            answer.next_server = words[1]
        elif words[:2] == ["option", "vendor-class-identifier"]:
            answer.vendor = words[2].strip('"')
        elif words[:2] == ["option", "ipxe.no-pxedhcp"] and "code" not in words:
            answer.no_proxy_wait = words[2] == "1"

    block(0, True, "")
    answer.address = next((address for mac, address in hosts if mac == client.mac), "")
    return answer


def _fields(value: str) -> Iterator[str]:
    for match in re.finditer(r'(?:^|,)("([^"]*)"|[^,]*)', value):
        yield match[2] if match[2] is not None else match[1]


def dnsmasq(text: str, hosts: str, client: Client) -> Answer:
    lines = [line.partition("=")[::2] for line in text.splitlines() if line and not line.startswith("#")]
    tags: set[str] = set()
    answer = Answer()
    where = ip_address(_where(client, "10.0.100.10"))
    for key, value in lines:
        parts = list(_fields(value))
        if key == "dhcp-range":
            network = ip_network(f"{parts[1]}/{parts[3]}", strict=False)
            if where in network:
                tags.add(parts[0].removeprefix("set:"))
                answer.subnet = str(network)
    for key, value in lines:
        parts = list(_fields(value))
        tag = parts[0].removeprefix("set:")
        if (key == "dhcp-vendorclass" and parts[1].encode() in client.options.get(60, b"")) or (
            key == "dhcp-userclass" and parts[1].encode() in client.options.get(77, b"")
        ):
            tags.add(tag)
        if key == "dhcp-match" and (data := client.options.get(int(parts[1]))) is not None:
            wanted = bytes.fromhex(parts[2].replace(":", "")) if len(parts) > 2 else b""
            tags |= {tag} if data.startswith(wanted) else set()

    def matching(key: str) -> Iterator[list[str]]:
        for each, value in lines:
            if each != key:
                continue
            parts = list(_fields(value))
            wanted = [part for part in parts if part.startswith("tag:")]
            if all((w[5:] not in tags) if w.startswith("tag:!") else (w[4:] in tags) for w in wanted):
                yield [part for part in parts if not part.startswith("tag:")]

    for file, _, server in matching("dhcp-boot"):
        answer.matched.append(file)
        answer.file, answer.next_server = file, server
    for parts in matching("dhcp-option-force"):
        if parts[0] == "60":
            answer.vendor = parts[1]
    answer.no_proxy_wait = ["encap:175", "176", "1b"] in list(matching("dhcp-option"))
    for line in hosts.splitlines():
        parts = line.split(",")
        if client.mac in parts:
            answer.address = parts[-2]
    return answer
