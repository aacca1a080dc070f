from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.models.line import ModelLine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def line() -> Iterator[ModelLine]:
    line = ModelLine()
    yield line
    line.close()
