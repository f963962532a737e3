"""The rules of the boot domain, in the order of causes."""

from __future__ import annotations

from plasmatui.watch.diagnosis import Rule
from plasmatui.watch.rules_fetch import FETCH_RULES
from plasmatui.watch.rules_network import NETWORK_RULES
from plasmatui.watch.rules_system import SYSTEM_RULES

RULES: tuple[Rule, ...] = (*NETWORK_RULES, *FETCH_RULES, *SYSTEM_RULES)
