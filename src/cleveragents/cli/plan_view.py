"""Pages for the answers of ``agents plan``; each view is imported when it draws."""

# Importing late is the purpose: a program that asks for JSON pays for no page.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.cli.page import Page

    Data = Mapping[str, object]


def status_page(data: Data) -> Page:
    """How a plan stands."""
    from cleveragents.cli import status_view

    return status_view.status_page(data)


def list_page(data: Data) -> Page:
    """The plans."""
    from cleveragents.cli import plan_list_view

    return plan_list_view.list_page(data)


def tree_page(data: Data) -> Page:
    """Plans below decisions, and decisions below plans."""
    from cleveragents.cli import tree_view

    return tree_view.tree_page(data)


def diff_page(data: Data) -> Page:
    """A patch, and what it leaves out."""
    from cleveragents.cli import change_view

    return change_view.diff_page(data)


def conflicts_page(data: Data) -> Page:
    """Paths that both sides changed."""
    from cleveragents.cli import change_view

    return change_view.conflicts_page(data)


def explain_page(data: Data) -> Page:
    """What was decided, and which rule decided each call."""
    from cleveragents.cli import decision_view

    return decision_view.explain_page(data)
