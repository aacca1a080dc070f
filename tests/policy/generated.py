"""Small worlds for the laws: few tools, paths and hosts, so that rules really meet."""

from __future__ import annotations

from hypothesis import strategies as st

from cleveragents.policy.grant import Grant
from cleveragents.policy.profile import SafetyProfile
from cleveragents.terms.cost import Limits
from cleveragents.terms.plan import DelegationRequest
from cleveragents.terms.tool import Effect, ResourceArgument, ToolSpec
from cleveragents.tools.catalog import BUILT_IN

OWN = ToolSpec("own_tool", "undeclared", {"type": "object"}, origin="own")
COUNTER = ToolSpec(
    "count_words",
    "counts",
    {
        "type": "object",
        "properties": {"paths": {"type": "array", "items": {"type": "string"}}},
        "additionalProperties": False,
    },
    effects=frozenset({Effect.READ}),
    resources=(ResourceArgument("paths", "file", "read"),),
    origin="own",
)
REMOTE = ToolSpec(
    "web__query",
    "a server's",
    {"type": "object", "properties": {"host": {"type": "string"}}},
    resources=(ResourceArgument("host", "host", "use"),),
    place="host",
    origin="mcp",
)
TOOLS = {**BUILT_IN, **{tool.name: tool for tool in (OWN, COUNTER, REMOTE)}}

tool_names = st.sampled_from(sorted(TOOLS))
name_lists = st.lists(st.one_of(tool_names, st.sampled_from(["unknown_tool"])), max_size=6)
path_entries = st.sampled_from([".", "a/", "a/b/", "a", "a/b", "d/", "README.md", "./a//"])
host_entries = st.sampled_from(
    ["*", "*.example.com", "*.api.example.com", "example.com", "api.example.com", "127.0.0.1"]
)
paths = st.sampled_from(
    [".", "a", "a/b", "a/b/c", "ab", "d", "d/x", "README.md", "./a/../d/y", "..", "../a", "/a", "/"]
)
hosts = st.sampled_from(
    ["example.com", "api.example.com", "x.api.example.com", "127.0.0.1", "localhost", "1.1.1.1"]
)
effect_sets = st.frozensets(st.sampled_from(sorted(Effect)))
Schema = dict[str, object]
SCHEMAS: list[Schema] = [
    {},
    {"properties": {"path": {"maxLength": 3}}},
    {"properties": {"path": {"pattern": "^a"}}, "required": ["path"]},
    {"not": {"required": ["path"]}},
]
conditions = st.sampled_from(SCHEMAS)
where = st.dictionaries(st.sampled_from(["read_file", "write_file"]), conditions, max_size=2)


@st.composite
def profiles(draw: st.DrawFn, *, name: str = "generated") -> SafetyProfile:
    return SafetyProfile(
        name,
        allowed_tools=draw(st.none() | name_lists.map(tuple)),
        denied_tools=tuple(draw(name_lists)),
        effects=draw(effect_sets),
        read=draw(st.none() | st.lists(path_entries, max_size=3).map(tuple)),
        write=draw(st.none() | st.lists(path_entries, max_size=3).map(tuple)),
        hosts=draw(st.none() | st.lists(host_entries, max_size=3).map(tuple)),
        where=dict(draw(where)),
    )


@st.composite
def lenient_profiles(draw: st.DrawFn, *, name: str = "lenient") -> SafetyProfile:
    """Profiles that often admit: a law about what is allowed needs allowed calls."""
    whole = draw(profiles(name=name))
    keep = draw(st.frozensets(st.sampled_from(["names", "effects", "read", "write", "where"])))
    return SafetyProfile(
        name,
        allowed_tools=whole.allowed_tools if "names" in keep else None,
        denied_tools=whole.denied_tools if "names" in keep else (),
        effects=whole.effects if "effects" in keep else frozenset(Effect),
        read=whole.read if "read" in keep else None,
        write=whole.write if "write" in keep else None,
        hosts=whole.hosts,
        where=whole.where if "where" in keep else {},
    )


@st.composite
def calls(draw: st.DrawFn) -> tuple[ToolSpec, dict[str, object]]:
    spec = TOOLS[draw(tool_names)]
    one, other, host = draw(paths), draw(paths), draw(hosts)
    url = f"https://{host}/x"
    arguments: dict[str, dict[str, object]] = {
        "read_file": {"path": one},
        "list_directory": {"path": one},
        "search_files": draw(st.sampled_from([{"pattern": "x"}, {"pattern": "x", "path": one}])),
        "write_file": {"path": one, "content": draw(st.sampled_from(["", "long enough"]))},
        "edit_file": {"path": one, "old": "x", "new": "y"},
        "move_file": {"source": one, "destination": other},
        "delete_file": {"path": one},
        "run_command": {"command": "true"},
        "fetch_url": {"url": url},
        "send_request": {"url": url, "method": "GET", "headers": {"A": "${credential:KEY}"}},
        "spawn_subplan": {"name": "x", "delegate": {}},
        "count_words": {"paths": [one, other]},
        "web__query": {"host": host},
    }
    return spec, arguments.get(spec.name, {})


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    return Grant.root(
        tools=draw(st.frozensets(tool_names, min_size=len(TOOLS) // 2)),
        effects=frozenset(Effect)
        - draw(st.frozensets(st.sampled_from(sorted(Effect)), max_size=1)),
        read=draw(st.lists(path_entries, max_size=3)),
        write=draw(st.lists(path_entries, max_size=3)),
        hosts=draw(st.lists(host_entries, max_size=3)),
        credentials=draw(st.sampled_from([(), ("KEY",)])),
        where={tool: (schema,) for tool, schema in draw(where).items()},
        budget=Limits(tool_calls=draw(st.none() | st.integers(0, 9))),
        depth=draw(st.integers(0, 4)),
    )


@st.composite
def requests(draw: st.DrawFn, of: Grant) -> DelegationRequest:
    """Requests that are often granted: mostly out of what the parent holds."""

    def some(held: object) -> tuple[str, ...]:
        names = sorted(held)  # type: ignore[call-overload]  # any iterable of names
        chosen = st.lists(st.sampled_from(names), max_size=4) if names else st.just([])
        return tuple(dict.fromkeys(draw(chosen)))

    tools = some(of.delegates.tools)
    conditional = [tool for tool in ("read_file", "write_file") if tool in tools]
    return DelegationRequest(
        tools=tools + draw(st.sampled_from([(), (), (), ("unknown_tool",)])),
        read=some(of.delegates.read + of.delegates.write)
        + draw(st.sampled_from([(), (), ("a/b/",)])),
        write=some(of.delegates.write),
        hosts=some(of.delegates.hosts),
        credentials=some(of.delegates.credentials),
        where={tool: draw(conditions) for tool in conditional if draw(st.booleans())},
        budget=Limits(tool_calls=draw(st.none() | st.integers(0, 5))),
        depth=max(0, of.depth_left - draw(st.integers(0, 2))),
    )
