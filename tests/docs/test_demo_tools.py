"""The two tools that the demo brings do what its plan says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleveragents.tools import own_tool

if TYPE_CHECKING:
    import pytest

FILE = Path(__file__).resolve().parents[2] / "examples/demo/tidy_tools.py"


def _run(name: str, **arguments: object) -> Any:
    return own_tool.load(str(FILE))[name](**arguments)


def test_open_ends_become_a_page_sorted_by_place() -> None:
    page = _run(
        "open_ends_page",
        matches=[
            {"path": "b.py", "line": 2, "text": "  # TODO: `later`"},
            {"path": "a.py", "line": 10, "text": "# FIXME: soon"},
            {"path": "a.py", "line": 9, "text": "# TODO: now"},
        ],
    )
    assert page.splitlines()[2:] == [
        "- a.py:9: `# TODO: now`",
        "- a.py:10: `# FIXME: soon`",
        "- b.py:2: `# TODO: 'later'`",
    ]


def test_no_open_ends_are_said_so() -> None:
    assert "None." in _run("open_ends_page", matches=[])


def test_words_are_corrected_and_keep_their_capital(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text("Seperate the seperated, not the desperate.\n", encoding="utf-8")
    counted = _run(
        "correct_spelling",
        matches=[{"path": "a.md", "line": 1, "text": ""}],
        corrections={"seperate": "separate"},
    )
    assert counted == {"a.md": 2}
    assert Path("a.md").read_text(encoding="utf-8") == (
        "Separate the separated, not the desperate.\n"
    )
