"""Replays matchbox's API as it was observed on the program and read in its sources."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.pxe.service.folder import StoredFile
from plasmatui.pxe.service.matchbox import Group, MatchboxSource, make_index
from plasmatui.pxe.service.query import make_query

from .support import body, client_for, write

MAC = "52:54:00:a1:9c:ae"


def profile(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "boot": {"kernel": f"/k/{name}", "initrd": ["/a", "/b"], "args": ["z=1", "a", "b=${x}"]}} | more


def group(name: str, chosen: str, selector: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": name, "profile": chosen, "selector": selector or {}} | more


@pytest.fixture
def store(tmp_path: Path) -> Path:
    metadata = {"meta": "data", "etcd": {"name": "node1"}, "some": {"nested": {"data": "some-value"}}, "list": [1],
                "num": 3, "yes": True, "nothing": None, "request": "overwritten"}  # fmt: skip
    files = {
        "profiles/base.json": profile("base"),
        "profiles/node.json": profile("node", ignition_id="n.yaml", cloud_id="c.yaml", generic_id="g.txt"),
        "profiles/raw.json": profile("raw", ignition_id="raw.ign", cloud_id="plain", generic_id="gone"),
        "groups/default.json": group("default", "base"),
        "groups/node.json": group("node", "node", {"mac": MAC.upper().replace(":", "-")}, metadata=metadata),
        "groups/installed.json": group("installed", "raw", {"mac": MAC, "os": "installed"}),
        "groups/region.json": group("region", "raw", {"region": "b", "Zone": "x"}),
        "groups/uuid.json": group("uuid", "raw", {"uuid": "u1"}),
        "groups/lost.json": group("lost", "nowhere", {"uuid": "lost"}),
        "groups/broken.json": '{\n "id": "broken"\n "profile": "base"}',
        "groups/badmac.json": group("badmac", "base", {"mac": "nonsense"}),
        "ignition/n.yaml": '{"ignition": {"version": "3.3.0"}, "name": "{{.etcd.name}}"}',
        "ignition/raw.ign": '{"ignition": {"version": "3.4.0"}}',
        "cloud/c.yaml": "#cloud-config\nhostname: {{.meta}}\n",
        "cloud/plain": "no cloud config",
        "generic/g.txt": "{{.mac}} {{.request.query.foo}} {{.request.raw_query}}",
    }
    return write(tmp_path / "data", files)


@pytest.fixture
async def client(store: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(store) as client:
        yield client


async def test_home_tells_that_it_lives(client: httpx.AsyncClient) -> None:
    assert await body(client, "/") == "matchbox\n"
    assert await body(client, "/other") == 404


async def test_bootstrap(client: httpx.AsyncClient) -> None:
    expected = (
        "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&domain=${domain}&hostname=${hostname}&serial=${serial}"
        "&arch=${buildarch:uristring}\n"
    )
    assert [await body(client, path) for path in ("/boot.ipxe", "/boot.ipxe.0")] == [expected, expected]


async def test_a_script_has_args_in_order_and_one_line_for_each_initrd(client: httpx.AsyncClient) -> None:
    assert await body(client, "/ipxe") == "#!ipxe\nkernel /k/base z=1 a b=${x}\ninitrd /a\ninitrd /b\nboot\n"


async def test_grub(client: httpx.AsyncClient) -> None:
    assert await body(client, "/grub") == (
        "default=0\nfallback=1\ntimeout=1\n"
        'menuentry "CoreOS (EFI)" {\necho "Loading kernel"\nlinuxefi "/k/base" z=1 a b=${x}\n'
        'echo "Loading initrd"\ninitrdefi  "/a" "/b"\n}\n'
        'menuentry "CoreOS (BIOS)" {\necho "Loading kernel"\nlinux "/k/base" z=1 a b=${x}\n'
        'echo "Loading initrd"\ninitrd  "/a" "/b"\n}\n'
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "base"),
        ("mac=nonsense", "base"),
        (f"mac={MAC}", "node"),
        (f"mac={MAC.upper()}", "node"),
        (f"mac={MAC.replace(':', '-')}", "node"),
        (f"MAC={MAC}", "base"),  # the key keeps its spelling
        (f"mac={MAC}&os=installed", "raw"),  # most selectors win
        (f"mac={MAC}&os=Installed", "node"),  # exactly equal
        (f"mac={MAC}&uuid=u1", "raw"),  # uuid= sorts behind mac=
        ("region=b&Zone=x", "raw"),
        ("region=b&zone=x", "base"),
        ("region=b", "base"),
        (f"mac={MAC}&mac=52:54:00:00:00:01", "node"),
        ("uuid=lost", None),  # its profile is missing: not the next group
        ("uuid=u1&extra=ignored", "raw"),
    ],
)
async def test_selection(client: httpx.AsyncClient, query: str, expected: str | None) -> None:
    script = await body(client, f"/ipxe?{query}")
    assert script == 404 if expected is None else f"kernel /k/{expected} " in str(script)


async def test_metadata(client: httpx.AsyncClient) -> None:
    query = "mac=52-54-00-a1-9c-ae&foo=bar&count=3&gate=true"
    answer = await client.get(f"/metadata?{query}")
    assert answer.headers["content-type"] == "plain/text"
    assert dict(line.split("=", 1) for line in answer.text.splitlines()) == {
        "META": "data",
        "ETCD_NAME": "node1",
        "SOME_NESTED_DATA": "some-value",
        "NUM": "3",
        "YES": "true",
        "MAC": MAC,
        "REQUEST_QUERY_MAC": MAC,
        "REQUEST_QUERY_FOO": "bar",
        "REQUEST_QUERY_COUNT": "3",
        "REQUEST_QUERY_GATE": "true",
        "REQUEST_RAW_QUERY": query,
    }


async def test_templates(client: httpx.AsyncClient) -> None:
    ignition = await client.get(f"/ignition?mac={MAC}")
    assert ignition.headers["content-type"] == "application/json"
    assert ignition.json()["name"] == "node1"
    assert await body(client, f"/cloud?mac={MAC}") == "#cloud-config\nhostname: data\n"
    assert await body(client, f"/generic?mac={MAC}&foo=x") == f"{MAC} x mac={MAC}&foo=x"


async def test_raw_ignition(client: httpx.AsyncClient) -> None:
    assert json.loads(str(await body(client, "/ignition?uuid=u1"))) == {"ignition": {"version": "3.4.0"}}


@pytest.mark.parametrize(
    "path",
    [
        f"/generic?mac={MAC}",  # .request.query.foo is missing
        "/generic?uuid=u1",  # its template is missing
        "/cloud?uuid=u1",  # neither #cloud-config nor a script
        "/ignition",  # the profile has none
        "/images",
    ],
)
async def test_what_cannot_be_served_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


async def test_nothing_is_written(client: httpx.AsyncClient) -> None:
    for method in ("PUT", "DELETE"):
        answer = await client.request(method, "/ipxe")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_settings_may_be_posted_and_slashes_doubled(client: httpx.AsyncClient) -> None:
    expected = (await client.get("/ipxe?uuid=u1")).text
    assert (await client.post("/ipxe?uuid=u1", content="a=b")).text == expected
    assert (await client.get("http://boot.test:8080//ipxe?uuid=u1")).text == expected


async def test_pixiecore_has_a_text_as_command_line(client: httpx.AsyncClient) -> None:
    answer = (await client.get(f"/pixiecore/v1/boot/{MAC}")).json()
    assert answer == {"kernel": "/k/node", "initrd": ["/a", "/b"], "cmdline": "z=1 a b=${x}"}


BUTANE = "variant: fcos\nversion: 1.5.0\nname: {{.mac}}\n"


async def test_butane_is_converted_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = write(
        tmp_path / "bin", {"butane": '#!/bin/sh\nread first\n[ "$first" = "variant: fcos" ] && echo "{}"\n'}
    )
    (programs / "butane").chmod(0o755)
    files = {
        "groups/a.json": group("a", "p", {"mac": MAC}),
        "profiles/p.json": profile("p", ignition_id="b.yaml"),
        "ignition/b.yaml": BUTANE,
    }
    monkeypatch.setenv("PATH", "/nowhere")
    async with client_for(write(tmp_path / "store", files)) as client:
        assert await body(client, f"/ignition?mac={MAC}") == 404
        monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
        answer = await client.get(f"/ignition?mac={MAC}")
        assert (answer.text, answer.headers["content-type"]) == ("{}\n", "application/json")
        monkeypatch.setenv("PATH", "/nowhere")
        assert (await client.get(f"/ignition?mac={MAC}")).text == "{}\n"  # known by now
        write(tmp_path / "store", {"ignition/b.yaml": f"#\n{BUTANE}"})
        monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
        assert await body(client, f"/ignition?mac={MAC}") == 404  # the program refuses
        write(tmp_path / "store", {"ignition/b.yaml": "neither: one"})
        assert await body(client, f"/ignition?mac={MAC}") == 404


def test_damaged_files_are_named_and_the_rest_is_served(store: Path) -> None:
    source = MatchboxSource(store)
    told = [str(problem) for problem in source.problems]
    source.close()
    assert "groups/broken.json:3: error: no JSON: Expecting ',' delimiter (column 2)" in told
    assert "groups/badmac.json:1: error: selector.mac: 'nonsense' is no MAC" in told
    assert any(t.startswith("groups/lost.json: warning: its profile 'nowhere' is missing") for t in told)
    assert "profiles/raw.json: warning: generic/gone is missing" in told


async def test_edits_are_seen_by_the_next_request(store: Path, client: httpx.AsyncClient) -> None:
    assert "/k/base" in str(await body(client, "/ipxe?uuid=new"))
    write(store, {"groups/new.json": group("new", "node", {"uuid": "new"})})
    assert "/k/node" in str(await body(client, "/ipxe?uuid=new"))
    write(store, {"groups/new.json": group("new", "raw", {"uuid": "new"})})
    assert "/k/raw" in str(await body(client, "/ipxe?uuid=new"))
    write(store, {"profiles/raw.json": "{"})
    assert "/k/raw" in str(await body(client, "/ipxe?uuid=new"))
    (store / "groups/new.json").unlink()
    assert "/k/base" in str(await body(client, "/ipxe?uuid=new"))


def test_two_groups_that_select_the_same_are_named(tmp_path: Path) -> None:
    files = {f"groups/{name}.json": group(name, "p", {"uuid": "u"}) for name in "ab"}
    source = MatchboxSource(write(tmp_path, files | {"profiles/p.json": profile("p")}))
    source.close()
    assert [str(problem) for problem in source.problems] == [
        "groups/b.json: warning: is never chosen: groups/a.json selects the same machines (uuid=u)"
    ]


def test_a_choice_is_explained_step_by_step(store: Path) -> None:
    source = MatchboxSource(store)
    choice = source.choice(make_query({"mac": MAC, "os": "installed", "MAC": "nonsense"}))
    source.close()
    assert choice.rule == "group installed, profile raw"
    assert choice.steps[0] == f"labels: mac={MAC}, os=installed"
    assert "groups that select by mac, os: installed matches" in choice.steps
    assert "/generic: generic/gone is missing or damaged" in choice.steps


_LABELS = st.dictionaries(st.sampled_from(["mac", "uuid", "os", "Zone"]), st.sampled_from(["a", "b", ""]), max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.lists(_LABELS, max_size=8, unique_by=lambda selector: tuple(sorted(selector.items()))), _LABELS)
def test_the_index_chooses_as_matchbox_does(selectors: list[dict[str, str]], labels: dict[str, str]) -> None:
    groups = [Group(str(number), "", "p", selector, {}) for number, selector in enumerate(selectors)]
    files = {group.id: StoredFile((), 0.0, group, None) for group in groups}
    chosen = make_index(files).select(labels)
    assert (chosen.id if chosen is not None else None) == brute_force(
        [(g.id, dict(g.selector)) for g in groups], labels
    )


def brute_force(groups: list[tuple[str, dict[str, str]]], labels: dict[str, str]) -> str | None:
    """matchbox's own way: sort, and take the first that matches."""

    def rank(item: tuple[str, dict[str, str]]) -> tuple[int, str]:
        return len(item[1]), ",".join(f"{key}={value}" for key, value in sorted(item[1].items()))

    for name, selector in sorted(groups, key=rank, reverse=True):
        if all(labels.get(key) == value for key, value in selector.items()):
            return name
    return None
