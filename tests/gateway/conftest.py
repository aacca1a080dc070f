from tests.plans.conftest import installed
from tests.plans.test_network import server

__all__ = ["installed", "scene", "server"]

from collections.abc import Iterator

import pytest

from tests.plans.scene import Scene, scene_for


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A place of whoever runs the tests, for the installed command."""
    with scene_for() as made:
        made.file("a.txt", "one\n")
        yield made
