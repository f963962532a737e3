"""Boot, install, drain, roll back ...: what their dialogs show, what must be typed, and how the guard is overridden."""

from __future__ import annotations

import pytest
from textual import events

from plasmatui.model import wire
from plasmatui.model.operation import (
    AddOrder,
    BackupOrder,
    BootOrder,
    CertsRotateOrder,
    DecommissionOrder,
    DrainOrder,
    InstallOrder,
    NodePlan,
    Pace,
    Plan,
    ProvisionOrder,
    RecoverClusterOrder,
    RecoverOrder,
    ReplaceOrder,
    ReprovisionOrder,
    RestoreOrder,
    RollbackOrder,
    SshKeysRotateOrder,
    UndrainOrder,
    UpdateOrder,
)
from plasmatui.model.system import Disk
from plasmatui.model.words import RebootRule
from plasmatui.ui.dialogs import base
from plasmatui.ui.dialogs.backups import BackupDialog, RestoreDialog
from plasmatui.ui.dialogs.generations import GenerationsDialog
from plasmatui.ui.dialogs.system import (
    BootDialog,
    DrainDialog,
    InstallDialog,
    ReplaceDialog,
    RollbackDialog,
    UndrainDialog,
    UpdateDialog,
)
from tests.ui.fake import FakeWorld

DISK = Disk(
    "/dev/disk/by-id/nvme-1", "/dev/nvme0n1", "SAMSUNG MZ [/]", 960_000_000_000, "S4EVNX0R", "ext4, 2 partitions"
)


@pytest.fixture(autouse=True)
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "GUARD", 0.0)


async def planned(ui) -> None:
    await ui.settle(lambda: ui.dialog.plan is not None)


async def started(ui) -> wire.StartOrder:
    await ui.settle(lambda: ui.world.of(wire.StartOrder))
    (order,) = ui.world.of(wire.StartOrder)
    return order


async def phrase(ui, text: str) -> None:
    await ui.press("tab")
    await ui.type(text)
    await ui.press("enter")


@pytest.mark.parametrize(
    ("keys", "dialog", "order"),
    [
        (("B", "i"), BootDialog, BootOrder()),
        (("B", "d", "u"), BootDialog, BootOrder(disk=True, uefi=True)),
        (("I", "i"), InstallDialog, InstallOrder()),
        (("I", "p", "u", "u"), InstallDialog, ProvisionOrder(uefi=False)),
        (("I", "d", "u"), InstallDialog, AddOrder(uefi=True)),
        (("X", "r"), ReplaceDialog, ReplaceOrder()),
        (("X", "p"), ReplaceDialog, ReprovisionOrder()),
        (("X", "d"), ReplaceDialog, DecommissionOrder()),
        (("D",), DrainDialog, DrainOrder()),
        (("U",), UndrainDialog, UndrainOrder()),
    ],
)
async def test_each_key_opens_its_dialog_and_asks_for_the_plan(cockpit, keys, dialog, order) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space", *keys)
        assert isinstance(ui.dialog, dialog)
        assert ui.dialog.focused.id == "cancel"
        await planned(ui)
        assert ui.world.of(wire.PlanOrder)[-1].order == order
        assert "targets: node[01-02]" in ui.text()
        assert "same as: plasmatui" in ui.text()
        await ui.press("y")
        request = await started(ui)
        assert (request.order, request.nodes, request.override_quorum) == (order, ("node01", "node02"), "")


@pytest.mark.parametrize("key", ["B", "I", "X"])
async def test_nothing_is_chosen_at_first_where_there_is_a_choice(cockpit, key: str) -> None:
    async with cockpit() as ui:
        await ui.press(key, "y")
        assert "choose by its letter" in ui.text()
        assert not ui.world.of(wire.PlanOrder)


async def test_how_the_inventory_changes_stands_in_the_plan(cockpit) -> None:
    world = FakeWorld()
    world.confirm, world.phrase = 3, "node01"
    world.diffs = {"node01": "--- inventory.yaml\n+++ inventory.yaml\n-  node01: {}  # [b]old[/]\n"}
    async with cockpit(world, size=(120, 40)) as ui:
        await ui.press("X", "d")
        await planned(ui)
        text = ui.text()
        assert "the inventory is changed:" in text
        assert "-  node01: {}  # [b]old[/]" in text
        assert "type node01 and press enter" in text
        await phrase(ui, "node01")
        assert (await started(ui)).order == DecommissionOrder()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_an_installation_shows_the_disks_and_wants_the_plans_phrase(cockpit, size) -> None:
    world = FakeWorld()
    world.confirm, world.phrase = 3, "wipe 2"
    world.disks = {"node01": (DISK,), "node02": (Disk("/dev/disk/by-id/nvme-2"),)}
    async with cockpit(world, size=size) as ui:
        await ui.press("space", "space", "I", "i")
        await planned(ui)
        text = ui.text()
        assert "SAMSUNG MZ [/]  960 GB" in text
        for words in ("S4EVNX0R", "not read yet", "type wipe 2 and press enter", "Cancel"):
            assert words in text, "all of the question fits the screen"
        assert "y: yes" not in text
        await ui.press("y", "i")
        await planned(ui)
        await ui.press("tab")
        ui.dialog.phrase_input.post_message(events.Paste("wipe 2"))
        await ui.press("enter")
        assert not world.of(wire.StartOrder), "a paste is not typing"
        ui.dialog.phrase_input.value = ""
        await ui.type("wipe 2")
        await ui.press("enter")
        assert (await started(ui)).order == InstallOrder()


