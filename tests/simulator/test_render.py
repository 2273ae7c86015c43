"""Frames, depths and labels: what must be seen, where, and that code is compiled anew when needed.

tests/golden/test_frames.py has the bytes of frames.
"""

import math
import re

import numpy as np
import pytest

from bcclone.simulator.car import start_on
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.render.ground import color_ground
from bcclone.simulator.render.profile import find_depths
from bcclone.simulator.render.surface import COMPILED_MODULES, SOURCES_CHECKSUM
from bcclone.simulator.render.things import draw_cards, draw_drops, draw_faces
from bcclone.simulator.world_settings import Conditions
from tests.running import ROOT


@pytest.fixture(scope="module")
def lake():
    return Renderer("lake", Conditions())


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


def test_depths_are_metres_infinite_for_the_sky_and_0_for_the_bonnet(lake):
    view = lake.view(at(lake, 300.0))
    assert np.isinf(view.depths_m[view.labels == LABELS["sky"]]).all()
    assert (view.depths_m[view.labels == LABELS["car"]] == 0).all()
    assert (np.diff(view.depths_m[75:134, 160]) <= 0).all()  # nearer further down
    # a camera at 1.28 m, pitched down by 8.9 degrees: 60.4 rows above the middle are the horizon
    assert view.depths_m[120, 160] == pytest.approx(1.25 * 138.6 / (120.5 - 59.4), rel=0.12)


@pytest.mark.parametrize("degrees", [50, 60, 80])
def test_a_camera_that_looks_steeply_down_sees_the_ground(lake, degrees):
    car = start_on(lake.scene.track, rise=-math.radians(degrees))
    seen = lake.frame(car)
    assert seen[:100].std() > 1
    assert lake.frame(car).tobytes() == seen.tobytes()  # nothing is from beyond the arrays


def test_rain_snow_and_the_light_of_a_day_follow_time_and_are_the_same_again():
    for weather in ({"rain": 0.8}, {"snow": 0.8}, {"night_cycle": 2.0}):
        renderer = Renderer("lake", Conditions(**weather))
        first, later, again = (frame(renderer, 300, seconds=second) for second in (0.0, 1.0, 0.0))
        assert (first != later).mean() > 0.01
        assert (first == again).all()
    assert later[:130].mean() < 0.5 * first[:130].mean()  # midnight
