"""What a client tells of itself in a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from plasmatui.pxe.service.macs import parse_mac

PARAMETERS = 256
"""Query parameters that are read; a boot client sends about ten."""


@dataclass(frozen=True)
class Query:
    """A request's query.

    Attributes:
        raw: as it was sent.
        values: the parameters as they were sent, the first of repeated ones.
        labels: what rules are matched with: `mac`, in any case of its letters, is normalised, or left out when it is
            no address.
    """

    raw: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def mac(self) -> str | None:
        """The machine's address, normalised; None when it says none, or something that is none."""
        return parse_mac(self.values.get("mac", ""))

    @property
    def uuid(self) -> str:
        return self.values.get("uuid", "")


def parse_query(raw: str) -> Query:
    """Read a query string. Parameters that cannot be read are left out."""
    values: dict[str, str] = {}
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=PARAMETERS)
    except ValueError:
        pairs = []
    for name, value in pairs:
        values.setdefault(name, value)
    return make_query(values, raw)


def make_query(values: Mapping[str, str], raw: str = "") -> Query:
    """A query of these parameters."""
    labels: dict[str, str] = {}
    for name, value in values.items():
        if name.lower() == "mac":
            mac = parse_mac(value)
            if mac is not None:
                labels[name] = mac
        else:
            labels[name] = value
    return Query(raw, values, labels)
