"""No model of anybody is asked by these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic_ai import models

from .scene import Scene

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A place of one test, and no way to a provider."""
    home, cells, workspace = (tmp_path / name for name in ("home", "cells", "workspace"))
    for directory in (home, cells, workspace):
        directory.mkdir(mode=0o700)
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)
    monkeypatch.setenv("CLEVERAGENTS_HOME", str(home))
    monkeypatch.setenv("CLEVERAGENTS_CELL_ROOT", str(cells))
    return Scene(home, workspace)
