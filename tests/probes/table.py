"""The page that lists every attempt: written from two halves, read back to be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.probes.half import BROKEN, GAP, HELD, NOT_SHOWN, SHOWN, THROUGH, attempts
from tests.probes.hostile.kit import GROUPS
from tests.probes.world import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.probes.half import Half, Seen
    from tests.probes.hostile.kit import Attempt

PAGE: Final = CHECKOUT / "docs/security/probes.md"
_VERDICTS: Final = (HELD, GAP, THROUGH, BROKEN)
_HEAD: Final = """\
# Probes: a hostile program, and what became of each attempt

Written by `nox -s probes`; do not edit. A program that wants to get out (`tests/probes/hostile`) is the actor of `program`
subplans, started by the installed `agents plan run`, once with root as the user of the command and once with an ordinary
user. Each attempt is also made without the wall, by the same user: that is its control. The session fails when an attempt gets
through, when a control is lost, or when this page says something else than what was seen.

- **held**: the attempt got nothing; what it met stands beside it (`ENOENT`: it is not there; `EROFS`, `EACCES`, `EPERM`: refused).
- **known gap**: it gets through, and why that is let be is said below. Nothing else that gets through passes.
- **control**: *shown* where the same attempt succeeds without the wall; otherwise why that cannot be shown.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt on the page."""

    title: str
    control: str
    verdicts: tuple[str, str]
    """As root, as an ordinary user."""


def problems(seen: Iterable[tuple[Attempt, Seen]], user: str) -> list[str]:
    """Say what of one half fails the session."""
    found = []
    for attempt, one in seen:
        if one.verdict in (THROUGH, BROKEN):
            found.append(f"{user}: {attempt.name}: {one.verdict}: {one.how}")
        if one.control == BROKEN:
            found.append(f"{user}: {attempt.name}: the control is broken: {one.control_how}")
        is_owed = attempt.shown_by == "anyone" or (attempt.shown_by == "root" and user == "root")
        if is_owed and one.control == NOT_SHOWN:
            found.append(
                f"{user}: {attempt.name}: its control got nothing ({one.control_how}): it proves nothing"
            )
    return found


def render(root: Half, ordinary: Half) -> str:
    """Write the page."""
    rows = attempts()
    lines = [_HEAD, _summary(rows, root, ordinary), ""]
    number = 0
    for group, title in GROUPS.items():
        lines += [
            f"## {title}",
            "",
            "| # | attempt | held by | control | as root | as user |",
            "|---|---|---|---|---|---|",
        ]
        for attempt in (one for one in rows if one.group == group):
            number += 1
            cells = _cells(attempt, root.seen[attempt.name], ordinary.seen[attempt.name])
            lines.append(f"| {number} | {' | '.join(_cell(text) for text in cells)} |")
        lines.append("")
    return "\n".join([*lines, *_gaps(rows, root, ordinary), *_notes(root, ordinary)])


def _summary(rows: Sequence[Attempt], root: Half, ordinary: Half) -> str:
    said = []
    for half, name in ((root, "as root"), (ordinary, "as an ordinary user")):
        verdicts = [half.seen[one.name].verdict for one in rows]
        shown = sum(half.seen[one.name].control == SHOWN for one in rows)
        counts = ", ".join(
            f"{verdicts.count(v)} {v}" for v in _VERDICTS if verdicts.count(v) or v == HELD
        )
        said.append(f"{name} {counts} ({shown} controls shown)")
    return f"**{len(rows)} attempts**: {'; '.join(said)}."


def _cells(attempt: Attempt, root: Seen, ordinary: Seen) -> tuple[str, ...]:
    both = {root.control, ordinary.control}
    if both == {SHOWN}:
        control = SHOWN
    elif both == {NOT_SHOWN}:
        control = f"{NOT_SHOWN}: {attempt.why_not}"
    else:
        who = "root" if root.control == SHOWN else "user"
        control = f"{SHOWN} as {who} only: {attempt.why_not}"
    is_same = (root.verdict, root.how) == (ordinary.verdict, ordinary.how)
    said = _verdict(ordinary) if is_same else _said(ordinary)
    return (attempt.title, attempt.layer, control, _said(root), said)


def _verdict(one: Seen) -> str:
    return one.verdict if one.verdict == HELD else f"**{one.verdict}**"


def _said(one: Seen) -> str:
    return f"{_verdict(one)}: {one.how}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _gaps(rows: Sequence[Attempt], root: Half, ordinary: Half) -> list[str]:
    lines = ["## What gets through, and why it is let be", ""]
    for one in rows:
        if not one.gap:
            continue
        users = [
            name
            for half, name in ((root, "root"), (ordinary, "user"))
            if half.seen[one.name].verdict == GAP
        ]
        when = f"as {' and '.join(users)}" if users else "not on the machine of this page"
        lines.append(f"- *{one.title}* ({when}): {one.gap}.")
    return [*lines, ""]


def _notes(root: Half, ordinary: Half) -> list[str]:
    features = "; ".join(dict.fromkeys((*root.features, *ordinary.features)))
    return [
        "## Where this was seen",
        "",
        f"{features}. Limits of the run: 128 processes and 64 MiB of workspace for each cell. What a host may *not* do for a",
        "child (start processes from more than one thread, follow links, use a weaker line) no program can try; that is in `tests/boundary`.",
        "",
    ]


def read_page(text: str) -> list[Row]:
    """Read the rows of a page back."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace("\\|", "\0").strip("|").split(" | ")]
        if len(cells) == 6 and cells[0].isdigit():
            title, _, control, *said = (cell.replace("\0", "|") for cell in cells[1:])
            verdicts = [one.replace("**", "").partition(":")[0] for one in said]
            rows.append(Row(title, control.partition(":")[0], (verdicts[0], verdicts[1])))
    return rows


def differences(before: Sequence[Row], after: Sequence[Row]) -> list[str]:
    """Say where two pages differ in an attempt, a control or a verdict.

    Whether a known gap shows depends on the machine.
    """
    old = {row.title: row for row in before}
    new = {row.title: row for row in after}
    found = [f"no longer tried: {title}" for title in old if title not in new]
    found += [f"not on the page: {title}" for title in new if title not in old]
    for title in (one for one in new if one in old):
        if old[title].control != new[title].control:
            found.append(
                f"{title}: the control was {old[title].control!r}, is {new[title].control!r}"
            )
        pairs = zip(old[title].verdicts, new[title].verdicts, strict=True)
        found += [
            f"{title}: was {was!r}, is {now!r}"
            for was, now in pairs
            if was != now and {was, now} != {HELD, GAP}
        ]
    return found
