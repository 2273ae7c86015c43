"""A play is recorded in the simulator's format with whole rows, also on a disk that fills."""

import copy
import datetime
import time
from contextlib import suppress

import pytest

from bcclone.game.play_files import PlayedRow, play_recorder
from bcclone.game.played_world import PlayedWorld
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenBy, read_drivers, read_trace
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from tests.processes import full_disk, wait_for


@pytest.fixture(scope="module")
def renderer():
    return Renderer("lake", Conditions())


@pytest.fixture(scope="module")
def world(renderer):
    return PlayedWorld(renderer, load_track("lake"))


def row(world, by=DrivenBy(HUMAN)):  # noqa: B008
    world.drive(0.1, 1.0, 3)
    return PlayedRow(
        copy.copy(world.car), world.frame(), world.tracked.trace_point, by, time.monotonic()
    )


def record(recorder, world, count, by=DrivenBy(HUMAN)):  # noqa: B008
    before = recorder.recorded
    for number in range(count):
        recorder.record(row(world, by))
        wait_for(
            lambda number=number: recorder.recorded == before + number + 1, every_seconds=0.002
        )


def test_a_recording_has_three_images_a_row_and_who_drove(world, renderer, tmp_path):
    with play_recorder(renderer, tmp_path / "run") as recorder:
        recorder.turn(True)
        record(recorder, world, 2, DrivenBy(MODEL))
        record(recorder, world, 3, DrivenBy(HUMAN, 1))
        recorder.turn(False)
    rows = read_log(tmp_path / "run" / "driving_log.csv").rows
    assert len(rows) == 5
    named = {*rows.center, *rows.left, *rows.right}
    assert named == {path.name for path in (tmp_path / "run" / "IMG").iterdir()}
    drivers = read_drivers(tmp_path / "run")
    trace = read_trace(tmp_path / "run")
    assert [drivers[name] for name in rows.center] == [DrivenBy(MODEL)] * 2 + [
        DrivenBy(HUMAN, 1)
    ] * 3
    assert trace.keys() == drivers.keys()
    # by the clock of this machine, as the simulator names its images
    now = datetime.datetime.now() - datetime.datetime(1970, 1, 1)
    assert rows.time_ms.iloc[-1] == pytest.approx(now.total_seconds() * 1000, abs=60_000)


def test_each_recording_gets_a_new_folder(world, renderer, tmp_path):
    (tmp_path / "run-2").mkdir()
    (tmp_path / "run-2" / "mine").touch()
    with play_recorder(renderer, tmp_path / "run") as recorder:
        for _ in range(2):
            recorder.turn(True)
            record(recorder, world, 1)
            recorder.turn(False)
    assert recorder.folders == (tmp_path / "run", tmp_path / "run-3")
    assert list((tmp_path / "run-2").iterdir()) == [tmp_path / "run-2" / "mine"]


@pytest.mark.parametrize("size", [10, 5_000])  # of headers, of an image
def test_a_recording_that_gets_no_row_on_a_full_disk_leaves_no_folder(
    world, renderer, tmp_path, size
):
    with play_recorder(renderer, tmp_path / "run") as recorder:
        with full_disk(size), suppress(UserError):
            recorder.turn(True)
            recorder.record(row(world))
            wait_for(lambda: recorder.failure)
        wait_for(lambda: not list(tmp_path.iterdir()))
        recorder.turn(True)
        record(recorder, world, 1)
    assert recorder.recorded == 1
    assert len(read_log(tmp_path / "run" / "driving_log.csv").rows) == 1


def test_two_plays_never_record_into_one_folder_at_the_same_time(world, renderer, tmp_path):
    with play_recorder(renderer, tmp_path / "run") as recorder:
        recorder.turn(True)  # without a row, the folder still counts as free
        with (
            play_recorder(renderer, tmp_path / "run") as other,
            pytest.raises(UserError, match=r"run: process \d+ .*another folder"),
        ):
            other.turn(True)
        record(recorder, world, 1)
    assert len(read_log(tmp_path / "run" / "driving_log.csv").rows) == 1
