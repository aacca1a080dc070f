"""Two tools of our own for the demo. Their bodies run in the plan's cell, never in the host."""

from __future__ import annotations

import re
from pathlib import Path

from cleveragents import tool


@tool(effects={"read"})
def open_ends_page(matches: list[dict[str, str | int]]) -> str:
    """Write search matches as a Markdown page, a line for each, sorted by place."""
    lines = ["# Open ends", ""]
    for match in sorted(matches, key=lambda match: (str(match["path"]), int(str(match["line"])))):
        text = str(match["text"]).strip().replace("`", "'")
        lines.append(f"- {match['path']}:{match['line']}: `{text}`")
    if not matches:
        lines.append("None.")
    return "\n".join(lines) + "\n"


@tool(effects={"read", "write"})
def correct_spelling(
    matches: list[dict[str, str | int]], corrections: dict[str, str]
) -> dict[str, int]:
    """Correct words in the files of search matches, and count the words for each file.

    Which of those files can be written is not decided here: the rest of the
    workspace is mounted read-only.
    """
    wrong = re.compile(rf"\b({'|'.join(map(re.escape, corrections))})", re.IGNORECASE)

    def right(match: re.Match[str]) -> str:
        word = corrections[match[0].lower()]
        return word.capitalize() if match[0][0].isupper() else word

    corrected = {}
    for path in sorted({str(match["path"]) for match in matches}):
        file = Path(path)
        text, count = wrong.subn(right, file.read_text(encoding="utf-8"))
        if count:
            file.write_text(text, encoding="utf-8")
            corrected[path] = count
    return corrected
