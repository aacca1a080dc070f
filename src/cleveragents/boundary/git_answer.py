"""What does git answer? Its machine formats, read into values.

Formats are those of ``-z``: names come as they are, nothing is quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from cleveragents.terms.proposal import FileChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.terms.proposal import ChangeKind, FileMode

ConflictKind = Literal[
    "content", "binary", "mode", "delete/modify", "add/add", "rename", "file/directory", "other"
]
REGULAR: Final = "100644"
EXECUTABLE: Final = "100755"
LINK: Final = "120000"
_MODES: Final = frozenset({REGULAR, EXECUTABLE, LINK})


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree."""

    path: str
    mode: FileMode
    blob: str
    size: int = -1
    """Bytes; -1 where it was not asked for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One side of a conflict."""

    path: str
    mode: FileMode
    blob: str


@dataclass(frozen=True, slots=True)
class MergeConflict:
    """One place where both sides want something else."""

    path: str
    kind: ConflictKind
    message: str
    """git's own sentence."""
    base: Stage | None = None
    ours: Stage | None = None
    theirs: Stage | None = None
    names: tuple[str, ...] = ()
    """Every name that the merged tree may use for it, its own among them."""


@dataclass(frozen=True, slots=True)
class MergeOutcome:
    """What a three-way merge of trees gave."""

    tree: str
    """With conflict markers in it where there are conflicts."""
    conflicts: tuple[MergeConflict, ...] = ()
    is_apart: bool = False
    """No name was changed by both: what ``theirs`` changed, done to ``ours``, gives the tree."""

    @property
    def is_clean(self) -> bool:
        """Say whether both sides went together."""
        return not self.conflicts


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def file_mode(raw: str) -> FileMode:
    """Check a mode that git gave.

    Raises:
        ValueError: A gitlink, a directory, or anything else that is no file or link.
    """
    if raw not in _MODES:
        msg = f"mode {raw!r} is neither a file's nor a link's"
        raise ValueError(msg)
    return cast("FileMode", raw)


def parse_tree(output: bytes) -> tuple[TreeEntry, ...]:
    """Read ``ls-tree -r -z --long``."""
    entries = []
    for line in output.split(b"\0"):
        if not line:
            continue
        facts, _, path = line.partition(b"\t")
        mode, _, blob, size = facts.decode("ascii").split()
        entries.append(TreeEntry(_text(path), file_mode(mode), blob, int(size)))
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class RawChange:
    """One path in which two trees differ: what was there and what is there."""

    path: str
    kind: ChangeKind
    before: Stage | None
    after: Stage | None


def to_file_change(change: RawChange, size: int) -> FileChange:
    """Say a raw change in the words of a proposal."""
    if change.after is None:
        return FileChange(change.path, "deleted", None, None)
    return FileChange(change.path, change.kind, change.after.mode, change.after.blob, size)


def _kind_of(message_kind: str, stages: Mapping[int, Stage]) -> ConflictKind:
    for word, kind in _CONFLICT_WORDS:
        if word in message_kind:
            return kind
    ours, theirs = stages.get(2), stages.get(3)
    if ours is not None and theirs is not None and ours.blob == theirs.blob:
        return "mode"
    return "content" if 1 in stages else "add/add"


_CONFLICT_WORDS: Final[tuple[tuple[str, ConflictKind], ...]] = (
    ("binary", "binary"),
    ("modify/delete", "delete/modify"),
    ("rename", "rename"),
    ("file/directory", "file/directory"),
    ("distinct modes", "mode"),
    ("submodule", "other"),
)
"""Words of git's conflict types, the first that fits; ``CONFLICT (contents)`` has none."""


@dataclass(frozen=True, slots=True)
class _Message:
    paths: tuple[str, ...]
    kind: str
    text: str


def _read_messages(fields: list[bytes]) -> list[_Message]:
    messages = []
    at = 0
    while at < len(fields) and fields[at].strip():
        count = int(fields[at])
        paths = tuple(_text(raw) for raw in fields[at + 1 : at + 1 + count])
        kind, text = _text(fields[at + 1 + count]), _text(fields[at + 2 + count])
        messages.append(_Message(paths, kind, text.strip()))
        at += count + 3
    return messages


class _Places:
    """The names that git invents when two things want one place, brought back.

    It moves one of them to ``name~<commit>``; a person knows the sides as
    ours and theirs, and the place by its own name.
    """

    def __init__(self, ours: str, theirs: str) -> None:
        self._sides = {ours: "ours", theirs: "theirs"}
        self._invented = re.compile(rf"~({ours}|{theirs})(_\d+)?\Z", re.DOTALL)

    def own(self, path: str) -> str:
        return self._invented.sub("", path)

    def sentence(self, text: str) -> str:
        for commit, side in self._sides.items():
            text = text.replace(commit, side)
        return text


def parse_merge(output: bytes, *, ours: str, theirs: str) -> MergeOutcome:
    """Read ``merge-tree --write-tree -z --messages`` of two commits.

    Args:
        output: What git wrote.
        ours: Id of the first commit.
        theirs: Id of the second commit.
    """
    places = _Places(ours, theirs)
    fields = output.split(b"\0")
    at = 1
    stages: dict[str, dict[int, Stage]] = {}
    names: dict[str, set[str]] = {}
    while at < len(fields) and fields[at]:
        facts, _, raw = fields[at].partition(b"\t")
        mode, blob, number = facts.decode("ascii").split()
        path = places.own(_text(raw))
        names.setdefault(path, set()).add(_text(raw))
        stages.setdefault(path, {})[int(number)] = Stage(path, file_mode(mode), blob)
        at += 1
    said: dict[str, _Message] = {}
    for message in _read_messages(fields[at + 1 :]):
        if message.kind.startswith("CONFLICT"):
            for raw_path in message.paths:
                said.setdefault(places.own(raw_path), message)
    conflicts = []
    for path in sorted(stages):
        sides = stages[path]
        message = said.get(path, _Message((path,), "", f"both sides changed {path}"))
        conflicts.append(
            MergeConflict(
                path=path,
                kind=_kind_of(message.kind, sides),
                message=places.sentence(message.text),
                base=sides.get(1),
                ours=sides.get(2),
                theirs=sides.get(3),
                names=tuple(sorted(names[path] | {path})),
            )
        )
    return MergeOutcome(fields[0].decode("ascii").strip(), tuple(conflicts))
