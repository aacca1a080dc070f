"""The journal: entries appended to one chain per root plan, and read back.

Each entry's hash covers the one before it. A second kind of chain, the trunk,
holds where the chains of the root plans stood when they began and ended, so
that a whole plan cannot be taken out unseen. The last hash of every chain is
kept outside the database, see ``head_file``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from cleveragents.errors import RecordError
from cleveragents.record.body import BodyCodec
from cleveragents.record.chain_head import (
    NOT_BEGUN,
    SPAN,
    TRUNK,
    ChainHeads,
    Standing,
    chain_base,
)
from cleveragents.record.entry import GENESIS, Entry, StoredEntry, chain_hash, decode_body
from cleveragents.record.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cleveragents.record.engine import Row
    from cleveragents.record.entry import Kind
    from cleveragents.record.owner import Ownership
    from cleveragents.record.store import Store

ATTEMPTS: Final = 1000
"""Writers of one chain that may be faster before something must be wrong."""
_ANCHORED: Final = frozenset({"plan_ended", "apply_finished"})
"""Of a root plan: where its chain stands then is kept in the trunk."""

_COLUMNS: Final = "seq, root_id, position, plan_id, call_id, kind, at, body, prev, hash"
_ONCE: Final = " ON CONFLICT (seq) DO NOTHING"
_MARKS: Final = ", ".join("?" * 10)
_INSERT: Final = f"INSERT INTO record ({_COLUMNS}) VALUES ({_MARKS}){_ONCE}"  # noqa: S608  # constants
_INSERT_AS_OWNER: Final = (
    f"INSERT INTO record ({_COLUMNS}) SELECT {_MARKS}"  # noqa: S608  # constants
    f" WHERE EXISTS (SELECT 1 FROM owner WHERE root_id = ? AND epoch = ?){_ONCE}"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM record"  # noqa: S608  # constants


class RecordLog:
    """The record of one store. Shared by all threads of a process.

    Args:
        store: The database.
        heads_dir: Directory of the head files, outside the database.
        now: The wall clock, RFC 3339 in UTC.
        objects: Where large values go; by default beside the heads.
    """

    def __init__(
        self,
        store: Store,
        *,
        heads_dir: Path,
        now: Callable[[], str],
        objects: ObjectStore | None = None,
    ) -> None:
        self._store = store
        self._lock = store.lock
        self._now = now
        self._chains = ChainHeads(store, heads_dir)
        self._codec = BodyCodec(objects or ObjectStore(heads_dir.parent / "objects"))
        self._epochs: dict[str, int] = {}

    def own(self, ownership: Ownership) -> None:
        """From now on append to the root plan's chain as its owner only."""
        with self._store.lock:
            self._epochs[ownership.root_id] = ownership.epoch

    def disown(self, root_id: str) -> None:
        """Forget the ownership, and what is cached of the chain."""
        with self._store.lock:
            self._epochs.pop(root_id, None)
            self._chains.forget(root_id)

    def owns(self, root_id: str) -> bool:
        """Say whether this log appends as the root plan's owner."""
        return root_id in self._epochs

    def append(self, entry: Entry, *, durable: bool = False) -> StoredEntry:
        """Write one entry at the end of its root plan's chain.

        Inside ``store.transaction()`` it is part of that; otherwise it is
        committed on return. The head file is written after the commit.

        Args:
            entry: What is to be recorded, redacted.
            durable: Survive a power cut: for what is about to reach beyond the
                workspace.

        Raises:
            RecordError: It cannot be written; the plan was taken over by
                another process; or the chain is not what its head says.
        """
        body, data = self._codec.encode(entry.body, durable=durable)
        store = self._store
        with self._lock:
            has_begun = self._chains.current(entry.root_id).base != NOT_BEGUN
            is_anchored = entry.kind in _ANCHORED and entry.plan_id == entry.root_id
            if has_begun and not durable and not is_anchored:
                return self._write(entry, body, data)
            with store.transaction():
                if not has_begun:
                    self._begin(entry.root_id)
                stored = self._write(entry, body, data)
                if is_anchored:
                    self._anchor(stored.root_id, stored.position, stored.hash)
                # INVARIANT: the trunk is never behind its head file after a power
                # cut, or no plan could be started any more.
                store.durable()
            return stored

    def call_entries(self, plan_id: str, call_id: str) -> tuple[StoredEntry, ...]:
        """Give everything recorded of one call, oldest first."""
        rows = self._store.execute(
            f"{_SELECT} WHERE plan_id = ? AND call_id = ? ORDER BY position", (plan_id, call_id)
        )
        return tuple(map(_stored, rows))

    def call_ids(self, plan_id: str) -> set[str]:
        """Give the identity of every call of a plan that has an entry."""
        rows = self._store.execute(
            "SELECT DISTINCT call_id FROM record WHERE plan_id = ? AND call_id <> ''", (plan_id,)
        )
        return {str(row[0]) for row in rows}

    def entries(
        self,
        *,
        plan_id: str | None = None,
        kind: Kind | None = None,
        root_id: str | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> tuple[StoredEntry, ...]:
        """Give entries, root plan by root plan, each in the order of writing.

        Args:
            plan_id: Of this plan only.
            kind: Of this kind only.
            root_id: Of this root plan and its subplans only.
            limit: At most so many.
            after: Those with a greater ``seq`` only.
        """
        given: dict[str, object] = {"plan_id = ?": plan_id, "kind = ?": kind, "seq > ?": after}
        if root_id is not None:
            base = chain_base(self._store, root_id)
            given |= {"seq >= ?": base, "seq < ?": base + SPAN if base >= 0 else base}
        terms = {term: value for term, value in given.items() if value is not None}
        sql = _SELECT + (" WHERE " + " AND ".join(terms) if terms else "")
        # By position within one plan: by seq the table would be read for the order.
        sql += " ORDER BY seq" if plan_id is None else " ORDER BY position"
        params: list[object] = list(terms.values())
        if limit is not None:
            sql += " LIMIT ?"
            params.append(limit)
        return tuple(map(_stored, self._store.execute(sql, params)))

    def last(self, plan_id: str, kind: Kind) -> StoredEntry | None:
        """Give the newest entry of a kind of one plan; ``None`` when there is none."""
        rows = self._store.execute(
            f"{_SELECT} WHERE plan_id = ? AND kind = ? ORDER BY position DESC LIMIT 1",
            (plan_id, kind),
        )
        return _stored(rows[0]) if rows else None

    def resolve(self, body: Mapping[str, object]) -> dict[str, object]:
        """Bring the large values of a stored body back.

        Raises:
            RecordError: One of them is missing or was changed.
        """
        return self._codec.resolve(body)

    def close(self) -> None:
        """Close the head files."""
        with self._store.lock:
            self._chains.close()

    # -- writing ----------------------------------------------------------

    def _write(self, entry: Entry, body: Mapping[str, object], data: bytes) -> StoredEntry:
        kind, root_id, plan_id, call_id = entry.kind, entry.root_id, entry.plan_id, entry.call_id
        at, text = self._now(), data.decode()
        epoch = self._epochs.get(root_id)
        for _ in range(ATTEMPTS):
            base, position, prev = self._chains.current(root_id)
            position += 1
            seq = base + position
            fields = (root_id, position, plan_id, call_id, kind, at, prev)
            try:
                digest = chain_hash(fields, data)
            except UnicodeError as error:
                raise RecordError(
                    problem=f"the call {call_id!a} cannot be recorded: it is no Unicode text"
                ) from error
            row = (seq, root_id, position, plan_id, call_id, kind, at, text, prev, digest)
            if epoch is None:
                count = self._store.change(_INSERT, row)
            else:
                count = self._store.change(_INSERT_AS_OWNER, (*row, root_id, epoch))
            if count == 1:
                self._chains.move(root_id, Standing(base, position, digest))
                return StoredEntry(
                    seq, root_id, position, plan_id, call_id, kind, at, body, prev, digest
                )
            self._check_epoch(root_id, epoch)
            self._chains.catch_up(root_id)
        raise RecordError(problem=f"the record of plan {root_id} is written to from everywhere")

    def _begin(self, root_id: str) -> None:
        """Give a root plan its number: the place in the trunk where it began."""
        self._store.serialize(TRUNK)
        self._chains.catch_up(root_id)
        if self._chains.current(root_id).base != NOT_BEGUN:
            return
        begun = self._anchor(root_id, 0, GENESIS)
        self._chains.move(root_id, Standing(begun.position * SPAN, 0, GENESIS))

    def _anchor(self, root_id: str, position: int, digest: str) -> StoredEntry:
        body: dict[str, object] = {"root_id": root_id, "position": position, "hash": digest}
        entry = Entry(kind="head", root_id=TRUNK, plan_id="", call_id=root_id, body=body)
        return self._write(entry, *self._codec.encode(body))

    def _check_epoch(self, root_id: str, epoch: int | None) -> None:
        if epoch is None:
            return
        rows = self._store.execute("SELECT epoch FROM owner WHERE root_id = ?", (root_id,))
        if not rows or rows[0][0] != epoch:
            raise RecordError(
                problem=f"plan {root_id} was taken over by another process (superseded)",
                hint="'agents plan status' shows how it goes on there",
            )


def _stored(row: Row) -> StoredEntry:
    try:
        seq, root_id, position, plan_id, call_id, kind, at, text, prev, digest = row
        body = decode_body(text)
    except (msgspec.DecodeError, TypeError) as error:
        raise RecordError(
            problem=f"record {row[0]} of plan {row[3]} cannot be read: its body is no JSON object",
            hint="'agents audit verify' says more",
        ) from error
    return StoredEntry(seq, root_id, position, plan_id, call_id, kind, at, body, prev, digest)
