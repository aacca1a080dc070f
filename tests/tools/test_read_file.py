from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ToolFailedError
from cleveragents.terms.excerpt import MAX_RESULT_BYTES
from cleveragents.tools.body import beneath
from cleveragents.tools.body.file import read_file
from cleveragents.tools.body.line_range import take_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["openat2", "by component"])
def resolver(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to resolve: the kernel's, and ours where it has none."""
    beneath._openat2.cache_clear()
    if request.param == "by component":
        syscall = beneath._SYS_OPENAT2
        # No system call has this number, as on an old kernel.
        setattr(beneath, "_SYS_OPENAT2", 9_999)  # noqa: B010  # the name is final on purpose
        yield request.param
        setattr(beneath, "_SYS_OPENAT2", syscall)  # noqa: B010
        beneath._openat2.cache_clear()
    else:
        yield request.param


def test_gives_text_with_its_facts(root: int, workspace: Path) -> None:
    (workspace / "a.txt").write_text("one\ntwo\nthree")
    result = read_file(root, {"path": "a.txt"})
    assert result == {
        "text": "one\ntwo\nthree",
        "lines": 3,
        "truncated": False,
        "next_offset": None,
        "size": 13,
        "digest": "sha256:" + hashlib.sha256(b"one\ntwo\nthree").hexdigest(),
        "encoding": "utf-8",
        "note": "",
    }


def test_an_empty_file_is_empty_text(root: int, workspace: Path) -> None:
    (workspace / "empty").touch()
    result = read_file(root, {"path": "empty"})
    assert (result["text"], result["lines"], result["encoding"]) == ("", 0, "utf-8")


@pytest.mark.parametrize(
    ("offset", "limit", "text", "following"),
    [
        (1, 1, "1\n", 2),
        (2, 2, "2\n3\n", 4),
        (4, 5, "4\n5", None),
        (4, 2, "4\n5", None),
        (5, None, "5", None),
        (9, 1, "", None),
    ],
)
def test_ranges_count_lines_from_one(
    root: int,
    workspace: Path,
    offset: int,
    limit: int | None,
    text: str,
    following: int | None,
) -> None:
    (workspace / "a").write_text("1\n2\n3\n4\n5")
    arguments = {"path": "a", "offset": offset, "limit": limit}
    result = read_file(root, arguments)
    assert (result["text"], result["next_offset"]) == (text, following)
    assert result["truncated"] is (following is not None)
    assert bool(result["note"]) is (following is not None or offset > 5)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_range_does_not_depend_on_how_the_file_comes_in(size: int) -> None:
    data = b"".join(b"line %d\n" % number for number in range(40)) + b"last"
    lines = data.splitlines(keepends=True)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    for offset in (1, 2, 20, 41, 42):
        for limit in (1, 3, None):
            taken = take_lines(iter(chunks), offset=offset, limit=limit, max_bytes=10_000)
            stop = None if limit is None else offset - 1 + limit
            assert taken.raw == b"".join(lines[offset - 1 : stop])
            assert (taken.lines, taken.size) == (41, len(data))


def test_a_long_text_is_cut_at_a_line_and_says_where_to_go_on(root: int, workspace: Path) -> None:
    line = "x" * 99 + "\n"
    (workspace / "long").write_text(line * 10_000)
    first = read_file(root, {"path": "long"})
    assert first["truncated"] is True
    assert first["note"] == "cut before line 4001 of 10000"
    pieces, offset = str(first["text"]), first["next_offset"]
    while offset is not None:
        result = read_file(root, {"path": "long", "offset": offset})
        pieces, offset = pieces + str(result["text"]), result["next_offset"]
    assert pieces == line * 10_000


def test_one_line_longer_than_a_result_is_cut_between_characters(
    root: int, workspace: Path
) -> None:
    (workspace / "long").write_text("é" * 300_000 + "\nshort\n")
    result = read_file(root, {"path": "long"})
    assert result["text"] == "é" * 200_000
    assert (result["truncated"], result["next_offset"]) == (True, 2)
    assert result["note"] == "line 1 of 2 is too long and was cut"
    assert read_file(root, {"path": "long", "offset": 2})["text"] == "short\n"
    (workspace / "only").write_text("é" * 300_000)
    assert read_file(root, {"path": "only"})["next_offset"] is None


@pytest.mark.parametrize("content", [b"\x01" * 390_000, b"\x1b" * 700_000, b'"\\' * 400_000])
def test_a_result_always_fits_into_one_message(root: int, workspace: Path, content: bytes) -> None:
    (workspace / "a").write_bytes(content)
    result = read_file(root, {"path": "a"})
    assert len(json.dumps(result)) < MAX_RESULT_BYTES
    assert result["truncated"] is True


def test_binary_comes_as_base64_by_byte_ranges(root: int, workspace: Path) -> None:
    data = bytes(range(256)) * 4_000
    (workspace / "a.bin").write_bytes(data)
    result = read_file(root, {"path": "a.bin"})
    assert (result["text"], result["encoding"], result["truncated"]) == ("", "binary", True)
    assert base64.b64decode(str(result["base64"])) == data[:600_000]
    assert result["next_offset"] == 600_001
    assert result["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert len(json.dumps(result)) < MAX_RESULT_BYTES
    rest = read_file(root, {"path": "a.bin", "offset": 600_001, "limit": 3})
    assert base64.b64decode(str(rest["base64"])) == data[600_000:600_003]
    assert rest["note"] == "bytes 600001 to 600003 of 1024000"
    past = read_file(root, {"path": "a.bin", "offset": 2_000_000})
    assert (past["base64"], past["truncated"]) == ("", False)


def test_text_that_is_not_utf8_is_latin1_and_noise_is_binary(root: int, workspace: Path) -> None:
    (workspace / "old").write_bytes(b"caf\xe9\n")
    (workspace / "noise").write_bytes(b"\xff\xfe\x01\x02")
    assert read_file(root, {"path": "old"})["text"] == "café\n"
    assert read_file(root, {"path": "noise"})["encoding"] == "binary"


@pytest.mark.usefixtures("resolver")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "does not exist"),
        ("dir", "is a directory"),
        ("a/b", "not a directory"),
        ("../outside.txt", "outside the workspace"),
        ("/etc/passwd", "outside the workspace"),
        ("out", "leads outside|symbolic link"),
        ("absolute", "leads outside|symbolic link"),
        ("loop", "symbolic link"),
        ("up/outside.txt", "leads outside|symbolic link"),
        ("pipe", "no regular file"),
        ("x" * 300, "too long"),
        ("a\x00b", "control character"),
        ("\ud800", "not valid Unicode"),
        ("", "empty"),
    ],
)
def test_refuses(root: int, workspace: Path, path: str, reason: str) -> None:
    (workspace / "dir").mkdir()
    (workspace / "a").touch()
    (workspace / "out").symlink_to("../outside.txt")
    (workspace / "absolute").symlink_to(workspace / "a")
    (workspace / "loop").symlink_to("loop")
    (workspace / "up").symlink_to("..")
    os.mkfifo(workspace / "pipe")
    with pytest.raises(ToolFailedError, match=reason):
        read_file(root, {"path": path})


