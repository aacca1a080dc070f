"""A pydantic-ai agent whose tools and requests pass the door.

    pip install 'cleveragents[llm]'
    python examples/governed_agent.py                      # a model that calls every tool once
    python examples/governed_agent.py openai:gpt-5-mini    # a real one; needs its key

Afterwards ``agents plan status`` shows the run with its calls, what was
refused and why, and what it cost.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic_ai import Agent

from cleveragents.integrations.pydantic_ai import Governed

NOTES = Path("notes.txt")


def read_notes(path: str = "notes.txt") -> str:
    """Read the notes."""
    return Path(path).read_text(encoding="utf-8")


def delete_notes(path: str = "notes.txt") -> str:
    """Delete the notes."""
    Path(path).unlink()
    return f"{path} is gone"


def main() -> None:
    """Ask the agent to tidy up; reading is all that it may do."""
    model = sys.argv[1] if len(sys.argv) > 1 else "test"
    NOTES.write_text("Milk, bread.\n", encoding="utf-8")
    agent = Agent(
        model,
        name="tidy",
        instructions="Read the notes, then delete them.",
        tools=[read_notes, delete_notes],
        capabilities=[
            Governed(
                safety_profile="read-only",
                effects={"read_notes": {"read"}},
                resources={"read_notes": {"path": "file"}},
                max_tool_calls=20,
                max_requests=10,
            )
        ],
    )
    result = agent.run_sync("Tidy up.")
    sys.stdout.write(f"{result.output}\nnotes are there: {NOTES.exists()}\n")


if __name__ == "__main__":
    main()
