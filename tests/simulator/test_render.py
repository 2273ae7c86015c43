"""Frames, depths and labels: what must be seen, where, and that code is compiled anew when needed.

tests/golden/test_frames.py has the bytes of frames.
"""

import math
import re

import cv2
import numpy as np
import pytest

from bcclone.camera.geometry import FOCAL_PX
from bcclone.simulator.camera import pose_of
from bcclone.simulator.car import start_on
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.render.ground import color_ground
from bcclone.simulator.render.profile import find_depths
from bcclone.simulator.render.surface import COMPILED_MODULES, SOURCES_CHECKSUM
from bcclone.simulator.render.things import draw_cards, draw_drops, draw_faces
from bcclone.simulator.scene.light import IN_SHADOW, sunlight_past_hills
from bcclone.simulator.scene.textures import blur, resize
from bcclone.simulator.world_settings import Conditions
from tests.running import ROOT


@pytest.fixture(scope="module")
def lake():
    return Renderer("lake", Conditions())


@pytest.fixture(scope="module")
def mountain():
    return Renderer("mountain", Conditions())


def at(renderer, along_m, cross_track_m=0.0):
    return start_on(renderer.scene.track, cross_track_m, along_m)


def frame(renderer, along_m, **values):
    return renderer.frame(at(renderer, along_m), **values).astype(int)


def test_compiled_code_is_not_reused_after_a_source_changed():
    for drawing in (color_ground, draw_cards, draw_drops, draw_faces, find_depths):
        assert drawing._cache.sources == SOURCES_CHECKSUM
    for path in (ROOT / "bcclone" / "simulator" / "render").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "@drawing(" not in source:
            continue
        used = re.findall(r"^from (bcclone\S+) import", source, re.MULTILINE)
        compiled_in = {f"bcclone.simulator.render.{path.stem}", *used}
        assert compiled_in - {"bcclone.system.compiled"} <= set(COMPILED_MODULES)


# ---- where things are seen


def test_no_hill_or_tree_stands_on_the_road(lake, mountain):
    for scene in (lake.scene, mountain.scene):
        for x, y, z in scene.track.line[::10]:
            assert scene.ground.heights_m[scene.ground.grid.cell(x, z)] < y + 0.3
        trees = scene.cards.placements[: scene.cards.tree_count]
        assert min(abs(scene.track.locate(x, y, z).cross_track_m) for x, y, z in trees[:, :3]) > 5.0


@pytest.mark.parametrize("name", ["lake", "mountain"])
def test_depths_are_those_of_a_march_in_tiny_steps(name, request):
    """But for a few pixels at silhouettes."""
    renderer = request.getfixturevalue(name)
    car = at(renderer, 0)
    seen = renderer.view(car).depths_m
    view = pose_of(car, "center")
    ground = renderer.scene.ground
    missed = 0
    rows, columns = np.mgrid[2:130:6, 2:320:6]
    rays = (
        np.stack([columns + 0.5 - 160, 80 - rows - 0.5, np.full(rows.shape, FOCAL_PX)], -1)
        / FOCAL_PX
        @ view.axes.T
    )
    depths = np.arange(1.0, 120.0, 0.05)
    for row, column, ray in zip(rows.ravel(), columns.ravel(), rays.reshape(-1, 3), strict=True):
        points = view.position + depths[:, None] * ray
        cells = (
            ((points[:, [2, 0]] - (ground.grid.z, ground.grid.x)) / 0.5)
            .astype(int)
            .clip(0, ground.grid.side - 1)
        )
        under = (
            points[:, 1]
            < np.maximum(ground.heights_m[cells[:, 0], cells[:, 1]], ground.water_m) - 0.3
        )
        if under.any() and seen[row, column] > depths[under.argmax()] * 1.1 + 1.5:
            missed += 1
    assert missed / rows.size < 0.02


