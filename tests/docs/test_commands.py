"""Every ``agents`` command that the documentation shows exists, with its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cleveragents.cli.main import agents

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?:\$ )?(agents [a-z].*)$", re.MULTILINE)


def _shown() -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), command)
        for page in PAGES
        for language, block in FENCED.findall(page.read_text(encoding="utf-8"))
        if language in {"", "console", "sh", "bash", "text"}
        for line in LINE.findall(block)
        for command in _alternatives(line.partition(" #")[0].strip())
    ]


def _alternatives(line: str) -> list[str]:
    """``agents tool list | show NAME`` shows two commands, ``FILE | --goal TEXT`` shows one."""
    first, *others = re.split(r" \| (?=[a-z])", line)
    group = " ".join(first.split()[:2])
    return [first, *(f"{group} {other}" for other in others)]


def _problem(words: list[str]) -> str:
    command: click.Command = agents
    context = click.Context(command, info_name="agents")
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"{' '.join(words)}: no command {name!r}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    known = {
        text
        for parameter in command.get_params(context)
        for text in (*parameter.opts, *parameter.secondary_opts)
    }
    unknown = [
        word for word in rest if word.startswith("--") and word.partition("=")[0] not in known
    ]
    return f"{' '.join(words)}: no option {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize(("page", "line"), _shown())
def test_a_shown_command_exists(page: str, line: str) -> None:
    words = shlex.split(line.replace("[", "").replace("]", "").replace("...", ""))
    assert _problem(words) == "", page


def test_commands_are_found_at_all() -> None:
    assert len(_shown()) > 4
