"""The boundary once more for somebody without rights: another wall, the same answers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "robot/resources"))
from ordinary_user import UID, as_ordinary_user, is_root  # noqa: E402  # robot's, found by path


@pytest.mark.privileged
@pytest.mark.skipif(not is_root(), reason="the other tests here run as somebody without rights")
def test_the_boundary_holds_for_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory(prefix="subplan-user-", dir="/var/tmp") as home:
        os.chown(home, UID, UID)
        argv = [sys.executable, "-m", "pytest", "-q", "tests/subplans/test_boundary.py"]
        done = subprocess.run(
            as_ordinary_user(argv, CHECKOUT),
            cwd=CHECKOUT,
            env={"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout + done.stderr