@pytest.mark.usefixtures("resolver")
def test_still_reads_plain_paths_in_every_spelling(root: int, workspace: Path) -> None:
    (workspace / "dir").mkdir()
    (workspace / "dir" / "a").write_text("x")
    for path in ("dir/a", "./dir//a", "/workspace/dir/a", "dir/../dir/a"):
        assert read_file(root, {"path": path})["text"] == "x"


def test_a_link_that_stays_inside_is_followed_for_reading(root: int, workspace: Path) -> None:
    (workspace / "a").write_text("x")
    (workspace / "link").symlink_to("a")
    assert read_file(root, {"path": "link"})["text"] == "x"


@pytest.mark.parametrize("arguments", [{}, {"path": 1}, {"path": "a", "offset": True}])
def test_malformed_arguments_fail_the_call(root: int, arguments: dict[str, object]) -> None:
    with pytest.raises(ToolFailedError):
        read_file(root, arguments)


@pytest.mark.usefixtures("resolver")
def test_a_link_in_a_parent_is_not_followed_for_a_change(root: int, workspace: Path) -> None:
    (workspace / "real").mkdir()
    (workspace / "link").symlink_to("real")
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the number is checked below
        beneath.open_parent(root, "link/new/a", create=True)
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(FileNotFoundError):
        beneath.open_parent(root, "real/new/a", create=False)
    os.close(beneath.open_parent(root, "real/new/a", create=True))
    with pytest.raises(OSError, match="too long"):
        beneath.open_parent(root, f"other/{'x' * 300}/a", create=True)
    assert (workspace / "real" / "new").is_dir()


def test_by_component_leaves_nothing_to_dots(root: int) -> None:
    for path in ("../x", "/etc", "a/../../x"):
        with pytest.raises(OSError) as caught:  # noqa: PT011  # the number is checked below
            beneath._open_by_component(root, path, beneath.READ_FLAGS)
        assert caught.value.errno == errno.EXDEV


def test_a_file_that_grew_is_read_to_its_end(workspace: Path) -> None:
    (workspace / "a").write_bytes(b"0123456789")
    fd = os.open(workspace / "a", os.O_RDONLY)
    try:
        assert beneath.read_all(fd, size=4) == b"0123456789"
    finally:
        os.close(fd)


def test_an_unknown_reason_is_the_systems_own() -> None:
    assert beneath.reason_of(OSError(errno.EIO, "Input/output error"), "a") == (
        "'a': input/output error"
    )