async def test_what_the_plan_found_out_is_what_is_started(cockpit) -> None:
    from plasmatui.model.operation import NodeDisks

    world = FakeWorld()

    def plan(engine, body):
        made = FakeWorld.plan(world, body)
        return wire.PlanReply(
            Plan(
                InstallOrder((NodeDisks("node01", (DISK,)),)), made.nodes, Pace(), made.cli, 2, notes=("3 of 3 voters",)
            )
        )

    world.answers[wire.PlanOrder] = plan
    async with cockpit(world) as ui:
        await ui.press("I", "i")
        await planned(ui)
        assert "3 of 3 voters" in ui.text()
        await ui.press("y")
        assert (await started(ui)).order == InstallOrder((NodeDisks("node01", (DISK,)),))


async def test_nodes_that_are_left_out_are_told_and_when_all_are_nothing_starts(cockpit) -> None:
    world = FakeWorld()
    world.answers[wire.PlanOrder] = lambda engine, body: wire.PlanReply(
        Plan(body.order, (NodePlan("node01", skipped="node01: no installer answers"),), Pace(), "plasmatui install", 3)
    )
    async with cockpit(world) as ui:
        await ui.press("I", "i")
        await planned(ui)
        assert "left out: node01: no installer answers" in ui.text()
        assert "nothing can be done on any of these nodes" in ui.text()
        await ui.press("y", "tab", "v")
        assert not world.of(wire.StartOrder)


# The guard


async def test_the_guard_is_overridden_by_the_clusters_name_alone(cockpit) -> None:
    world = FakeWorld()
    world.refused, world.notes = "1 of 3 voters would remain", ("chainfire: node01 is the leader",)
    async with cockpit(world) as ui:
        await ui.press("D")
        await planned(ui)
        assert "the guard refuses it: 1 of 3 voters would remain" in ui.text()
        assert "chainfire: node01 is the leader" in ui.text()
        await ui.press("y")
        assert isinstance(ui.dialog, DrainDialog)
        await ui.press("v")
        assert "type lab and press enter" in ui.text()
        await ui.press("y")
        await phrase(ui, "node01")
        assert not world.of(wire.StartOrder)
        ui.dialog.phrase_input.value = ""
        await ui.type("lab")
        await ui.press("enter")
        assert await started(ui) == wire.StartOrder(DrainOrder(), ("node01",), None, "lab")


async def test_an_override_of_what_wipes_wants_both_texts(cockpit) -> None:
    world = FakeWorld()
    world.refused, world.confirm, world.phrase = "1 of 3 voters would remain", 3, "node01"
    async with cockpit(world) as ui:
        await ui.press("X", "p")
        await planned(ui)
        await ui.press("v")
        await phrase(ui, "lab")
        await ui.settle(lambda: "type node01 and press enter" in ui.text())
        assert not world.of(wire.StartOrder)
        await ui.type("node01")
        await ui.press("enter")
        assert (await started(ui)).override_quorum == "lab"


async def test_another_choice_takes_the_override_back(cockpit) -> None:
    world = FakeWorld()
    world.refused = "1 of 3 voters would remain"
    async with cockpit(world) as ui:
        await ui.press("B", "i", "v")
        await ui.press("d")
        await ui.settle(lambda: "the guard refuses it" in ui.text())
        assert not ui.dialog.phrase_input.display


