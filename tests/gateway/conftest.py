from tests.plans.conftest import installed

__all__ = ["installed", "scene"]

from collections.abc import Iterator

import pytest

from tests.plans.scene import Scene, scene_for


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A place of whoever runs the tests, for the installed command."""
    with scene_for() as made:
        made.file("a.txt", "one\n")
        yield made
