"""What contracts on imports cannot say: who calls the decision, and who names the hands."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src/cleveragents"


def _attribute_calls(name: str) -> set[str]:
    """Files in which something is called as ``gate.<name>`` or imported from the gate."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"gate.{name}", name}:
                found.add(str(path.relative_to(SOURCE)))
    return found


def _callers_of_method(receiver: str, method: str) -> set[str]:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == method
                and ast.unparse(node.func.value).endswith(receiver)
            ):
                found.add(str(path.relative_to(SOURCE)))
    return found


def test_only_the_door_decides() -> None:
    callers = _attribute_calls("decide") - {"policy/gate.py"}
    assert callers == {"runtime/tool_runtime.py"}


def test_only_the_door_uses_the_hands() -> None:
    for method in ("call", "prepare", "commit"):
        assert _callers_of_method("hands", method) <= {"runtime/call_effect.py"}


def test_only_the_door_uses_the_broker() -> None:
    assert _callers_of_method("broker", "perform") == {"runtime/call_effect.py"}
