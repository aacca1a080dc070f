"""What an operator sees of safety profiles: names, rules, reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cleveragents.errors import ConfigurationError, ToolAccessDeniedError, UnknownSafetyProfileError
from cleveragents.policy.enforcer import SafetyProfileEnforcer, verify_examples
from cleveragents.policy.example import Example, Examples
from cleveragents.policy.gate import compile_scope, decide, prepare
from cleveragents.policy.grant import Grant
from cleveragents.policy.pattern import resolve
from cleveragents.policy.profile import BUILT_IN as PROFILES
from cleveragents.policy.profile import SafetyProfile, find_profile, overlap, profile_from_mapping
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.tool import ToolSpec
from cleveragents.tools.catalog import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from cleveragents.terms.decision import Decision

    Step = TypeVar("Step", bound=Callable[..., None])

    # behave has no types: its decorators would make every step an untyped function.
    def given(text: str) -> Callable[[Step], Step]: ...
    def when(text: str) -> Callable[[Step], Step]: ...
    def then(text: str) -> Callable[[Step], Step]: ...
    def register_type(**types: Callable[[str], str]) -> None: ...
    def with_pattern(pattern: str) -> Callable[[Callable[[str], str]], Callable[[str], str]]: ...
else:
    from behave import given, register_type, then, when
    from parse import with_pattern


@with_pattern(r'[^"]*')
def quoted(text: str) -> str:
    return text


register_type(Quoted=quoted)

Context = Any  # behave's context is a bag

TOOLS = {
    **BUILT_IN,
    "undeclared_tool": ToolSpec("undeclared_tool", "", {"type": "object"}, origin="own"),
    "server__query": ToolSpec(
        "server__query", "", {"type": "object"}, place="host", origin="mcp", source="server"
    ),
}
DEFAULTS: dict[str, dict[str, object]] = {
    "read_file": {"path": "README.md"},
    "list_directory": {"path": "docs"},
    "search_files": {"pattern": "TODO"},
    "write_file": {"path": "README.md", "content": "short"},
    "edit_file": {"path": "README.md", "old": "a", "new": "b"},
    "move_file": {"source": "a", "destination": "b"},
    "delete_file": {"path": "README.md"},
    "run_command": {"command": "true"},
    "fetch_url": {"url": "https://example.com/"},
    "send_request": {"url": "https://example.com/", "method": "GET"},
    "spawn_subplan": {"name": "docs", "delegate": {}},
}


def listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def profile_of(context: Context) -> SafetyProfile:
    profile = context.profiles[0]
    assert isinstance(profile, SafetyProfile)
    return profile


def change(context: Context, **fields: object) -> None:
    context.profiles[0] = replace(profile_of(context), **fields)  # type: ignore[arg-type]  # by name


def arguments_of(tool: str, path: str = "", content: str = "") -> dict[str, object]:
    arguments = dict(DEFAULTS.get(tool, {}))
    if path:
        arguments["path"] = path
    if content:
        arguments["content"] = content
    return arguments


def ask(context: Context, tool: str, path: str = "", content: str = "") -> None:
    resolved = [resolve(profile, TOOLS) for profile in context.profiles]
    context.warnings = [warning for one in resolved for warning in one.warnings]
    context.tool = tool
    enforcer = SafetyProfileEnforcer([one.profile for one in resolved])
    context.decision = enforcer.check(TOOLS[tool], arguments_of(tool, path, content))


def refused(context: Context) -> Denied:
    decision: Decision = context.decision
    assert isinstance(decision, Denied), decision
    return decision


def allowed(context: Context) -> Allowed:
    decision: Decision = context.decision
    assert isinstance(decision, Allowed), decision
    return decision


@given('a safety profile "{name:Quoted}" that allows "{tools:Quoted}"')
def given_allow_list(context: Context, name: str, tools: str) -> None:
    context.profiles = [SafetyProfile(name, allowed_tools=listed(tools))]


@given('a safety profile "{name:Quoted}" that denies "{tools:Quoted}"')
def given_deny_list(context: Context, name: str, tools: str) -> None:
    context.profiles = [SafetyProfile(name, denied_tools=listed(tools))]


@given('the built-in profile "{name:Quoted}"')
def given_built_in(context: Context, name: str) -> None:
    context.profiles = [PROFILES[name]]


@given('the profile denies "{tools:Quoted}"')
def given_denials(context: Context, tools: str) -> None:
    change(context, denied_tools=listed(tools))


@given('the profile\'s ceiling is "{effects:Quoted}"')
def given_ceiling(context: Context, effects: str) -> None:
    change(context, effects=listed(effects))


@given('the profile lets be written "{paths:Quoted}"')
def given_write_paths(context: Context, paths: str) -> None:
    change(context, write=listed(paths))


@given('the profile lets "{tool:Quoted}" have a content of at most {longest:d} characters')
def given_condition(context: Context, tool: str, longest: int) -> None:
    change(context, where={tool: {"properties": {"content": {"maxLength": longest}}}})


@given('the profile "{name:Quoted}" is in force too')
def given_another_profile(context: Context, name: str) -> None:
    context.profiles.append(PROFILES[name])


@given('a grant of "{tools:Quoted}" on "{paths:Quoted}"')
def given_grant(context: Context, tools: str, paths: str) -> None:
    context.grant = Grant.root(tools=listed(tools), read=listed(paths), write=listed(paths))


@when('a plan asks for "{tool:Quoted}"')
def when_plan_asks(context: Context, tool: str) -> None:
    ask(context, tool)


@when('a plan asks for "{tool:Quoted}" of "{path:Quoted}"')
def when_plan_asks_for_path(context: Context, tool: str, path: str) -> None:
    ask(context, tool, path)


@when('a plan asks to write "{path:Quoted}"')
def when_plan_writes(context: Context, path: str) -> None:
    ask(context, "write_file", path)


@when('a plan asks to write "{path:Quoted}" with "{content:Quoted}"')
def when_plan_writes_content(context: Context, path: str, content: str) -> None:
    ask(context, "write_file", path, content)


@when('the subplan asks for "{tool:Quoted}" of "{path:Quoted}"')
def when_subplan_asks(context: Context, tool: str, path: str) -> None:
    scope = compile_scope(
        profiles=tuple(context.profiles),
        grant=context.grant,
        in_subplan=True,
        tools=TOOLS,
        plan_id="01J0000000000000000000000C",
    )
    prepared = prepare(TOOLS[tool], arguments_of(tool, path))
    context.decision = decide(scope, TOOLS[tool], prepared.arguments, prepared.resources)


@when('an operator loads a profile whose condition on "{tool:Quoted}" is "{keyword:Quoted}"')
def when_condition_is_loaded(context: Context, tool: str, keyword: str) -> None:
    raw = {"name": "short", "where": {tool: {"properties": {"content": {keyword: 10}}}}}
    context.profiles = [profile_from_mapping(raw, where="short.yaml")]
    verify(context)


@when('the profile promises to deny "{tool:Quoted}" of "{path:Quoted}"')
def when_profile_promises(context: Context, tool: str, path: str) -> None:
    change(context, examples=Examples(denies=(Example(tool, arguments_of(tool, path)),)))
    verify(context)


@when('an operator names the profile "{name:Quoted}"')
def when_profile_is_named(context: Context, name: str) -> None:
    context.error = None
    try:
        find_profile(name)
    except UnknownSafetyProfileError as error:
        context.error = error


def verify(context: Context) -> None:
    context.error = None
    try:
        verify_examples(profile_of(context), TOOLS)
    except ConfigurationError as error:
        context.error = error


@then('the call is allowed by "{rule:Quoted}"')
def then_allowed_by(context: Context, rule: str) -> None:
    assert allowed(context).rule == rule, allowed(context)


@then('the call is refused by the rule "{rule:Quoted}" of "{profile:Quoted}"')
def then_refused_by(context: Context, rule: str, profile: str) -> None:
    first = refused(context).refusals[0]
    assert (first.rule, first.profile, first.kind) == (rule, profile, "tool_access_denied"), first


@then('the answer is "{answer:Quoted}"')
def then_answer(context: Context, answer: str) -> None:
    assert isinstance(context.decision, Allowed) is (answer == "allowed"), context.decision


@then('the reason is "{reason:Quoted}"')
def then_reason(context: Context, reason: str) -> None:
    assert refused(context).reason == reason, refused(context).reason


@then('the reason does not repeat "{text:Quoted}"')
def then_reason_without(context: Context, text: str) -> None:
    assert text not in refused(context).reason


@then('the error names the tool "{tool:Quoted}" and the profile "{profile:Quoted}"')
def then_error_names(context: Context, tool: str, profile: str) -> None:
    first = refused(context).refusals[0]
    error = ToolAccessDeniedError(
        tool_name=context.tool, profile_name=first.profile, reason=first.reason
    )
    assert (error.tool_name, error.profile_name) == (tool, profile)
    assert tool in error.message
    assert profile in error.message


@then('"{profile:Quoted}" refuses it too')
def then_refuses_too(context: Context, profile: str) -> None:
    assert profile in {one.profile for one in refused(context).refusals[1:]}


@then('the cell takes away "{effects:Quoted}"')
def then_imposed(context: Context, effects: str) -> None:
    assert sorted(allowed(context).imposed) == list(listed(effects))


@then('"{tool:Quoted}" is reported as an overlap')
def then_overlap(context: Context, tool: str) -> None:
    assert overlap(profile_of(context)) == (tool,)


@then('the operator is warned that "{name:Quoted}" is no tool\'s name')
def then_warned(context: Context, name: str) -> None:
    assert any(f"{name!r}, no tool's name" in warning for warning in context.warnings)


@then('loading fails with "{message:Quoted}"')
def then_loading_fails(context: Context, message: str) -> None:
    assert context.error is not None
    assert message in context.error.message, context.error.message


@then("the profile is verified")
def then_verified(context: Context) -> None:
    assert context.error is None, context.error


@then("the known profiles are told")
def then_known(context: Context) -> None:
    for name in PROFILES:
        assert name in context.error.message


@then('the call crosses the boundary at "{resource:Quoted}"')
def then_boundary(context: Context, resource: str) -> None:
    first = refused(context).refusals[0]
    assert (first.kind, first.resource_name) == ("security_boundary", resource), first
