"""What of the host does every cell stand on?

The system's programs, Python, the guest's runtime and three stubs: found once
for a process, by names that the cell's user can pass.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

GUEST: Final = "/guest"
"""Where the guest's runtime is in every cell."""
_UNMERGED: Final = ("/bin", "/sbin", "/lib", "/lib64")
"""Directories of their own where ``/usr`` is not merged, else links into it."""
_STUBS: Final = ("passwd", "group", "hosts")
_CERTIFICATES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the certificate authorities in one file."""
_SYSTEM_FILES: Final = ("/etc/ld.so.cache", "/etc/alternatives")


@dataclass(frozen=True, slots=True)
class Footing:
    """What of the host every cell stands on; found once for a process."""

    python: str
    """The interpreter's path inside."""
    binds: tuple[tuple[str, str], ...]
    """Host path and path inside, read-only."""
    packages: str
    """The user's own packages inside, last on the guest's path; empty: none."""
    path: str
    """The value of PATH."""
    certificates: str = ""
    """The host's certificate authorities, for cells with a network; empty: it has none."""


def python_places() -> tuple[Path, ...]:
    """List the prefixes that Python needs and ``/usr`` does not hold."""
    prefixes = (sys.base_prefix, os.path.realpath(sys.base_prefix), sys.prefix)
    unique = dict.fromkeys(Path(prefix) for prefix in prefixes)
    return tuple(prefix for prefix in unique if not prefix.is_relative_to("/usr"))


def find_footing(reach: Callable[[Path], Path], *, runtime: Path) -> Footing:
    """Work out what cells stand on.

    Args:
        reach: Gives a name of a host path by which the cell's user can pass.
        runtime: The guest's runtime.
    """
    binds = [("/usr", "/usr")]
    binds += [(name, name) for name in _UNMERGED if _is_real_directory(name)]
    binds += [(str(reach(prefix)), str(prefix)) for prefix in python_places()]
    binds.append((str(reach(runtime / "site")), GUEST))
    binds += [(str(reach(runtime / "etc" / n)), f"/etc/{n}") for n in _STUBS]
    binds += [(name, name) for name in _SYSTEM_FILES if Path(name).exists()]
    return Footing(
        # Not the environment's link: that one would read its configuration and site packages.
        python=os.path.realpath(sys.executable),
        binds=tuple(binds),
        packages=user_packages(),
        path=search_path(),
        certificates=next((name for name in _CERTIFICATES if os.access(name, os.R_OK)), ""),
    )


def user_packages() -> str:
    """Give the directory of the packages that the user installed beside this one."""
    return f"{sys.prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def search_path() -> str:
    """Give PATH for a cell: the environment's programs, then the system's."""
    own = "" if sys.prefix == "/usr" else f"{sys.prefix}/bin:"
    return f"{own}/usr/local/bin:/usr/bin:/bin"


def _is_real_directory(name: str) -> bool:
    return Path(name).is_dir() and not Path(name).is_symlink()
