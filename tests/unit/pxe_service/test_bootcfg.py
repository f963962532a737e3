"""Replays the API of bootcfg (December 2015) as it was observed on the program."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from plasmatui.pxe.service.bootcfg import BootcfgSource
from plasmatui.pxe.service.query import make_query, parse_query

from .support import body, client_for, write

UUID = "1cff2cd8-f00a-42c8-9426-f55e6a1847f6"
MAC = "52:54:00:89:d8:10"
CLOUD = "#cloud-config\ncoreos: {}\n"


def boot(kernel: str) -> dict[str, Any]:
    return {"kernel": kernel, "initrd": [f"/images/{kernel}.gz"], "cmdline": {}}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    files = {
        "boot/default": {
            "kernel": "/images/stable/coreos_production_pxe.vmlinuz",
            "initrd": ["/images/stable/coreos_production_pxe_image.cpio.gz"],
            "cmdline": {
                "cloud-config-url": "http://172.17.0.2:8080/cloud?uuid=${uuid}&x=1",
                "coreos.autologin": "",
            },
        },
        f"boot/uuid/{UUID}": boot("by-uuid"),
        f"boot/mac/{MAC}": boot("by-mac"),
        "boot/mac/52:54:00:00:00:99": '{"kernel": ',
        "boot/mac/52:54:00:00:00:98": {"kernel": 7},
        "boot/mac/52:54:00:00:00:97": {},
        "boot/mac/52:54:00:00:00:96": '{"kernel": "/k", "unknown": 1, "Initrd": ["/a", "/b"]} and more',
        "boot/mac/52-54-00-00-00-95": boot("never"),
        "boot/uuid/adirectory/file": "{}",
        "cloud/default": CLOUD,
        f"cloud/uuid/{UUID}": "#cloud-config  \r\nhostname: one\n",
        f"cloud/mac/{MAC}": "#!/bin/sh\n",
    }
    return write(tmp_path / "data", files)


@pytest.fixture
async def client(store: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(store) as client:
        yield client


async def kernel(client: httpx.AsyncClient, query: str) -> str | int:
    script = await body(client, f"/ipxe?{query}")
    return script if isinstance(script, int) else script.splitlines()[1].removeprefix("kernel ").rstrip()


@pytest.mark.parametrize("path", ["/boot.ipxe", "/boot.ipxe.0"])
async def test_the_bootstrap_asks_with_uuid_and_mac(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert lines[0] == "#!ipxe"
    assert lines[1].startswith("chain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&")


async def test_a_script(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ipxe?uuid=val")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == (
        "#!ipxe\n"
        "kernel /images/stable/coreos_production_pxe.vmlinuz "
        "cloud-config-url=http://172.17.0.2:8080/cloud?uuid=${uuid}&x=1 coreos.autologin\n"
        "initrd /images/stable/coreos_production_pxe_image.cpio.gz\n"
        "boot\n"
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"uuid={UUID}", "by-uuid"),
        (f"uuid={UUID}&mac={MAC}", "by-uuid"),
        (f"uuid=other&mac={MAC}", "by-mac"),
        (f"mac={MAC.upper()}", "by-mac"),
        (f"mac={MAC.replace(':', '-')}", "by-mac"),
        ("mac=5254.0089.d810", "by-mac"),
        (f"uuid=&mac={MAC}", "by-mac"),
        (f"uuid=first&uuid={UUID}", "/images/stable/coreos_production_pxe.vmlinuz"),
        (f"uuid={UUID.upper()}", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("mac=52540089d810", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("mac=nonsense", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("mac=52-54-00-00-00-95", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("uuid=adirectory", "/images/stable/coreos_production_pxe.vmlinuz"),
        (f"uuid={'x' * 5000}", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("uuid=a%00b", "/images/stable/coreos_production_pxe.vmlinuz"),
        (f"uuid=../mac/{MAC}", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("", "/images/stable/coreos_production_pxe.vmlinuz"),
        ("mac=52:54:00:00:00:99", 404),  # damaged: never the default
        ("mac=52:54:00:00:00:98", 404),
        ("mac=52:54:00:00:00:97", ""),
    ],
)
async def test_which_file_is_chosen(client: httpx.AsyncClient, query: str, expected: str | int) -> None:
    found = await kernel(client, query)
    assert (found.partition(" ")[0] if isinstance(found, str) else found) == expected


async def test_several_initrds_are_several_lines(client: httpx.AsyncClient) -> None:
    """The reference glued them together; keys match in any case, and what follows the first value is ignored."""
    assert await body(client, "/ipxe?mac=52:54:00:00:00:96") == "#!ipxe\nkernel /k\ninitrd /a\ninitrd /b\nboot\n"


async def test_nothing_without_a_default(tmp_path: Path) -> None:
    async with client_for(write(tmp_path, {"boot/mac/keep": "{}"})) as client:
        for path in ("/ipxe?uuid=a", "/cloud?uuid=a", f"/pixiecore/v1/boot/{MAC}"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (404, "404 page not found\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "k"),
        (None, "k"),
        (False, "k"),
        (0, "k"),
        (0.0, "k"),
        (True, "k=true"),
        ("v", "k=v"),
        ("a b&${uuid}", "k=a b&${uuid}"),
        (115200, "k=115200"),
        (1.5, "k=1.5"),
        (1e21, "k=1e+21"),
        (1e-7, "k=1e-07"),
        (2.5e30, "k=2.5e+30"),
        (-1, "k=-1"),
        ([], "k"),
        (["a", 1], "k=[a 1]"),
    ],
)
async def test_kernel_options(tmp_path: Path, value: Any, expected: str) -> None:
    document = {"kernel": "/k", "cmdline": {"z": "1", "k": value, "a": "2"}}
    async with client_for(write(tmp_path, {"boot/default": document})) as client:
        assert await kernel(client, "") == f"/k a=2 {expected} z=1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"uuid={UUID}", "#cloud-config  \r\nhostname: one\n"),
        ("uuid=other", CLOUD),
        (f"mac={MAC}", 404),  # its own file is no cloud-config
        ("uuid=../../boot/default", CLOUD),
    ],
)
async def test_cloud_files_as_they_are(client: httpx.AsyncClient, query: str, expected: str | int) -> None:
    assert await body(client, f"/cloud?{query}") == expected


async def test_cloud_knows_ranges_and_head(client: httpx.AsyncClient) -> None:
    part = await client.get("/cloud", headers={"range": "bytes=1-5"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "cloud", "bytes 1-5/25")
    head = await client.head("/cloud")
    assert (head.status_code, head.headers["content-length"]) == (200, "25")
    assert head.headers["content-type"] == "text/plain; charset=utf-8"


async def test_boot_and_cloud_are_searched_independently(store: Path) -> None:
    async with client_for(store) as client:
        assert await kernel(client, "mac=52:54:00:00:00:96") == "/k"
        assert await body(client, "/cloud?mac=52:54:00:00:00:96") == CLOUD


async def test_pixiecore(client: httpx.AsyncClient) -> None:
    answer = await client.get("/pixiecore/v1/boot/52-54-00-89-D8-10?uuid=ignored")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text.endswith("}\n")
    assert json.loads(answer.text) == {"kernel": "by-mac", "initrd": ["/images/by-mac.gz"], "cmdline": {}}
    default = json.loads((await client.get("/pixiecore/v1/boot/52:54:00:00:00:01")).text)
    assert default["cmdline"]["cloud-config-url"] == "http://172.17.0.2:8080/cloud?uuid=${uuid}&x=1"


@pytest.mark.parametrize("mac", ["", "nonsense", "52540089d810", "52:54:00:89:d8", "a/b"])
async def test_pixiecore_refuses_what_is_no_mac(client: httpx.AsyncClient, mac: str) -> None:
    answer = await client.get(f"/pixiecore/v1/boot/{mac}")
    assert (answer.status_code, answer.text) == (400, "invalid MAC address\n")


async def test_pixiecore_damaged_and_json_types(client: httpx.AsyncClient, tmp_path: Path) -> None:
    assert await body(client, "/pixiecore/v1/boot/52:54:00:00:00:99") == 404
    cmdline = {"number": 7, "yes": True, "none": None, "list": [1], "text": "${net0/mac}"}
    async with client_for(write(tmp_path / "types", {"boot/default": {"kernel": "k", "cmdline": cmdline}})) as other:
        assert (await other.get(f"/pixiecore/v1/boot/{MAC}")).json()["cmdline"] == cmdline


@pytest.mark.parametrize("path", ["/", "/nope", "/ipxe/", "/boot/x", "/images", "/grub", "/metadata", "/installed"])
async def test_anything_else_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


async def test_methods(client: httpx.AsyncClient) -> None:
    head = await client.head("/ipxe?uuid=a")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len((await client.get("/ipxe?uuid=a")).content)
    assert (await client.post("/ipxe?uuid=a")).status_code == 200
    assert (await client.delete("/ipxe?uuid=a")).status_code == 405


async def test_edits_are_seen_by_the_next_request(store: Path, client: httpx.AsyncClient) -> None:
    for number in range(20):
        write(store, {f"boot/mac/{MAC}": boot(f"edit-{number:02}")})
        assert await kernel(client, f"mac={MAC}") == f"edit-{number:02}"
    (store / f"boot/mac/{MAC}").unlink()
    assert str(await kernel(client, f"mac={MAC}")).startswith("/images/stable/")


async def test_directories_that_come_later(tmp_path: Path) -> None:
    async with client_for(tmp_path) as client:
        assert await body(client, "/ipxe") == 404
        write(tmp_path, {"boot/default": boot("late")})
        assert await kernel(client, "") == "late"
        write(tmp_path, {f"boot/uuid/{UUID}": boot("later")})
        assert await kernel(client, f"uuid={UUID}") == "later"
        (tmp_path / "boot").rename(tmp_path / "away")
        assert await body(client, "/ipxe") == 404


async def test_the_last_good_version_of_a_damaged_file_is_kept(store: Path) -> None:
    source = BootcfgSource(store)
    query = make_query({"mac": MAC})
    (store / f"boot/mac/{MAC}").write_text('{\n "kernel": "x",\n "initrd": oops\n')
    await source.refresh()
    kept = source.boot(query)
    assert kept is not None
    assert kept.kernel == "by-mac"
    problem = next(p for p in source.problems if p.file == f"boot/mac/{MAC}")
    assert (problem.line, problem.kept) == (3, True)
    assert "its last good version is served" in source.choice(query).steps[2]
    write(store, {f"boot/mac/{MAC}": boot("healed")})
    await source.refresh()
    assert problem not in source.problems
    source.close()


async def test_a_directory_out_of_reach_is_not_an_empty_one(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = BootcfgSource(store)
    scandir = os.scandir

    def stale(path: Any) -> Any:
        if path == store / "boot" / "mac":
            raise OSError(116, "Stale file handle")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", stale)
    await source.look()
    found = source.boot(make_query({"mac": MAC}))
    assert found is not None
    assert found.kernel == "by-mac"
    assert "boot/mac: error: cannot be read: Stale file handle; its last good version is served" in map(
        str, source.problems
    )
    source.close()


async def test_links_are_followed_and_seen_when_looked_for(tmp_path: Path) -> None:
    """As a mounted ConfigMap is: files are links into a directory that is itself a link."""
    write(tmp_path, {"v1/default": boot("one"), "v2/default": boot("two")})
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/default").symlink_to("../current/default")
    source = BootcfgSource(tmp_path)
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(tmp_path / "current")
    await source.look()
    found = source.boot(parse_query(""))
    assert found is not None
    assert found.kernel == "two"
    source.close()


def test_problems_name_file_line_and_what_is_never_found(store: Path) -> None:
    source = BootcfgSource(store)
    told = [str(problem) for problem in source.problems]
    source.close()
    assert "boot/mac/52:54:00:00:00:99:1: error: no JSON: Expecting value (column 12)" in told
    assert "boot/mac/52:54:00:00:00:98:1: error: kernel: found a number, expected a string" in told
    assert any("52-54-00-00-00-95: warning: is never found: expected the name 52:54:00:00:00:95" in t for t in told)
    assert any("52:54:00:00:00:97:1: warning: names no kernel" in t for t in told)


def test_a_choice_is_explained_step_by_step(store: Path) -> None:
    source = BootcfgSource(store)
    choice = source.choice(make_query({"uuid": "other", "mac": MAC.upper()}))
    source.close()
    assert choice.steps[:2] == ("boot/uuid/other: not there", f"boot/mac/{MAC}: is there, chosen")
    assert choice.rule == f"boot/mac/{MAC}"
    assert choice.boot is not None


async def test_a_command_line_may_be_one_text_as_pixiecore_has_it(tmp_path: Path) -> None:
    rule = {"kernel": "/k", "cmdline": 'console=ttyS0 {{ URL "/x" }}', "message": "hello"}
    async with client_for(write(tmp_path, {"boot/default": rule})) as client:
        assert await body(client, "/ipxe") == '#!ipxe\nkernel /k console=ttyS0 {{ URL "/x" }}\nboot\n'
        assert (await client.get(f"/pixiecore/v1/boot/{MAC}")).json() == {**rule, "initrd": []}