def test_depths_are_metres_infinite_for_the_sky_and_0_for_the_bonnet(lake):
    view = lake.view(at(lake, 300.0))
    assert np.isinf(view.depths_m[view.labels == LABELS["sky"]]).all()
    assert (view.depths_m[view.labels == LABELS["car"]] == 0).all()
    assert (np.diff(view.depths_m[75:134, 160]) <= 0).all()  # nearer further down
    # a camera at 1.28 m, pitched down by 8.9 degrees: 60.4 rows above the middle are the horizon
    assert view.depths_m[120, 160] == pytest.approx(1.25 * 138.6 / (120.5 - 59.4), rel=0.12)


def test_labels_say_what_pixels_show(lake):
    labels = lake.view(at(lake, 300.0)).labels
    assert labels[158, 160] == LABELS["car"]
    assert labels[110, 150] == LABELS["road"]
    assert labels[2, 5] == LABELS["sky"]
    for name in ("ground", "edge", "line", "object"):
        assert (labels == LABELS[name]).any(), name
    assert (lake.view(at(lake, 735.0)).labels == LABELS["water"]).any()


@pytest.mark.parametrize("degrees", [50, 60, 80])
def test_a_camera_that_looks_steeply_down_sees_the_ground(lake, degrees):
    car = start_on(lake.scene.track, rise=-math.radians(degrees))
    seen = lake.frame(car)
    assert seen[:100].std() > 1
    assert lake.frame(car).tobytes() == seen.tobytes()  # nothing is from beyond the arrays


def test_a_picture_of_another_size_shows_the_same(lake):
    small = Renderer("lake", Conditions(), 64, 80).frame(at(lake, 300.0))
    assert small.shape == (64, 80, 3)
    expected = cv2.resize(lake.frame(at(lake, 300.0)), (80, 64), interpolation=cv2.INTER_AREA)
    soft = [cv2.GaussianBlur(picture, (9, 9), 0).astype(float) for picture in (small, expected)]
    assert np.abs(soft[0] - soft[1]).mean() < 6


# ---- light and weather


def test_rain_snow_and_the_light_of_a_day_follow_time_and_are_the_same_again(lake):
    for weather in ({"rain": 0.8}, {"snow": 0.8}, {"night_cycle": 2.0}):
        renderer = Renderer("lake", Conditions(**weather))
        first, later, again = (frame(renderer, 300, seconds=second) for second in (0.0, 1.0, 0.0))
        assert (first != later).mean() > 0.01
        assert (first == again).all()
    assert later[:130].mean() < 0.5 * first[:130].mean()  # midnight


# ---- numerical cores

FIELD = np.random.default_rng(0).standard_normal((23, 31)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(92, 124), (50, 50), (23, 31)])
def test_resizing_agrees_with_opencv(height, width):
    expected = cv2.resize(FIELD, (width, height), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(resize(FIELD, height, width), expected, atol=1e-5)


@pytest.mark.parametrize(("taps", "across", "error"), [(3, True, 1e-5), (9, False, 0.02)])
def test_blurring_agrees_with_opencv(taps, across, error):
    expected = cv2.GaussianBlur(FIELD, (taps if across else 1, taps), 0)
    np.testing.assert_allclose(blur(FIELD, taps, across), expected, atol=error)


@pytest.mark.parametrize("elevation", [20.0, 45.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_walls_shadow_is_as_long_as_the_sun_is_low_and_falls_away_from_it(elevation, side):
    """Level ground has a wall of 10 m from column 80 on, 5 m thick."""
    heights = np.zeros((160, 160), np.float32)
    heights[:, 80:90] = 10.0
    up = math.radians(elevation)
    sun = np.array([side * math.cos(up), math.sin(up), 0.0])
    cells = np.flatnonzero(sunlight_past_hills(heights, sun)[70] == IN_SHADOW)
    # from the edge of the wall, in half metres
    reach = 79.5 - cells.min() if side > 0 else cells.max() - 89.5
    assert (cells < 80).all() if side > 0 else (cells > 89).all()
    assert len(cells) >= reach
    assert reach / 2 == pytest.approx((10.0 - 0.3) / math.tan(up), abs=2.5)
