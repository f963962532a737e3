"""DNS, forward and reverse, of every node (runbook, section 3.3): asked of the servers that the nodes are told."""

from __future__ import annotations

from plasmatui.checks import resolver
from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.text import clean_line

_RENDER = "plasmatui render --only dns -o DIR, and load the zones into the DNS server"
_DNS = "flashdns"


def servers(context: Context) -> tuple[tuple[str, int], ...]:
    """The networks' DNS servers; where none is named, the nodes that run the cluster's own and are on."""
    inventory = context.inventory
    named = [str(each) for network in inventory.networks.values() for each in network.dns]
    if named:
        return tuple(dict.fromkeys((address, 53) for address in named))
    running = set(context.running)
    profiles = {name for name, profile in inventory.profiles.items() if _DNS in profile.services}
    own = [each for each in context.nodes if each.profile in profiles and each.name in running and each.production_ip]
    return tuple((each.production_ip, inventory.services[_DNS].port) for each in own)


async def _ask(context: Context, name: str, kind: int) -> resolver.Answer | Found:
    """The first server that answers."""
    failed = ""
    for address, port in servers(context)[:3]:
        try:
            return await resolver.ask(address, port, name, kind)
        except TimeoutError:
            failed = failed or f"{address} port {port} does not answer"
        except OSError as error:
            failed = failed or f"{address} port {port}: {error.strerror or error}"
        except ValueError as error:
            return Found(FAILED, str(error))
    return Found(FAILED, failed, "look whether the DNS server runs: networks.*.dns in the inventory")


def _nothing(context: Context) -> str:
    if not context.inventory.domain:
        return "the inventory names no domain (cluster.domain)"
    if not servers(context):
        return "no DNS server is named (networks.*.dns), and no node with the cluster's own is on"
    return ""


async def forward(context: Context) -> Found:
    nothing = _nothing(context)
    if nothing:
        return skipped(nothing)
    addresses = {node.name: node.production_ip for node in context.nodes if node.production_ip}

    async def one(node: str) -> Found:
        name = f"{node}.{context.inventory.domain}"
        answer = await _ask(context, name, resolver.A)
        if isinstance(answer, Found):
            return answer
        if answer.values == (addresses[node],):
            return Found(OK)
        return Found(FAILED, f"{name} is {_told(answer)}, not {addresses[node]}", _RENDER)

    return together(await context.each(tuple(addresses), one), "{} names", "no node has a production address")


async def reverse(context: Context) -> Found:
    nothing = _nothing(context)
    if nothing:
        return skipped(nothing)
    addresses = {node.name: node.production_ip for node in context.nodes if node.production_ip}

    async def one(node: str) -> Found:
        answer = await _ask(context, resolver.reverse_name(addresses[node]), resolver.PTR)
        if isinstance(answer, Found):
            return Found(UNKNOWN, answer.reason, answer.fix)
        wanted = f"{node}.{context.inventory.domain}".lower()
        if wanted in answer.values:
            return Found(OK)
        return Found(WARNING, f"{addresses[node]} is {_told(answer)}, not {wanted}", _RENDER)

    return together(await context.each(tuple(addresses), one), "{} addresses", "no node has a production address")


def _told(answer: resolver.Answer) -> str:
    return clean_line(", ".join(answer.values[:4]), 200) or f"not known ({answer.code})"
