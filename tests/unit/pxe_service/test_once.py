"""Network boot only once: states, tokens, and the way of a machine through them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import httpx
import pytest

from plasmatui.pxe.service.once import BootStates, StateFileError

from .support import client_for, write

MAC = "52:54:00:12:34:56"
OTHER = "52:54:00:12:34:57"


@pytest.fixture
def states(tmp_path: Path) -> BootStates:
    states = BootStates(tmp_path / "state" / "boot.json", clock=lambda: 1_700_000_000.0)
    states.prepare()
    return states


@pytest.fixture
def store(tmp_path: Path) -> Path:
    profile = {"id": "p", "boot": {"kernel": "/k", "initrd": ["/i"], "args": ["a=1"]}}
    return write(tmp_path / "data", {"profiles/p.json": profile, "groups/all.json": {"profile": "p"}})


def url_in(script: str) -> str:
    found = re.search(r" plasmatui\.installed=(\S+)", script)
    assert found is not None
    return found[1]


async def fetch(client: httpx.AsyncClient, mac: str = MAC) -> str:
    answer = await client.get("/ipxe", params={"mac": mac.replace(":", "-")})
    assert answer.status_code == 200
    return answer.text


async def test_an_installed_machine_is_left_to_its_disk(store: Path, states: BootStates) -> None:
    async with client_for(store, states=states) as client:
        script = await fetch(client)
        assert script.startswith("#!ipxe\nkernel /k a=1 plasmatui.installed=http://boot.test:8080/installed?mac=")
        assert (await client.post(url_in(script))).status_code == 200
        local = await fetch(client)
        assert "kernel" not in local
        assert local.endswith("exit 1\n")
        assert "sanboot" in local
        assert (await client.get(f"/pixiecore/v1/boot/{MAC}")).status_code == 404
        assert (await client.get("/grub", params={"mac": MAC})).text == "exit\n"
        assert "kernel /k" in await fetch(client, OTHER)
        states.set((MAC,), "pending", "an operator")
        assert "kernel /k" in await fetch(client)
        assert (await client.get(f"/pixiecore/v1/boot/{MAC}")).status_code == 200


async def test_only_the_present_boot_can_say_so(store: Path, states: BootStates) -> None:
    async with client_for(store, states=states) as client:
        url = url_in(await fetch(client))
        assert (await client.get(url)).status_code == 405
        token = url.rpartition("=")[2]
        wrong = [
            f"/installed?mac={MAC}",
            f"/installed?mac={MAC}&token=",
            f"/installed?mac={MAC}&token=nonsense",
            f"/installed?mac={MAC}&token={token[:-1]}",
            f"/installed?mac={OTHER}&token={token}",
        ]
        for each in wrong:
            assert (await client.post(each)).status_code == 403
        assert (await client.post(f"/installed?mac=nonsense&token={token}")).status_code == 400
        assert states.all() == {}
        again = url_in(await fetch(client))
        assert again != url
        assert (await client.post(url)).status_code == 200  # a second look at the script takes nothing away
        assert (await client.post(url)).status_code == 403
        states.set((MAC,), "pending", "an operator")
        assert (await client.post(again)).status_code == 403  # of an earlier round


async def test_a_host_name_that_is_none_gets_no_call_back(store: Path, states: BootStates) -> None:
    async with client_for(store, states=states) as client:
        answer = await client.get("/ipxe", params={"mac": MAC}, headers={"host": "a b\\n||shell"})
        assert "plasmatui.installed" not in answer.text
        assert "installed" not in (await client.get("/ipxe")).text  # without a MAC, too


async def test_without_states_there_is_no_call_back(store: Path) -> None:
    async with client_for(store) as client:
        assert "plasmatui" not in await fetch(client)
        assert (await client.post(f"/installed?mac={MAC}&token=x")).status_code == 404


async def test_a_damaged_file_installs_nobody(store: Path, states: BootStates) -> None:
    async with client_for(store, states=states) as client:
        states.path.write_text("{")
        answer = await client.get("/ipxe", params={"mac": MAC})
        assert answer.status_code == 503
        assert "is damaged" in answer.text


def test_the_file_is_private_whole_and_shared(states: BootStates) -> None:
    assert stat.S_IMODE(states.path.stat().st_mode) == 0o600
    other = BootStates(states.path)
    assert states.set((MAC, OTHER), "installed", "me") == (MAC, OTHER)
    assert other.installed(MAC)
    assert other.set((MAC,), "installed", "you") == ()
    assert other.set((MAC,), "pending", "you") == (MAC,)
    assert not states.installed(MAC)
    state = states.get(MAC)
    assert state is not None
    assert (state.changes, state.by) == (2, "you")
    assert json.loads(states.path.read_text())["machines"][OTHER]["since"] == 1_700_000_000.0
    assert sorted(path.name for path in states.path.parent.iterdir()) == ["boot.json", "boot.lock"]


def test_a_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError, match="cannot be made"):
        BootStates(tmp_path / "file" / "boot.json").prepare()


def test_tokens_hold_after_a_restart(states: BootStates) -> None:
    token = states.token(MAC)
    assert BootStates(states.path).redeem(MAC, token)
