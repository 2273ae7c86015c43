"""Tracks and the car: geometry and motion against the figures of docs/explanation/simulator.md."""

import math

import numpy as np
import pytest

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.vehicle import MOUNTS, MPH
from bcclone.simulator.camera import bonnet, pose_of
from bcclone.simulator.car import Car
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions


@pytest.mark.parametrize(
    ("name", "length_m", "limit_m"), [("lake", 1138.4, 3.65), ("mountain", 1508.8, 3.8)]
)
def test_a_track_has_its_length_and_its_limit(name, length_m, limit_m):
    track = load_track(name)
    assert track.length_m == pytest.approx(length_m, abs=0.5)
    assert track.locate(*track.point(100.0)[:3]).limit_m == pytest.approx(limit_m)
    steps = np.linalg.norm(np.diff(np.vstack([track.line, track.line[:1]]), axis=0), axis=1)
    assert steps.min() > 0.45
    assert steps.max() < 0.55


def test_the_lake_is_level_and_driven_counter_clockwise_and_the_mountain_is_steep():
    lake = load_track("lake")
    mountain = load_track("mountain")
    x = lake.line[:, 0]
    z = lake.line[:, 2]
    assert (
        x * np.roll(z, -1) - z * np.roll(x, -1)
    ).sum() > 0  # counter-clockwise, x to the right and z up
    assert np.ptp(lake.line[:, 1]) == 0
    assert (mountain.line[:, 1].min(), mountain.line[:, 1].max()) == pytest.approx(
        (-95, -65), abs=0.1
    )
    assert np.abs(mountain.grade).max() == pytest.approx(0.30, abs=0.01)
    assert 1 / np.abs(lake.curvature).max() == pytest.approx(17.2, abs=1.5)


