"""The played car drives for as long as one likes: laps are timed, and a lost car is put back."""

import pytest

from bcclone.game.play_server import play
from bcclone.game.play_settings import PlaySettings
from bcclone.game.played_world import PlayedWorld
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import WorldPace
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from tests.drive.drive_server import Clock


@pytest.fixture(scope="module")
def renderer():
    return Renderer("lake", Conditions())


@pytest.fixture
def world(renderer):
    return PlayedWorld(renderer, load_track("lake"))


def drive_lap(world, throttle):
    """Drive to the end of the lap; return the seconds that it took."""
    lap = world.laps()["lap"]
    since = world.tracked.seconds
    while world.laps()["lap"] == lap:
        world.drive(world.steering_home(), throttle, 1)
    return world.tracked.seconds - since


def test_a_play_begins_where_it_is_asked_to(renderer):
    world = PlayedWorld(renderer, load_track("lake"), 200.0, -2.0)
    assert world.tracked.position.along_m == pytest.approx(200.0, abs=0.1)
    assert world.tracked.position.cross_track_m == pytest.approx(-2.0, abs=0.05)
    assert world.laps()["lap"] == 1
    with pytest.raises(UserError, match="--start-m 5000: the lap of lake ends after 1138 m"):
        play(PlaySettings(start_m=5000.0))


def laps(lap, last, best):
    return {"lap": lap, "seconds": 0.0, "last": pytest.approx(last), "best": pytest.approx(best)}


def test_laps_are_timed_from_start_to_start(world):
    from_standing = drive_lap(world, 0.6)
    assert world.tracked.progress_m == pytest.approx(world.track.lap_m, abs=0.5)
    assert world.laps() == laps(2, from_standing, from_standing)
    flying = drive_lap(world, 0.6)
    assert world.laps() == laps(3, flying, flying)
    slow = drive_lap(world, 0.1)
    assert world.laps() == laps(4, slow, flying)
    assert flying < min(from_standing, slow)


def test_a_car_that_is_put_back_stands_on_the_middle_of_the_road(world):
    world.car.speed = 10.0
    world.tracked.push(20.0)
    assert world.lost
    assert world.tracked.position.off_road
    world.put_back()
    assert abs(world.tracked.position.cross_track_m) < 0.1
    assert world.car.speed == 0
    assert not world.tracked.position.off_road


@pytest.mark.parametrize("side_m", [-2.0, 2.0])
def test_a_car_that_nobody_drives_rolls_along_its_road(world, side_m):
    world.tracked.push(side_m)
    world.car.speed = 10.0
    for _ in range(200):
        world.drive(world.steering_home(), 0.0, 1)
        assert not world.tracked.position.off_road
    assert world.tracked.progress_m > 25
    assert abs(world.tracked.position.cross_track_m) < 1.5


@pytest.fixture
def clock():
    return Clock()


def taken(pace, clock, seconds, every):
    """Return the steps that are due in this time, asked for at this interval."""
    steps = 0
    for _ in range(round(seconds / every)):
        clock.seconds += every
        steps += pace.due()
    return steps


@pytest.mark.parametrize("every", [1 / 30, 0.007])
def test_fifty_steps_are_due_a_second_however_often_one_asks(clock, every):
    pace = WorldPace(8, clock)
    pace.due()
    assert taken(pace, clock, 4.2, every) == pytest.approx(4.2 * 50, abs=2)
    assert pace.factor == pytest.approx(1.0, abs=0.02)
    assert pace.frames_per_second == pytest.approx(1 / every, rel=0.05)
    taken(pace, clock, 4, every=0.4)  # too seldom: it falls behind
    assert pace.factor == pytest.approx(0.4, abs=0.05)


def test_a_world_that_has_rested_does_not_catch_up(clock):
    pace = WorldPace(8, clock)
    pace.due()
    clock.seconds += 0.05
    pace.rest()
    clock.seconds += 60
    assert pace.due() == 0
    clock.seconds += 0.04
    assert pace.due() == 2
    assert pace.factor == 1.0
