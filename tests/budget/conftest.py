"""Where the plans of these tests run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.budget.purchase import ASK
from tests.plans.scene import Scene, scene_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def scene() -> Iterator[Scene]:
    with scene_for(is_ordinary=False) as made:
        made.own_tools(ASK)
        yield made
