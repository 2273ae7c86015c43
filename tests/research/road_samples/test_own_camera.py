"""Sketches that the simulator's own camera sees."""

import numpy as np
import pytest

from bcclone.camera.geometry import YAW_DEGREES
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.own_camera import OwnCamera, draw_own_camera, draw_own_road
from bcclone.research.road_samples.poses import Pose
from bcclone.research.road_samples.rendering import RoadTask, draw_own_sketch, render_road
from bcclone.simulator.camera import pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.world_settings import Conditions

USUAL = OwnCamera(pose_of(Car(0.0, 0.0, 0.0, 0.0), "center", Conditions()), Conditions())


def random(seed=0):
    return np.random.default_rng(seed)


def test_the_middle_of_a_picture_is_where_the_camera_looks_and_the_horizon_above_it():
    rays = USUAL.rays(161, 321)
    assert rays[80, 160] == pytest.approx(USUAL.pose.axes[:, 2])
    assert np.linalg.norm(rays, axis=-1) == pytest.approx(1.0)
    # docs/explanation/simulator.md: without the throttle, the horizon is in row 56.8
    upwards = rays[:, 160, 1]
    assert np.abs(upwards).argmin() == pytest.approx(56.8, abs=0.7)
    right = np.degrees(np.arctan2(rays[57, 160, 0], rays[57, 160, 2]))
    assert right == pytest.approx(YAW_DEGREES, abs=0.3)


def test_a_raised_nose_lowers_the_horizon_and_a_camera_to_the_right_sees_the_road_to_its_left():
    pose = Pose(offset_m=0.0, along_m=0.0, turn=0.0, rise=0.05)
    cameras = [draw_own_camera(pose, random(seed)) for seed in range(40)]
    horizons = [np.abs(camera.rays(161, 321)[:, 160, 1]).argmin() for camera in cameras]
    assert np.mean(horizons) == pytest.approx(56.8 + 138.56 * 0.05, abs=1.5)
    for camera in cameras:
        (seen,) = camera.line(np.zeros((1, 5)))
        assert seen[0] == pytest.approx(-camera.conditions.camera_shift_m)
        assert seen[1] == pytest.approx(-1.0, abs=0.1)  # the camera is a metre ahead


def test_its_roads_are_like_the_simulators_and_the_car_keeps_to_their_middle():
    roads = [draw_own_road(random(seed)) for seed in range(200)]
    assert {road.floor for road in roads} == {False}
    assert {road.lane_m for road in roads} == {0.0}
    assert {road.lanes for road in roads} == {1, 2}
    assert 4.5 < min(road.width_m for road in roads) < 5.5
    assert max(road.radius_m for road in roads) < 300


def test_the_steering_leads_back_to_the_middle():
    sketches = [draw_own_sketch(random(seed), 32, 32) for seed in range(150)]
    steering, offset_m, turn = np.array(
        [(sketch.steering, *sketch.path[8:]) for sketch in sketches]
    ).T
    assert np.corrcoef(steering, turn)[0, 1] < -0.5
    assert np.corrcoef(steering, offset_m)[0, 1] < 0
    bonnets = [sketch.image[30:, 12:20].mean() for sketch in sketches]
    assert np.std(bonnets) > 5


def test_the_fraction_decides_and_a_frame_is_cropped_as_the_network_gets_it():
    def images(own_camera, preprocessing):
        settings = RoadSamplesSettings(roads=6, frames=12, any_camera=1.0, own_camera=own_camera)
        return render_road(RoadTask(settings, preprocessing)).image

    small = Preprocessing(32, 32)
    any_camera, half, own = (images(fraction, small) for fraction in (0.0, 0.5, 1.0))
    assert half.shape == own.shape == (12, 32, 32, 3)
    assert not np.array_equal(any_camera, own)
    assert not np.array_equal(half, own)
    cropped = PRESETS["nvidia-66x200-yuv"]
    assert cropped.crops
    assert images(1.0, cropped).shape == (12, 66, 200, 3)
