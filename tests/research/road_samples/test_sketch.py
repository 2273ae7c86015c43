"""Sketches: roads of one frame each, seen by any camera."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bcclone.camera.vehicle import steering_of
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.any_camera import AnyCamera, draw_camera
from bcclone.research.road_samples.drawn_road import REFERENCE_M, draw_road, place_at
from bcclone.research.road_samples.drawn_surroundings import draw_surroundings
from bcclone.research.road_samples.painting import paint
from bcclone.research.road_samples.rendering import RoadTask, draw_sketch, render_road
from bcclone.research.road_samples.surroundings import Band, Box, Patch, Ring

PINHOLE = AnyCamera(focal=0.5, xi=0.0, aspect=1.0, pitch=0.0, roll=0.0, yaw=0.0)  # 90 degrees


def random(seed=0):
    return np.random.default_rng(seed)


def road_of(curvature, seed=0, **values):
    """Return a road that bends everywhere alike."""
    road = draw_road(random(seed))
    return replace(road, curvatures=np.full_like(road.curvatures, curvature), **values)


def picture_of(road, place, camera=PINHOLE, seed=0, size=(48, 64)):
    """Return a picture of the road alone, without textures and things around it."""
    look = draw_surroundings(random(seed), road, place.line)
    scenery = look.scenery._replace(
        grain=0.0, patch=0.0, light=0.0, ground_curvature=0.0, haze_most=0.0, mirror=0.0
    )
    bands = look.bands.copy()
    for field in ("grain", "ragged_m", "worn"):
        bands[:, Band._fields.index(field)] = 0.0
    bare = look._replace(
        scenery=scenery,
        bands=bands,
        below=look.below[:0],
        above=look.above[:0],
        rings=look.rings[:0],
        boxes=look.boxes[:0],
    )
    return paint(bare, place.line, camera.rays(*size), camera.pixel(size[1]))


def symmetrical_road(curvature):
    """Return a road and the seed of a look that is the same on both sides."""
    road = road_of(curvature, lanes=1, lane_m=0.0, floor=False)
    for seed in range(100):
        bands = draw_surroundings(random(seed), road, place_at(road, 0.0, 0.0).line).bands
        middles = sorted(round(float(band[0] + band[1]), 6) for band in bands)
        if (
            len(bands) > 2
            and np.allclose(np.add(middles, middles[::-1]), 0.0)
            and not bands[:, 5].any()
        ):
            return road, seed
    raise AssertionError("no symmetrical look")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_sketch():
    one, again, other = (draw_sketch(random(seed), 64, 64) for seed in (3, 3, 4))
    assert one.image.shape == (64, 64, 3)
    assert one.image.dtype == np.uint8
    assert one.image.tobytes() == again.image.tobytes()
    assert (one.steering, one.path) == (again.steering, again.path)
    assert one.image.tobytes() != other.image.tobytes()


def test_pictures_show_something_and_labels_are_of_a_car():
    sketches = [draw_sketch(random(seed), 32, 32) for seed in range(60)]
    assert np.mean([sketch.image.std() > 5 for sketch in sketches]) > 0.9
    steering = np.array([sketch.steering for sketch in sketches])
    assert np.abs(steering).max() <= 1
    assert steering.min() < 0 < steering.max()


def test_a_straight_road_calls_for_no_steering_and_an_even_bend_for_its_curvature():
    straight = place_at(road_of(0.0), 0.0, 0.0)
    assert straight.steering == 0
    assert not any(straight.path)
    bend = place_at(road_of(0.05), 0.0, 0.0)
    assert bend.path[:8] == pytest.approx([float(steering_of(0.05))] * 8)
    assert bend.steering > bend.path[0]


def test_the_car_steers_back_to_its_lane_and_the_more_gently_the_wider_the_bends():
    for offset_m, turn in ((0.5, 0.0), (0.0, 0.1)):
        sharp, gentle = (
            place_at(road_of(0.0, radius_m=radius_m), offset_m, turn) for radius_m in (10.0, 500.0)
        )
        assert sharp.steering < gentle.steering < 0
        assert sharp.path[8:] == (offset_m, turn)


def test_a_mirrored_place_has_the_negative_labels_and_the_mirrored_picture():
    road, seed = symmetrical_road(0.03)
    mirrored = replace(road, curvatures=-road.curvatures)
    here = place_at(road, 0.4, 0.05)
    there = place_at(mirrored, -0.4, -0.05)
    assert there.steering == -here.steering
    assert there.path == pytest.approx([-value for value in here.path])
    assert there.line * (-1, 1, -1, 1, 1) == pytest.approx(here.line)
    one = picture_of(road, here, seed=seed)
    other = picture_of(mirrored, there, seed=seed)
    assert one.std() > 5
    assert other[:, ::-1] == pytest.approx(one, abs=1e-6)


def test_the_road_is_where_a_pinhole_sees_it():
    road, seed = symmetrical_road(0.0)
    road = replace(road, width_m=5.0)
    place = place_at(road, 1.0, 0.0)
    picture = picture_of(road, place, seed=seed, size=(201, 201))
    row = 125
    up = (0.5 - 125.5 / 201) * 2
    ahead_m = REFERENCE_M / -up
    seen = np.abs(np.diff(picture[row].sum(axis=1))) > 1
    right_m = ((np.flatnonzero(seen) + 1) / 201 - 0.5) * 2 * ahead_m
    for edge_m in (-3.5, 1.5):  # of the road, from a car that is a metre to the right of its middle
        assert np.abs(right_m - edge_m).min() < 2 * ahead_m / 100
    assert np.ptp(picture[row, 100:104], axis=0) == pytest.approx(0.0, abs=1e-6)


def picture_with(rows, kind, **scenery):
    """Return a picture of black ground under a black sky, and of white things on it.

    rows: a list of values of `kind`
    """
    road = road_of(0.0)
    place = place_at(road, 0.0, 0.0)
    look = draw_surroundings(random(0), road, place.line)
    black = (0.0, 0.0, 0.0)
    bare = look.scenery._replace(
        ground=black, haze=black, zenith=black, light=0.0, ground_curvature=0.0, **scenery
    )
    tables = {"bands": Band, "below": Patch, "above": Patch, "rings": Ring, "boxes": Box}
    empty = {name: getattr(look, name)[:0] for name in tables}
    name = {Patch: "above", Ring: "rings", Box: "boxes"}[kind]
    look = look._replace(scenery=bare, **(empty | {name: np.array(rows, float)}))
    return paint(look, place.line, PINHOLE.rays(201, 201), PINHOLE.pixel(201))[..., 0]


def middle_of(light):
    """Return the mean slopes, to the right and up, at which a picture is light."""
    rows, columns = np.nonzero(light > 100)
    return (columns.mean() - 100) * 2 / 201, (100 - rows.mean()) * 2 / 201


WHITE = (255.0, 255.0, 255.0)


def test_patches_and_rings_lie_where_they_are_put():
    patch = Patch(1.0, 5.0, 0.0, 1.0, 0.2, 0.2, 1.0, 1.0, *WHITE)
    right, up = middle_of(picture_with([patch], Patch, mirror=0.0))
    assert right == pytest.approx(1.0 / 5.0, abs=0.01)
    assert up == pytest.approx(-REFERENCE_M / 5.0, abs=0.01)

    ring = Ring(0.0, 6.0, 1.0, 0.05, *WHITE)
    light = picture_with([ring], Ring, mirror=0.0)
    right, up = middle_of(light)
    assert right == pytest.approx(0.0, abs=0.01)
    for ahead_m in (5.0, 7.0):
        row = round(100 + REFERENCE_M / ahead_m * 201 / 2)
        assert light[row - 1 : row + 2, 100].max() > 60
    assert light[round(100 + REFERENCE_M / 6.0 * 201 / 2), 100] == 0


def test_a_polished_floor_reflects_what_stands_on_it():
    box = Box(0.0, 8.0, 0.3, 3.0, *WHITE, 2.0, 1.0, 0.0)
    plain = picture_with([box], Box, mirror=0.0, grain=0.0)
    polished = picture_with([box], Box, mirror=1.0, ripple=0.0, grain=0.0)
    assert middle_of(plain)[1] == pytest.approx((2.5 - REFERENCE_M) / 8.0, abs=0.01)
    assert (polished[:101] == plain[:101]).all()  # above the horizon
    rows = np.flatnonzero(polished[101:, 100]) + 101
    assert (100 - rows.mean()) * 2 / 201 == pytest.approx((-2.5 - REFERENCE_M) / 8.0, abs=0.01)


def test_roads_have_one_to_four_lanes_and_the_car_is_in_the_middle_of_one():
    roads = [draw_road(random(seed)) for seed in range(400)]
    assert {road.lanes for road in roads} == {1, 2, 3, 4}
    for road in roads:
        middles_m = (np.arange(road.lanes) + 0.5) * road.lane_width_m - road.width_m / 2
        assert np.abs(middles_m - road.lane_m).min() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0])
def test_a_lens_has_its_field_of_view_and_turns_as_it_is_mounted(xi):
    half = math.radians(50)
    focal = 0.5 * (math.cos(half) + xi) / math.sin(half)
    lens = AnyCamera(focal, xi, 1.0, 0.0, 0.0, 0.0)
    row = lens.rays(1, 1001)[0]
    assert math.degrees(math.acos(row[0] @ row[-1])) == pytest.approx(100, abs=0.3)
    assert math.acos(row[500] @ row[501]) == pytest.approx(lens.pixel(1001), rel=1e-3)
    middle = replace(lens, pitch=-0.2, yaw=0.1).rays(101, 101)[50, 50]
    assert math.asin(middle[1]) == pytest.approx(-0.2)
    assert math.atan2(middle[0], middle[2]) == pytest.approx(0.1)
    rolled = replace(lens, roll=0.1).rays(101, 101)
    assert rolled[50, 100, 1] / rolled[50, 100, 0] == pytest.approx(math.tan(0.1))


def test_cameras_differ_in_lens_and_mounting_and_see_the_horizon():
    cameras = [draw_camera(random(seed), 20.0, floor=False) for seed in range(200)]
    fields = [
        math.degrees(math.acos(rays[0] @ rays[-1]))
        for rays in (one.rays(1, 64)[0] for one in cameras)
    ]
    assert min(fields) < 45
    assert max(fields) > 140
    assert sum(one.xi == 0 for one in cameras) > 20
    horizons = np.array([int((one.rays(64, 65)[:, 32, 1] > 0).sum()) for one in cameras]) / 64
    assert 0.08 < horizons.min() < 0.16
    assert 0.44 < horizons.max() < 0.56


@pytest.mark.slow
def test_any_camera_adds_sketches_and_leaves_the_other_frames_as_they_are():
    def rendered(frames, any_camera, preprocessing=Preprocessing(width=32, height=24)):  # noqa: B008
        settings = RoadSamplesSettings(
            frames=frames, any_camera=any_camera, ranges="length=150-200"
        )
        return render_road(RoadTask(settings, preprocessing))

    few = rendered(2, 0.0)
    more = rendered(5, 0.6)
    assert more.image[:2].tobytes() == few.image.tobytes()
    assert more.steering[:2].tolist() == few.steering.tolist()
    assert len({image.tobytes() for image in more.image}) == 5
    assert np.isfinite(more.path).all()
    assert rendered(3, 1.0).image.tobytes() == more.image[2:].tobytes()
    assert rendered(1, 1.0, Preprocessing(32, 24, "GRAY")).image.shape == (1, 24, 32, 1)