async def test_pace_per_rack_is_offered_where_nodes_share_one(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("D")
        assert "per rack" not in ui.text()
        await ui.press("escape", "space", "space", "D", "k")
        await planned(ui)
        await ui.press("y")
        assert (await started(ui)).pace == Pace(16, 0.0, 1)


# Updating


async def test_an_update_is_chosen_planned_and_confirmed(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space", "O")
        assert isinstance(ui.dialog, UpdateDialog)
        await planned(ui)
        assert "workers at once: 1" in ui.text()
        await ui.press("b", "b", "r", "d")
        await planned(ui)
        assert "move VMs away first: no" in ui.text()
        await ui.press("y")
        assert (await started(ui)).order == UpdateOrder(4, RebootRule.NEVER, drain=False)


# Backups


async def test_a_backup_is_chosen_planned_and_confirmed(cockpit) -> None:
    async with cockpit() as ui:
        ui.main.orders.backup(("node01",))
        await ui.settle(lambda: isinstance(ui.dialog, BackupDialog))
        await planned(ui)
        assert "stopped meanwhile" in ui.text()
        await ui.press("r", "k")
        await planned(ui)
        assert "as after a power failure" in ui.text()
        await ui.press("y")
        assert (await started(ui)).order == BackupOrder(live=True, secrets=True)


async def test_nothing_is_restored_before_it_is_said_what_is_lost(cockpit) -> None:
    async with cockpit() as ui:
        ui.main.orders.restore(("node01",))
        await ui.settle(lambda: isinstance(ui.dialog, RestoreDialog))
        assert not ui.world.of(wire.PlanOrder)
        await ui.press("c")
        await ui.settle(lambda: ui.world.of(wire.PlanOrder))
        assert ui.world.of(wire.PlanOrder)[-1].order == RecoverClusterOrder()


# Rolling back


async def test_a_generation_is_picked_from_what_the_node_has(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("R")
        assert isinstance(ui.dialog, GenerationsDialog)
        await ui.settle(lambda: "24.05.1" in ui.text())
        text = ui.text()
        row = next(line for line in text.splitlines() if "  42 " in line)
        assert "42 2023-11-01 10:00 24.05.1 6.6.30 abc122 booted active" in " ".join(row.split())
        assert "current" in next(line for line in text.splitlines() if "  43 " in line)
        await ui.press("down", "down", "down", "enter")
        assert isinstance(ui.dialog, RollbackDialog)
        await planned(ui)
        assert "Roll back to generation 41" in ui.text()
        await ui.press("w")
        await planned(ui)
        await ui.press("y")
        assert (await started(ui)).order == RollbackOrder(41, next_boot=True)


async def test_the_generation_before_is_the_first_choice_and_silent_nodes_are_told(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space", "space", "R")
        await ui.settle(lambda: "connection refused" in ui.text())
        await ui.press("enter")
        await planned(ui)
        assert "the generation before the current one" in ui.text()
        await ui.press("y")
        assert (await started(ui)).order == RollbackOrder()


async def test_leaving_the_generations_starts_nothing(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("R", "escape")
        assert ui.dialog is ui.main
        assert not ui.world.of(wire.PlanOrder)


# Words


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("boot node01 --disk --bios", BootOrder(True, False)),
        ("install node01", InstallOrder()),
        ("provision node01 --uefi", ProvisionOrder(True)),
        ("reprovision node01", ReprovisionOrder()),
        ("add node01 --bios", AddOrder(False)),
        ("replace node01", ReplaceOrder()),
        (
            "replace --bmc 10.0.10.99 node01 --mac 52:54:00:00:00:99",
            ReplaceOrder(None, "52:54:00:00:00:99", "10.0.10.99"),
        ),
        ("decommission node01", DecommissionOrder()),
        ("recover node01", RecoverOrder()),
        ("backup node01", BackupOrder()),
        (
            "backup -o /b node01 --service iam --service flaredb --live --secrets",
            BackupOrder("/b", ("iam", "flaredb"), live=True, secrets=True),
        ),
        ("restore /b/one node01 --service iam", RestoreOrder("/b/one", ("iam",))),
        ("recover-cluster /b node01", RecoverClusterOrder("/b")),
        ("drain node01", DrainOrder()),
        ("undrain node01", UndrainOrder()),
        ("certs rotate node01", CertsRotateOrder()),
        ("sshkeys rotate node01", SshKeysRotateOrder()),
        ("update node01 --batch 3 --reboot never", UpdateOrder(3, RebootRule.NEVER)),
        ("update node01 --no-drain", UpdateOrder(drain=False)),
        ("rollback node01 --to 41 --next-boot", RollbackOrder(41, True)),
    ],
)
async def test_words_open_the_same_dialogs(cockpit, text: str, order) -> None:
    async with cockpit() as ui:
        await ui.press("colon")
        await ui.type(text)
        await ui.press("enter")
        await ui.settle(lambda: ui.world.of(wire.PlanOrder))
        assert ui.world.of(wire.PlanOrder)[-1] == wire.PlanOrder(order, ("node01",), None)
        assert not ui.world.of(wire.StartOrder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("boot", "no node set"),
        ("boot node01 --uefi --bios", "exclude each other"),
        ("install node01 --uefi", "no option --uefi"),
        ("certs node01", "expected certs rotate SET"),
        ("update node01 --batch many", "a number of nodes after --batch"),
        ("update node01 --reboot often", "auto, never, always after --reboot"),
        ("rollback node01 --to x", "number of a generation"),
        ("replace node01 --mac", "expected an address after --mac"),
        ("backup node01 -o", "expected a directory after -o"),
        ("backup node01 --service --live", "expected the name of a service"),
        ("restore node01", "expected restore DIR SET"),
    ],
)
async def test_what_is_wrong_with_words_is_said(cockpit, text: str, words: str) -> None:
    async with cockpit() as ui:
        await ui.press("colon")
        await ui.type(text)
        await ui.press("enter")
        assert words in ui.text()
        assert ui.main.prompt.is_open
