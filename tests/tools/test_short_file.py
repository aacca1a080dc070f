"""A short text is read in one piece, with the same answer as a long one in many."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.tools.body import file

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = {
    "empty": b"",
    "one line": b"one\n",
    "no line end": b"one\ntwo",
    "only line ends": b"\n\n",
    "carriage returns": b"a\r\nb\r\n",
    "letters beyond ASCII": "grüße, 世界\n".encode(),
    "control characters": b"\x01\x1b[31m" * 1000,
    "binary": b"a\0b",
    "not UTF-8": b"caf\xe9\n",
    "neither": b"\xff\xfe\x02",
    "the longest short one": b"x" * file.SHORT_BYTES,
    "one more": b"x" * (file.SHORT_BYTES + 1),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_short_and_long_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "f").write_bytes(CONTENTS[name])
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = file.read_file(root, {"path": "f"})
        monkeypatch.setattr(file, "SHORT_BYTES", -1)
        assert found == file.read_file(root, {"path": "f"})
    finally:
        os.close(root)


def test_a_file_that_grows_meanwhile_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one\ntwo\n")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        found = file._read(fd, 4, offset=1, limit=None)
    finally:
        os.close(fd)
    assert found["text"] == "one\ntwo\n"
    assert found["size"] == 8
