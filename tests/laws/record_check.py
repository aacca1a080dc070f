"""The checks of the record: what was written stays, and says so when it does not."""

from __future__ import annotations

from typing import Final

from tests.laws.mutation import Mutation

_TESTS: Final = ("tests/record/test_verify.py",)
_CHAIN: Final = "record/chain_check.py"

CHECKS: Final = (
    Mutation(
        law="4 written before done",
        name="verify finds an edited entry",
        module=_CHAIN,
        function="ChainCheck._entry",
        statement="if computed != digest",
        tests=_TESTS,
    ),
    Mutation(
        law="4 written before done",
        name="verify finds an entry taken out or put elsewhere",
        module=_CHAIN,
        function="ChainCheck._chain",
        statement="if row[0] != base + position",
        tests=_TESTS,
    ),
    Mutation(
        law="4 written before done",
        name="verify finds a cut tail",
        module=_CHAIN,
        function="ChainCheck._chain",
        statement="if not is_met",
        tests=_TESTS,
    ),
    Mutation(
        law="4 written before done",
        name="verify finds a plan that was taken out whole",
        module=_CHAIN,
        function="ChainCheck.run",
        statement="for number in sorted",
        tests=_TESTS,
    ),
    Mutation(
        law="4 written before done",
        name="verify finds an edited plan row",
        module="record/verify.py",
        function="verify",
        statement="rows = check_plan",
        replacement="rows = iter(())",
        tests=_TESTS,
    ),
    Mutation(
        law="4 written before done",
        name="a large value is held against its digest",
        module="record/object_store.py",
        function="ObjectStore.get",
        statement="if digest_bytes(data) != digest",
        tests=("tests/record",),
    ),
    Mutation(
        law="4 written before done",
        name="an owner that was superseded cannot write",
        module="record/log.py",
        function="RecordLog._write",
        statement="if epoch is None",
        part="count = self._store.change(_INSERT_AS_OWNER, (*row, root_id, epoch))",
        replacement="count = self._store.change(_INSERT, row)",
        tests=("tests/record/test_owner.py", "tests/record/test_log.py"),
    ),
    Mutation(
        law="4 written before done",
        name="a chain that is behind its head is not written on",
        module="record/chain_head.py",
        function="ChainHeads._load",
        statement="if kept is None",
        part="not self._holds(standing, kept)",
        replacement="False",
        tests=("tests/record/test_log.py",),
    ),
    Mutation(
        law="7 fail closed",
        name="only a stored yes admits",
        module="record/approval.py",
        function="_verdict",
        statement="return Verdict",
        part="body.get('allow') is True",
        replacement="True",
        tests=("tests/record/test_approval.py",),
    ),
)
