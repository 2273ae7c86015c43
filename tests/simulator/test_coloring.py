"""Pictures in colours of chance: every kind of thing has its own, and shapes stay."""

import numpy as np
import pytest

from bcclone.simulator.car import start_on
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.render.coloring import color, draw_coloring
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions

LABEL = np.array([[LABELS["sky"], LABELS["road"], LABELS["line"], LABELS["car"]]], np.uint8)


@pytest.mark.parametrize("seed", range(1, 6))
def test_each_kind_of_thing_has_factors_of_its_own_and_the_car_keeps_its_colours(seed):
    picture = np.full((1, 4, 3), 100, np.uint8)
    color(picture, LABEL, draw_coloring(seed))
    assert len({tuple(pixel) for pixel in picture[0]}) == 4
    assert picture[0, 3].tolist() == [100, 100, 100]


def test_a_texture_keeps_its_relations_and_nothing_exceeds_white():
    picture = np.array([[[20, 20, 20], [40, 40, 40], [80, 80, 80], [255, 255, 255]]], np.uint8)
    factors = np.ones((len(LABELS), 3), np.float32)
    factors[LABELS["ground"]] = (0.5, 1.0, 2.0)
    color(picture, np.full((1, 4), LABELS["ground"], np.uint8), factors)
    assert picture[0].tolist() == [[10, 20, 40], [20, 40, 80], [40, 80, 160], [127, 255, 255]]


def test_seeds_are_other_colours_of_the_same_shapes():
    car = start_on(load_track("lake"), along_m=20.0)
    plain, one, same, other = (Renderer("lake", Conditions(color_seed=seed), 40, 80).view(car) for seed in (0, 1, 1, 2))
    assert (one.picture == same.picture).all()
    for view in (one, other):
        assert (view.labels == plain.labels).all()
        assert (view.depths_m == plain.depths_m).all()
    road = plain.labels == LABELS["road"]
    means = [view.picture[road].mean(axis=0) for view in (plain, one, other)]
    assert min(np.abs(means[a] - means[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 5
