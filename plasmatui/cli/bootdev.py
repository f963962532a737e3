"""`plasmatui bootdev` and `plasmatui identify`."""

from __future__ import annotations

from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.settings import Settings
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.node import NodeState
from plasmatui.model.operation import BootDeviceOrder, IdentifyOrder, NodeRecord
from plasmatui.model.words import OperationState

_DEVICES = [str(device) for device in Device if device is not Device.OTHER]


@click.command()
@click.argument("device", metavar="pxe|disk|bios|none", type=click.Choice(_DEVICES))
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--persistent", is_flag=True, help="For every boot from now on, not only for the next.")
@click.option("--uefi/--bios", "uefi", default=None, help="Firmware mode of the override; without: the BMC's.")
@order_options
@click.pass_obj
def bootdev(
    settings: Settings, device: str, node_set: str, persistent: bool, uefi: bool | None, options: OrderOptions
) -> int:
    """Set the boot device and read it back.

    For the next boot of SET, or with --persistent for all. `none` clears it.
    """
    boot = BootDevice(Device(device), persistent, uefi)

    def to_json(record: NodeRecord, state: NodeState | None) -> dict[str, Any]:
        # What was read back, when the BMC can tell; else what was set.
        told = state.boot if state is not None and state.boot is not None else None
        shown = told if told is not None else boot
        known = told is not None or record.state is OperationState.DONE
        return {
            "device": str(shown.device) if known else None,
            "persistent": shown.persistent if known else None,
            "uefi": shown.uefi if known else None,
            "verified": state.boot_verified if state is not None else None,
        }

    return give_order(settings, BootDeviceOrder(boot), node_set, options, to_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--seconds", type=click.IntRange(1, 255), default=15, show_default=True, help="How long it blinks.")
@click.option("--off", is_flag=True, help="Switch it off.")
@click.option("--on", "stay", is_flag=True, help="Leave it on until it is switched off.")
@order_options
@click.pass_obj
def identify(settings: Settings, node_set: str, seconds: int, off: bool, stay: bool, options: OrderOptions) -> int:
    """Switch on the identify light of SET."""
    if off and stay:
        raise click.UsageError("--off and --on exclude each other")
    order = IdentifyOrder(0 if off else -1 if stay else seconds)
    return give_order(settings, order, node_set, options, lambda _record, _state: {})
