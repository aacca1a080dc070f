"""Say whether the lock files belong to ``pyproject.toml`` and can be trusted as they are.

A lock file carries the digest of the tables that it was made from, so that the
check needs neither the network nor another package. ``--stamp`` writes it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
STAMP = re.compile(r"\A# made from pyproject\.toml ([0-9a-f]{64})\n")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==\S+", re.MULTILINE)
HASH = "--hash=sha256:"
ADDRESS = re.compile(r"://|--(extra-)?index-url|--find-links|^-[if]\b", re.MULTILINE)


def source_digest() -> str:
    """Digest of everything in ``pyproject.toml`` that decides what is installed."""
    raw = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = raw["project"]
    tables = [
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
        raw["dependency-groups"],
    ]
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def problems(name: str, text: str, digest: str) -> list[str]:
    """Give one sentence for each thing that is wrong with one lock file."""
    found = []
    stamp = STAMP.match(text)
    if stamp is None or stamp[1] != digest:
        found.append(f"{name} was not made from this pyproject.toml; run scripts/lock")
    if ADDRESS.search(text):
        found.append(f"{name} names an index; it must leave that to the machine")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    found += [
        f"{name}: {block.splitlines()[0]} is not pinned with a hash"
        for block in blocks
        if PIN.match(block) is None or HASH not in block
    ]
    return found


def pins(text: str) -> list[str]:
    """Give each ``name==version`` of a lock file."""
    return [match.group(0) for match in PIN.finditer(text)]


def main(arguments: list[str]) -> int:
    """Check both files, or stamp them."""
    digest = source_digest()
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in LOCKS}
    if arguments == ["--stamp"]:
        for name, text in texts.items():
            body = STAMP.sub("", text)
            (ROOT / name).write_text(
                f"# made from pyproject.toml {digest}\n{body}", encoding="utf-8"
            )
        return 0
    found = [line for name, text in texts.items() for line in problems(name, text, digest)]
    runtime, everything = (set(pins(texts[name])) for name in LOCKS)
    found += [f"requirements-dev.lock lacks {pin}" for pin in sorted(runtime - everything)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
