"""Without the extra, the adapter says what to install."""

from __future__ import annotations

import subprocess
import sys


def test_the_sentence_names_the_extra() -> None:
    program = "import sys; sys.modules['pydantic_ai'] = None\nimport cleveragents.integrations.pydantic_ai"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "ConfigurationError" in done.stderr
    assert "pip install 'cleveragents[llm]'" in done.stderr
