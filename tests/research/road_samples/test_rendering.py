"""Frames of random roads: their weather, the car's place, and the steering that leads back."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.poses import Pose, draw_pose, steering_at
from bcclone.research.road_samples.rendering import draw_weather
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions

ROAD = "random:3:length=300-400,hills=10"


def weathers(**values):
    settings = RoadSamplesSettings(**values)
    return [
        draw_weather(np.random.default_rng(number), Conditions(), settings) for number in range(200)
    ]


def test_weathers_differ_in_light_colours_and_mounting():
    drawn = weathers()
    assert 0.4 < np.mean([one.color_seed > 0 for one in drawn]) < 0.6
    assert not any(one.color_seed for one in weathers(recolored=0.0))
    for name, most in {
        "light": 1.4,
        "fog": 6.0,
        "camera_shift_m": 0.2,
        "camera_pitch": 1.5,
        "night": 0.7,
    }.items():
        values = [getattr(one, name) for one in drawn]
        assert 0.9 * most < max(values) <= most
        assert len(set(values)) > 5
    assert 0.7 < np.mean([one.rain + one.snow + one.night == 0 for one in drawn]) < 0.9


def test_a_camera_is_mounted_higher_by_up_to_the_limit_and_nothing_else_changes():
    usual = weathers()
    raised = weathers(camera_height_m=0.5)
    heights = [one.camera_height_m for one in raised]
    assert min(heights) >= 0.0
    assert max(heights) == pytest.approx(0.5, abs=0.02)
    assert np.mean(heights) == pytest.approx(0.25, abs=0.05)
    assert [replace(one, camera_height_m=0.0) for one in raised] == usual


def place(along_m=50.0, offset_m=0.0, turn=0.0):
    return Pose(offset_m, along_m, turn, 0.0)


def test_the_steering_leads_back_to_the_middle():
    track = load_track("mountain")
    of_stretches = np.convolve(np.abs(track.curvature), np.ones(24) / 24, "same")
    along = float(of_stretches.argmin()) / track.points_a_metre
    assert steering_at(track, place(along, 1.0)) < -0.02
    assert steering_at(track, place(along, -1.0)) > 0.02
    assert steering_at(track, place(along, 0.0, math.radians(5))) < -0.02
    assert steering_at(track, place(along, 2.0)) < steering_at(track, place(along, 1.0))


@pytest.mark.parametrize(
    ("road", "most_m", "offset_m"), [("lake", 0.5, -2), ("mountain", 1.0, 0), (ROAD, 0.5, 2)]
)
def test_a_car_that_steers_so_returns_to_the_middle_and_cuts_only_sharp_bends(
    road, most_m, offset_m
):
    track = load_track(road)
    tracked = TrackedCar(track, offset_m)
    tracked.car.speed = 8.0
    for step in range(1500):
        position = tracked.position
        turn = (tracked.car.heading - position.heading + math.pi) % (2 * math.pi) - math.pi
        tracked.car.control(
            steering_at(track, place(position.along_m, position.cross_track_m, turn)), 0.0
        )
        tracked.car.speed = 8.0
        tracked.step()
        limit_m = most_m
        if step < 400:  # on the way back from the offset
            limit_m = max(most_m, abs(offset_m) + 0.6)
        assert abs(tracked.position.cross_track_m) < limit_m


def test_places_are_all_over_the_road():
    track = load_track(ROAD)
    random = np.random.default_rng(0)
    places = [draw_pose(track, random) for _ in range(500)]
    offsets = np.array([one.offset_m for one in places])
    limit_m = track.locate(*track.line[0]).limit_m
    assert np.abs(offsets).max() < limit_m + 1.5
    assert np.abs(offsets).max() > 0.8 * limit_m
    assert 0.4 < (np.abs(offsets) < 1.0).mean() < 0.9
    assert np.ptp([one.along_m for one in places]) > 0.95 * track.lap_m
