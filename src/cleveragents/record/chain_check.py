"""Every chain of the record: its entries, their objects, its head and the chain of heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from cleveragents.errors import RecordError
from cleveragents.record.chain_head import SPAN, TRUNK, chain_name
from cleveragents.record.cost_check import CostSums
from cleveragents.record.entry import GENESIS, chain_hash, decode_body
from cleveragents.record.head_file import NO_HEAD, HeadFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cleveragents.record.engine import Row
    from cleveragents.record.finding import Findings
    from cleveragents.record.head_file import Head
    from cleveragents.record.object_store import ObjectStore
    from cleveragents.record.store import Store

PAGE: Final = 500
"""Rows held in memory at once."""
_SELECT: Final = (
    "SELECT seq, root_id, position, plan_id, call_id, kind, at, body, prev, hash FROM record"
    " WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?"
)
_ANY: Final = "SELECT 1 FROM record WHERE seq > ? AND seq < ? LIMIT 1"


class _Anchor(NamedTuple):
    number: int
    root_id: str
    position: int
    hash: str


class ChainCheck:
    """Reads the whole record once. The heads are read when it is made.

    INVARIANT: made before the snapshot in which it runs: a plan that is running
    moves the database on, then its head.
    """

    def __init__(
        self, store: Store, heads_dir: Path, objects: ObjectStore, findings: Findings
    ) -> None:
        self._store = store
        self._objects = objects
        self._findings = findings
        self._files = HeadFiles(heads_dir)
        self._heads: dict[str, Head] = {}
        self._anchors: list[_Anchor] = []
        self._bases: dict[str, int] = {}
        self._seen_objects: set[str] = set()
        self.checked = 0
        self.starts: dict[str, dict[str, Any]] = {}
        """Bodies of ``plan_started`` by plan id."""
        self.row_digests: dict[str, str] = {}
        """The digest in the last ``plan_state`` entry of each plan."""
        self.sums = CostSums()
        """What the outcomes say was spent."""
        for root_id in self._files.names():
            findings.attempt(self._keep, root_id)

    def _add(self, problem: str) -> None:
        self._findings.add(problem)

    def _keep(self, root_id: str) -> None:
        head = self._files.read(root_id)
        if head is not None:
            self._heads[root_id] = head

    def run(self) -> None:
        """The chain of heads, then every other chain from its first entry to its head."""
        self._findings.attempt(self._chain, TRUNK, 0)
        names = {anchor.number: anchor.root_id for anchor in self._anchors if not anchor.position}
        if len(set(names.values())) != len(names):
            self._add("the chain of heads saw a plan begin twice")
        found = set(self._numbers())
        for number in sorted(found | names.keys()):
            if number not in names:
                self._add(f"the chain of heads does not know the entries from {number * SPAN}")
            elif number not in found:
                self._add(f"{chain_name(names[number])} was removed: the chain of heads saw it")
            self._findings.attempt(self._chain, names.get(number, ""), number)
        for root_id, head in self._heads.items():
            if head != NO_HEAD and root_id not in {TRUNK, *names.values()}:
                self._add(f"{chain_name(root_id)} was removed: its head says that it had entries")
        self._findings.attempt(self._check_anchors)

    def _check_anchors(self) -> None:
        """What the chain of heads saw of the others is still there."""
        for anchor in self._anchors:
            seq = self._bases.get(anchor.root_id, 0) + anchor.position
            rows = self._store.execute("SELECT hash FROM record WHERE seq = ?", (seq,))
            if anchor.position and (not rows or rows[0][0] != anchor.hash):
                self._add(
                    f"{chain_name(anchor.root_id)} was cut or replaced: the chain of heads saw it"
                    f" at {anchor.position}"
                )

    def _numbers(self) -> Iterator[int]:
        """Give the numbers of all chains that have entries, but the trunk's."""
        number = 0
        while True:
            rows = self._store.execute(
                "SELECT seq FROM record WHERE seq > ? ORDER BY seq LIMIT 1", ((number + 1) * SPAN,)
            )
            if not rows:
                return
            number = rows[0][0] // SPAN
            yield number

    def _chain(self, root_id: str, number: int) -> None:
        base = number * SPAN
        self._bases[root_id] = base
        kept = self._heads.get(root_id, NO_HEAD)
        is_met = kept == NO_HEAD
        position, last = 0, GENESIS
        for row in self._rows(root_id, base):
            position += 1
            if row[0] != base + position:
                gap = f"{position} to {row[0] - base - 1}"
                self._add(f"{chain_name(root_id)}: entries {gap} are missing")
                position = row[0] - base
            elif row[8] != last:
                self._add(
                    f"{chain_name(root_id)}: entry {position} does not follow the one before it"
                )
            if row[1:3] != (root_id, position):
                self._add(f"{chain_name(root_id)}: entry {position} was moved or edited")
            self._entry(row)
            last = row[9]
            if position == kept.position:
                is_met = True
                if last != kept.hash:
                    self._add(
                        f"{chain_name(root_id)}: entry {position} is not the one its head saw"
                    )
        if position and root_id and root_id not in self._heads:
            self._miss_head(root_id)
        if not is_met:
            self._add(
                f"{chain_name(root_id)} was truncated or lost: its head is at {kept.position},"
                f" the database at {position}"
            )

    def _miss_head(self, root_id: str) -> None:
        """Say that a head is lost, unless the chain was begun after the heads were read."""
        try:
            is_lost = self._files.read(root_id) is None
        except RecordError:
            # Told already.
            return
        if is_lost and self._store.dialect == "sqlite":
            self._add(f"{chain_name(root_id)} has lost its head")
        elif is_lost:
            self._findings.notes.append(f"{chain_name(root_id)} has no head on this machine")

    def _rows(self, root_id: str, base: int) -> Iterator[Row]:
        after, size = base, PAGE
        while True:
            try:
                rows = self._store.execute(_SELECT, (after, base + SPAN, size))
            except RecordError as error:
                if size > 1:
                    # One by one, to name the one that cannot be read.
                    size = 1
                    continue
                self._add(
                    f"{chain_name(root_id)}: entry {after - base + 1} cannot be read:"
                    f" {error.message}"
                )
                after += 1
                if not self._store.execute(_ANY, (after, base + SPAN)):
                    return
                continue
            yield from rows
            if len(rows) < size:
                return
            after = rows[-1][0]

    def _entry(self, row: Row) -> None:
        self.checked += 1
        _, *fields, text, prev, digest = row
        where = f"{chain_name(row[1])}: entry {row[2]} ({row[5]})"
        try:
            computed = chain_hash((*fields, prev), text.encode())
            body = decode_body(text)
        except (AttributeError, TypeError, ValueError, msgspec.MsgspecError):
            self._add(f"{where} was edited: it cannot be read")
            return
        if computed != digest:
            self._add(f"{where} was edited: its hash does not fit")
            return
        for problem in self._objects_of(text):
            self._add(f"{where}: {problem}")
        match row[5], body:
            case "head", {"root_id": str() as name, "position": int() as at, "hash": str() as seen}:
                self._anchors.append(_Anchor(row[2], name, at, seen))
            case "plan_started", _:
                self.starts[row[3]] = body
            case "plan_state", _:
                self.row_digests[row[3]] = str(body.get("row"))
            case "outcome", {"charged": list() as charged}:
                self.sums.add(row[3], charged, body.get("cost_microusd"), body.get("model"))
            case _:
                pass

    def _objects_of(self, text: str) -> Iterator[str]:
        waiting: list[object] = [decode_body(text)] if '"$object"' in text else []
        while waiting:
            match waiting.pop():
                case {"$literal": dict() as inner}:
                    waiting.extend(inner.values())
                case {"$object": str() as digest}:
                    if digest in self._seen_objects:
                        continue
                    self._seen_objects.add(digest)
                    try:
                        data = self._objects.get(digest)
                    except RecordError as error:
                        yield error.message
                    else:
                        waiting.append(msgspec.json.decode(data) if b'"$' in data else None)
                case dict() as inner:
                    waiting.extend(inner.values())
                case list() as items:
                    waiting.extend(items)
                case _:
                    pass
