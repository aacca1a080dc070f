"""Where each chain stands now: in memory, in this transaction, in the database, in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cleveragents.errors import RecordError
from cleveragents.record.head_file import NO_HEAD, Head, HeadFiles

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.record.store import Store

TRUNK: Final = "heads"
"""Root id of the chain of heads; no plan id has this form."""
SPAN: Final = 1_000_000_000
"""Entries that one chain may have. An entry's ``seq`` is the number of its chain
times this, plus its position: the table's own key holds the chains apart, and
no second index has to be kept for it. The trunk is chain 0; a root plan's
number is the position in the trunk at which it began."""
NOT_BEGUN: Final = -1

_SELECT_BASE: Final = (
    "SELECT position FROM record WHERE plan_id = '' AND call_id = ? AND kind = 'head'"
    " ORDER BY position LIMIT 1"
)
_SELECT_HEAD: Final = (
    "SELECT position, hash FROM record WHERE seq > ? AND seq < ? ORDER BY seq DESC LIMIT 1"
)


class Standing(NamedTuple):
    """Where one chain stands."""

    base: int
    """``seq`` of its position 0; ``NOT_BEGUN`` before its first entry."""
    position: int
    hash: str


def chain_base(store: Store, root_id: str) -> int:
    """Give the ``seq`` before a chain's first entry; ``NOT_BEGUN`` when it has none."""
    if root_id == TRUNK:
        return 0
    rows = store.execute(_SELECT_BASE, (root_id,))
    return int(rows[0][0]) * SPAN if rows else NOT_BEGUN


class ChainHeads:
    """The heads that one log appends after. The store's lock is held by every caller."""

    def __init__(self, store: Store, heads_dir: Path) -> None:
        self._store = store
        self._files = HeadFiles(heads_dir)
        self._known: dict[str, Standing] = {}
        self._pending: dict[str, Standing] = {}

    def current(self, root_id: str) -> Standing:
        """Give where a chain stands, as this transaction sees it.

        Raises:
            RecordError: The database is behind the head file, or that is lost.
        """
        return self._pending.get(root_id) or self._known.get(root_id) or self._load(root_id)

    def _load(self, root_id: str) -> Standing:
        """Read a chain's head for the first time and hold it against its file."""
        # The file first: a writer elsewhere moves the database on, then the file.
        kept = self._files.read(root_id)
        standing = self._read(root_id)
        if kept is None:
            if standing.position and self._store.dialect == "sqlite":
                raise RecordError(
                    problem=f"{chain_name(root_id)} has lost its head: nothing can say whether"
                    " entries are missing",
                    hint=self._way_out(root_id),
                )
            # With PostgreSQL the plan may come from another machine.
            self._files.create(root_id)
        elif not self._holds(standing, kept):
            raise RecordError(
                problem=f"{chain_name(root_id)} was truncated or lost: its head is at"
                f" {kept.position}, the database at {standing.position}",
                hint=self._way_out(root_id),
            )
        self._known[root_id] = standing
        return standing

    def _way_out(self, root_id: str) -> str:
        if root_id == TRUNK:
            return f"move {self._store.place} and its heads away to begin a new record"
        return "'agents audit verify' says more; start a new plan"

    def _holds(self, standing: Standing, kept: Head) -> bool:
        if kept == NO_HEAD:
            return True
        rows = self._store.execute(
            "SELECT hash FROM record WHERE seq = ?", (standing.base + kept.position,)
        )
        return standing.base != NOT_BEGUN and bool(rows) and rows[0][0] == kept.hash

    def _read(self, root_id: str) -> Standing:
        base = chain_base(self._store, root_id)
        rows = self._store.execute(_SELECT_HEAD, (base, base + SPAN)) if base >= 0 else []
        return Standing(base, *(rows[0] if rows else NO_HEAD))

    def catch_up(self, root_id: str) -> None:
        """Take over where another writer has brought the chain."""
        standing = self._read(root_id)
        if self._store.in_transaction:
            # Only for this transaction: when it fails, the cache reads anew.
            self._known.pop(root_id, None)
            self.move(root_id, standing)
        else:
            self._known[root_id] = standing

    def move(self, root_id: str, standing: Standing) -> None:
        """Say that an entry was inserted; the file follows after the commit."""
        if not self._store.in_transaction:
            self._known[root_id] = standing
            self._files.write(root_id, standing.position, standing.hash)
            return
        if not self._pending:
            self._store.at_end(self._settle)
        self._pending[root_id] = standing

    def _settle(self, is_committed: bool) -> None:
        pending, self._pending = self._pending, {}
        if not is_committed:
            return
        self._known.update(pending)
        for root_id, standing in pending.items():
            self._files.write(root_id, standing.position, standing.hash)

    def forget(self, root_id: str) -> None:
        """Drop what is known of a chain; it is read anew when it is needed."""
        self._known.pop(root_id, None)
        self._files.forget(root_id)

    def close(self) -> None:
        """Close the files and forget everything."""
        self._files.close()
        self._known.clear()


def chain_name(root_id: str) -> str:
    """Name a chain as a person would."""
    return "the chain of heads" if root_id == TRUNK else f"the record of plan {root_id}"
