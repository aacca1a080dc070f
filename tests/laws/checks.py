"""Every check that ``nox -s laws`` removes, by where it stands."""

from __future__ import annotations

from typing import Final

from tests.laws import door_check, policy_check, record_check, wall_check

MUTATIONS: Final = (
    *door_check.CHECKS,
    *policy_check.CHECKS,
    *record_check.CHECKS,
    *wall_check.CHECKS,
)
