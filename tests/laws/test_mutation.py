"""The list of removable checks fits the source, and the tool that removes them works."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.laws.checks import MUTATIONS
from tests.laws.mutation import PACKAGE, Mutation, StaleMutationError, mutate

SOURCE = """
class Door:
    def call(self, x):
        if x.denied:
            raise ValueError
        return self.run(x)
"""


def _mutation(**facts: str) -> Mutation:
    given = {"function": "Door.call", "statement": "if x.denied", **facts}
    return Mutation(law="", name="", module="door.py", tests=(), **given)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_still_fits_the_source(mutation: Mutation) -> None:
    source = (PACKAGE / mutation.module).read_text(encoding="utf-8")
    assert mutate(source, mutation) != ast.unparse(ast.parse(source))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_names_tests_that_exist(mutation: Mutation) -> None:
    root = Path(__file__).resolve().parents[2]
    assert mutation.tests
    assert all((root / test.partition("::")[0]).exists() for test in mutation.tests)


def test_a_statement_is_removed() -> None:
    assert "denied" not in mutate(SOURCE, _mutation())


def test_a_part_of_a_statement_is_replaced() -> None:
    changed = mutate(SOURCE, _mutation(part="x.denied", replacement="False"))
    assert "if False:" in changed
    assert "raise ValueError" in changed


@pytest.mark.parametrize(
    "facts",
    [
        {"statement": "if x.allowed"},
        {"function": "Door.knock"},
        {"function": "Window.call"},
        {"part": "y.denied"},
    ],
)
def test_what_is_not_there_is_an_error(facts: dict[str, str]) -> None:
    with pytest.raises(StaleMutationError):
        mutate(SOURCE, _mutation(**facts))
