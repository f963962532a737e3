"""Sites of this directory's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.loader import load
from plasmatui.pxe.site import Site, make_site
from tests.support.pxe_clients import INVENTORY


@pytest.fixture(scope="session")
def make_inventory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Inventory]:
    """An inventory from its text."""

    def make(text: str) -> Inventory:
        path = tmp_path_factory.mktemp("site") / "inventory.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return make


@pytest.fixture(scope="session")
def inventory(make_inventory: Callable[[str], Inventory]) -> Inventory:
    return make_inventory(INVENTORY)


@pytest.fixture(scope="session")
def site(inventory: Inventory) -> Site:
    return make_site(inventory)
