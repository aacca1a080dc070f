"""Which files run code later, on the side of whoever takes them?

They come back like any other, but wait for a person at apply (isolation,
rule 9): an editor, a shell, a build or a continuous integration runs them
without being asked.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HELD_FILES: Final = (
    ".gitattributes",
    ".gitmodules",
    ".envrc",
    ".husky/",
    ".githooks/",
    ".pre-commit-config.yaml",
    ".github/workflows/",
    ".github/actions/",
    ".gitlab-ci.yml",
    ".circleci/",
    ".buildkite/",
    ".travis.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "Jenkinsfile",
    ".vscode/",
    ".idea/",
    ".devcontainer/",
    ".vimrc",
    ".exrc",
    ".nvimrc",
    ".dir-locals.el",
    ".editorconfig.lua",
    "Makefile",
    "GNUmakefile",
    "*.mk",
    "justfile",
    "Rakefile",
    "Taskfile.yml",
    "conftest.py",
    "sitecustomize.py",
    "usercustomize.py",
    "*.pth",
    "noxfile.py",
    "tox.ini",
    "setup.py",
    ".claude/",
    ".cursor/",
    ".mcp.json",
    ".bashrc",
    ".zshrc",
    ".profile",
)
"""A name, or a directory ending in ``/``, at any depth. Letter case does not count."""


@lru_cache(maxsize=16)
def _expression(names: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = []
    for name in names:
        folded = name.casefold()
        pattern = f"*/{folded}*" if folded.endswith("/") else f"*/{folded}"
        alternatives.append(fnmatch.translate(pattern))
    return re.compile("|".join(alternatives) or r"(?!)")


def held_among(paths: Iterable[str], names: tuple[str, ...] = HELD_FILES) -> tuple[str, ...]:
    """Give the paths that wait for a person.

    >>> held_among(["src/a.py", "sub/MAKEFILE", ".github/workflows/ci.yml"])
    ('sub/MAKEFILE', '.github/workflows/ci.yml')
    """
    expression = _expression(names)
    return tuple(path for path in paths if expression.match(f"/{path.casefold()}"))
