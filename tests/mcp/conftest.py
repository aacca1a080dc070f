"""Who runs the plans of these tests."""

from __future__ import annotations

from tests.plans.conftest import anybody, installed, scene

__all__ = ["anybody", "installed", "scene"]
