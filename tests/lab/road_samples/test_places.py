import math

import numpy as np
import pytest

from bcclone.lab.road_samples.places import Place, car_at, draw_place, steering_at
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.track import load_track

ROAD = "random:3:length=300-400,hills=10"


def place(along_m=50.0, offset_m=0.0, turn=0.0):
    return Place(along_m, offset_m, turn, 0.0)


def test_the_steering_leads_back_to_the_middle():
    track = load_track("mountain")
    of_stretches = np.convolve(np.abs(track.curvature), np.ones(24) / 24, "same")
    along = float(of_stretches.argmin()) / track.points_a_metre
    assert steering_at(track, place(along, 1.0)) < -0.02
    assert steering_at(track, place(along, -1.0)) > 0.02
    assert steering_at(track, place(along, 0.0, math.radians(5))) < -0.02
    assert steering_at(track, place(along, 2.0)) < steering_at(track, place(along, 1.0))


@pytest.mark.parametrize("offset_m", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize(("road", "most_m"), [("lake", 0.5), ("mountain", 1.0), (ROAD, 0.5)])
def test_a_car_that_steers_so_returns_to_the_middle_and_cuts_only_sharp_bends(road, most_m, offset_m):
    track = load_track(road)
    tracked = TrackedCar(track, offset_m)
    tracked.car.speed = 8.0
    for step in range(1500):
        position = tracked.position
        turn = (tracked.car.heading - position.heading + math.pi) % (2 * math.pi) - math.pi
        tracked.car.control(steering_at(track, Place(position.along_m, position.cross_track_m, turn, 0.0)), 0.0)
        tracked.car.speed = 8.0
        tracked.step()
        assert abs(tracked.position.cross_track_m) < max(most_m, abs(offset_m) + 0.6 if step < 400 else 0.0)


def test_places_are_all_over_the_road():
    track, random = load_track(ROAD), np.random.default_rng(0)
    places = [draw_place(track, random) for _ in range(500)]
    offsets = np.array([one.offset_m for one in places])
    limit_m = track.locate(*track.line[0]).limit_m
    assert np.abs(offsets).max() < limit_m + 1.5
    assert np.abs(offsets).max() > 0.8 * limit_m
    assert 0.4 < (np.abs(offsets) < 1.0).mean() < 0.9
    assert np.ptp([one.along_m for one in places]) > 0.95 * track.lap_m


def test_the_car_stands_on_the_road_as_it_was_drawn():
    track = load_track(ROAD)
    car = car_at(track, place(80.0, -1.5, math.radians(4)))
    found = track.locate(car.x, car.y, car.z, near_m=80.0)
    assert found.cross_track_m == pytest.approx(-1.5, abs=0.05)
    assert car.heading - found.heading == pytest.approx(math.radians(4), abs=0.03)
    assert car.y == pytest.approx(found.height_m, abs=0.1)
