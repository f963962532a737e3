from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from tests.unit.bmc_redfish.stub import Certificate, Stub, make_certificate, serving

Make = Callable[..., RedfishController]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    directory: Path = tmp_path_factory.mktemp("redfish-tls")
    return make_certificate(directory, "bmc")


@pytest_asyncio.fixture
async def stub(certificate: Certificate) -> AsyncIterator[Stub]:
    async with serving(Stub(), certificate) as stub:
        yield stub


@pytest_asyncio.fixture
async def make(stub: Stub, certificate: Certificate) -> AsyncIterator[Make]:
    """Makes controllers of the stub, and closes them in the end."""
    tls = TlsContexts()
    made: list[RedfishController] = []

    def one(verify: bool | str | None = None, ipmi: Any = None, **changes: Any) -> RedfishController:
        target = stub.target(certificate.pin if verify is None else verify, **changes)
        made.append(RedfishController(target, tls=tls, ipmi=ipmi))
        return made[-1]

    yield one
    for controller in made:
        await controller.close()
