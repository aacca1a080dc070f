"""The scenes of the plans' tests, here too."""

from __future__ import annotations

from tests.plans.conftest import *  # noqa: F403  # fixtures
