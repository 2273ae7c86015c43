"""models.making: samples of random roads, from which the shipped networks were trained."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bcclone.camera.geometry import FOCAL_PX, ROLL_DEGREES, VANISHING_ROW, YAW_DEGREES
from bcclone.camera.vehicle import steering_of
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.shards import open_store
from bcclone.simulator.track import load_track
from models.making import cameras
from models.making.__main__ import list_stores, train_networks
from models.making.cameras import AnyCamera, draw_camera
from models.making.looks import Box, Patch
from models.making.painting import paint
from models.making.roads import REFERENCE_M, Pose, draw_road, place_at, steering_at
from models.making.samples import Roads, draw_sketch, make_samples
from models.making.things import draw_surroundings

PINHOLE = AnyCamera(focal=0.5, xi=0.0, aspect=1.0, pitch=0.0, roll=0.0, yaw=0.0)  # 90 degrees
SMALL = Preprocessing(64, 64)
# of the frames of two roads, as they were when the shipped networks were trained
HASHES = {
    "own": "be99841957d8420558d3074d1b90deb1417cd448477cd5d652fe88c16daae1f4",
    "scenes": "57864094bdcc883bc120469148a42ed62e2eee68422e329f11d96f85df14cdba",
    "sketches": "952498caaed6492137c6610de68df20cf831964639baf705df7d3d18855bfb0f",
}
KINDS = {
    "own": {"any_camera": 1.0, "own_camera": 1.0},
    "scenes": {"any_lens": 0.6},
    "sketches": {"any_camera": 1.0, "flip": True},
}


def random(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_samples_are_the_same_to_the_byte(tmp_path, kind):
    path = tmp_path / "roads.h5"
    roads = Roads(2, 4, first_road=700_000, validation=0.5, **KINDS[kind])
    make_samples(path, roads, SMALL)
    with open_store(path) as store:
        assert store.content_hash == HASHES[kind]
        assert np.ptp(store.rows["steering"]) > 0.05
        mirrored = KINDS[kind].get("flip", False)
        assert len(store.samples) == (16 if mirrored else 8)
        assert int(store.samples["validation"].sum()) == len(store.samples) // 2


@pytest.mark.slow
def test_the_networks_train_on_the_samples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_samples(tmp_path / "own.h5", Roads(4, 8, any_camera=1.0, validation=0.25), SMALL)
    for name in ("any", "simulator"):
        list_stores([tmp_path / "own.h5"], tmp_path / name)
    train_networks(tmp_path, seed=0)
    for name in ("first_0.h5", "any_road_0.h5", "any_camera_0.h5"):
        assert (tmp_path / name).is_file()


def test_a_sketch_is_the_same_for_a_seed_and_its_labels_are_of_a_car():
    one, again = (draw_sketch(random(3), 64, 64) for _ in range(2))
    assert one.image.tobytes() == again.image.tobytes()
    assert (one.steering, one.path) == (again.steering, again.path)
    steering = np.array([draw_sketch(random(seed), 16, 16).steering for seed in range(60)])
    assert np.abs(steering).max() <= 1
    assert steering.min() < 0 < steering.max()


def road_of(curvature, **values):
    """Return a road that bends everywhere alike."""
    road = draw_road(random())
    return replace(road, curvatures=np.full_like(road.curvatures, curvature), **values)


def test_the_steering_follows_the_bend_and_leads_back_to_the_middle():
    straight = place_at(road_of(0.0), 0.0, 0.0)
    assert straight.steering == 0
    assert not any(straight.path)
    bend = place_at(road_of(0.05), 0.0, 0.0)
    assert bend.path[:8] == pytest.approx([float(steering_of(0.05))] * 8)
    assert bend.steering > bend.path[0]
    for offset_m, turn in ((0.5, 0.0), (0.0, 0.1)):
        sharp, gentle = (
            place_at(road_of(0.0, radius_m=radius_m), offset_m, turn) for radius_m in (10.0, 500.0)
        )
        assert sharp.steering < gentle.steering < 0
        assert sharp.path[8:] == (offset_m, turn)
    track = load_track("mountain")
    of_stretches = np.convolve(np.abs(track.curvature), np.ones(24) / 24, "same")
    along = float(of_stretches.argmin()) / track.points_a_metre
    assert steering_at(track, Pose(1.0, along, 0.0, 0.0)) < -0.02
    assert steering_at(track, Pose(-1.0, along, 0.0, 0.0)) > 0.02
    assert steering_at(track, Pose(0.0, along, math.radians(5), 0.0)) < -0.02


@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0])
def test_a_lens_has_its_field_of_view_and_turns_as_it_is_mounted(xi):
    half = math.radians(50)
    focal = 0.5 * (math.cos(half) + xi) / math.sin(half)
    lens = AnyCamera(focal, xi, 1.0, 0.0, 0.0, 0.0)
    row = lens.rays(1, 1001)[0]
    assert math.degrees(math.acos(row[0] @ row[-1])) == pytest.approx(100, abs=0.3)
    middle = replace(lens, pitch=-0.2, yaw=0.1).rays(101, 101)[50, 50]
    assert math.asin(middle[1]) == pytest.approx(-0.2)
    assert math.atan2(middle[0], middle[2]) == pytest.approx(0.1)
    rolled = replace(lens, roll=0.1).rays(101, 101)
    assert rolled[50, 100, 1] / rolled[50, 100, 0] == pytest.approx(math.tan(0.1))


def test_cameras_differ_in_lens_and_mounting_and_see_the_horizon():
    drawn = [draw_camera(random(seed), 20.0, floor=False) for seed in range(200)]
    fields = [
        math.degrees(math.acos(rays[0] @ rays[-1]))
        for rays in (one.rays(1, 64)[0] for one in drawn)
    ]
    assert min(fields) < 45
    assert max(fields) > 140
    horizons = np.array([int((one.rays(64, 65)[:, 32, 1] > 0).sum()) for one in drawn]) / 64
    assert 0.08 < horizons.min() < 0.16
    assert 0.44 < horizons.max() < 0.56


def test_the_simulators_own_lens_sees_its_frame_as_it_is():
    tilt = -math.atan((79.5 - VANISHING_ROW) / FOCAL_PX)
    roll = math.radians(-ROLL_DEGREES)
    lens = AnyCamera(FOCAL_PX / 320, 0.0, 2.0, tilt, roll, math.radians(YAW_DEGREES))
    columns, rows = cameras._places(lens, 160, 320)
    assert columns == pytest.approx(np.tile(np.arange(320.0), (160, 1)), abs=0.01)
    assert rows == pytest.approx(np.tile(np.arange(160.0)[:, None], (1, 320)), abs=0.01)


@pytest.mark.parametrize(
    ("field", "thing", "right"),
    [
        ("below", Patch(1.0, 5.0, 0.0, 1.0, 0.2, 0.2, 1.0, 1.0, 255, 255, 255), 0.2),
        ("boxes", Box(0.8, 8.0, 0.3, 3.0, 255, 255, 255, 2.0, 1.0, 0.0), 0.1),
    ],
)
def test_things_are_painted_where_a_pinhole_sees_them(field, thing, right):
    road = road_of(0.0)
    place = place_at(road, 0.0, 0.0)
    look = draw_surroundings(random(), road, place.line)
    black = (0.0, 0.0, 0.0)
    scenery = look.scenery._replace(
        grain=0.0,
        patch=0.0,
        light=0.0,
        ground_curvature=0.0,
        mirror=0.0,
        ground=black,
        haze=black,
        zenith=black,
    )
    empty = {
        name: getattr(look, name)[:0] for name in ("bands", "below", "above", "rings", "boxes")
    }
    bare = look._replace(scenery=scenery, **(empty | {field: np.array([thing], float)}))
    picture = paint(bare, place.line, PINHOLE.rays(201, 201), PINHOLE.pixel(201))
    rows, columns = np.nonzero(picture.sum(axis=2) > 60)
    height_m = 0.0 if field == "below" else 2.5
    assert (columns.mean() - 100) * 2 / 201 == pytest.approx(right, abs=0.01)
    expected_up = (height_m - REFERENCE_M) / thing.ahead_m
    assert (100 - rows.mean()) * 2 / 201 == pytest.approx(expected_up, abs=0.01)
