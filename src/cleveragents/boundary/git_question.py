"""What is asked about trees, and made of them: lists, differences, patches, merges?

Names go through git's index, never into a tree by our own hand: it refuses
what some file system would take for ``.git`` (isolation, rule 10).
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.blob_writer import write_loose
from cleveragents.boundary.git_answer import (
    MergeOutcome,
    parse_merge,
    parse_tree,
    to_file_change,
)
from cleveragents.boundary.loose_object import loose_size, read_loose
from cleveragents.boundary.tree_change import tree_changes
from cleveragents.boundary.tree_merge import merge_apart
from cleveragents.boundary.tree_splice import splice
from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import IO, Self

    from cleveragents.boundary.git_answer import RawChange, Stage, TreeEntry
    from cleveragents.terms.proposal import FileChange

_SIGNATURE: Final = "cleveragents <cleveragents@localhost> 0 +0000"
_NO_OBJECT: Final = "0" * 40
_DONE: Final = frozenset({0})


class IndexRefusedError(ValueError):
    """Git's index does not take a name: the second check, after our own."""


class ObjectReader:
    """Questions to one ``cat-file --batch-command``."""

    def __init__(self, ask: IO[bytes], answer: IO[bytes]) -> None:
        self._ask = ask
        self._answer = answer

    def _facts(self, verb: str, object_id: str, kind: bytes) -> int:
        self._ask.write(f"{verb} {object_id}\n".encode("ascii"))
        self._ask.flush()
        facts = self._answer.readline().split()
        if len(facts) != 3 or facts[1] != kind:  # noqa: PLR2004  # id, type, size
            raise RecordError(problem=f"object {object_id} is missing in the tree store")
        return int(facts[2])

    def check_blob(self, blob: str) -> None:
        """Refuse a blob that is not stored.

        Raises:
            RecordError: It is not.
        """
        self._facts("info", blob, b"blob")

    def read_tree(self, tree: str) -> bytes:
        """Give one directory's object.

        Raises:
            RecordError: It is not stored.
        """
        size = self._facts("contents", tree, b"tree")
        return self._answer.read(size + 1)[:size]


class _Objects:
    """Directories and blobs of one question: most are read as files, the others by one process."""

    def __init__(self, questions: TreeQuestions) -> None:
        self._questions = questions
        self._place = questions.objects
        self._stack = ExitStack()
        self._reader: ObjectReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def check_blob(self, blob: str) -> None:
        if loose_size(self._place, blob, "blob") is None:
            self._git().check_blob(blob)

    def read_tree(self, tree: str) -> bytes:
        found = read_loose(self._place, tree, "tree")
        return self._git().read_tree(tree) if found is None else found

    def write_tree(self, data: bytes) -> str:
        return write_loose(self._place, "tree", data)

    def _git(self) -> ObjectReader:
        if self._reader is None:
            self._reader = self._stack.enter_context(self._questions.object_reader())
        return self._reader


