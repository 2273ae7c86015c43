"""Pictures in colours of chance: every kind of thing has its own, and shapes stay."""

import numpy as np
import pytest

from bcclone.road_samples.coloring import Coloring
from bcclone.simulator.render import LABELS

LABEL = np.array([[LABELS["sky"], LABELS["road"], LABELS["line"], LABELS["car"]]], np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_each_kind_of_thing_has_factors_of_its_own_and_the_car_keeps_its_colours(seed):
    picture = np.full((1, 4, 3), 100, np.uint8)
    colored = Coloring.draw(np.random.default_rng(seed)).apply(picture, LABEL)
    assert len({tuple(pixel) for pixel in colored[0]}) == 4
    assert colored[0, 3].tolist() == [100, 100, 100]
    assert colored.dtype == np.uint8


def test_a_texture_keeps_its_relations_and_nothing_exceeds_white():
    picture = np.array([[[20, 20, 20], [40, 40, 40], [80, 80, 80], [255, 255, 255]]], np.uint8)
    labels = np.full((1, 4), LABELS["ground"], np.uint8)
    factors = np.ones((len(LABELS), 3), np.float32)
    factors[LABELS["ground"]] = (0.5, 1.0, 2.0)
    colored = Coloring(factors).apply(picture, labels)
    assert colored[0].tolist() == [[10, 20, 40], [20, 40, 80], [40, 80, 160], [127, 255, 255]]


def test_the_same_seed_gives_the_same_colours():
    picture = np.random.default_rng(0).integers(0, 256, (1, 4, 3), np.uint8)
    one, same, other = (Coloring.draw(np.random.default_rng(seed)).apply(picture, LABEL) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
