"""What did the operator add by name? Safety profiles, automation profiles, own tools.

Each is a copy of the file as it was added: an edit of the original binds
nothing until it is added again. Whatever was added is trusted (design,
section 11), so the copies belong to the operator alone.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.config.automation_profile import (
    load_automation_profile,
    unknown_automation_profile,
)
from cleveragents.config.yaml_file import load_file, read_bytes
from cleveragents.errors import ConfigurationError, UnknownSafetyProfileError
from cleveragents.policy.profile import BUILT_IN, profile_from_mapping
from cleveragents.policy.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.automation_profile import AutomationProfile
    from cleveragents.policy.profile import SafetyProfile

_SAFETY: Final = "safety_profiles"
_AUTOMATION: Final = "automation_profiles"
_TOOLS: Final = "tools"
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_ORIGIN: Final = "# added from "
"""First line of a kept automation profile: where its relative paths start from."""


class Library:
    """The files under ``library/`` of one home.

    Args:
        home: ``CLEVERAGENTS_HOME``.
    """

    def __init__(self, home: Path) -> None:
        self._root = home / "library"

    # -- safety profiles ----------------------------------------------------

    def safety_profiles(self) -> Mapping[str, SafetyProfile]:
        """Every added safety profile by its name.

        Raises:
            ConfigurationError: A kept file was changed and cannot be understood.
        """
        found = {}
        for file in self._files(_SAFETY, ".yaml"):
            profile = _read_profile(file)
            _check_kept(file, profile.name)
            found[profile.name] = profile
        return found

    def add_safety_profile(self, file: Path) -> str:
        """Keep the profile of a file under its name, which is given back.

        Raises:
            ConfigurationError: It cannot be understood, or the name is taken.
        """
        profile = _read_profile(file)
        if profile.name in BUILT_IN:
            raise ConfigurationError(
                problem=f"{profile.name!r} is built in", where=str(file), hint="choose another name"
            )
        self._keep(_SAFETY, f"{profile.name}.yaml", read_bytes(file), file)
        return profile.name

    def remove_safety_profile(self, name: str) -> None:
        """Forget an added profile.

        Raises:
            ConfigurationError: It is built in.
            UnknownSafetyProfileError: Nobody added it.
        """
        if name in BUILT_IN:
            raise ConfigurationError(problem=f"{name!r} is built in and stays")
        kept = {file.stem: file for file in self._files(_SAFETY, ".yaml")}
        if name not in kept:
            raise UnknownSafetyProfileError(name=name, known=tuple(sorted(kept)))
        _forget(kept[name])

    # -- automation profiles ------------------------------------------------

    def automation_profile_names(self) -> tuple[str, ...]:
        """The names of the added automation profiles."""
        return tuple(file.stem for file in self._files(_AUTOMATION, ".yaml"))

    def automation_profile(self, name: str) -> AutomationProfile:
        """An automation profile that was added by name: trusted.

        Raises:
            ConfigurationError: Nobody added it, or the kept file was changed
                and cannot be understood.
        """
        file = self._automation_file(name)
        profile = load_automation_profile(file, is_trusted=True, base=_origin_of(file))
        _check_kept(file, profile.name)
        return profile

    def add_automation_profile(self, file: Path) -> str:
        """Keep an automation profile under its name, which is given back.

        Relative paths in it go on meaning what they meant where it was.

        Raises:
            ConfigurationError: It cannot be understood, or the name is taken.
        """
        profile = load_automation_profile(file, is_trusted=True)
        origin = _ORIGIN + json.dumps(str(file.absolute().parent))
        data = read_bytes(file).removeprefix(b"\xef\xbb\xbf")
        self._keep(_AUTOMATION, f"{profile.name}.yaml", f"{origin}\n".encode() + data, file)
        return profile.name

    def remove_automation_profile(self, name: str) -> None:
        """Forget an added automation profile.

        Raises:
            ConfigurationError: Nobody added it.
        """
        _forget(self._automation_file(name))

    def _automation_file(self, name: str) -> Path:
        kept = {file.stem: file for file in self._files(_AUTOMATION, ".yaml")}
        if name not in kept:
            raise unknown_automation_profile(name, tuple(kept))
        return kept[name]

    # -- own tools ----------------------------------------------------------

    def tool_files(self) -> tuple[Path, ...]:
        """The files of own tools that were added."""
        return self._files(_TOOLS, ".py")

    def add_tools(self, file: Path) -> Path:
        """Keep a file of own tools; what is in it was looked at by the caller.

        Returns:
            Where it is kept.

        Raises:
            ConfigurationError: It cannot be read, or a file of that name was
                added before.
        """
        if not _FILE_NAME.fullmatch(file.stem):
            raise ConfigurationError(
                problem=f"{shown(file.stem)} cannot be the name of a file of tools",
                where=str(file),
                hint="letters, digits, '.', '_' and '-', at most 64",
            )
        return self._keep(_TOOLS, f"{file.stem}.py", read_bytes(file), file)

    def remove_tools(self, source: str) -> None:
        """Forget a file of own tools.

        Args:
            source: Where it is kept.

        Raises:
            ConfigurationError: It is no file of the library.
        """
        kept = {str(file): file for file in self.tool_files()}
        if source not in kept:
            raise ConfigurationError(
                problem=f"{source} was not added by name",
                hint="the automation profile that lists it can leave it out",
            )
        _forget(kept[source])

    # -- files --------------------------------------------------------------

    def _files(self, kind: str, suffix: str) -> tuple[Path, ...]:
        directory = self._root / kind
        try:
            names = sorted(os.listdir(directory))  # noqa: PTH208  # one sort of plain names
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigurationError(
                problem=f"cannot be read: {error.strerror}", where=str(directory)
            ) from error
        # A name that starts with a dot is one that was being written when the host died.
        return tuple(
            directory / name
            for name in names
            if name.endswith(suffix) and _FILE_NAME.fullmatch(name.removesuffix(suffix))
        )

    def _keep(self, kind: str, name: str, data: bytes, file: Path) -> Path:
        place = self._root / kind / name
        try:
            # Each by itself: the mode counts for the last of several only.
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            is_new = _write_new(place, data)
        except OSError as error:
            raise ConfigurationError(
                problem=f"cannot be kept in {place.parent}: {error.strerror}", where=str(file)
            ) from error
        if not is_new:
            raise ConfigurationError(
                problem=f"{place.stem!r} was added before", where=str(file), hint="remove it first"
            )
        return place


def _write_new(place: Path, data: bytes) -> bool:
    """Make a file that is there as a whole or not at all; say so when one is there already."""
    number, temporary = tempfile.mkstemp(prefix=".", dir=place.parent)
    try:
        with open(number, "wb") as out:  # noqa: PTH123  # not a path
            out.write(data)
            out.flush()
            os.fsync(number)
        os.link(temporary, place)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)  # noqa: PTH108  # mkstemp gives a string
    return True


def _forget(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            problem=f"cannot be removed: {error.strerror}", where=str(file)
        ) from error


def _read_profile(file: Path) -> SafetyProfile:
    return load_file(file).reader.checked(profile_from_mapping)


def _check_kept(file: Path, name: str) -> None:
    """A kept file that names another profile would be found under neither name."""
    if file.stem != name:
        raise ConfigurationError(
            problem=f"holds the profile {name!r}, not {file.stem!r}",
            where=str(file),
            hint="remove it and add it again",
        )


def _origin_of(file: Path) -> Path:
    first = read_bytes(file).partition(b"\n")[0].decode("utf-8", "replace")
    try:
        origin = json.loads(first.removeprefix(_ORIGIN))
    except ValueError:
        origin = None
    if not first.startswith(_ORIGIN) or not isinstance(origin, str):
        raise ConfigurationError(
            problem="does not say where it was added from",
            where=f"{file}:1",
            hint="remove it and add it again",
        )
    return Path(origin)
