"""The hostile program in short: what it tries by itself, the page, and that nobody here is blind.

Everything else, and everything as two users, is ``nox -s probes``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import bubblewrap, greeting
from tests.probes.__main__ import half_as_ordinary_user, judged
from tests.probes.half import (
    BROKEN,
    GAP,
    HELD,
    NOT_SHOWN,
    SHOWN,
    THROUGH,
    Half,
    Seen,
    attempts,
    judge,
    own_half,
)
from tests.probes.hostile.kit import GROUPS, Held, attempt, declare, first
from tests.probes.table import PAGE, Row, differences, problems, read_page, render
from tests.probes.world import World, hostile, world

if TYPE_CHECKING:
    from collections.abc import Iterator


OWN = {one.name: one for one in attempts() if one.action is not None}
ATTACKS = 54
"""In the list of attacks that a cell must hold."""
LEAST = 60
"""Attempts that are owed."""


# -- the program, through the installed command ------------------------------------------


def test_nothing_that_a_program_tries_by_itself_gets_through() -> None:
    half = own_half()
    assert half.seen.keys() == OWN.keys()
    assert judged(half, "root" if half.is_root else "user") == []
    assert {one.verdict for one in half.seen.values()} <= {HELD, GAP}


@pytest.mark.privileged
@pytest.mark.skipif(os.geteuid() != 0, reason="the other test here runs as somebody without rights")
def test_nor_as_an_ordinary_user() -> None:
    half = half_as_ordinary_user("--own")
    assert not half.is_root
    assert half.seen.keys() == OWN.keys()
    assert judged(half, "user") == []


# -- nobody here is blind ----------------------------------------------------------------


def _weak(line: list[str], place: str) -> list[str]:
    """Take filter and namespaces out of a cell's line, and show it a place of the host.

    The pid namespace stays: without it a guest does not end what it leaves.
    """
    start = line.index("--")
    flags, command = line[:start], line[start:]
    flags[flags.index("--unshare-all")] = "--unshare-pid"
    for name in ("--seccomp", "--hostname"):
        number = flags.index(name)
        del flags[number : number + 2]
    root = flags.index("--proc")
    return [*flags[:root], "--bind", place, place, *flags[root:], *command]


@pytest.fixture
def weak_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    whole = bubblewrap.command_line
    with world() as made:

        def weak(**facts: object) -> list[str]:
            return _weak(whole(**facts), str(made.place))  # type: ignore[arg-type]  # as it was called

        monkeypatch.setattr(bubblewrap, "command_line", weak)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def _ran_weakly(made: World) -> tuple[int, dict[str, dict[str, str]]]:
    import json

    from cleveragents.assembly import plan_command
    from cleveragents.config.plan_file import parse_plan
    from cleveragents.terms.interaction import Nobody

    directory = made.directory("weak")
    step = {
        "id": "guest",
        "subplan": {
            "name": "guest",
            "actor": hostile("inside", "scene.json", "new/report.json", *sorted(SEEN_THROUGH)),
            "delegate": {"read": ["."], "write": ["new/"]},
        },
    }
    answer = plan_command.run_loaded(
        parse_plan({"name": "weak", "steps": [step]}, name="plan", base=made.place),
        plan_command.RunRequest(workspace=directory, apply=True),
        Nobody(),
    )
    report = directory / "new/report.json"
    return answer.exit_code, json.loads(report.read_text()) if report.exists() else {}


SEEN_THROUGH = {
    "home_listed",
    "loopback_tcp",
    "loopback_udp",
    "netlink_socket",
    "io_uring",
    "keyring",
    "shared_memory",
    "undelegated_read",
}
"""Attempts that a wall without namespaces, filter and narrow mounts lets through."""


def test_a_weakened_wall_is_not_used(weak_world: World) -> None:
    from cleveragents.errors import IsolationUnavailableError

    with pytest.raises(IsolationUnavailableError, match="seccomp"):
        _ran_weakly(weak_world)


def test_what_gets_through_a_weakened_wall_is_seen(
    weak_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greeting, "judge", lambda _: "")
    exit_code, report = _ran_weakly(weak_world)
    assert exit_code == 0, weak_world.agents("audit", "list", "--kind", "plan_ended").out
    seen = {name: judge(OWN[name], one, {"got": "x"}) for name, one in report.items()}
    through = {name for name, one in seen.items() if one.verdict == THROUGH}
    assert through >= SEEN_THROUGH
    assert len(problems(((OWN[name], one) for name, one in seen.items()), "root")) == len(through)


# -- the page ------------------------------------------------------------------------------


def test_the_page_lists_exactly_the_attempts_of_the_code_and_none_gets_through() -> None:
    rows = read_page(PAGE.read_text())
    assert [row.title for row in rows] == [one.title for one in attempts()]
    assert len(rows) >= LEAST
    assert {verdict for row in rows for verdict in row.verdicts} <= {HELD, GAP}
    gaps = {one.title for one in attempts() if one.gap}
    assert {row.title for row in rows if GAP in row.verdicts} <= gaps


def test_the_page_names_no_place_of_a_machine() -> None:
    text = PAGE.read_text()
    assert not [
        word
        for word in ("/root/", "/home/", "/var/tmp", "/opt/", "/work", "pyenv")
        if word in text.replace("/workspace", "")
    ]


def test_every_attack_of_the_list_is_tried() -> None:
    assert {number for one in attempts() for number in one.covers} == set(range(1, ATTACKS + 1))
    assert {one.group for one in attempts()} == GROUPS.keys()


def _half(**changed: Seen) -> Half:
    seen = {one.name: Seen(HELD, "how", SHOWN, "how") for one in attempts()}
    return Half(is_root=True, seen={**seen, **changed}, features=("a kernel",))


def test_what_is_written_is_read_back() -> None:
    gap = next(one for one in attempts() if one.gap)
    through = Seen(THROUGH, "a | b", NOT_SHOWN, "")
    page = render(_half(own_environment=through), _half(**{gap.name: Seen(GAP, "much", SHOWN, "")}))
    rows = {row.title: row for row in read_page(page)}
    assert len(rows) == len(attempts())
    first_row = rows["find a secret in its own environment"]
    assert first_row.verdicts == (THROUGH, HELD)
    assert first_row.control == "shown as user only"
    assert rows[gap.title].verdicts == (HELD, GAP)
    assert gap.gap in page
    assert "1 GOT THROUGH" in page


def test_an_attempt_that_gets_through_or_proves_nothing_is_a_problem() -> None:
    one = OWN["own_environment"]
    privileged = OWN["mounted"]
    fine = Seen(HELD, "", SHOWN, "")
    assert problems([(one, fine), (privileged, replace(fine, control=NOT_SHOWN))], "user") == []
    assert len(problems([(privileged, replace(fine, control=NOT_SHOWN))], "root")) == 1
    for bad in (
        replace(fine, verdict=THROUGH),
        replace(fine, verdict=BROKEN),
        replace(fine, control=NOT_SHOWN),
        replace(fine, control=BROKEN),
    ):
        assert len(problems([(one, bad)], "user")) == 1


def test_every_end_of_an_attempt_has_its_verdict() -> None:
    plain, gap = OWN["own_environment"], OWN["memory_of_many"]
    assert judge(plain, {"held": "x"}, {"got": "y"}) == Seen(HELD, "x", SHOWN, "y")
    assert judge(plain, {"got": "x"}, {"held": "y"}) == Seen(THROUGH, "x", NOT_SHOWN, "y")
    assert judge(gap, {"got": "x"}, {"got": "y"}).verdict == GAP
    assert judge(plain, {"broken": "x"}, {"broken": "y"}) == Seen(BROKEN, "x", BROKEN, "y")


def test_a_page_that_differs_says_where() -> None:
    one = Row("a", SHOWN, (HELD, HELD))
    assert differences([one], [one]) == []
    assert differences([one], [replace(one, verdicts=(HELD, GAP))]) == []
    assert len(differences([one], [])) == 1
    assert len(differences([], [one])) == 1
    assert len(differences([one], [replace(one, control=NOT_SHOWN)])) == 1
    assert len(differences([one], [replace(one, verdicts=(THROUGH, HELD))])) == 1


def test_an_attempt_is_entered_once_and_says_why_it_is_not_shown() -> None:
    with pytest.raises(ValueError, match="own_environment"):
        attempt("process", "again", layer="x")(OWN["own_environment"].action)  # type: ignore[arg-type]  # registered again on purpose
    with pytest.raises(ValueError, match="other"):
        declare("other", "process", "x", layer="x", shown_by="nobody")
    with pytest.raises(ValueError, match="other"):
        declare("other", "no such group", "x", layer="x")


def test_the_first_try_that_gets_something_counts() -> None:
    def refused() -> str:
        raise PermissionError

    def nothing() -> str:
        raise Held("nothing")

    assert first([refused, nothing, lambda: "loot"]) == "loot"
    with pytest.raises(Held, match="nothing"):
        first([refused, nothing])
    with pytest.raises(Held, match="nothing to try"):
        first([])
