"""Tracks and roads, from figures, control points or a seed: shape, ranges, and what is refused."""

import json
import math

import numpy as np
import pytest

from bcclone.evaluation.suite import result_key
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.random_road import random_road
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.road_line import judge_road
from bcclone.simulator.roads import CHOICES
from bcclone.simulator.scene import build_scene
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions, ExpertSettings
from bcclone.system.errors import UserError
from tests.hostile import with_wrong_values

BEND = [
    [20.0, 20.0, 8.0],
    [60.0, 60.0, 8.0],
    [60.0, 110.0, 10.0],
    [100.0, 150.0, 10.0],
    [160.0, 160.0, 8.0],
]


@pytest.fixture
def bend(tmp_path):
    path = tmp_path / "bend.json"
    look = {"surface": "dirt", "surroundings": "rock"}
    path.write_text(json.dumps({"points": BEND, "look": look}))
    return str(path)


# ---- the two tracks, against the figures of docs/explanation/simulator.md


@pytest.mark.parametrize(
    ("name", "length_m", "limit_m", "heights_m", "steepest", "radius_m"),
    [
        ("lake", 1138.4, 3.65, (2.0, 2.0), 0.0, 17.2),
        ("mountain", 1508.8, 3.8, (-95.0, -65.0), 0.30, 7.8),
    ],
)
def test_a_track_has_its_figures(name, length_m, limit_m, heights_m, steepest, radius_m):
    track = load_track(name)
    assert track.length_m == pytest.approx(length_m, abs=0.5)
    assert track.locate(*track.point(100.0)[:3]).limit_m == pytest.approx(limit_m)
    steps = np.linalg.norm(np.diff(np.vstack([track.line, track.line[:1]]), axis=0), axis=1)
    assert 0.45 < steps.min() < steps.max() < 0.55
    heights = track.line[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx(heights_m, abs=0.1)
    assert np.abs(track.grade).max() == pytest.approx(steepest, abs=0.01)
    assert 1 / np.abs(track.curvature).max() == pytest.approx(radius_m, abs=1.5)


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
    assert track.apart(track.length_m - 1, 2) == pytest.approx(3)
    assert track.apart(2, track.length_m - 1) == pytest.approx(-3)


def test_the_two_levels_of_the_mountains_crossing_are_distinguished():
    track = load_track("mountain")
    lower = track.locate(105.99, -95.0, -33.95)
    upper = track.locate(105.99, -75.0, -33.95)
    assert (lower.height_m, upper.height_m) == pytest.approx((-95, -75), abs=0.1)
    # below the bridge, but known to be on it
    near = track.locate(105.99, -95.0, -33.95, near_m=upper.along_m)
    assert near.along_m == pytest.approx(upper.along_m, abs=1)


def test_a_reversed_track_is_the_same_road_from_the_same_start():
    track = load_track("lake")
    back = load_track("lake", reverse=True)
    assert (track.line[0] == back.line[0]).all()
    assert math.cos(track.heading[0] - back.heading[0]) < -0.99
    x, y, z, _ = track.point(100, 1.5)
    right_m = track.locate(x, y, z).cross_track_m
    assert back.locate(x, y, z).cross_track_m == pytest.approx(-right_m, abs=0.05)


# ---- a road from points


def test_a_road_from_points_passes_through_them_with_their_widths_and_has_one_lap(bend):
    track = load_track(bend)
    for x, z, width_m in BEND:
        position = track.locate(x, 0.0, z)
        assert abs(position.cross_track_m) < 0.05
        assert position.limit_m == pytest.approx(width_m / 2 - 1.0, abs=0.05)
    assert track.point(track.start_m)[:3] == pytest.approx((20.0, 0.0, 20.0), abs=0.3)
    ahead = track.point(track.start_m + track.lap_m)
    assert ahead[:3] == pytest.approx((160.0, 0.0, 160.0), abs=0.3)
    assert track.goal_m(1.0) == track.lap_m
    with pytest.raises(UserError, match="open road"):
        track.goal_m(1.5)
    back = load_track(bend, reverse=True)
    x, y, z, heading = back.point(back.start_m)
    assert (x, y, z) == pytest.approx(ahead[:3], abs=0.01)
    assert math.cos(heading - ahead[3]) == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize(
    ("stored", "part"),
    [
        ("{", "not a road: Expecting"),
        ('{"points": [], "colour": 1}', "colour"),
        ('{"points": [[0, 0, 8]]}', "1 points"),
        ('{"points": [[0, 0], [50, 0, 8]]}', "point 1"),
        ('{"points": [[0, 0, 8], [50, 0, 90]]}', "point 2 is at 50, 0, 0 and 90 m wide"),
        ('{"points": [[0, 0, 8], [0, 0, 8], [50, 0, 8]]}', "points 1 and 2"),
        (
            json.dumps([[200 * (turn % 2), turn / 10, 8] for turn in range(5000)]),
            "999800 m long, expected at most 20000",
        ),
        (json.dumps([[0, 0, 8], [3100, 0, 8]]), "3100 m across, expected at most 3000"),
        (
            json.dumps(
                [[9 * math.cos(turn), 9 * math.sin(turn) + turn / 1e4, 4] for turn in range(2000)]
            ),
            "meets itself",
        ),
        (
            '{"points": [[0, 0, 8, 0], [50, 0, 8, 60], [100, 0, 8, 0]]}',
            "60 m of height over 50 m from point 1 to 2",
        ),
        ('{"points": [[0, 0, 8], [40, 0, 8], [43, 4, 8], [46, 0, 8], [90, 0, 8]]}', "bend"),
        ('{"points": [[0, 0, 8], [99, 0, 8]], "closed": 1}', "closed"),
        ('{"points": [[0, 0, 8], [99, 0, 8]], "look": {"surface": "ice"}}', "asphalt"),
    ],
)
def test_an_impossible_road_is_refused_with_the_file_and_the_reason(tmp_path, stored, part):
    path = tmp_path / "road.json"
    path.write_text(stored)
    with pytest.raises(UserError) as caught:
        load_track(str(path))
    assert str(path) in str(caught.value)
    assert part in str(caught.value)


def test_a_road_of_more_bytes_than_settings_may_have_is_refused_before_it_is_kept(tmp_path):
    path = tmp_path / "road.json"
    path.write_text("[[0, 0, 8], [99, 0, 8]]" + " " * (1 << 22))
    for read in (
        load_track,
        lambda track: build_scene(track, Conditions()),
        lambda track: result_key("drive", track),
    ):
        with pytest.raises(UserError, match="road.json.*4194304 bytes"):
            read(str(path))


def test_a_road_with_any_wrong_value_is_built_or_refused(tmp_path):
    path = tmp_path / "road.json"
    look = {"surface": "dirt", "shade": 1.0, "seed": 1, "neighbor_m": 5.0}
    road = {"points": [[0, 0, 8], [90, 0, 8, 1], [160, 80, 9]], "closed": False, "look": look}
    built = refused = 0
    for wrong in with_wrong_values(road):
        path.write_text(json.dumps(wrong))
        try:
            track = load_track(str(path))
        except UserError:
            refused += 1
        else:
            built += 1
            assert np.isfinite(track.line).all()
    assert 0 < built < refused


def test_the_competitions_rules_judge_roads():
    straight = np.array([[20.0, 20.0], [20.0, 180.0]])
    hairpin = np.array([[50.0, 50.0], [50.0, 120.0], [60.0, 130.0], [70.0, 120.0], [70.0, 50.0]])
    loop = np.array([[20, 100], [100, 100], [150, 140], [110, 180], [80, 140], [90, 40]], float)
    assert judge_road(straight) == []
    for points, part in (
        (straight + (0.0, 30.0), "inside the map"),
        (straight[:1], "points"),
        (np.array([[20.0, 20.0], [20.0, 30.0]]), "long"),
        (straight[[0, 0, 1]], "point 2 is where the one before"),
        (np.array([[20.0, 20.0], [20.0, np.nan]]), "point 2 is not of finite"),
        (np.array([[20.0, 20.0, 8.0], [20.0, 90.0, 8.0]]), "expected pairs of x and z"),
        (hairpin, "radius"),
        (loop, "meets itself"),
    ):
        assert any(part in fault for fault in judge_road(points)), part
    assert judge_road(straight + (0.0, 30.0), map_m=300.0) == []


# ---- a road from a seed

RANDOM = ("", "x", "1:length=1", "1:size=3", "1:shape=star", "1:dirt", "1:hills=0,hills=0")


@pytest.mark.parametrize("name", ["none.json", *(f"random:{rest}" for rest in RANDOM)])
def test_a_name_of_no_road_is_refused(name):
    with pytest.raises(UserError, match="expected|cannot read"):
        load_track(name)


def test_random_roads_keep_to_their_ranges_and_use_every_material():
    looks = []
    for seed in range(25):
        track = load_track(f"random:{seed}")
        looks.append(track.road.look)
        assert 450 < track.length_m < 1350
        assert 1 / np.abs(track.curvature).max() > 15
        assert np.abs(track.grade).max() < 0.3
        assert track.closed
    for name, choices in CHOICES.items():
        assert {getattr(look, name) for look in looks} == set(choices)


def test_winding_roads_are_open_have_many_bends_and_keep_to_their_ranges():
    for seed in range(8):
        name = f"random:{seed}:length=200-400,radius=10-14,hills=40,width=7,shape=winding"
        track = load_track(name)
        radius_m = 1 / np.maximum(np.abs(track.curvature), 1e-6)
        assert not track.closed
        assert 170 < track.lap_m < 420
        assert 8 < radius_m.min() < 60
        within = radius_m[2 * 60 : -2 * 60]  # without the straight run-outs
        assert np.median(within) < 80
        assert np.abs(track.grade).max() < 0.5


def test_what_is_given_for_a_random_road_is_kept_and_the_rest_stays():
    plain = random_road("random:7:width=8")
    given = random_road("random:7:width=8,surface=paving,hills=0")
    assert (given.look.surface, given.look.surroundings) == ("paving", plain.look.surroundings)
    assert {(point.width_m, point.y) for point in given.points} == {(8.0, 0.0)}

    roads = {
        side: random_road(f"random:7:width=8,neighbor={side}")
        for side in ("none", "left", "right", "any")
    }
    assert all(road.points == plain.points for road in roads.values())
    assert roads["none"].look == plain.look
    assert 8 < roads["right"].look.neighbor_m < 10.2
    assert roads["left"].look.neighbor_m == -roads["right"].look.neighbor_m


# ---- what is around a road


@pytest.mark.parametrize(
    "name",
    [
        "random:2:surroundings=water,surface=paving,edges=kerb",
        "random:5:shape=winding,length=200",
        "bend",
    ],
)
def test_an_expert_drives_any_road_and_its_camera_sees_it(name, bend):
    road = bend if name == "bend" else name
    track = load_track(road)
    renderer = Renderer(track.road.name, Conditions())
    tracked = TrackedCar(track, ground_height=renderer.scene.ground.height_at)
    expert = Expert(track, ExpertSettings(speed_mph=20, recoveries=0), seed=0)
    goal = track.goal_m(1.0)
    seen = 0
    while tracked.progress_m < goal:
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        tracked.step()
        assert abs(tracked.position.cross_track_m) < tracked.position.limit_m
        if tracked.steps % 400 == 1:
            labels = renderer.view(tracked.car).labels
            assert labels[130, 160] in (LABELS["road"], LABELS["line"])
            assert (labels == LABELS["sky"]).mean() > 0.05
            seen += 1
    assert seen > 1
