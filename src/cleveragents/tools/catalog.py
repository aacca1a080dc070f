"""Which tools are built in, and what each may do; specifications only, no bodies.

Effects and resources are what policy decides on. They are honest in the
strict sense: a tool never does more than is written here, and ``run_command``,
which may do whatever the cell lets it do, says so.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cleveragents.errors import UnknownToolError
from cleveragents.terms.tool import Effect, ResourceArgument, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PATH_CHARS: Final = 4096
MAX_PATTERN_CHARS: Final = 1000
MAX_LIST_DEPTH: Final = 32
MAX_COMMAND_CHARS: Final = 100_000
DEFAULT_COMMAND_TIMEOUT_S: Final = 120
MAX_COMMAND_TIMEOUT_S: Final = 3600
MAX_URL_CHARS: Final = 8192

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""What ``send_request`` may ask for."""

PREPARED_TOOLS: Final = frozenset({"write_file", "edit_file", "move_file", "delete_file"})
"""Tools that work by prepare and commit, so that a resume knows what happened."""


def _path(what: str) -> dict[str, object]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_PATH_CHARS,
        "description": f"{what}, relative to the workspace.",
    }


def _integer(what: str, *, minimum: int, maximum: int | None = None) -> dict[str, object]:
    schema: dict[str, object] = {"type": "integer", "minimum": minimum, "description": what}
    return schema if maximum is None else {**schema, "maximum": maximum}


def _text(what: str, *, shortest: int = 0, longest: int | None = None) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string", "description": what}
    if shortest:
        schema["minLength"] = shortest
    return schema if longest is None else {**schema, "maxLength": longest}


def _parameters(*required: str, **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_READ_FILE: Final = ToolSpec(
    name="read_file",
    description=(
        "Read a file. Text comes as 'text', by lines: 'offset' is the first line (from 1), 'limit'"
        " how many. A binary file comes as 'base64', where both count bytes. Long results are cut:"
        " then 'truncated' is true and 'note' says where to read on."
    ),
    parameters=_parameters(
        "path",
        path=_path("The file"),
        offset=_integer("First line to read, from 1.", minimum=1),
        limit=_integer("How many lines to read at most.", minimum=1),
    ),
    effects=frozenset({Effect.READ}),
    resources=(ResourceArgument("path", "file", "read"),),
)

_LIST_DIRECTORY: Final = ToolSpec(
    name="list_directory",
    description=(
        "List a directory as 'entries' of path, kind (file, directory, link, other) and size in"
        " bytes; 'depth' 1 lists the directory itself, 2 also what is in its directories, and so"
        " on. Links are shown, not followed."
    ),
    parameters=_parameters(
        "path",
        path=_path("The directory; '.' is the workspace itself"),
        depth=_integer("How many levels to list.", minimum=1, maximum=MAX_LIST_DEPTH),
    ),
    effects=frozenset({Effect.READ}),
    resources=(ResourceArgument("path", "file", "read"),),
    defaults={"depth": 1},
)

_SEARCH_FILES: Final = ToolSpec(
    name="search_files",
    description=(
        "Find the lines that a regular expression (Python's syntax, one line at a time) matches,"
        " as 'matches' of path, line and text. Binary files and what .gitignore names are left"
        " out. 'glob' narrows the files: '*.py' by name at any depth, 'src/**/*.py' by path."
    ),
    parameters=_parameters(
        "pattern",
        pattern=_text("Regular expression.", shortest=1, longest=MAX_PATTERN_CHARS),
        path=_path("The directory or file to search"),
        glob=_text("Which files to search.", shortest=1, longest=MAX_PATTERN_CHARS),
    ),
    effects=frozenset({Effect.READ}),
    resources=(ResourceArgument("path", "file", "read"),),
    defaults={"path": "."},
)

_WRITE_FILE: Final = ToolSpec(
    name="write_file",
    description=(
        "Create a text file, or replace the whole content of one, in UTF-8. Missing parent"
        " directories are made; the mode of a file that exists is kept."
    ),
    parameters=_parameters(
        "path", "content", path=_path("The file"), content=_text("The whole new content.")
    ),
    effects=frozenset({Effect.READ, Effect.WRITE}),
    resources=(ResourceArgument("path", "file", "write"),),
)

_EDIT_FILE: Final = ToolSpec(
    name="edit_file",
    description=(
        "Replace every occurrence of an exact text in a file. 'count' is how many occurrences"
        " there must be (1 unless given); with any other number the call fails and the file is"
        " unchanged."
    ),
    parameters=_parameters(
        "path",
        "old",
        "new",
        path=_path("The file"),
        old=_text("The exact text to replace; line ends count.", shortest=1),
        new=_text("What to put in its place."),
        count=_integer("How many occurrences must exist.", minimum=1),
    ),
    effects=frozenset({Effect.READ, Effect.WRITE}),
    resources=(
        ResourceArgument("path", "file", "read"),
        ResourceArgument("path", "file", "write"),
    ),
    defaults={"count": 1},
)

_MOVE_FILE: Final = ToolSpec(
    name="move_file",
    description=(
        "Move or rename one file or symbolic link. The destination must not exist; missing parent"
        " directories of it are made. Directories are not moved."
    ),
    parameters=_parameters(
        "source",
        "destination",
        source=_path("The file to move"),
        destination=_path("Its new path, with the name"),
    ),
    effects=frozenset({Effect.READ, Effect.WRITE}),
    resources=(
        ResourceArgument("source", "file", "read"),
        ResourceArgument("source", "file", "write"),
        ResourceArgument("destination", "file", "write"),
    ),
)

_DELETE_FILE: Final = ToolSpec(
    name="delete_file",
    description=(
        "Delete one file or symbolic link (the link, never what it points to). Directories are"
        " not deleted."
    ),
    parameters=_parameters("path", path=_path("The file")),
    effects=frozenset({Effect.DELETE}),
    resources=(ResourceArgument("path", "file", "delete"),),
)

_RUN_COMMAND: Final = ToolSpec(
    name="run_command",
    description=(
        "Run a command in the workspace: a string for sh, or a list of program and arguments."
        " Gives stdout, stderr (head and tail kept when long), exit_code and duration_s; an exit"
        " code other than 0 is a result, not a failure. When it returns, every process that it"
        " started is ended. Standard input is empty."
    ),
    parameters=_parameters(
        "command",
        command={
            "description": "A command line for sh, or a list: the program and its arguments.",
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_COMMAND_CHARS},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": MAX_COMMAND_CHARS},
                    "minItems": 1,
                    "maxItems": 1000,
                },
            ],
        },
        timeout_s=_integer(
            "Seconds after which it is ended and the call fails.",
            minimum=1,
            maximum=MAX_COMMAND_TIMEOUT_S,
        ),
    ),
    effects=frozenset({Effect.EXECUTE, Effect.READ, Effect.WRITE, Effect.DELETE, Effect.NETWORK}),
    defaults={"timeout_s": DEFAULT_COMMAND_TIMEOUT_S},
)

