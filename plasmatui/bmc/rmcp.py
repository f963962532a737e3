"""RMCP+ in words: privilege levels, cipher suites, status codes, and what they mean for a logon."""

from __future__ import annotations

from dataclasses import dataclass

from pyghmi.ipmi.private import session as pyghmi_session

ADMINISTRATOR, OPERATOR = 4, 3
SUITES = {17: 256, 3: 1}
"""Cipher suites (IPMI 2.0, table 22-20) and pyghmi's name for their hash."""
ACCEPTED = {17: (3, 4, 1), 3: (1, 1, 1)}  # authentication, integrity and confidentiality algorithm numbers

# RMCP+ and RAKP status codes, IPMI 2.0 table 13-15
INVALID_COMMAND = (0xC1, 0xC2)  # completion codes: it has no such command, or not for this LUN
NO_RESOURCES = (0x01, 0x0B)
CIPHER_REFUSED = (0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12)
USER_REFUSED = (0x09, 0x0A, 0x0C, 0x0D, 0x0F)


class LogonError(Exception):
    """A logon failed. `id` as in `BmcError`; the text says why, without address and secret."""

    def __init__(self, id: str, why: str) -> None:  # noqa: A002 - as in BmcError
        super().__init__(why)
        self.id = id


class SessionLostError(Exception):
    """The session ended while a command was under way, or had ended before."""


@dataclass(frozen=True)
class Reply:
    """What a BMC answered: completion code (IPMI 2.0, table 5-2; 0 is success) and the bytes behind it.

    `again`: the command was sent more than once, so that it may have been carried out before this answer.
    """

    code: int
    data: bytes
    again: bool = False


def code_text(netfn: int, command: int, code: int) -> str:
    """A completion code in words."""
    text = pyghmi_session.get_ipmi_error({"netfn": netfn | 1, "command": command, "code": code})
    return f"{text} (code 0x{code:02x})"


def rmcp_text(code: int) -> str:
    """A status code in words."""
    return str(pyghmi_session.constants.rmcp_codes.get(code, f"RMCP+ status code 0x{code:02x}"))


def logon_error(code: int, text: str) -> LogonError:
    """What the last status code (0: none) and pyghmi's text mean for an operator."""
    if code in NO_RESOURCES:
        return LogonError("bmc-session-limit", "has no free session")
    if text == "Incorrect password provided":
        return LogonError("bmc-auth", "refuses the password")
    if text.startswith("Invalid RAKP4"):
        return LogonError("bmc-auth", "wants a BMC key (Kg), which is not supported")
    if code in (0x09, 0x0A):
        return LogonError("bmc-auth", "refuses this user the operator level")
    if code in USER_REFUSED:
        return LogonError("bmc-auth", "refuses the user or the password")
    return LogonError("unsupported", text)
