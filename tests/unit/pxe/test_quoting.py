"""No text of an inventory can end a string, start a statement or be expanded in what is rendered."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plasmatui.inventory.inventory import Inventory
from plasmatui.pxe import quoting
from plasmatui.pxe.nix import to_nix
from plasmatui.pxe.output import DHCP, OUTPUTS, Request
from plasmatui.pxe.quoting import Language, RefusedError, header
from plasmatui.pxe.site import Machine, Site

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            'x"; include "/etc/shadow',
            "x\ninclude /etc/shadow",
            "${net0/mac}",
            "a && shell",
            "a || shell",
            "#!ipxe",
            "a,b",
            "$(id)",
            "`id`",
            "'; id; '",
            "%n",
            "\\",
            '"',
            "''${x}",
            "x;}",
            "a b",
            "\x1b]0;t\x07",
            "ä",
            "\u2028",
        ]
    ),
)
LANGUAGES = [value for value in vars(quoting).values() if isinstance(value, Language)]


def quoted(language: Language, text: str) -> str | None:
    try:
        return language.quote(text)
    except RefusedError:
        return None


@pytest.mark.parametrize("language", [quoting.DHCPD, quoting.NGINX, quoting.NAMED], ids=lambda language: language.name)
@settings(deadline=None)
@given(text=HOSTILE)
def test_a_string_with_backslashes_ends_where_it_should(language: Language, text: str) -> None:
    result = quoted(language, text)
    if result is not None:
        assert re.fullmatch(r'"(?:[^"\\\n]|\\["\\])*"', result)
        assert re.sub(r"\\(.)", r"\1", result[1:-1]) == text
        assert language is not quoting.NGINX or "$" not in result


@settings(deadline=None)
@given(text=HOSTILE)
def test_dnsmasq_and_nft_have_no_escapes(text: str) -> None:
    for language in (quoting.DNSMASQ, quoting.NFT):
        result = quoted(language, text)
        assert result is None or (result == f'"{text}"' and '"' not in text and "\\" not in text)


@settings(deadline=None)
@given(text=HOSTILE)
def test_a_nix_string_means_the_text(text: str) -> None:
    result = quoting.nix_string(text)
    assert re.fullmatch(r'"(?:[^"\\$\n]|\\.|\$(?!\{))*"', result, re.DOTALL)
    body = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r", "t": "\t"}.get(m[1], m[1]), result[1:-1])
    assert body == text


@settings(deadline=None)
@given(text=HOSTILE)
def test_ipxe_is_given_words_only(text: str) -> None:
    result = quoted(quoting.IPXE, text)
    if result is not None:
        assert result == text
        assert not {"&&", "||"} & set(result.split())
        assert "${" not in result
        assert "\n" not in result
        assert not result.startswith("#")


@settings(deadline=None)
@given(text=HOSTILE)
def test_default_files_mean_the_text_to_a_shell(text: str) -> None:
    result = quoted(quoting.SHELL, text)
    assert result is None or shlex.split(result) == [text]


@settings(deadline=None)
@given(text=HOSTILE)
def test_systemd_expands_nothing(text: str) -> None:
    result = quoted(quoting.SYSTEMD, text)
    if result is not None:
        assert "%" not in result.replace("%%", "")
        assert "$" not in result.replace("$$", "")
        assert re.fullmatch(r'"(?:[^"\\\n]|\\["\\])*"', result)


@settings(deadline=None)
@given(name=HOSTILE)
def test_a_header_is_comment_to_its_end(name: str) -> None:
    for language in LANGUAGES:
        lines = header(language, name, "nodes").split("\n")
        assert lines.pop() == ""
        assert all(line.startswith(language.comment) and line.isascii() and line.isprintable() for line in lines)


def shape(text: str) -> tuple[int, Counter[str]]:
    """What a hostile text would change: the number of lines, and of signs with a meaning outside strings."""
    lines = [re.sub(r"^\s*(?:#(?!!)|//|;).*", "", line) for line in text.split("\n")]
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', "", "\n".join(lines))
    return len(lines), Counter(sign for sign in bare if sign in ";{},$&|#`()%\t\x1b\"'")


def rendered(site: Site, output: str, word: str, path: str) -> list[tuple[str, str]]:
    machine = Machine(word, word, ("52:54:00:12:34:56",), site.machines[0].address)
    other = replace(
        site,
        machines=(machine,),
        subnets=(replace(site.subnets[0], machines=(machine,)),),
        profiles=(word,),
        domain=word,
        interface=word,
        kea_log=path,
        tftp_root=path,
        http_root=path,
        boot_service=word,
    )
    inventory = Inventory(Path("inventory.yaml"), "c", "", "", {}, {})
    render = DHCP[output] if output in DHCP else OUTPUTS[output]
    return [(path, text) for _, path, text in render(Request(inventory, other, pending=(word,)))]


@pytest.mark.parametrize("output", sorted({*OUTPUTS, *DHCP} - {"dhcp", "flake", "first-boot"}))
@settings(max_examples=25, deadline=None)
@given(word=HOSTILE, path=HOSTILE)
def test_a_hostile_inventory_is_refused_or_changes_nothing_but_words(
    site: Site, output: str, word: str, path: str
) -> None:
    """The loader refuses most of this; what comes through another way does no harm either."""
    assume(word and path)
    try:
        found = rendered(site, output, word, path)
    except RefusedError:
        return
    harmless = rendered(site, output, "word", "/path")
    assert [shape(text) for _, text in found] == [shape(text) for _, text in harmless]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | HOSTILE,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
        max_leaves=8,
    )
)
def test_nix_expressions_hold_every_string_once_quoted(value: object) -> None:
    text = to_nix(value)  # type: ignore[arg-type]
    stripped = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text, flags=re.DOTALL)
    assert re.fullmatch(r'[\sA-Za-z0-9_\'"={}\[\];-]*', stripped)


def test_an_interface_is_not_expanded_in_a_nix_string_of_several_lines(site: Site) -> None:
    with pytest.raises(RefusedError):
        rendered(replace(site, dhcp="dnsmasq"), "nixos", "eth0${abort}", "/srv")
