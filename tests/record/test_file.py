"""The files beside the database: heads and objects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import RecordError
from cleveragents.record.head_file import NO_HEAD, Head, HeadFiles
from cleveragents.record.object_store import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path

A, B = "a" * 64, "b" * 64


def _refuse(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_head_only_moves_forward(tmp_path: Path) -> None:
    ours, theirs = HeadFiles(tmp_path / "heads"), HeadFiles(tmp_path / "heads")
    assert ours.read("R") is None
    assert ours.names() == ()
    ours.create("R")
    assert theirs.read("R") == NO_HEAD
    theirs.create("R")
    ours.write("R", 1, A)
    theirs.write("R", 4, B)
    ours.write("R", 3, A)
    theirs.write("R", 2, A)
    ours.forget("R")
    ours.forget("R")
    ours.write("R", 3, A)
    assert ours.names() == ("R",)
    assert ours.read("R") == Head(4, B)
    assert (tmp_path / "heads" / "R").stat().st_mode & 0o777 == 0o600
    ours.close()
    theirs.close()


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = HeadFiles(tmp_path / "heads")
    files.create("R")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _refuse)
        with pytest.raises(RecordError, match="cannot be written: No space left on device; make"):
            files.write("R", 1, A)
        with pytest.raises(RecordError, match="No space left"):
            files.create("S")
    files.close()


def test_a_head_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    (tmp_path / "target").write_text("mine")
    (tmp_path / "heads" / "R").symlink_to(tmp_path / "target")
    with pytest.raises(RecordError, match="cannot be written"):
        HeadFiles(tmp_path / "heads").create("R")
    assert (tmp_path / "target").read_text() == "mine"


def test_a_head_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "R").mkdir()
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        HeadFiles(tmp_path).read("R")


def test_objects_come_back_as_they_went(tmp_path: Path) -> None:
    objects = ObjectStore(tmp_path / "objects")
    digest = objects.put(b"some bytes", durable=True)
    assert objects.put(b"some bytes") == digest
    assert objects.get(digest) == b"some bytes"
    (path,) = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"cut")
    with pytest.raises(RecordError, match="was changed"):
        objects.get(digest)
    # What was cut off by a full disk is written anew.
    objects.put(b"some bytes")
    assert objects.get(digest) == b"some bytes"
    path.unlink()
    with pytest.raises(RecordError, match="is missing"):
        objects.get(digest)


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:../../x", "md5:" + A, "sha256:" + A + "/"]
)
def test_only_a_digest_names_an_object(tmp_path: Path, digest: str) -> None:
    with pytest.raises(RecordError, match="is no digest"):
        ObjectStore(tmp_path).get(digest)


def test_objects_that_cannot_be_kept_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("in the way")
    with pytest.raises(RecordError, match="a value cannot be kept in"):
        ObjectStore(tmp_path / "objects").put(b"x")