@pytest.mark.parametrize("name", ["lake", "mountain"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_position_is_located(name, reverse):
    track = load_track(name, reverse)
    for along in np.linspace(0, track.length_m, 40, endpoint=False):
        for cross in (-2.0, 0.0, 2.0):
            x, y, z, heading = track.point(along, cross)
            position = track.locate(x, y, z)
            assert abs(track.apart(along, position.along_m)) < 0.6
            assert position.cross_track_m == pytest.approx(cross, abs=0.1)
            assert math.cos(position.heading - heading) > 0.98


def test_the_two_levels_of_the_mountains_crossing_are_distinguished():
    track = load_track("mountain")
    upper = np.flatnonzero(np.hypot(track.line[:, 0] - 105.9, track.line[:, 2] + 34) < 1)
    heights = {round(float(track.line[index, 1])) for index in upper}
    assert heights == {-95, -75}
    for index in upper:
        assert track.locate(*track.line[index]).height_m == pytest.approx(
            track.line[index, 1], abs=0.1
        )


def test_a_reversed_track_is_the_same_road_from_the_same_start():
    track = load_track("lake")
    back = load_track("lake", reverse=True)
    assert (track.line[0] == back.line[0]).all()
    assert math.cos(track.heading[0] - back.heading[0]) < -0.99
    x, y, z, _ = track.point(100, 1.5)
    assert back.locate(x, y, z).cross_track_m == pytest.approx(
        -track.locate(x, y, z).cross_track_m, abs=0.05
    )


def test_a_position_can_be_located_near_the_last_one():
    track = load_track("mountain")
    lower = track.locate(105.99, -95.0, -33.95).along_m
    assert track.locate(105.99, -95.0, -33.95, near_m=lower).along_m == pytest.approx(lower)
    # below the bridge, but known to be on it
    upper = track.locate(105.99, -95.0, -33.95, near_m=1390.0)
    assert (upper.along_m, upper.height_m) == (
        pytest.approx(1392, abs=1),
        pytest.approx(-75, abs=0.1),
    )


def test_the_distance_between_two_positions_is_the_shorter_one():
    track = load_track("lake")
    assert track.apart(track.length_m - 1, 2) == pytest.approx(3)
    assert track.apart(2, track.length_m - 1) == pytest.approx(-3)


def drive(car, seconds, grade=0.0):
    for _ in range(round(seconds / 0.02)):
        car.step(grade)
    return car


def test_the_car_reaches_thirty_miles_an_hour_and_no_more():
    car = Car(0, 0, 0, 0)
    car.control(0, 1)
    # what recordings of the simulator show
    assert drive(car, 10).speed / MPH == pytest.approx(30.19, abs=0.03)
    assert car.x == 0
    assert car.z > 0


def test_the_car_coasts_and_brakes_as_recorded():
    car = Car(0, 0, 0, 0, speed=28.7 * MPH)
    assert drive(car, 0.86).speed / MPH == pytest.approx(26.4, abs=0.15)
    car.control(0, -1)
    assert (car.throttle, car.brake) == (0, 1)
    assert drive(car, 2).speed == 0
    assert drive(car, 1).z == car.z  # brakes do not drive backwards


def test_full_lock_is_25_degrees_and_turns_as_a_bicycle_does():
    car = Car(0, 0, 0, 0, speed=5.0)
    car.control(1, 0.1 * 5 / 5.4)  # holds its speed
    drive(car, 1)
    before = car.heading
    drive(car, 1)
    assert car.heading - before == pytest.approx(
        1.05 * 5 * math.tan(math.radians(25)) / 2.87, rel=0.02
    )
    assert car.heading > 0  # to the right is towards +x


def test_a_slope_slows_the_car_and_lifts_its_nose():
    level = Car(0, 0, 0, 0, speed=10)
    uphill = Car(0, 0, 0, 0, speed=10)
    assert drive(level, 1).speed - drive(uphill, 1, grade=0.2).speed == pytest.approx(
        9.81 * 0.196, abs=0.15
    )
    assert uphill.pitch - level.pitch == pytest.approx(math.atan(0.2), abs=0.02)


def test_the_cameras_sit_and_look_as_mounted():
    car = Car(10, 2, 20, 0, pitch=math.radians(1.85))
    centre = pose_of(car, "center")
    ahead = centre.axes.T @ np.array([0.0, 0.0, 1.0])  # the horizon straight ahead, in the camera
    # 326 frames of the bridge
    assert 80 - FOCAL_PX * ahead[1] / ahead[2] == pytest.approx(60.9, abs=1.0)
    assert centre.position[1] - 2 == pytest.approx(1.25, abs=0.03)
    assert pytest.approx(138.56, abs=0.01) == FOCAL_PX
    for camera, (right, _, _) in MOUNTS.items():
        assert pose_of(car, camera).position[0] - 10 == pytest.approx(right)
    assert pose_of(car, "center", Conditions(camera_shift_m=0.5)).position[0] == pytest.approx(10.5)
    higher = (
        pose_of(Car(10, 2, 20, 0), "center", Conditions(camera_height_m=0.5)).position
        - pose_of(Car(10, 2, 20, 0), "center").position
    )
    assert higher == pytest.approx([0, 0.5, 0])


def test_every_camera_sees_the_bonnet_where_recordings_show_it():
    seen = {camera: np.flatnonzero(bonnet(camera)[0][158]) for camera in MOUNTS}
    assert (seen["center"].min() > 20, seen["center"].max() < 300) == (True, True)
    assert seen["left"].min() > 160
    assert seen["right"].max() < 160
    assert not any(bonnet(camera)[0][:130].any() for camera in MOUNTS)


@pytest.mark.parametrize("degrees", [1.0, -1.0])
def test_a_camera_pitched_up_sees_the_horizon_lower_and_less_of_the_bonnet(degrees):
    rows = []
    for pitch in (0.0, degrees):
        ahead = pose_of(
            Car(10, 2, 20, 0), "center", Conditions(camera_pitch=pitch)
        ).axes.T @ np.array([0.0, 0.0, 1.0])
        rows.append(80 - FOCAL_PX * ahead[1] / ahead[2])
    # 2.4 pixels
    assert rows[1] - rows[0] == pytest.approx(FOCAL_PX * math.tan(math.radians(degrees)), abs=0.1)
    before, after = (
        bonnet("center", Conditions(camera_pitch=pitch))[0][:, 160].argmax()
        for pitch in (0.0, degrees)
    )
    assert after - before == pytest.approx(2.4 * degrees, abs=1)
