"""Remove each check in turn, in a copy of the source, and see its tests go red.

Run with ``nox -s laws``. A mutation names a function, one statement in it and
what stands there instead; it finds the statement by its beginning, as
``ast.unparse`` writes it, so that formatting does not matter. A statement that
is not found exactly once is an error: the list has gone stale.

A mutation is caught when its tests *fail*. Tests that cannot be collected, or
that run for too long, count as not caught.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src/cleveragents"
TESTS_FAILED = 1
"""Pytest's exit code for it; 2 to 5 say that something else went wrong."""
TIMEOUT_S = 180


@dataclass(frozen=True, slots=True)
class Mutation:
    """One check, how to remove it, and who has to notice."""

    law: str
    name: str
    """What no longer happens."""
    module: str
    """Path below the package."""
    function: str
    """``Class.method`` or the name of a function."""
    statement: str
    """How the statement begins."""
    tests: tuple[str, ...]
    """Arguments of pytest: files, or ids of single tests."""
    replacement: str = "pass"
    """What stands there instead."""
    part: str = ""
    """Replace this part of the statement's text only."""


class StaleMutationError(Exception):
    """A mutation that no longer fits the source."""


def mutate(source: str, mutation: Mutation) -> str:
    """Give the source with one statement replaced.

    Raises:
        StaleMutationError: The function or the statement is not there exactly once.
    """
    tree = ast.parse(source)
    function = _find_function(tree, mutation.function)
    if function is None:
        message = f"{mutation.module} has no function {mutation.function}"
        raise StaleMutationError(message)
    replaced = 0
    for node in ast.walk(function):
        for block in _blocks(node):
            for index, statement in enumerate(block):
                text = ast.unparse(statement)
                if text.startswith(mutation.statement):
                    block[index : index + 1] = ast.parse(_replaced(text, mutation)).body
                    replaced += 1
    if replaced != 1:
        message = (
            f"{mutation.module}: {mutation.function} has {replaced} statements"
            f" that begin with {mutation.statement!r}"
        )
        raise StaleMutationError(message)
    return ast.unparse(ast.fix_missing_locations(tree))


def _replaced(text: str, mutation: Mutation) -> str:
    if not mutation.part:
        return mutation.replacement
    if text.count(mutation.part) != 1:
        message = f"{mutation.function}: {mutation.part!r} is not once in {text!r}"
        raise StaleMutationError(message)
    return text.replace(mutation.part, mutation.replacement)


def _find_function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    body: list[ast.stmt] = tree.body
    *classes, last = name.split(".")
    for part in classes:
        found = [node for node in body if isinstance(node, ast.ClassDef) and node.name == part]
        body = found[0].body if found else []
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == last]
    return functions[-1] if functions else None


def _blocks(node: ast.AST) -> list[list[ast.stmt]]:
    blocks = (getattr(node, field, None) for field in ("body", "orelse", "finalbody"))
    return [block for block in blocks if isinstance(block, list)]


def _copy(place: Path) -> Path:
    """Copy what the tests need, so that neither is changed under the other; give the source."""
    # The cell of an ordinary user must be able to pass.
    place.chmod(0o755)
    for name in ("src", "tests", "features", "docs", "examples", "robot"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place / "src"


def _pytest(source: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run the copied tests against the copied source."""
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *tests]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            argv,
            cwd=source.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no answer in {TIMEOUT_S} s"
    return done.returncode, done.stdout + done.stderr


def _is_used(source: Path) -> bool:
    """Say whether an interpreter that is told so imports the copy and not the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", "import cleveragents; print(cleveragents.__file__)"],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip()).is_relative_to(source)


def try_out(mutation: Mutation, source: Path) -> str:
    """Give the problem with one mutation; empty when its tests have noticed it."""
    module = source / "cleveragents" / mutation.module
    original = module.read_text(encoding="utf-8")
    try:
        changed = mutate(original, mutation)
    except StaleMutationError as error:
        return str(error)
    module.write_text(changed, encoding="utf-8")
    try:
        status, output = _pytest(source, mutation.tests)
    finally:
        module.write_text(original, encoding="utf-8")
    if status == TESTS_FAILED:
        return ""
    return f"pytest answered {status}, not {TESTS_FAILED}\n{output[-2000:]}"


def main(arguments: list[str]) -> int:
    """Run the untouched tests once, then every mutation, and report."""
    from tests.laws.checks import MUTATIONS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="only mutations whose law or name contains this")
    wanted = parser.parse_args(arguments).k
    chosen = [m for m in MUTATIONS if wanted in f"{m.law} {m.name}"]
    if not chosen:
        parser.error(f"no check's law or name contains {wanted!r}")
    with tempfile.TemporaryDirectory(prefix="cleveragents-laws-") as place:
        source = _copy(Path(place))
        if not _is_used(source):
            print("the copy of the source is not the one that is imported")
            return 1
        everything = tuple(sorted({test for m in chosen for test in m.tests}))
        status, output = _pytest(source, everything)
        if status:
            print(f"the tests are not green before anything is removed\n{output}")
            return 1
        missed = 0
        for mutation in chosen:
            problem = try_out(mutation, source)
            missed += bool(problem)
            print(f"{'MISSED' if problem else 'caught'}  {mutation.law}: {mutation.name}")
            if problem:
                print(problem)
    print(f"{len(chosen) - missed} checks removed and noticed, {missed} not noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
