"""Whatever is handed in: a typed value, or one sentence that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.config.automation_profile import parse_automation_profile
from cleveragents.config.plan_file import (
    load_plan,
    parse_plan,
    plan_from_stored,
    plan_to_mapping,
    subplan_from_stored,
    subplan_to_mapping,
)
from cleveragents.config.settings import KEYS, load_settings
from cleveragents.config.yaml_file import load_text
from cleveragents.errors import ConfigurationError
from tests.config.test_automation_profile import CAREFUL
from tests.config.test_plan_file import DESIGN

if TYPE_CHECKING:
    from collections.abc import Callable

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["${{ steps.readme.text }}", "${{ x", "${{ inputs.title }}", "..", "*", "\0"])
)
KEYS_LIKE = st.sampled_from(
    [
        "name",
        "steps",
        "tool",
        "args",
        "id",
        "subplan",
        "parallel",
        "delegate",
        "inputs",
        "outputs",
        "goal",
        "actor",
        "kind",
        "where",
        "budget",
        "safety_profile",
        "credentials",
        "env",
        "hosts",
        "tools",
        "max_cost_usd",
    ]
) | st.text(max_size=6)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS_LIKE, inner, max_size=5),
    max_leaves=15,
)


def is_told(error: ConfigurationError, place: str) -> None:
    assert error.message.startswith(place), error.message
    assert "\n" not in error.message
    assert len(error.message) < 2000
    assert error.exit_code == 2


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [path]
    match value:
        case dict():
            for key, item in value.items():
                found += _paths(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                found += _paths(item, (*path, index))
    return found


def _with(value: object, path: tuple[object, ...], new: object) -> object:
    if not path:
        return new
    match value:
        case dict():
            return {k: _with(v, path[1:], new) if k == path[0] else v for k, v in value.items()}
        case list():
            return [_with(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]
    raise AssertionError


PLAN = load_text(DESIGN, "plan").value
PROFILE = load_text(CAREFUL, "profile").value


def _plan(raw: object) -> None:
    plan = parse_plan(raw, name="here", base=Path("/x"))  # type: ignore[arg-type]  # bad input on purpose
    assert plan_from_stored(plan.raw) == plan.definition
    assert plan_to_mapping(plan.definition) == plan.raw


def _profile(raw: object) -> None:
    parse_automation_profile(raw, name="here", base=Path("/x"))


@pytest.mark.parametrize(("good", "read"), [(PLAN, _plan), (PROFILE, _profile)])
@given(data=st.data())
def test_a_good_file_with_one_value_replaced(
    good: object, read: Callable[[object], None], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(_paths(good)))
    spoilt = _with(good, path, data.draw(ANYTHING))
    try:
        read(spoilt)
    except ConfigurationError as error:
        is_told(error, "here")


@given(ANYTHING)
def test_anything_as_a_plan_a_profile_and_a_spawn_call(raw: object) -> None:
    readers: list[tuple[Callable[..., object], str]] = [
        (_plan, "here"),
        (_profile, "here"),
        (subplan_from_stored, "spawn_subplan"),
    ]
    for read, place in readers:
        try:
            read(raw)
        except ConfigurationError as error:
            is_told(error, place)


@given(st.data())
def test_a_spawn_call_reads_back_or_is_refused(data: st.DataObject) -> None:
    assert isinstance(PLAN, dict)
    good = PLAN["steps"][2]["subplan"]
    path = data.draw(st.sampled_from(_paths(good)))
    try:
        subplan = subplan_from_stored(_with(good, path, data.draw(ANYTHING)))  # type: ignore[arg-type]  # bad input on purpose
    except ConfigurationError as error:
        is_told(error, "spawn_subplan")
    else:
        assert subplan_from_stored(subplan_to_mapping(subplan)) == subplan


@given(st.sampled_from(KEYS), st.text(max_size=30).filter(lambda text: "\0" not in text))
def test_any_text_as_a_setting(key: str, text: str) -> None:
    variable = f"CLEVERAGENTS_{key.upper()}"
    try:
        load_settings({variable: text}, home=Path("/nonexistent"))
    except ConfigurationError as error:
        is_told(error, variable)


@given(st.integers(0, len(DESIGN) - 1), st.text(alphabet="{}[]:,-'\"#&*!|\n \t%@`x1", max_size=3))
def test_a_plan_file_with_a_slip_of_the_pen(position: int, slip: str) -> None:
    text = DESIGN[:position] + slip + DESIGN[position + 1 :]
    try:
        raw = load_text(text, "here").value
        parse_plan(raw, name="here", base=Path("/x"))  # type: ignore[arg-type]  # bad input on purpose
    except ConfigurationError as error:
        is_told(error, "here")


def test_every_error_of_a_plan_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    lines = DESIGN.splitlines()
    for number in range(3, len(lines)):
        if "puts: {" in lines[number]:
            # Names of inputs and outputs are the author's.
            continue
        spoilt = [*lines]
        spoilt[number] = lines[number].replace("{", "{wrong_key: 1, ", 1)
        if spoilt == lines:
            continue
        path.write_text("\n".join(spoilt), encoding="utf-8")
        with pytest.raises(ConfigurationError) as caught:
            load_plan(path)
        assert caught.value.message.startswith(f"{path}:{number + 1}: steps")
