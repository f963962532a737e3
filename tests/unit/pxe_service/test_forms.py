"""Properties of what clients write: addresses, queries, ranges, paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.macs import parse_mac
from plasmatui.pxe.service.query import parse_query
from plasmatui.pxe.service.ranges import Version, plan

VERSION = Version('"abc"', 1_700_000_000)
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER = "Tue, 14 Nov 2023 22:13:21 GMT"

_BYTES = st.sampled_from([6, 8, 20]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


@given(_BYTES, st.sampled_from(":-."), st.booleans())
def test_every_form_of_an_address_is_one_address(data: bytes, separator: str, upper: bool) -> None:
    width = 4 if separator == "." else 2
    digits = data.hex()
    text = separator.join(digits[at : at + width] for at in range(0, len(digits), width))
    expected = ":".join(f"{byte:02x}" for byte in data)
    assert parse_mac(text.upper() if upper else text) == expected
    assert parse_mac(expected) == expected


@given(st.text(alphabet="0123456789abcdefABCDEF:-.gx ", max_size=70))
def test_what_is_taken_for_an_address_has_its_digits(text: str) -> None:
    found = parse_mac(text)
    if found is not None:
        assert found.replace(":", "") == "".join(c for c in text.lower() if c not in ":-.")
        assert len(found) in (17, 23, 59)


@pytest.mark.parametrize(
    "text",
    [
        "", "525400123456", "52:54:00:12:34", "52:54:00:12:34:5", "52:54-00:12:34:56", "52:54:00:12:34:5g",
        "5254.0012.3456.", "52:54:00:12:34:56:", " 52:54:00:12:34:56", "52:54:00:12:34:56\n", "5254:0012:3456",
        "٥٢:54:00:12:34:56", "52:54:00:12:34:56:78",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    assert parse_mac(text) is None


@given(st.text(max_size=200))
def test_any_query_can_be_read(raw: str) -> None:
    query = parse_query(raw)
    assert set(query.labels) <= set(query.values)


def test_a_query_takes_the_first_of_repeated_parameters() -> None:
    query = parse_query("mac=52-54-00-12-34-56&mac=x&uuid=&a=%26&MAC=nonsense&b")
    assert query.mac == "52:54:00:12:34:56"
    assert query.labels == {"mac": "52:54:00:12:34:56", "uuid": "", "a": "&", "b": ""}


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_what_it_says(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    found = plan({"range": f"bytes={first}-{last}"}, VERSION, size)
    if last < first:
        assert found.status == 200
    elif first >= size:
        assert found.status == 416
    else:
        assert (found.status, content[found.begin : found.end]) == (206, content[first : last + 1])


@given(st.integers(0, 50), st.integers(0, 60))
def test_open_ends_and_last_bytes(size: int, number: int) -> None:
    content = bytes(range(size))
    tail = plan({"range": f"bytes=-{number}"}, VERSION, size)
    assert tail.status == (206 if number and size else 416)
    if tail.status == 206:
        assert content[tail.begin : tail.end] == content[-number:]
    rest = plan({"range": f"bytes={number}-"}, VERSION, size)
    assert rest.status == (206 if number < size else 416)
    if rest.status == 206:
        assert content[rest.begin : rest.end] == content[number:]


@given(st.text(max_size=40))
def test_no_range_raises(text: str) -> None:
    for name in ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"):
        found = plan({"range": "bytes=0-0", name: text}, VERSION, 10)
        assert found.status in (200, 206, 304, 412, 416)
        assert 0 <= found.begin <= found.end <= 10


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"range": "bytes=0-1,3-4"}, 200),
        ({"range": "bytes=-"}, 200),
        ({"range": "lines=0-1"}, 200),
        ({"range": "bytes=0-99999999999999999999999999"}, 200),
        ({"if-none-match": '"abc"'}, 304),
        ({"if-none-match": '"x", W/"abc"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": '"x"', "if-modified-since": DATE}, 200),
        ({"if-modified-since": DATE}, 304),
        ({"if-modified-since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 200),
        ({"if-modified-since": "nonsense"}, 200),
        ({"if-match": '"abc"'}, 200),
        ({"if-match": 'W/"abc"'}, 412),
        ({"if-match": '"x"'}, 412),
        ({"if-unmodified-since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 412),
        ({"if-unmodified-since": DATE}, 200),
        ({"range": "bytes=0-1", "if-range": '"abc"'}, 206),
        ({"range": "bytes=0-1", "if-range": 'W/"abc"'}, 200),
        ({"range": "bytes=0-1", "if-range": '"x"'}, 200),
        ({"range": "bytes=0-1", "if-range": DATE}, 206),
        ({"range": "bytes=0-1", "if-range": LATER}, 200),
    ],
)
def test_conditions(headers: dict[str, str], status: int) -> None:
    assert plan(headers, VERSION, 10).status == status


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tree")
    root = base / "root"
    (root / "a" / ".hidden").mkdir(parents=True)
    (base / "root-too").mkdir()
    for path in ("root/a/file", "root/a/.hidden/file", "root/.dot", "secret", "root-too/secret"):
        (base / path).write_text(path)
    (root / "inside").symlink_to("a/file")
    (root / "dir").symlink_to("a")
    (root / "outside").symlink_to("../secret")
    (root / "sibling").symlink_to("../root-too")
    (root / "loop").symlink_to("loop")
    (root / "absolute").symlink_to("/etc")
    os.mkfifo(root / "pipe")
    return root


def test_the_directory_may_be_a_link_that_is_switched(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "file").write_text(version)
    (tmp_path / "current").symlink_to("one")
    images = Images(tmp_path / "current")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "current")
    file = images.open("file")
    assert os.pread(file.descriptor, 10, 0) == b"two"
    file.close()


@pytest.mark.parametrize("path", ["a/file", "inside", "dir/file"])
def test_files_and_links_inside_are_served(tree: Path, path: str) -> None:
    file = Images(tree).open(path)
    assert os.pread(file.descriptor, 100, 0) == b"root/a/file"
    file.close()


def test_of_hidden_files_those_of_trees_are_served(tree: Path) -> None:
    (tree / "a/.treeinfo").write_text("[general]")
    Images(tree).open("a/.treeinfo").close()


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "dir", "a/", "/a/file", "a//file", "../secret", "a/../../secret", "a/../a/file", "./a/file", ".dot",
        "a/.hidden/file", "outside", "sibling/secret", "../root-too/secret", "loop", "absolute/passwd", "pipe",
        "a/file\0", "\0", "a/file/x", "x" * 5000, "/etc/passwd", "\udcff", "..\\secret",
    ],
)  # fmt: skip
def test_nothing_else_is(tree: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        Images(tree).open(path)


_PARTS = st.lists(
    st.sampled_from(["..", ".", "", "a", "file", "dir", "outside", "sibling", "secret", "absolute", "%2e%2e", "root"]),
    max_size=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_PARTS)
def test_no_path_leads_out(tree: Path, parts: list[str]) -> None:
    try:
        file = Images(tree).open("/".join(parts))
    except FileNotFoundError:
        return
    content = os.pread(file.descriptor, 100, 0)
    file.close()
    assert content == b"root/a/file"
