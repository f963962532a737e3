from __future__ import annotations

import pytest

from tests.unit.cluster.stub import Issuer


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer.make(tmp_path_factory.mktemp("cluster-tls"))
