"""What ``agents safety-profile import`` answers; it writes, or keeps a profile, when told to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.assembly.profile_command import add_safety_profile, enforcer_of
from cleveragents.config.permission_import import import_permissions
from cleveragents.config.permission_path import Frame
from cleveragents.config.permission_rule import load_permissions
from cleveragents.errors import ConfigurationError
from cleveragents.policy.profile import to_mapping
from cleveragents.terms.answer import Answer, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.assembly.house import House
    from cleveragents.config.permission_import import ImportedPermissions, ImportedRule

DIRECTORY = ".claude"
"""Where the source keeps its settings, in a project and at home."""


def import_safety_profile(
    house: House,
    file: Path,
    *,
    name: str,
    workspace: Path | None,
    is_added: bool,
    output: Path | None,
    automation_output: Path | None,
    write: Callable[[Mapping[str, object]], str],
) -> Answer:
    """Turn a Claude Code settings file into a safety profile.

    Args:
        house: Where profiles and tools are.
        file: The settings file.
        name: What the profile is called.
        workspace: The directory that the rules on paths are read for; left
            out, the project that the file belongs to, else the current one.
        is_added: Keep the profile under its name.
        output: Where the safety profile is written to.
        automation_output: Where the automation profile is written to.
        write: Spells a mapping as YAML.

    Raises:
        ConfigurationError: A rule that denies or asks cannot be kept, or the
            name is taken, or a file is there already. Nothing was written.
    """
    frame = frame_of(file, workspace, house.environ)
    found = import_permissions(load_permissions(file), frame, name=name)
    for profile in (found.profile, found.asking):
        # Every condition is one that the gate will take, or nobody is told to use it.
        enforcer = enforcer_of(house, profile)
        for spec in house.registry().specs.values():
            enforcer.rules_for(spec)
    text, automation = write(to_mapping(found.profile)), write(found.automation)
    for place in (output, automation_output):
        _refuse_taken(place)
    if is_added:
        _add(house, text)
    for place, content in ((output, text), (automation_output, automation)):
        if place is not None:
            _write_new(place, content)
    data: dict[str, object] = {
        "profile": to_mapping(found.profile),
        "automation_profile": dict(found.automation),
        "rules": [rule.to_mapping() for rule in found.rules],
        "workspace": frame.root,
        "added": is_added,
    }
    return Answer(data, messages=_messages(found))


def frame_of(file: Path, workspace: Path | None, environ: Mapping[str, str]) -> Frame:
    """Say where the patterns of a settings file start from.

    Args:
        file: ``PROJECT/.claude/settings.json``, ``~/.claude/settings.json`` or any other.
        workspace: The directory that is meant; ``None`` works it out.
        environ: ``HOME`` says where ``~`` is.

    Source:
        Claude Code, "Configure permissions", Read and Edit.
    """
    real = file.expanduser().absolute()
    directory = Path(os.path.normpath(real.parent))
    home = Path(environ.get("HOME") or Path.home())
    is_project = directory.name == DIRECTORY and directory.parent != home
    root = workspace or (directory.parent if is_project else Path.cwd())
    root = Path(os.path.normpath(root.expanduser().absolute()))
    return Frame(root=str(root), source=str(root if is_project else directory), home=str(home))


def _messages(found: ImportedPermissions) -> tuple[Message, ...]:
    lines = [_line(rule) for rule in found.rules]
    return (*lines, *(Message("warning", note) for note in found.notes))


def _line(rule: ImportedRule) -> Message:
    reason = f" ({rule.reason})" if rule.reason else ""
    text = f"{rule.list} {rule.rule} -> {rule.became}{reason}"
    return Message("info" if rule.kept else "warning", text)


def _add(house: House, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix="cleveragents-") as directory:
        file = Path(directory) / "profile.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            add_safety_profile(house, file)
        except ConfigurationError as error:
            # The file is ours and gone by now: the name is what was typed.
            raise ConfigurationError(
                problem=error.problem, where="--name", hint=error.hint
            ) from error


def _refuse_taken(place: Path | None) -> None:
    if place is not None and place.exists():
        raise ConfigurationError(
            problem="is there already", where=str(place), hint="name another file, or remove it"
        )


def _write_new(place: Path, text: str) -> None:
    try:
        with place.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise ConfigurationError(
            problem=f"cannot be written: {error.strerror}", where=str(place)
        ) from error
