"""Scenes and frames: what must be seen, where, and that the same inputs give the same bytes."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from bcclone.camera.geometry import FOCAL_PX
from bcclone.simulator.camera import pose_of
from bcclone.simulator.car import start_on
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.render.air import air_of
from bcclone.simulator.render.cards import draw_cards
from bcclone.simulator.render.drops import draw_drops
from bcclone.simulator.render.faces import draw_faces
from bcclone.simulator.render.ground import color_ground
from bcclone.simulator.render.inputs import Eye, bonnet_canvas, empty_profiles, surface_of
from bcclone.simulator.render.profile import find_depths
from bcclone.simulator.render.surface import COMPILED_MODULES, SOURCES_CHECKSUM
from bcclone.simulator.track import load_track
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


@pytest.mark.parametrize(("ahead_m", "drawn"), [(0.8, False), (1.6, True)])
def test_a_bush_right_before_the_camera_does_not_fill_the_picture(lake, ahead_m, drawn):
    cards = lake.scene.cards.placements
    card = cards[-1:].copy()
    card[0, :3] = 0.0, -card[0, 3] / 2, ahead_m
    canvas = bonnet_canvas(160, 320)
    canvas.depths_m[:] = 1000.0
    draw_cards(
        Eye(np.zeros(3), np.eye(3), FOCAL_PX, FOCAL_PX, np.full(320, 160)),
        card,
        lake.scene.pictures,
        air_of(Conditions()),
        canvas,
    )
    assert (canvas.depths_m < 1000.0).any() == drawn


@pytest.fixture(scope="module")
def unlined():
    return Renderer("lake", Conditions(line_visibility=0.0))


def line_columns(lake, unlined, row, cross_track_m=0.0):
    """Return the columns of a row in which the lines are, by their absence."""
    car = at(lake, 240, cross_track_m)
    change = np.abs(lake.frame(car)[row].astype(int) - unlined.frame(car)[row].astype(int)).max(-1)
    return np.flatnonzero(change > 15)


def test_the_road_is_ahead_with_a_line_on_each_side(lake, unlined):
    frame = lake.frame(at(lake, 240))
    road = frame[100:130, 150:170].astype(int)
    assert np.ptp(road.mean((0, 1))) < 30  # grey
    sky = frame[:15].astype(int)
    assert (sky[..., 2].mean() - sky[..., 0].mean()) > 40
    columns = line_columns(lake, unlined, row=85)
    inner = columns[columns > 160].min() - columns[columns < 160].max()
    depth_m = 1.245 * 138.56 / (85.5 - 56.8)  # a car that stands: its horizon is in row 56.8
    assert inner / 138.56 * depth_m == pytest.approx(6.8, abs=0.3)


@pytest.mark.parametrize(
    ("change", "region", "check"),
    [
        ({"light": 0.5}, np.s_[:130], lambda new, old: 0.4 < new.mean() / old.mean() < 0.6),
        ({"fog": 6.0}, np.s_[40:60], lambda new, old: new.std() < old.std()),
        (
            {"road_visibility": 0.0},
            np.s_[75:120, 140:180],
            lambda new, old: np.abs(new - old).mean() > 25,
        ),
        ({"texture_seed": 1}, np.s_[70:130], lambda new, old: np.abs(new - old).mean() > 5),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_condition_changes_its_part_of_the_picture(lake, change, region, check):
    old = lake.frame(at(lake, 240)).astype(int)
    new = Renderer("lake", Conditions(**change)).frame(at(lake, 240)).astype(int)
    assert check(new[region], old[region])


@pytest.mark.slow
def test_a_low_sun_throws_shadows_of_trees_and_hills_across_the_road(lake):
    low = Renderer("lake", Conditions(sun_elevation=12.0, sun_azimuth=0.0))
    road = np.abs(lake.scene.ground.roadmap.cross_track_m) < 4.65
    noon, evening = (renderer.scene.light[road] for renderer in (lake, low))
    assert (noon < 0.7).mean() < 0.02
    assert (evening < 0.7).mean() > 0.25
    along = lake.scene.ground.roadmap.along_m[road]
    shares = [
        (evening[(along >= metre) & (along < metre + 10)] < 0.7).mean()
        for metre in range(0, 1130, 10)
    ]
    # light and shade in turns, not one long shade
    assert sum(0.1 < share < 0.9 for share in shares) > 30
    car = at(lake, 95)
    lit, shady = (renderer.frame(car).astype(int)[80:130].mean() for renderer in (lake, low))
    assert shady < 0.85 * lit


def test_kerbs_are_red_at_their_positions_and_the_bridge_is_paved(lake):
    def redness(along):
        frame = lake.frame(at(lake, along)).astype(int)[75:125]
        return ((frame[..., 0] - frame[..., 1] > 60) & (frame[..., 0] > 150)).sum()

    assert redness(970) > 30 * max(redness(600), 1)
    paved, asphalt = (
        lake.frame(at(lake, along)).astype(int)[110:130, 150:170].mean((0, 1))
        for along in (720, 600)
    )
    assert (paved[0] - paved[2]) > (asphalt[0] - asphalt[2]) + 15


def test_the_scenery_has_water_trees_and_hills(lake):
    ground = lake.scene.ground
    assert ground.heights_m.max() > 60
    assert (ground.heights_m < ground.water_m).mean() > 0.05
    assert lake.scene.cards.tree_count == 334
    road = np.abs(ground.roadmap.cross_track_m) < 5
    assert np.abs(ground.heights_m[road] - 2.0).max() < 1e-3


def test_no_hill_or_tree_stands_on_the_road(lake, mountain):
    for scene in (lake.scene, mountain.scene):
        for x, y, z in scene.track.line[::10]:
            assert scene.ground.heights_m[scene.ground.grid.cell(x, z)] < y + 0.3
        trees = scene.cards.placements[: scene.cards.tree_count]
        assert min(abs(scene.track.locate(x, y, z).cross_track_m) for x, y, z in trees[:, :3]) > 5.0


@pytest.mark.parametrize("name", ["lake", "mountain"])
def test_rays_do_not_jump_over_crests(name, request):
    """Rays meet what a march in tiny steps meets, but for a few pixels at silhouettes."""
    renderer = request.getfixturevalue(name)
    view = pose_of(at(renderer, 0), "center")
    canvas = bonnet_canvas(160, 320)
    find_depths(
        Eye(view.position, view.axes, FOCAL_PX, FOCAL_PX, np.full(320, 160)),
        surface_of(renderer.scene),
        empty_profiles(160, 320),
        canvas.depths_m,
    )
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
        if under.any() and canvas.depths_m[row, column] > depths[under.argmax()] * 1.1 + 1.5:
            missed += 1
    assert missed / rows.size < 0.02


def test_the_mountains_bridge_carries_the_road_over_itself(mountain):
    track = mountain.scene.track
    above = mountain.frame(at(mountain, 1378)).astype(int)[95:130, 140:180]
    assert np.ptp(above.mean((0, 1))) < 25  # the deck is asphalt
    below = track.locate(105.99, -95.0, -33.95)
    bare = Renderer("mountain", Conditions())
    bare.scene = replace(mountain.scene, faces=mountain.scene.faces[:0])
    car = start_on(track, along_m=below.along_m - 40)
    change = np.abs(mountain.frame(car).astype(int) - bare.frame(car).astype(int)).max(-1)
    assert (change[:60] > 30).sum() > 300  # the bridge stands before the sky


def test_on_the_bridge_the_road_goes_on_without_a_seam(mountain):
    for along in np.arange(1366, 1424, 2.0):
        road = mountain.frame(at(mountain, along, 1.2)).astype(int)[110:134, 150:170]
        assert road.mean() > 60, along  # no dark band where ground and deck meet
        assert (road.sum(-1) < 90).mean() < 0.02, along


def test_uphill_the_road_rises_above_the_horizon(mountain):
    unlined = Renderer("mountain", Conditions(line_visibility=0.0))
    track = mountain.scene.track

    def highest_line(along):
        car = at(mountain, along)
        change = np.abs(mountain.frame(car).astype(int) - unlined.frame(car).astype(int)).max(-1)
        return np.flatnonzero((change > 15).any(1)).min()

    foot = float(np.argmax(track.grade)) / 2 - 25
    level = 600.0  # on a plain
    assert abs(track.locate(*track.point(foot)[:3]).grade) < 0.1
    assert highest_line(foot) < 52 < 56 <= highest_line(level)


def test_seeds_are_other_colours_of_the_same_shapes():
    car = start_on(load_track("lake"), along_m=20.0)
    plain, one, same, other = (
        Renderer("lake", Conditions(color_seed=seed), 40, 80).view(car) for seed in (0, 1, 1, 2)
    )
    assert (one.picture == same.picture).all()
    for view in (one, other):
        assert (view.labels == plain.labels).all()
        assert (view.depths_m == plain.depths_m).all()
    road = plain.labels == LABELS["road"]
    means = [view.picture[road].mean(axis=0) for view in (plain, one, other)]
    assert min(np.abs(means[a] - means[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 5


@pytest.mark.parametrize("degrees", [50, 60, 80])
def test_a_camera_that_looks_steeply_down_sees_the_ground(lake, degrees):
    car = start_on(lake.scene.track, rise=-math.radians(degrees))
    frame = lake.frame(car)
    assert frame[:100].std() > 1
    assert lake.frame(car).tobytes() == frame.tobytes()  # nothing is from beyond the arrays
