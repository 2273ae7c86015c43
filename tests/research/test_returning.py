"""The states that come back, for laws of steering whose margins are known."""

import math

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from bcclone.camera.vehicle import MPH, steering_of
from bcclone.research.margins import map_by_answers
from bcclone.research.returning import RENDERED, CarStates, follow, shape_of, state_grid
from bcclone.simulator.car import TrackedCar, holding_throttle
from bcclone.simulator.roads import ControlPoint, RoadPlan
from bcclone.simulator.track import build_track, load_track

SPEED = 20 * MPH
LIMIT_M = 3.0  # of a road 8 m wide
FARTHEST_M = 1.3


@pytest.fixture(scope="module")
def straight():
    return build_track(RoadPlan("straight", (ControlPoint(0, 0, 0, 8), ControlPoint(0, 0, 150, 8))))


def bend(radians):
    """A road that turns to the right, or to the left if negative, by an angle, with a radius of 20
    m.
    """
    turns = np.linspace(0, abs(radians), 20)
    side = math.copysign(20, radians)
    arc = [
        ControlPoint(side * (1 - math.cos(turn)), 0, 60 + 20 * math.sin(turn), 8) for turn in turns
    ]
    return build_track(
        RoadPlan("bend", (ControlPoint(0, 0, 0, 8), ControlPoint(0, 0, 30, 8), *arc))
    )


def answers(law):
    """What map_by_answers() asks, from a law of steering: metres to the right, radians to the right
    -> steering.
    """

    def answer(grid):
        offsets, turns = np.meshgrid(grid.offsets_m, grid.turns, indexing="ij")
        return np.broadcast_to(np.clip(law(offsets, turns), -1, 1), grid.shape).astype(np.float32)

    return answer


def towards_the_middle(offset_m, turn):
    return -0.08 * offset_m - 0.8 * turn


def towards_the_middle_from_nearby(offset_m, turn):
    """Comes back from less than 1.3 m, and drives off from farther away."""
    return np.where(np.abs(offset_m) < FARTHEST_M, -0.08 * offset_m - 0.8 * turn, np.sign(offset_m))


def mapped(track, law):
    return map_by_answers(track, SPEED, answers(law))


def test_a_car_that_nobody_steers_keeps_to_straight_lines(straight):
    found = mapped(straight, lambda offset, turn: 0 * offset)
    grid = found.grid
    places, offsets, turns = np.meshgrid(grid.places_m, grid.offsets_m, grid.turns, indexing="ij")
    left_m = straight.start_m + straight.lap_m - places
    ends = offsets + np.tan(turns) * left_m  # where its line passes the end of the lap
    leaves = np.abs(ends) > LIMIT_M
    stretch = left_m > 25
    assert not found.stays[stretch & leaves].any()
    beyond = ends + np.tan(turns) * 30  # the road goes on for a stretch after the lap
    passes_the_middle = (np.abs(offsets) <= 0.5) | (np.abs(beyond) <= 0.5) | (offsets * beyond < 0)
    assert not found.returns[~passes_the_middle & stretch].any()
    margins = found.margins_m[stretch[:, 0, 0]]
    # from farther away, it never comes near the middle
    assert margins == pytest.approx(0.5, abs=0.1)


def test_the_margin_is_where_the_law_turns_round(straight):
    found = mapped(straight, towards_the_middle_from_nearby)
    grid = found.grid
    margins = found.margins_m[straight.start_m + straight.lap_m - grid.places_m > 60]
    cell_m = RENDERED[1]  # the law is interpolated between two states so far apart
    assert (np.abs(margins - FARTHEST_M) < cell_m).all()
    assert margins[:, 0].tolist() == margins[:, 1].tolist()


def test_cars_move_on_the_map_as_they_do_in_the_simulator():
    track = load_track("lake")
    grid = state_grid(track, 1.0, 0.47, 4.0)
    random = np.random.default_rng(0)
    bends = np.array([track.curvature[track.index(place)] for place in grid.places_m.tolist()])
    offsets, turns = np.meshgrid(grid.offsets_m, grid.turns, indexing="ij")
    steering = steering_of(bends)[:, None, None] + 0.3 * towards_the_middle(offsets, turns)
    road = shape_of(track)
    along = random.integers(0, 2200, 60) / track.points_a_metre + 1e-9
    starts = np.column_stack([along, random.uniform(-2, 2, 60), random.uniform(-0.15, 0.15, 60)])
    cars = CarStates(*starts.T, np.abs(starts[:, 1]))
    after = follow(road, grid, steering.astype(np.float32), cars, SPEED, 20.0)
    assert np.isfinite(after.offset_m).all()
    steer = interpolator(grid, steering)
    apart = [
        abs(driven(track, steer, start) - offset)
        for start, offset in zip(starts, after.offset_m, strict=True)
    ]
    assert max(apart) < 0.08
    assert np.mean(apart) < 0.02


def interpolator(grid, steering):
    """The steering between the states of a closed road's grid, by SciPy."""
    places = np.append(grid.places_m, grid.places_m[-1] + grid.step_m)
    closed = np.concatenate([steering, steering[:1]])
    return RegularGridInterpolator(
        (places, grid.offsets_m, grid.turns), closed, bounds_error=False, fill_value=None
    )


def driven(track, steer, start):
    """Drive the simulator's car for 20 m by a law of steering; return its distance from the
    middle.
    """
    along_m, offset_m, turn = start.tolist()
    tracked = TrackedCar(track, offset_m, along_m)
    car = tracked.car
    car.heading = car.heading + turn
    car.throttle = holding_throttle(SPEED)
    car.yaw_rate = SPEED * float(track.curvature[track.index(along_m)])
    while True:
        position = tracked.position
        turned = math.remainder(car.heading - position.heading, 2 * math.pi)
        along_m = track.start_m + (position.along_m - track.start_m) % track.lap_m
        car.steering = float(steer([[along_m, position.cross_track_m, turned]])[0])
        for _ in range(2):
            before = tracked.progress_m, tracked.position.cross_track_m
            car.speed = SPEED
            tracked.step()
            if tracked.progress_m >= 20:
                part = (20 - before[0]) / (tracked.progress_m - before[0])
                return before[1] + part * (tracked.position.cross_track_m - before[1])


def test_what_to_record_next_names_bends_sides_and_a_command():
    sharp = bend(-1.5)
    found = mapped(sharp, towards_the_middle)  # which does not steer into bends
    lines = found.record_next
    assert 1 <= len(lines) <= 5
    assert lines[0].bend == "left bends"
    assert lines[0].side == "right"
    assert lines[0].text.endswith("from the right edge")
    assert sum(line.share_percent for line in lines) <= 100.1
    command = lines[0].command("road.json", True)
    assert command.startswith("bcclone play --road road.json --reverse --start-m=")
    assert f"--start-offset-m={LIMIT_M - 0.5:g}" in command
