"""The simulated world and its score: laps, interventions, latency, when a drive is over."""

import itertools
import json
import time

import numpy as np
import pytest

from bcclone.images import decode_jpeg
from bcclone.simulator.car import Ride
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.expert import Expert, ExpertSettings
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import Score
from bcclone.simulator.track import Place, load_track
from bcclone.simulator.world import Shoves, SimulatedWorld, WorldSettings


def make_world(track="lake", reverse=False, **settings):
    return SimulatedWorld(Renderer(track, Conditions()), load_track(track, reverse), WorldSettings(**settings))


def drive_by_expert(world, speed_mph=30.0):
    """Drive without looking, as fast as this machine can; the frames are not what is tested."""
    expert = Expert(world.track, ExpertSettings(speed_mph, recoveries=0, wander_m=0.2), seed=0)
    while not world.over:
        world.steer(*expert.control(world.ride.car, world.ride.place))
        world.advance(0.02)
    return world


@pytest.mark.parametrize("track", ["lake", "mountain"])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_expert_drives_a_lap_without_an_intervention(track, reverse):
    world = drive_by_expert(make_world(track, reverse))
    figures = world.score.figures()
    assert world.over == "laps driven"
    assert world.laps == pytest.approx(1, abs=0.01)
    assert (figures["autonomy_percent"], figures["interventions"], figures["first_off_road_m"]) == (100, 0, None)
    assert figures["distance_m"] == pytest.approx(world.track.length_m, rel=0.02)
    assert figures["mean_abs_cross_track_m"] < 0.6
    assert figures["max_abs_cross_track_m"] < world.track.road.limit_m
    json.dumps(figures)


def test_a_lake_lap_at_full_speed_takes_as_long_as_in_recordings():
    assert 82 < drive_by_expert(make_world()).score.seconds < 90  # 82.5 to 85 s flying, and the start


def test_a_car_gains_downhill_what_it_loses_uphill():
    track = load_track("mountain")
    steepest = float(np.argmax(track.grade)) / 2
    speeds = []
    for way, start in ((track, steepest - 6), (track.reversed(), track.length_m - steepest - 6)):
        ride = Ride(way, along_m=start)
        ride.car.speed = 8.0
        for _ in range(60):
            ride.step()
        speeds.append(ride.car.speed)
    uphill, downhill = speeds
    assert uphill < 6 < 8.5 < downhill
    turned = Ride(track, along_m=steepest + 6)  # the same road against the track's direction
    turned.car.heading += np.pi
    turned.car.speed = 8.0
    for _ in range(60):
        turned.step()
    assert turned.car.speed == pytest.approx(downhill, abs=0.3)
    assert turned.progress_m < -5


def test_a_car_beside_the_mountains_bridge_stays_on_its_level():
    world = make_world("mountain", set_back=False)
    world.ride = Ride(world.track, along_m=1392.0, ground_height=world.ride._ground_height)
    world.ride.car.heading += 1.0
    world.ride.car.speed = 8.0
    for _ in range(80):
        world.advance(0.02)
        assert world.ride.car.y > -76
    assert abs(world.ride.progress_m) < 15


def test_off_the_asphalt_the_car_is_set_back_and_that_is_an_intervention():
    world = make_world()
    world.steer(0.0, 1.0)
    for _ in range(500):
        world.advance(0.02)
        assert abs(world.ride.place.cross_track_m) <= 3.65 + 0.3
    figures = world.score.figures()
    assert figures["interventions"] == len(world.score.interventions) > 1
    expected = (1 - figures["interventions"] * 6 / figures["seconds"]) * 100
    assert figures["autonomy_percent"] == pytest.approx(expected, abs=0.01)
    assert 3.65 < figures["max_abs_cross_track_m"] < 4.0


def test_without_setting_back_the_drive_ends_far_from_the_road():
    world = make_world(set_back=False)
    world.steer(0.0, 1.0)
    world.advance(60)
    assert world.over == "the car is more than 15 m from the road"
    assert world.look() is None
    assert world.score.figures()["interventions"] == 2  # it left the road, and did not come around


def test_a_car_that_stands_and_one_that_circles_end_the_drive():
    standing = make_world()
    standing.advance(30)
    assert standing.over == "the car has stood still for 20 s"
    assert standing.score.figures()["autonomy_percent"] == pytest.approx(
        70, abs=0.1
    )  # a person would have had to help it on
    circling = make_world(laps=0.05, set_back=False)
    circling.steer(1.0, 0.05)
    circling.advance(600)
    assert "has not come around" in circling.over


def test_controls_take_hold_after_the_latency():
    world = make_world(latency_seconds=0.1)
    world.steer(0.5, 1.0)
    world.advance(0.1)
    assert world.ride.car.steering == 0.0
    world.advance(0.02)
    assert world.ride.car.steering == 0.5


def test_the_start_can_be_beside_the_centre_line():
    assert make_world(start_offset_m=1.5).ride.place.cross_track_m == pytest.approx(1.5, abs=0.05)


def test_the_car_can_be_turned_at_its_start():
    ride = make_world(start_turn=10.0).ride
    assert np.degrees(ride.car.heading - ride.place.heading) == pytest.approx(10.0, abs=0.1)
    assert ride.place.cross_track_m == pytest.approx(0.0, abs=1e-6)