class TreeQuestions(ABC):
    """Everything that one git process answers about trees."""

    @property
    @abstractmethod
    def git_dir(self) -> Path:
        """The private bare repository."""

    @property
    def objects(self) -> Path:
        """The directory of the objects."""
        return self.git_dir / "objects"

    @abstractmethod
    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        index: str = "",
        accepted: frozenset[int] = _DONE,
    ) -> bytes:
        """Run one hardened git command and give its output.

        Args:
            arguments: The verb and what follows it.
            stdin: What it reads.
            index: The private index that it works on; empty for none.
            accepted: Exit statuses that are answers.

        Raises:
            IndexRefusedError: The index does not take a name.
            RecordError: It failed otherwise.
        """

    @abstractmethod
    def object_reader(self) -> AbstractContextManager[ObjectReader]:
        """Hold one process that answers about one object after the other."""

    def has_tree(self, tree: str) -> bool:
        """Say whether a tree is stored."""
        found = self.run("cat-file", "-e", f"{tree}^{{tree}}", accepted=frozenset({0, 1, 128}))
        return not found and self.run(
            "cat-file", "--batch-check=%(objecttype)", stdin=f"{tree}\n".encode()
        ).startswith(b"tree")

    def list_tree(self, tree: str) -> tuple[TreeEntry, ...]:
        """Give every file of a tree, sorted by path as bytes."""
        return parse_tree(self.run("ls-tree", "-r", "-z", "--long", "--full-tree", tree))

    def tree_from_entries(self, entries: Iterable[TreeEntry]) -> str:
        """Make a tree of files whose blobs are stored.

        Raises:
            IndexRefusedError: Git does not take a name.
            RecordError: A blob is missing.
        """
        return self._write_tree("", [_index_line(e.mode, e.blob, e.path) for e in entries])

    def update_tree(self, base: str, changes: Iterable[FileChange]) -> str:
        """Make the tree that a change turns ``base`` into.

        Raises:
            IndexRefusedError: Git does not take a name.
            RecordError: A blob is missing.
        """
        every = tuple(changes)
        new = [one for one in every if one.blob is not None and one.mode is not None]
        if not every:
            return base
        if new:
            self._check_names(new)
        with _Objects(self) as objects:
            for blob in dict.fromkeys(one.blob for one in new if one.blob is not None):
                objects.check_blob(blob)
            return splice(base, every, read_tree=objects.read_tree, write_tree=objects.write_tree)

    def _check_names(self, changes: Iterable[FileChange]) -> None:
        """Hold names against git's index, the second check, in an index of nothing else."""
        lines = [_index_line(one.mode or "", one.blob or "", one.path) for one in changes]
        with tempfile.TemporaryDirectory(prefix="index-", dir=self.git_dir) as directory:
            self.run(
                "update-index", "-z", "--index-info",
                stdin=b"".join(lines), index=f"{directory}/index",
            )  # fmt: skip

    def _write_tree(self, base: str, lines: Iterable[bytes]) -> str:
        with tempfile.TemporaryDirectory(prefix="index-", dir=self.git_dir) as directory:
            index = f"{directory}/index"
            if base:
                self.run("read-tree", base, index=index)
            self.run("update-index", "-z", "--index-info", stdin=b"".join(lines), index=index)
            return self.run("write-tree", index=index).decode("ascii").strip()

    def raw_changes(self, before: str, after: str) -> tuple[RawChange, ...]:
        """Give every path in which two trees differ, with both sides; no renames."""
        with _Objects(self) as objects:
            return tree_changes(before, after, read_tree=objects.read_tree)

    def changes(self, before: str, after: str) -> tuple[FileChange, ...]:
        """Give every path in which two trees differ, as a proposal says it."""
        raw = self.raw_changes(before, after)
        sizes = self._sizes({change.after.blob for change in raw if change.after is not None})
        return tuple(
            to_file_change(change, sizes[change.after.blob] if change.after else 0)
            for change in raw
        )

    def _sizes(self, blobs: set[str]) -> dict[str, int]:
        found = {blob: loose_size(self.objects, blob, "blob") for blob in blobs}
        sizes = {blob: size for blob, size in found.items() if size is not None}
        wanted = sorted(blobs - sizes.keys())
        if not wanted:
            return sizes
        output = self.run(
            "cat-file",
            "--batch-check=%(objectsize)",
            stdin="".join(f"{blob}\n" for blob in wanted).encode("ascii"),
        )
        try:
            lines = [int(line) for line in output.split(b"\n")[:-1]]
            return sizes | dict(zip(wanted, lines, strict=True))
        except ValueError as error:
            raise RecordError(problem="a blob is missing in the tree store") from error

    def patch(self, before: str, after: str) -> str:
        """Say the difference of two trees as a patch: renames, modes and binaries included."""
        output = self.run(
            "diff-tree", "-r", "-p", "-M", "--binary", "--no-ext-diff", "--no-textconv",
            "--no-color", before, after,
        )  # fmt: skip
        return output.decode("utf-8", "replace")

    def merge(self, base: str, ours: str, theirs: str) -> MergeOutcome:
        """Merge two trees that both come from ``base``; none is changed.

        Raises:
            RecordError: A tree or a blob is missing.
        """
        if ours in (base, theirs):
            return MergeOutcome(theirs)
        if theirs == base:
            return MergeOutcome(ours)
        with _Objects(self) as objects:
            apart = merge_apart(
                base, ours, theirs, read_tree=objects.read_tree, write_tree=objects.write_tree
            )
        if apart is not None:
            return MergeOutcome(apart, is_apart=True)
        root = self._commit(base)
        mine, yours = self._commit(ours, root), self._commit(theirs, root)
        output = self.run(
            "merge-tree", "--write-tree", "-z", "--messages", mine, yours,
            accepted=frozenset({0, 1}),
        )  # fmt: skip
        return parse_merge(output, ours=mine, theirs=yours)

    def settle(self, outcome: MergeOutcome, choices: Mapping[str, Stage | None]) -> str:
        """Make the tree in which each conflict has been settled by a person.

        Args:
            outcome: Of ``merge``.
            choices: For each conflict's path what stands there; ``None`` for nothing.
        """
        names = {name for conflict in outcome.conflicts for name in conflict.names}
        lines = [_index_line("0", _NO_OBJECT, name) for name in sorted(names)]
        lines += [
            _index_line(stage.mode, stage.blob, path)
            for path, stage in choices.items()
            if stage is not None
        ]
        return self._write_tree(outcome.tree, lines)

    def _commit(self, tree: str, parent: str = "") -> str:
        # Written here because it holds no name of anybody's, and saves three processes a merge.
        text = f"tree {tree}\n" + (f"parent {parent}\n" if parent else "")
        text += f"author {_SIGNATURE}\ncommitter {_SIGNATURE}\n\nstate\n"
        return write_loose(self.objects, "commit", text.encode("ascii"))


def _index_line(mode: str, blob: str, path: str) -> bytes:
    return f"{mode} {blob}\t{path}\0".encode("utf-8", "surrogateescape")
