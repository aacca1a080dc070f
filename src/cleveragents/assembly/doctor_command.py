"""What ``agents doctor`` answers: the wall, built once and looked at from inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.terms.answer import Answer, Message

if TYPE_CHECKING:
    from cleveragents.assembly.house import House
    from cleveragents.boundary.report import IsolationReport, Layer

NO_ISOLATION: Final = 6


def examine(house: House) -> Answer:
    """Try the wall out and say what each layer of it does.

    Returns:
        Exit code 6 when a cell cannot be started with every check held: then
        no plan runs either.
    """
    report = house.launcher().isolation
    data = {
        "tier": report.tier,
        "verified": report.verified,
        "bubblewrap": report.bubblewrap or None,
        "workspace": "overlay" if report.overlay else "private copy",
        "home": str(house.home),
        "database": house.store().place,
        "layers": [_layer(layer) for layer in report.layers],
        "problems": list(report.problems),
        "fixes": list(report.fixes),
    }
    if report.verified:
        return Answer(data)
    return Answer(data, exit_code=NO_ISOLATION, messages=_problems(report))


def _layer(layer: Layer) -> dict[str, object]:
    return {
        "layer": layer.name,
        "ok": layer.is_present,
        "result": "holds" if layer.is_present else "missing",
        "detail": layer.detail,
        "fix": layer.fix,
    }


def _problems(report: IsolationReport) -> tuple[Message, ...]:
    fixes = (*report.fixes, *("",) * len(report.problems))
    return tuple(
        Message("error", f"{problem}; {fix}" if fix else problem)
        for problem, fix in zip(report.problems, fixes, strict=False)
    )
