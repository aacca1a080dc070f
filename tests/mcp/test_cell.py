"""A server's cell by itself: its streams, its log, its end, and what cannot be mounted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.cell_spec import CellSpec
from cleveragents.boundary.server_cell import ServerOrder
from cleveragents.boundary.spawner import NotDeadError
from cleveragents.boundary.unconfined import UnconfinedLauncher
from cleveragents.errors import ConfigurationError, IsolationUnavailableError, RecordError
from tests.boundary.cell_scene import House, the_house

if TYPE_CHECKING:
    from cleveragents.boundary.server_cell import ServerCell

__all__ = ["the_house"]


def start(house: House, *command: str, **facts: object) -> ServerCell:
    spec = CellSpec(workspace=house.mount("copy", {"a.txt": "hello\n"}), **facts)  # type: ignore[arg-type]  # the test's own
    return house.launcher.start_server(spec, ServerOrder(command=command))


def test_what_goes_in_comes_out_and_the_end_is_told(the_house: House) -> None:
    cell = start(the_house, "sh", "-c", "cat a.txt -; echo bye >&2; exit 3")
    reading, writing = cell.take_streams()
    with pytest.raises(ValueError, match="taken"):
        cell.take_streams()
    assert cell.pid > 0
    os.write(writing, b"typed\n")
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        assert output.read() == b"hello\ntyped\n"
    assert cell.wait_exit(timeout_s=10) == 3
    assert not cell.alive
    cell.close()
    cell.close()
    assert cell.log == "bye\n"
    assert cell.reason == "the server was ended"


def test_one_that_is_not_taken_up_is_ended_all_the_same(the_house: House) -> None:
    cell = start(the_house, "sleep", "3600")
    assert cell.take_listener() is None
    cell.kill("enough")
    cell.close()
    assert cell.reason == "enough"


def test_a_command_that_is_not_in_the_cell_ends_with_its_reason(the_house: House) -> None:
    cell = start(the_house, "/no/such/program")
    assert cell.wait_exit(timeout_s=10) == 127
    cell.close()
    assert cell.log == "/no/such/program: No such file or directory\n"


def test_the_log_keeps_its_last_part_only(the_house: House) -> None:
    cell = start(the_house, "sh", "-c", "yes x | head -c 1000000 >&2; echo end >&2")
    cell.wait_exit(timeout_s=20)
    cell.close()
    assert cell.log.endswith("end\n")
    assert len(cell.log) <= cell.spec.limits.output_bytes


def test_a_workspace_of_layers_is_not_shown_twice(the_house: House) -> None:
    spec = CellSpec(workspace=the_house.mount("overlay", {"a": "x"}), alias="/home/u/p")
    with pytest.raises(ConfigurationError, match="cannot be shown at '/home/u/p' too"):
        the_house.launcher.start_server(spec, ServerOrder(command=("true",)))


def test_a_place_beneath_the_workspace_itself_is_refused(the_house: House) -> None:
    with pytest.raises(ConfigurationError, match="not beneath /workspace"):
        start(the_house, "true", alias="/workspace/inner")


def test_a_process_that_does_not_die_stops_everything(
    the_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = start(the_house, "sleep", "3600")

    def never() -> None:
        raise NotDeadError

    with monkeypatch.context() as patch:
        patch.setattr(cell._process, "wait_dead", never)
        with pytest.raises(RecordError, match="does not end"):
            cell.close()
    cell.close()


def test_without_a_wall_no_server_is_started(the_house: House) -> None:
    spec = CellSpec(workspace=the_house.mount("copy", {}))
    with pytest.raises(IsolationUnavailableError, match="'x' cannot run without a wall"):
        UnconfinedLauncher().start_server(spec, ServerOrder(command=("x",)))
