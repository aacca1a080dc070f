"""Who runs the plans of these tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.plans.scene import Scene, scene_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A place of whoever runs the tests; commands run in this process."""
    with scene_for(is_inside=True) as made:
        yield made


@pytest.fixture(params=["as started", "without root's rights"])
def installed(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The installed command, as whoever runs the tests and without root's rights."""
    is_ordinary = request.param != "as started"
    if is_ordinary and os.geteuid() != 0:
        pytest.skip("nobody to become: the tests run without root's rights already")
    with scene_for(is_ordinary=is_ordinary) as made:
        yield made


@pytest.fixture(params=["inside", "installed"])
def anybody(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """In this process, and as the installed command of somebody without root's rights."""
    is_inside = request.param == "inside"
    is_ordinary = not is_inside and os.geteuid() == 0
    with scene_for(is_ordinary=is_ordinary, is_inside=is_inside) as made:
        yield made
