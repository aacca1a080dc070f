"""Takes out of a provider's words what no JSON of ours can hold."""

from __future__ import annotations

from typing import Any


def clean(text: str) -> str:
    """Replace lone surrogates, which Python's JSON lets in and UTF-8 does not let out."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def plain(value: Any) -> Any:
    """Copy JSON with every text cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
