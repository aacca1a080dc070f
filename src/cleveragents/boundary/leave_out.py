"""What of a directory does a plan not get to see?

Ignored files (by every ``.gitignore`` on the way), secret files (by a list of
names), and what no tree can hold. The same rules are used when a directory is
read and when a plan's changes come back.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.ignore_pattern import EMPTY, IgnoreFile, parse_ignore

if TYPE_CHECKING:
    from collections.abc import Callable

IGNORE_FILE: Final = ".gitignore"
SECRET_NAMES: Final = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc.local",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.ovpn",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    ".vault-token",
    ".terraformrc",
    "terraform.rc",
    "terraform.tfstate",
    "terraform.tfstate.*",
    "*.tfstate",
    "*.tfvars",
    "credentials",
    "credentials.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "secrets.json",
    "secrets.yaml",
    "secrets.yml",
    "secrets.toml",
    "kubeconfig",
    ".aws/",
    ".azure/",
    ".gcloud/",
    ".gnupg/",
    ".kube/",
    ".ssh/",
    ".docker/config.json",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".config/gcloud/",
    ".config/gh/",
)
"""Names of files that hold secrets; a name ending in ``/`` is a directory, one with an inner
``/`` the end of a path. Letter case does not count."""
NOT_SECRET: Final = (
    "*.example",
    "*.sample",
    "*.template",
    "*.tmpl",
    "*.dist",
    "*.env.example",
    "*.pub",
    "*.auto.tfvars.example",
)
"""Names that the list above would catch and that are made to be shared."""


@dataclass(frozen=True, slots=True)
class _SecretTest:
    files: re.Pattern[str]
    directories: re.Pattern[str]
    places: re.Pattern[str]
    exceptions: re.Pattern[str]


def _one_of(patterns: list[str]) -> re.Pattern[str]:
    # An empty alternative would match the empty name only, which no file has.
    return re.compile("|".join(fnmatch.translate(one) for one in patterns) or r"(?!)")


@lru_cache(maxsize=16)
def _secret_test(names: tuple[str, ...]) -> _SecretTest:
    folded = [name.casefold() for name in names]
    plain = [name for name in folded if "/" not in name]
    directories = [name[:-1] for name in folded if name.find("/") == len(name) - 1]
    places = [name for name in folded if "/" in name[:-1]]
    return _SecretTest(
        files=_one_of(plain),
        directories=_one_of(directories),
        places=_one_of([f"/{name.removesuffix('/')}" for name in places]
                       + [f"*/{name.removesuffix('/')}" for name in places]),
        exceptions=_one_of(list(NOT_SECRET)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeaveOutRules:
    """What is left out, beyond what cannot be held at all."""

    secrets: tuple[str, ...] = SECRET_NAMES
    shown: tuple[str, ...] = ()
    """Paths that the operator's profile names: a file, or a directory ending in ``/``. They are
    seen although they are ignored or secret."""

    def is_secret(self, path: str, *, is_directory: bool = False) -> bool:
        """Say whether a path is secret by its own name; its parents are asked for themselves.

        >>> rules = LeaveOutRules()
        >>> rules.is_secret("app/.ENV"), rules.is_secret(".env.example"), rules.is_secret("x.py")
        (True, False, False)
        """
        test = _secret_test(self.secrets)
        folded = path.casefold()
        name = folded.rpartition("/")[2]
        if test.places.match("/" + folded):
            return True
        if is_directory:
            return test.directories.match(name) is not None
        return test.files.match(name) is not None and test.exceptions.match(name) is None

    def is_shown(self, path: str) -> bool:
        """Say whether the operator named the path, or a directory above it."""
        return any(
            path.startswith(entry) or path == entry.removesuffix("/")
            if entry.endswith("/")
            else path == entry
            for entry in self.shown
        )

    def leads_to_shown(self, directory: str) -> bool:
        """Say whether something that the operator named lies below a directory."""
        return any(entry.startswith(f"{directory}/") for entry in self.shown)


@dataclass(frozen=True, slots=True)
class IgnoreScope:
    """The ignore files in force in one directory, the nearest last."""

    directory: str = ""
    """Relative to the workspace, empty or ending in ``/``."""
    files: tuple[tuple[int, IgnoreFile], ...] = ()
    """With the length of the path of the directory that each lies in."""
    is_ignored: bool = False
    """Whether the directory itself is ignored; then everything below it is."""

    def with_text(self, text: str | None) -> IgnoreScope:
        """Add the directory's own ignore file, if it has one."""
        if not text:
            return self
        parsed = parse_ignore(text)
        if parsed == EMPTY:
            return self
        added = (*self.files, (len(self.directory), parsed))
        return IgnoreScope(self.directory, added, self.is_ignored)

    def enter(self, name: str, *, is_ignored: bool = False) -> IgnoreScope:
        """Go down into a directory."""
        below = f"{self.directory}{name}/"
        return IgnoreScope(below, self.files, self.is_ignored or is_ignored)

    def ignores(self, name: str, *, is_directory: bool) -> bool:
        """Say whether the last line that names an entry of this directory ignores it."""
        if self.is_ignored:
            return True
        if not self.files:
            return False
        path = self.directory + name
        for length, file in reversed(self.files):
            verdict = file.verdict(path[length:], name, is_directory=is_directory)
            if verdict is not None:
                return verdict
        return False


@dataclass(slots=True)
class LeaveOutTree:
    """The rules over a tree whose ignore files are asked for as they are needed."""

    rules: LeaveOutRules
    read_ignore: Callable[[str], str | None]
    """Gives the text of a directory's ignore file; the directory is empty or ends in ``/``."""
    scopes: dict[str, IgnoreScope] = field(default_factory=dict)

    def leaves_out(self, path: str) -> bool:
        """Say whether a file is ignored or secret, itself or by a directory above it."""
        if self.rules.is_shown(path):
            return False
        directory, slash, name = path.rpartition("/")
        scope = self._scope(directory + slash)
        return (
            scope.is_ignored
            or scope.ignores(name, is_directory=False)
            or self.rules.is_secret(path)
        )

    def _scope(self, directory: str) -> IgnoreScope:
        found = self.scopes.get(directory)
        if found is None:
            found = self._make_scope(directory)
            self.scopes[directory] = found
        return found

    def _make_scope(self, directory: str) -> IgnoreScope:
        if not directory:
            return IgnoreScope().with_text(self.read_ignore(""))
        parent, slash, name = directory[:-1].rpartition("/")
        above = self._scope(parent + slash)
        is_out = not self.rules.is_shown(directory) and (
            above.ignores(name, is_directory=True)
            or self.rules.is_secret(directory[:-1], is_directory=True)
        )
        inside = above.enter(name, is_ignored=is_out)
        return inside if inside.is_ignored else inside.with_text(self.read_ignore(directory))
