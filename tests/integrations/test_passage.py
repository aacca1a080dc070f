"""A body runs in its own task while the door waits in a thread; neither loses the other."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cleveragents.assembly.embedded_charter import EmbeddedRequest
from cleveragents.assembly.embedded_plan import EmbeddedPlan, open_plan
from cleveragents.assembly.house import open_house
from cleveragents.assembly.passage import Passage
from cleveragents.errors import ConfigurationError, RecordError
from cleveragents.terms.model import ModelEndpoint

if TYPE_CHECKING:
    from .scene import Scene

ENDPOINT = ModelEndpoint("test:test")


def gone(error: BaseException) -> BaseException:
    return ValueError(type(error).__name__)


def test_the_body_runs_in_the_task_that_asked() -> None:
    async def cross() -> tuple[bool, str, str]:
        passage: Passage[str, str, str] = Passage()
        here = asyncio.current_task()

        def door() -> str:
            return f"{passage.perform('given')} by {threading.current_thread().name}"

        async with passage.open(door, gone=gone) as given:
            passage.answer(f"{given} and done")
            is_same = asyncio.current_task() is here
        return is_same, passage.end, given

    assert asyncio.run(cross()) == (True, "given and done by door", "given")


def test_a_refusal_lets_nobody_in() -> None:
    async def cross() -> None:
        passage: Passage[str, str, str] = Passage()

        def door() -> str:
            raise KeyError("no")

        async with passage.open(door, gone=gone):
            raise AssertionError

    with pytest.raises(KeyError):
        asyncio.run(cross())


def test_what_the_body_raises_reaches_the_door_and_the_caller() -> None:
    heard: list[str] = []

    async def cross() -> None:
        passage: Passage[str, str, str] = Passage()

        def door() -> str:
            try:
                return passage.perform("x")
            except ValueError as error:
                heard.append(str(error))
                raise

        async with passage.open(door, gone=gone):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(cross())
    assert heard == ["ZeroDivisionError"]


def test_a_cancel_while_the_outcome_is_written_waits_for_it() -> None:
    written: list[str] = []

    async def cross() -> None:
        passage: Passage[str, str, str] = Passage()
        writing = asyncio.Event()
        loop = asyncio.get_running_loop()
        go_on = threading.Event()

        def door() -> str:
            value = passage.perform("x")
            loop.call_soon_threadsafe(writing.set)
            go_on.wait(30)
            written.append(value)
            return value

        async def body() -> None:
            async with passage.open(door, gone=gone):
                passage.answer("done")

        task = asyncio.create_task(body())
        await writing.wait()
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert written == ["done"]

    asyncio.run(cross())


def test_a_plan_that_cannot_be_recorded_does_not_start(scene: Scene) -> None:
    house = open_house({"CLEVERAGENTS_HOME": str(scene.home)}, isolation="off-unsafe")
    request = EmbeddedRequest(name="x", workspace=scene.workspace)
    plan = EmbeddedPlan(house, request, specs=[], endpoint=ENDPOINT)
    house.store().close()
    with pytest.raises(RecordError):
        plan.start()


def test_what_is_wrong_leaves_nothing_open(scene: Scene) -> None:
    request = EmbeddedRequest(name="x", workspace=Path("/nowhere"))
    environ = {"CLEVERAGENTS_HOME": str(scene.home)}
    before = threading.active_count()
    with pytest.raises(ConfigurationError):
        open_plan(request, specs=[], endpoint=ENDPOINT, environ=environ)
    assert threading.active_count() == before
