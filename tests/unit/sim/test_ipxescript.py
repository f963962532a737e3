"""iPXE's script language, as far as simulated machines speak it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.sim.download import Image
from plasmatui.sim.ipxescript import CommandError, Ending, Script

BASE = "http://10.0.0.1:8080/boot/boot.ipxe"


class World:
    """Remembers what a script does. URLs that end with "missing" are not there."""

    def __init__(self, texts: dict[str, str] | None = None) -> None:
        self.done: list[str] = []
        self.texts = texts or {}

    async def say(self, text: str) -> None:
        self.done.append(f"say {text}")

    async def fetch_kernel(self, url: str) -> Image:
        return self._fetch("kernel", url)

    async def fetch_initrd(self, url: str) -> Image:
        return self._fetch("initrd", url)

    async def fetch_text(self, url: str) -> str:
        self._fetch("text", url)
        return self.texts[url]

    async def sleep(self, seconds: float) -> None:
        self.done.append(f"sleep {seconds:g}")

    def error(self, name: str) -> str:
        return name

    def _fetch(self, what: str, url: str) -> Image:
        self.done.append(f"{what} {url}")
        if url.endswith("missing"):
            raise CommandError("missing")
        return Image(url.rpartition("/")[2], 9, b"", b"")


def run(text: str, world: World | None = None, **variables: str) -> tuple[Ending, Script, World]:
    world = world or World()
    script = Script(world, variables)
    return asyncio.run(script.run("#!ipxe\n" + text, BASE)), script, world


def test_a_boot_with_variables_options_and_arguments() -> None:
    ending, script, world = run(
        "set base ${host}/x\nkernel --name k ${base}/bzImage a=${mac:hexhyp} \\\n b\n"
        "initrd --name initrd ${base}/initrd\nboot\necho not reached",
        host="http://h",
        mac="52:54:00",
    )
    assert ending is Ending.BOOT
    assert world.done == ["kernel http://h/x/bzImage", "initrd http://h/x/initrd"]
    assert script.arguments == "a=52-54-00 b"
    assert [image.name for image in script.initrds] == ["initrd"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("isset ${x} && echo yes || echo no", ["yes"]),
        ("isset ${y} && echo yes || echo no", ["no"]),
        ("iseq ${x} 1 && echo yes ||", ["yes"]),
        ("iseq ${x} 2 || echo differs", ["differs"]),
        ("kernel missing || echo gone", ["gone"]),
        ("kernel missing ||\necho on", ["on"]),
        ("isset ${y} || goto end\necho skipped\n:end\necho end", ["end"]),
        ("# echo comment\n\n:label\necho a  b", ["a b"]),
        ("echo ${net0/x} ${x:hexraw} ${nothing}.", ["1 1 ."]),
    ],
)
def test_conditions_and_jumps(line: str, said: list[str]) -> None:
    ending, _, world = run(line, x="1")
    assert ending is Ending.EXIT
    assert [words[4:] for words in world.done if words.startswith("say ")] == said


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("kernel missing\necho not reached", "missing"),
        ("nonsense\necho not reached", "command"),
        ("goto nowhere", "missing"),
        (":again\ngoto again", "invalid"),
        ("boot", "missing"),
        ("exit 1", ""),
    ],
)
def test_what_fails_ends_the_script(text: str, failure: str) -> None:
    ending, script, world = run(text)
    assert ending is Ending.FAILED
    assert script.failure == failure
    assert "say not reached" not in world.done


def test_shell_and_exit() -> None:
    assert run("shell\necho not reached")[0] is Ending.SHELL
    assert run("sleep 5\nexit")[2].done == ["sleep 5"]


def test_chains_are_relative_to_their_script_and_may_not_go_on_for_ever() -> None:
    texts = {
        "http://10.0.0.1:8080/boot/sub/next": "#!ipxe\nkernel vmlinuz\nboot",
        "http://10.0.0.1:8080/boot/again": "#!ipxe\nchain again",
    }
    ending, _, world = run("chain sub/next?a=1", World({f"{url}?a=1": text for url, text in texts.items()}))
    assert ending is Ending.BOOT
    assert world.done[-1] == "kernel http://10.0.0.1:8080/boot/sub/vmlinuz"
    ending, script, _ = run("chain again", World(texts))
    assert (ending, script.failure) == (Ending.FAILED, "invalid")


WORDS = st.sampled_from(
    [
        "echo",
        "set",
        "goto",
        "a",
        ":a",
        "\n",
        "||",
        "&&",
        "${a}",
        "${",
        "kernel",
        "missing",
        "boot",
        "isset",
        "iseq",
        "--name",
    ]
)


@given(st.lists(WORDS, max_size=40), st.text(max_size=80))
def test_any_script_ends(words: list[str], text: str) -> None:
    for script in (" ".join(words), text):
        assert run(script)[0] in Ending
