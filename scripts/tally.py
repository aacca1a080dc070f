"""Add up what the sessions counted, and say it in one line.

Usage: ``tally.py RESULTS NOX_STATUS``. The line is printed only when it is
true of everything that ran; a check that failed without a test (style, types,
coverage) leaves it out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Tally:
    """How the test cases of all runners ended."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        """Give the closing line."""
        line = f"{self.passed} passed, {self.failed} failed"
        return f"{line}, {self.skipped} skipped" if self.skipped else line


def count(results: Path) -> Tally:
    """Count the test cases of every JUnit file below a directory."""
    passed = failed = skipped = 0
    for path in sorted(results.rglob("*.xml")):
        # The runners wrote these files a moment ago; nobody else's XML is read.
        for case in ET.parse(path).iter("testcase"):  # noqa: S314
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
    return Tally(passed, failed, skipped)


def main(arguments: list[str]) -> int:
    """Print the line, or say on stderr why there is none."""
    results, nox_status = Path(arguments[0]), int(arguments[1])
    tally = count(results)
    if tally.failed:
        print(tally)
        return 1
    if nox_status:
        print("a check failed; see the session above that says so", file=sys.stderr)
        return 1
    if tally.passed:
        print(tally)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
