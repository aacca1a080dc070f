"""Who runs the plans of these tests, and who answers out there."""

from __future__ import annotations

from tests.plans.conftest import anybody, installed, scene
from tests.plans.test_network import server

__all__ = ["anybody", "installed", "scene", "server"]
