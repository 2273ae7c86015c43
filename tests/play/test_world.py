"""The played car drives for as long as one likes: laps are timed, and a lost car is put back."""

import pytest

from bcclone.play.play_world import PlayedWorld
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions


@pytest.fixture(scope="module")
def renderer():
    return Renderer("lake", Conditions())


@pytest.fixture
def world(renderer):
    return PlayedWorld(renderer, load_track("lake"))


def test_laps_are_timed_from_start_to_start(world):
    length = world.track.length_m
    world.tracked.progress_m = length - 0.5  # instead of a lap, which takes a minute
    world.car.speed = 10.0
    world.drive(0.0, 1.0, 2)
    assert world.laps().lap == 1
    world.drive(0.0, 1.0, 50)
    first = world.laps()
    assert first.lap == 2
    assert 0 < first.last == first.best < 1.04
    world.tracked.progress_m = 2 * length - 30
    world.drive(0.0, 1.0, 150)
    second = world.laps()
    assert second.lap == 3
    assert second.last > second.best == first.best


def test_a_car_that_is_put_back_stands_on_the_middle_of_the_road(world):
    world.car.speed = 10.0
    world.tracked.push(20.0)
    assert world.lost
    assert world.off_road
    world.put_back()
    assert abs(world.tracked.position.cross_track_m) < 0.1
    assert world.car.speed == 0
    assert not world.off_road


@pytest.mark.parametrize("side_m", [-2.0, 0.0, 2.0])
def test_a_car_that_nobody_drives_rolls_along_its_road(world, side_m):
    world.tracked.push(side_m)
    world.car.speed = 10.0
    for _ in range(200):
        world.drive(world.steering_home(), 0.0, 1)
        assert not world.off_road
    assert world.tracked.progress_m > 25
    assert abs(world.tracked.position.cross_track_m) < 1.5


def test_a_snapshot_does_not_move_with_the_car(world):
    before = world.snapshot()
    world.drive(0.5, 1.0, 50)
    assert (before.z, before.throttle) != (world.car.z, world.car.throttle)
    assert before.speed == 0