def shoves_of(world):
    """Return after how many metres the car was suddenly elsewhere beside the centre line, and how far."""
    expert, found = Expert(world.track, ExpertSettings(20.0, recoveries=0, wander_m=0.0), seed=0), []
    while not world.over:
        before = world.ride.place.cross_track_m
        world.steer(*expert.control(world.ride.car, world.ride.place))
        world.advance(0.02)
        if abs(aside := world.ride.place.cross_track_m - before) > 0.4:
            found.append((world.ride.progress_m, aside))
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_shoves_come_every_so_many_metres_from_left_and_right_in_turn_and_a_good_driver_stays_on(reverse):
    world = make_world(reverse=reverse, laps=0.4, shove_m=1.0, shove_every_m=100.0)
    shoves = shoves_of(world)
    assert [round(after) for after, _ in shoves] == [100, 200, 300, 400]
    for (_, aside), expected in zip(shoves, (1.0, -1.0, 1.0, -1.0), strict=True):
        assert aside == pytest.approx(expected, abs=0.1)  # and what it drove meanwhile
    assert world.score.figures()["interventions"] == 0
    assert world.score.figures()["max_abs_cross_track_m"] > 0.8


def test_a_shove_leaves_speed_and_heading_as_they_were_and_moves_across_the_road_only():
    ride = Ride(load_track("lake"), along_m=300.0)
    ride.car.speed, before, along = 8.0, ride.car.heading, ride.place.along_m
    ride.shove(1.0)
    assert ride.place.cross_track_m == pytest.approx(1.0, abs=0.001)
    assert (ride.car.speed, ride.car.heading) == (8.0, before)
    assert ride.place.along_m == pytest.approx(along, abs=0.2)
    ride.shove(-2.0)
    assert ride.place.cross_track_m == pytest.approx(-1.0, abs=0.01)


@pytest.mark.parametrize(
    ("cross_track_m", "first", "second"),
    [(0.0, 1.0, -1.0), (2.9, 0.45, -1.0), (-2.9, 1.0, -0.45), (3.5, 0.0, -1.0), (9.0, 0.0, -1.0), (-9.0, 1.0, 0.0)],
)
def test_a_shove_never_puts_the_car_off_the_road(cross_track_m, first, second):
    shoves = Shoves(size_m=1.0, every_m=10.0, limit_m=3.65)
    assert shoves.due(9.9, cross_track_m) == 0.0
    assert shoves.due(10.1, cross_track_m) == pytest.approx(first)
    assert shoves.due(10.2, cross_track_m) == 0.0  # once
    assert shoves.due(20.0, cross_track_m) == pytest.approx(second)
    assert Shoves(size_m=0.0, every_m=10.0, limit_m=3.65).due(50.0, 0.0) == 0.0


def test_a_look_lets_a_frames_time_pass_and_shows_the_car():
    world = make_world()
    world.steer(0.2, 1.0)
    state = world.look()
    assert world.score.seconds == pytest.approx(0.04)
    assert state.steering_degrees == pytest.approx(5.0)
    assert (state.throttle, state.speed_mph > 0, state.manual) == (1.0, True, False)
    assert decode_jpeg(state.jpeg).shape == (160, 320, 3)


def test_in_real_time_the_world_runs_on_while_nobody_looks():
    world = make_world(real_time=True)
    world.look()
    before = world.score.seconds
    time.sleep(0.5)
    world.look()
    assert 0.4 < world.score.seconds - before < 1.1


def test_in_real_time_an_answer_takes_hold_when_it_comes_and_not_before():
    world = make_world(real_time=True)
    world.steer(0.0, 1.0)
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        world.look()
    before = world.ride.car.heading
    time.sleep(0.5)
    world.steer(1.0, 1.0)
    assert world.ride.car.heading == pytest.approx(before, abs=1e-6)
    world.look()
    assert world.ride.car.heading - before < 0.1


def test_the_same_controls_give_the_same_bytes():
    looks = []
    for _ in range(2):
        world = make_world()
        looks.append([])
        for steering in (0.0, -0.3, 0.2):
            world.steer(steering, 1.0)
            looks[-1].append(world.look())
    assert looks[0] == looks[1]


@pytest.mark.parametrize(
    "bad",
    [
        {"laps": 0},
        {"laps": float("nan")},
        {"latency_seconds": 9},
        {"start_offset_m": 40},
        {"start_turn": 91},
        {"shove_m": -1},
        {"shove_m": float("nan")},
        {"shove_every_m": 0},
    ],
)
def test_settings_that_no_drive_has_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        WorldSettings(**bad)


def test_a_score_adds_up():
    score = Score(limit_m=3.65)
    for step, cross in enumerate(itertools.chain([0.0, 1.0, -2.0], [4.0], [0.0] * 46)):
        assert score.note(step, 0.0, Place(step, cross, 0.0, 0.0, 0.0), speed=10.0) == (cross == 4.0)
    for steering in (0.0, 0.5, -0.5):
        score.note_steering(steering)
    figures = score.figures()
    assert figures["seconds"] == 1.0
    assert figures["autonomy_percent"] == -500.0
    assert figures["first_off_road_m"] == pytest.approx(0.8)
    assert figures["distance_m"] == pytest.approx(10)
    assert figures["mean_abs_cross_track_m"] == pytest.approx(0.14)
    assert figures["max_abs_cross_track_m"] == 4.0
    assert figures["steering_smoothness"] == pytest.approx(1.5)
    assert figures["mean_speed_mph"] == pytest.approx(22.37, abs=0.01)
