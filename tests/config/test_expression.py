"""References are read once; what they insert is data for ever."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.config.expression import parse, resolve, strings_in
from cleveragents.errors import ConfigurationError, ToolFailedError


def is_one_sentence(message: str) -> None:
    assert message
    assert "\n" not in message


SCOPE = {
    "steps": {
        "a": {"text": "hi", "exit_code": 3},
        "b": {"outputs": {"title": ["x", 1]}, "summary": ""},
    },
    "inputs": {"n": 7, "none": None, "code": "${{ inputs.n }}"},
    "plan": {"id": "01J", "name": "p", "goal": ""},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${{ inputs.n }}", 7),
        ("${{inputs.n}}", 7),
        ("${{\tinputs.n\n}}", 7),
        (" ${{ inputs.n }}", " 7"),
        ("${{ inputs.none }}", None),
        ("x${{ inputs.none }}", "xnull"),
        ("${{ steps.a.text }}-${{ steps.a.exit_code }}", "hi-3"),
        ("${{ steps.b.outputs.title }}", ["x", 1]),
        ("t=${{ steps.b.outputs.title }}", 't=["x", 1]'),
        ("${{ plan.name }}/${{ plan.id }}", "p/01J"),
        ("$${{ inputs.n }}", "$7"),
        ("}} $ { {{ ${ x }", "}} $ { {{ ${ x }"),
    ],
)
def test_a_template_resolves(template: str, value: object) -> None:
    assert resolve(template, SCOPE) == value


def test_mappings_and_lists_are_gone_through_and_other_values_kept() -> None:
    value = {"a": ["${{ inputs.n }}", 1, None], "b": {"c": ("${{ steps.a.text }}",)}}
    assert resolve(value, SCOPE) == {"a": [7, 1, None], "b": {"c": ["hi"]}}


def test_what_is_inserted_is_never_evaluated_again() -> None:
    assert resolve("${{ inputs.code }}", SCOPE) == "${{ inputs.n }}"
    assert resolve("<${{ inputs.code }}>", SCOPE) == "<${{ inputs.n }}>"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("${{ inputs.n", "'${{' is not closed; write }}"),
        ("${{ }}", "'' is no reference; write steps.<id>.<field>"),
        ("${{ 1 + 1 }}", "'1 + 1' is no reference"),
        ("${{ steps.a.text | upper }}", "is no reference"),
        ("${{ inputs[n] }}", "is no reference"),
        ("${{ inputs..n }}", "is no reference"),
        ("${{ ${{ inputs.n }} }}", "is no reference"),
        ("${{ env.HOME }}", "'env.HOME' cannot be read; write steps.<id>.<field>"),
        ("${{ secrets.KEY }}", "cannot be read"),
        ("${{ steps.a }}", "cannot be read"),
        ("${{ steps.a.text.upper }}", "cannot be read"),
        ("${{ steps.a.outputs.x.y }}", "cannot be read"),
        ("${{ inputs }}", "cannot be read"),
        ("${{ inputs.a.b }}", "cannot be read"),
        ("${{ plan.workspace }}", "'plan.workspace' cannot be read; of a plan: id, name, goal"),
        ("${{ plan }}", "of a plan: id, name, goal"),
        ("${{ inputs.\u0661 }}", "is no reference"),
    ],
)
def test_anything_else_is_one_sentence(template: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(template)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (
            "${{ steps.c.text }}",
            "${{ steps.c.text }} failed: step 'c' has no result: it was denied, or it failed",
        ),
        (
            "${{ steps.a.base64 }}",
            "the result of step 'a' has no 'base64'; it has text, exit_code",
        ),
        ("${{ steps.b.outputs.x }}", "the result of step 'b' has no 'x'; it has title"),
        ("x ${{ inputs.m }}", "no value was given for the input 'm'"),
    ],
)
def test_nothing_to_read_is_a_failed_call(template: str, sentence: str) -> None:
    with pytest.raises(ToolFailedError) as caught:
        resolve([template], SCOPE)
    assert sentence in caught.value.message


def test_a_result_that_is_no_mapping_has_no_fields() -> None:
    with pytest.raises(ToolFailedError, match="has no 'x'; it has nothing"):
        resolve("${{ steps.a.outputs.x }}", {"steps": {"a": {"outputs": 1}}})
    with pytest.raises(ToolFailedError, match="the plan has no 'goal'"):
        resolve("${{ plan.goal }}", {"plan": {}})


def test_a_template_names_its_references() -> None:
    template = parse("a ${{ steps.x.text }} b ${{ inputs.y }}")
    assert [str(one) for one in template.references] == ["steps.x.text", "inputs.y"]
    assert template.whole is None
    assert str(parse("${{ plan.id }}").whole) == "plan.id"


def test_strings_are_found_with_their_places() -> None:
    assert list(strings_in({"a": ["x", 1, {"b": "y"}]})) == [(("a", 0), "x"), (("a", 2, "b"), "y")]


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(DATA)
def test_a_whole_reference_gives_exactly_the_value(value: object) -> None:
    assert resolve("${{ inputs.v }}", {"inputs": {"v": value}}) == value


@given(DATA, st.text(max_size=10), st.text(max_size=10))
def test_inside_a_text_a_value_is_put_in_once(value: object, before: str, after: str) -> None:
    before, after = before.replace("$", ""), after.replace("$", "")
    inserted = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    resolved = resolve(f"{before}x${{{{ inputs.v }}}}{after}", {"inputs": {"v": value}})
    assert resolved == f"{before}x{inserted}{after}"


@given(st.text(alphabet="${} .ainputs-\n", max_size=40))
def test_any_text_parses_or_is_one_sentence(text: str) -> None:
    try:
        template = parse(text)
    except ConfigurationError as error:
        is_one_sentence(error.message)
    else:
        assert template.references or "".join(map(str, template.pieces)) == text
