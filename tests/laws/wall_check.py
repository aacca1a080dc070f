"""The layers of the wall, and the rules for what comes back through it."""

from __future__ import annotations

from typing import Final

from tests.laws.mutation import Mutation

_CELL: Final = ("tests/boundary/test_cell_attack.py", "tests/boundary/test_cell_mount.py")
_WORDS: Final = ("tests/boundary/test_cell_line.py",)
_HELLO: Final = ("tests/boundary/test_cell_confine.py",)
_NAMES: Final = ("tests/boundary/test_collect_rules.py",)
_LINE: Final = "boundary/bubblewrap.py"
_LAW: Final = "6 kept twice"
_BACK: Final = "3 one way back"


def _without(
    option: str,
    name: str,
    *,
    statement: str,
    part: str = "",
    tests: tuple[str, ...] = _CELL,
) -> Mutation:
    return Mutation(
        law=_LAW,
        name=name,
        module=_LINE,
        function="command_line",
        statement=statement,
        part=part or f"'{option}', ",
        replacement="",
        tests=tests,
    )


CHECKS: Final = (
    # Three options whose doors another layer holds too (the filter, the launcher's empty
    # environment, the uid), so that only the line itself tells of their loss.
    _without(
        "--disable-userns",
        "no further user namespace",
        statement="line = [",
        part="'--disable-userns', ",
        tests=_WORDS,
    ),
    _without("--clearenv", "an environment built from nothing", statement="line = [", tests=_WORDS),
    _without(
        "--cap-drop",
        "no capability",
        statement="line = [",
        part="'--cap-drop', 'ALL', ",
        tests=_WORDS,
    ),
    _without(
        "--ro-bind",
        "/proc/sys read-only",
        statement="line += ['--proc'",
        part="'--ro-bind', '/proc/sys', '/proc/sys', ",
    ),
    Mutation(
        law=_LAW,
        name="no network",
        module=_LINE,
        function="command_line",
        statement="line = [",
        part="'--unshare-all'",
        replacement="'--unshare-pid', '--unshare-ipc', '--unshare-uts'",
        tests=_CELL,
    ),
    Mutation(
        law=_LAW,
        name="a system call filter",
        module=_LINE,
        function="command_line",
        statement="line += ['--seccomp'",
        replacement="line += ['--info-fd', str(descriptors.status)]",
        tests=_CELL,
    ),
    Mutation(
        law=_LAW,
        name="Landlock inside",
        module="guest/confine.py",
        function="enter",
        statement="version = landlock.apply",
        replacement="version = 0",
        tests=_HELLO,
    ),
    Mutation(
        law=_LAW,
        name="paths that are not granted for writing are mounted read-only",
        module="boundary/mount_plan.py",
        function="_Planner._grant_read",
        statement="if found.kind == wanted",
        replacement="self.items[path] = _Item(path, is_writable=True)",
        tests=_CELL,
    ),
    Mutation(
        law="7 fail closed",
        name="a cell whose self-test fails is not believed",
        module="boundary/greeting.py",
        function="greet",
        statement="if problem",
        tests=("tests/boundary/test_cell_trust.py",),
    ),
    Mutation(
        law=_BACK,
        name="nothing comes back into git's own directory",
        module="boundary/returned_name.py",
        function="_against_component",
        statement="if is_git_name",
        tests=_NAMES,
    ),
    Mutation(
        law=_BACK,
        name="nothing comes back from outside the workspace",
        module="boundary/returned_name.py",
        function="_against_component",
        statement="if part in",
        tests=_NAMES,
    ),
    Mutation(
        law=_BACK,
        name="apply writes over nothing that changed meanwhile",
        module="boundary/apply.py",
        function="DirectoryApply.apply",
        statement="if check.conflicts",
        tests=("tests/boundary/test_apply_write.py",),
    ),
)
