"""Go's templates as matchbox's users write them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.pxe.service.documents import WrongDocumentError
from plasmatui.pxe.service.gofunctions import TemplateError
from plasmatui.pxe.service.gotemplate import GoTemplate

DATA: dict[str, Any] = {
    "name": "node1", "count": 3, "big": 1e21, "ratio": 0.5, "yes": True, "no": False, "empty": "", "null": None,
    "keys": ["k1", "k2"], "nothing": [], "etcd": {"name": "e1", "peers": {"b": "2", "a": "1"}, "gone": [None]},
    "disks": [{"dev": "sda", "size": 1}, {"dev": "sdb", "size": 2}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain { } text", "plain { } text"),
        ("{{.name}}", "node1"),
        ("{{ .etcd.name }}-{{.etcd.peers.a}}", "e1-1"),
        ("{{.count}} {{.big}} {{.ratio}} {{.yes}} {{.null}}", "3 1e+21 0.5 true <no value>"),
        ("{{.keys}} {{.etcd.peers}}", "[k1 k2] map[a:1 b:2]"),
        ("a {{- .name -}} b", "anode1b"),
        ("a\n{{/* a comment }} */}}\nb", "a\n\nb"),
        ("a\n{{- /* c */ -}}\nb", "ab"),
        ('{{"{{"}}x{{`}}`}}', "{{x}}"),
        ("{{if .yes}}y{{else}}n{{end}}", "y"),
        ("{{if .no}}y{{else}}n{{end}}", "n"),
        ("{{if .empty}}1{{else if .nothing}}2{{else if .null}}3{{else}}4{{end}}", "4"),
        ('{{if eq .name "node1"}}y{{end}}', "y"),
        ('{{if eq .name "x" "node1"}}y{{end}}', "y"),
        ('{{if ne .name "x"}}y{{end}}', "y"),
        ("{{if and .yes .name}}y{{end}}{{if or .no .empty}}n{{end}}{{if not .no}}z{{end}}", "yz"),
        ("{{if or .yes .there.is.no.such}}short{{end}}", "short"),
        ("{{if gt .count 2}}y{{end}}{{if le .count 2}}n{{end}}{{if lt 1 .count}}z{{end}}", "yz"),
        ("{{range .keys}}- {{.}}\n{{end}}", "- k1\n- k2\n"),
        ("{{range $i, $k := .keys}}{{$i}}={{$k}},{{end}}", "0=k1,1=k2,"),
        ("{{range $k := .keys}}{{$k}}{{$.name}}{{end}}", "k1node1k2node1"),
        ("{{range $k, $v := .etcd.peers}}{{$k}}{{$v}}{{end}}", "a1b2"),
        ("{{range .nothing}}x{{else}}none{{end}}", "none"),
        ("{{range .disks}}{{.dev}}:{{.size}} {{end}}", "sda:1 sdb:2 "),
        ("{{with .etcd}}{{.name}}{{end}}{{with .empty}}x{{else}}-{{end}}", "e1-"),
        ("{{with $x := .etcd}}{{$x.name}}{{end}}", "e1"),
        ("{{$a := .name}}{{$a}}{{if .yes}}{{$a = \"b\"}}{{end}}{{$a}}", "node1b"),
        ('{{index .keys 1}} {{index .etcd "peers" "b"}} {{len .keys}}', "k2 2 2"),
        ("{{(index .disks 0).dev}} {{.name | printf \"%s-%s\" \"x\"}}", "sda x-node1"),
        ('{{printf "%05d %q %v %t %%" .count .name .ratio .yes}}', '00003 "node1" 0.5 true %'),
        ('{{.name | len}} {{print "a" "b" 1 2}} {{slice .name 0 4}}', "5 ab1 2 node"),
        ('{{urlquery "a b&c"}} {{html "<"}}', "a+b%26c &lt;"),
        ('{{if and (eq .name "node1") (not .no)}}both{{end}}', "both"),
        ("{{true}}{{1.5}}{{-2}}", "true1.5-2"),
        ("{{.keys | len | printf \"%d\"}}", "2"),
        ('{{if index . "pxe"}}y{{else}}n{{end}}{{index .etcd "x"}}', "n<no value>"),
        ('{{define "T"}}[{{.}}]{{end}}{{template "T" .name}}{{template "T"}}', "[node1][<no value>]"),
        ('{{block "B" .keys}}{{range .}}<{{.}}>{{end}}{{end}}{{template "B" .nothing}}', "<k1><k2>"),
        ('{{range .keys}}{{if eq . "k2"}}{{break}}{{end}}{{.}}{{end}}', "k1"),
        ('{{range $k := .keys}}{{if eq $k "k1"}}{{continue}}{{end}}{{$k}}{{end}}', "k2"),
        ("{{range .disks}}{{range $.keys}}{{break}}{{end}}{{.dev}}{{end}}", "sdasdb"),
        ("{{.etcd.gone}}{{html \"'\"}}", "[<nil>]&#39;"),
    ],
)  # fmt: skip
def test_templates(template: str, expected: str) -> None:
    assert GoTemplate(template).fill(DATA) == expected


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a\n{{.missing}}", "line 2: .missing: there is no such key"),
        ("{{if .missing}}x{{end}}", "there is no such key"),
        ("{{.etcd.nope}}", "nope"),
        ("{{.name.first}}", "a string has no fields"),
        ("{{.null.x}}", "null has no fields"),
        ("{{range .name}}{{end}}", "range over a string"),
        ("{{index .keys 9}}", "out of range"),
        ('{{template "none"}}', "'none' is not defined"),
        ('{{define "a"}}{{template "a"}}{{end}}{{template "a"}}', "called too deeply"),
        ("{{lt .name 1}}", "cannot be compared"),
        ("{{len .count}}", "has no length"),
        ("{{not}}", "not"),
    ],
)
def test_what_cannot_be_filled_in(template: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        GoTemplate(template).fill(DATA)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{", 1), ("{{.a", 1), ("a\nb {{if .x}}", 2), ("{{end}}", 1), ("{{else}}", 1), ("{{nosuch .a}}", 1),
        ("{{}}", 1), ("\n\n{{.a .b}}", 3), ("{{.a | }}", 1), ("{{(.a}}", 1), ("{{.a)}}", 1), ("{{define \"x\"}}", 1),
        ("{{template x}}", 1), ("{{break}}", 1), ("a\n{{if .x}}{{define \"y\"}}", 2),
        ("{{range .a}}{{else}}{{else}}{{end}}", 1), ("{{'a'}}", 1), ("{{$}}{{a.b}}", 1),
        ("{{if}}x{{end}}", 1), ("{{/* never ends }}", 1),
    ],
)  # fmt: skip
def test_what_is_no_template(template: str, line: int) -> None:
    with pytest.raises(WrongDocumentError) as caught:
        GoTemplate(template)
    assert caught.value.line == line


_PIECES = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", " ", "\n", "if ", "end", "else", "range ", "with ", ".a", ".", "$x", ":=", "|", "(", ")",
     '"s"', "`r`", "1", "eq ", "index ", "printf ", "and ", "text", "{{end}}", "{{if .a}}", "{{/* c */}}"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_any_text_is_a_template_or_named_wrong(text: str) -> None:
    try:
        template = GoTemplate(text)
    except WrongDocumentError:
        return
    with contextlib.suppress(TemplateError):
        assert isinstance(template.fill({"a": [1, "b"]}), str)


@given(st.text(alphabet=st.characters(exclude_characters="{}"), max_size=60))
def test_text_without_actions_is_itself(text: str) -> None:
    assert GoTemplate(text).fill({}) == text