_FETCH_URL: Final = ToolSpec(
    name="fetch_url",
    description=(
        "GET a URL and give its status and text (base64 for binary content). Redirects are"
        " followed, to hosts that are allowed only. Any status is a result: look at 'status'."
    ),
    parameters=_parameters(
        "url", url=_text("Absolute http or https URL.", shortest=1, longest=MAX_URL_CHARS)
    ),
    effects=frozenset({Effect.NETWORK, Effect.READ}),
    resources=(ResourceArgument("url", "host", "use"),),
    place="host",
)

_SEND_REQUEST: Final = ToolSpec(
    name="send_request",
    description=(
        "Send an HTTP request and give its status and text. '${credential:NAME}' in a header or"
        " in the URL's path or query stands for a credential; its value is put in at the edge,"
        " for the hosts that it was declared for, and is never shown."
    ),
    parameters=_parameters(
        "url",
        "method",
        url=_text("Absolute http or https URL.", shortest=1, longest=MAX_URL_CHARS),
        method={"type": "string", "enum": list(METHODS), "description": "The HTTP method."},
        headers={
            "type": "object",
            "description": "Header names and values.",
            "additionalProperties": {"type": "string", "maxLength": MAX_URL_CHARS},
            "maxProperties": 64,
        },
        body=_text("The request's body, sent in UTF-8."),
    ),
    effects=frozenset({Effect.NETWORK, Effect.WRITE}),
    resources=(ResourceArgument("url", "host", "use"),),
    place="host",
)

_SPAWN_SUBPLAN: Final = ToolSpec(
    name="spawn_subplan",
    description=(
        "Hand a part of the work to a child plan with less than you have: 'delegate' lists what"
        " it gets (tools, read, write, hosts, credentials, where, budget, depth), and what is not"
        " listed it does not get. Its changes come back merged; 'outputs' and 'summary' say what"
        " it found."
    ),
    parameters=_parameters(
        "name",
        "delegate",
        name=_text("A short name.", shortest=1, longest=64),
        delegate={"type": "object", "description": "What is handed on; absent keys: nothing."},
        goal=_text("What the child is to do, for a model."),
        actor={"type": "object", "description": "What decides its calls."},
        inputs={"type": "object", "description": "Values it may read."},
        outputs={"type": "object", "description": "JSON Schema of each value it gives back."},
        result={"type": "object", "description": "What its script sets each output to."},
        steps={"type": "array", "items": {"type": "object"}, "description": "Its script."},
        merge_strategy=_text("How its changes are merged."),
    ),
    effects=frozenset({Effect.SPAWN}),
    place="door",
)

_FILES: Final = (_READ_FILE, _LIST_DIRECTORY, _SEARCH_FILES, _WRITE_FILE, _EDIT_FILE, _MOVE_FILE)
_OTHERS: Final = (_DELETE_FILE, _RUN_COMMAND, _FETCH_URL, _SEND_REQUEST, _SPAWN_SUBPLAN)

BUILT_IN: Final[Mapping[str, ToolSpec]] = MappingProxyType(
    {spec.name: spec for spec in (*_FILES, *_OTHERS)}
)
"""Every built-in tool by its exact name."""


def tool_spec(name: str) -> ToolSpec:
    """Give the specification of a built-in tool.

    Raises:
        UnknownToolError: No built-in tool has that exact name.

    >>> sorted(tool_spec("fetch_url").effects)
    [<Effect.NETWORK: 'network'>, <Effect.READ: 'read'>]
    """
    spec = BUILT_IN.get(name)
    if spec is None:
        raise UnknownToolError(name=name, known=tuple(BUILT_IN))
    return spec
