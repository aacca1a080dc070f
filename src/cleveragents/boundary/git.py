"""How is git asked, so that nothing in a tree, a home or a machine can answer for it?

The only caller of git. It works in one private bare repository, never in
anybody's directory: no work tree, no attributes, no hooks, no configuration
but its own (isolation, rules 10 to 12). What it is given are contents, names
that the index checks a second time, and trees.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.blob_writer import BlobWriter
from cleveragents.boundary.git_question import IndexRefusedError, ObjectReader, TreeQuestions
from cleveragents.boundary.loose_object import read_loose
from cleveragents.errors import ConfigurationError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import IO

_LAST: Final = "HEAD"
"""What of a repository is there last: without it there is none."""
_OLDEST: Final = (2, 38)
"""The first with ``merge-tree --write-tree``."""
_PATIENCE_S: Final = 900.0
_PIECE_BYTES: Final = 1 << 20
_HARDENING: Final = tuple(
    word
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.attributesFile=/dev/null",
        "core.protectHFS=true",
        "core.protectNTFS=true",
        "core.useReplaceRefs=false",
        "protocol.allow=never",
        "gc.auto=0",
        "merge.renames=true",
        # INVARIANT: a child's file stays where the child may write. Following a renamed
        # directory would carry it elsewhere.
        "merge.directoryRenames=false",
    )
    for word in ("-c", setting)
)


class BlobStream:
    """One blob on its way out of git."""

    def __init__(self, source: IO[bytes], blob: str, size: int) -> None:
        self.blob = blob
        self.size = size
        self._source = source
        self._left = size

    def pieces(self) -> Iterator[bytes]:
        """Read it, once."""
        while self._left:
            piece = self._source.read(min(self._left, _PIECE_BYTES))
            if not piece:
                raise RecordError(problem=f"git ended in the middle of blob {self.blob}")
            self._left -= len(piece)
            yield piece


class Git(TreeQuestions):
    """One private bare repository. Thread-safe: each question is a process of its own."""

    def __init__(self, git_dir: Path, *, program: str = "git") -> None:
        self._git_dir = git_dir
        self._program = program
        self._empty = git_dir / "empty"
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._empty),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_DIR": str(git_dir),
        }

    @classmethod
    def open(cls, git_dir: Path, *, program: str = "git") -> Git:
        """Open the repository, making it when it is not there.

        Raises:
            ConfigurationError: Git is not installed, or too old.
            RecordError: The repository cannot be made.
        """
        git = cls(git_dir.absolute(), program=program)
        git.check_version()
        try:
            git._found()
        except OSError as error:
            raise RecordError(problem=f"cannot make {git_dir}: {error.strerror}") from error
        return git

    def _found(self) -> None:
        """Make the repository where there is none; of several at once, one does."""
        head = self._git_dir / _LAST
        if not head.exists():
            self._git_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._git_dir.with_name(f"{self._git_dir.name}.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not head.exists():
                    self._make()
        self._empty.mkdir(exist_ok=True, mode=0o700)

    def _make(self) -> None:
        draft = self._git_dir / "draft"
        # Of somebody who was cut off.
        shutil.rmtree(draft, ignore_errors=True)
        maker = Git(draft, program=self._program)
        maker._empty.mkdir(parents=True, mode=0o700)
        maker.run("init", "-q", "--bare", "--template=", "--object-format=sha1")
        # INVARIANT: who sees the last part sees all of them; nobody waits for the lock then.
        for part in sorted(draft.iterdir(), key=lambda part: part.name == _LAST):
            place = self._git_dir / part.name
            if not place.exists():
                part.rename(place)
        shutil.rmtree(draft)

    @property
    def git_dir(self) -> Path:
        """The private bare repository."""
        return self._git_dir

    def check_version(self) -> None:
        """Refuse a git that cannot merge without a work tree.

        Raises:
            ConfigurationError: It is not installed, or too old.
        """
        try:
            answer = subprocess.run(
                [self._program, "version"],
                capture_output=True,
                check=False,
                env=self._environment,
                timeout=_PATIENCE_S,
            ).stdout.decode("ascii", "replace")
        except OSError as error:
            raise ConfigurationError(
                problem="git is not installed", hint="install git 2.38 or newer"
            ) from error
        found = re.search(r"(\d+)\.(\d+)", answer)
        if found is None or (int(found[1]), int(found[2])) < _OLDEST:
            raise ConfigurationError(
                problem=f"{answer.strip() or 'this git'} is too old",
                hint="install git 2.38 or newer",
            )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [self._program, *_HARDENING, *arguments]

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        index: str = "",
        accepted: frozenset[int] = frozenset({0}),
    ) -> bytes:
        """Run one hardened git command and give its output.

        Raises:
            IndexRefusedError: The index does not take a name.
            RecordError: It failed otherwise.
        """
        environment = self._environment | {"GIT_INDEX_FILE": index} if index else self._environment
        cwd = self._empty if self._empty.exists() else self._git_dir.parent
        try:
            done = subprocess.run(
                self._command(arguments),
                input=stdin,
                capture_output=True,
                check=False,
                env=environment,
                cwd=cwd,
                timeout=_PATIENCE_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RecordError(problem=f"git {arguments[0]} did not run: {error}") from error
        said = done.stderr.decode("utf-8", "replace").strip()
        if index and ("Ignoring path" in said or "nvalid path" in said):
            # INVARIANT: git reports a name that it does not take and ends with 0 all the same.
            raise IndexRefusedError(said.splitlines()[0])
        if done.returncode in accepted:
            return done.stdout
        first = said.splitlines()[0] if said else f"status {done.returncode}"
        raise RecordError(problem=f"git {arguments[0]} failed: {first}")

    def blob_writer(self) -> BlobWriter:
        """Begin to write blobs; they can be read when the writer's context has ended."""
        return BlobWriter(self.objects)

    def write_blobs(self, contents: Iterable[bytes]) -> tuple[str, ...]:
        """Store contents and give their ids, in order."""
        with self.blob_writer() as writer:
            return tuple(writer.add(data) for data in contents)

    def read_blob(self, blob: str) -> bytes:
        """Give one blob's bytes.

        Raises:
            RecordError: It is not there, or damaged.
        """
        return self.run("cat-file", "blob", blob)

    def read_blobs(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Give many blobs' bytes by id, in one process."""
        return {stream.blob: b"".join(stream.pieces()) for stream in self.stream_blobs(blobs)}

    def stream_blobs(self, blobs: Iterable[str]) -> Iterator[BlobStream]:
        """Give many blobs one after the other, each read before the next is asked for.

        Raises:
            RecordError: One is not there, or damaged.
        """
        wanted = []
        for blob in dict.fromkeys(blobs):
            data = read_loose(self.objects, blob, "blob")
            if data is None:
                wanted.append(blob)
            else:
                yield BlobStream(io.BytesIO(data), blob, len(data))
        if wanted:
            yield from self._stream_packed(wanted)

    def _stream_packed(self, wanted: Sequence[str]) -> Iterator[BlobStream]:
        with tempfile.TemporaryFile() as question:
            # A file and not a pipe: with two pipes either side can wait for the other for ever.
            question.write("".join(f"{blob}\n" for blob in wanted).encode("ascii"))
            question.seek(0)
            with subprocess.Popen(
                self._command(("cat-file", "--batch", "--buffer")),
                stdin=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                cwd=self._empty,
            ) as process:
                try:
                    yield from self._answers(process, wanted)
                finally:
                    process.kill()

    @contextlib.contextmanager
    def object_reader(self) -> Iterator[ObjectReader]:
        """Hold one process that answers about one object after the other."""
        with subprocess.Popen(
            self._command(("cat-file", "--batch-command")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            cwd=self._empty,
        ) as process:
            try:
                if (
                    process.stdin is None or process.stdout is None
                ):  # pragma: no cover  # both asked for
                    raise RecordError(problem="git gave no pipes")
                yield ObjectReader(process.stdin, process.stdout)
            finally:
                process.kill()

    @staticmethod
    def _answers(process: subprocess.Popen[bytes], wanted: Sequence[str]) -> Iterator[BlobStream]:
        source = process.stdout
        if source is None:  # pragma: no cover  # asked for as a pipe
            raise RecordError(problem="git gave no output")
        for blob in wanted:
            facts = source.readline().split()
            if len(facts) != 3 or facts[1] != b"blob":  # noqa: PLR2004  # id, type, size
                raise RecordError(problem=f"blob {blob} is missing or damaged in the tree store")
            stream = BlobStream(source, blob, int(facts[2]))
            yield stream
            for _ in stream.pieces():
                pass
            source.read(1)


__all__ = ["BlobStream", "Git", "IndexRefusedError"]
