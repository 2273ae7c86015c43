from dataclasses import replace

import numpy as np
import pytest

from bcclone.dataset.images import Preprocessing
from bcclone.lab.road_samples.rendering import RoadTask, draw_weather
from bcclone.simulator.world_settings import Conditions


def weathers(**values):
    task = replace(RoadTask("random:3", False, 50, (0, 3), Preprocessing(), 0.5, 0.0), **values)
    return [draw_weather(np.random.default_rng(number), Conditions(), task) for number in range(200)]


def test_weathers_differ_in_light_colours_and_mounting():
    drawn = weathers()
    assert 0.4 < np.mean([one.color_seed > 0 for one in drawn]) < 0.6
    for name, most in {"light": 1.4, "fog": 6.0, "camera_shift_m": 0.2, "camera_pitch": 1.5, "night": 0.7}.items():
        values = [getattr(one, name) for one in drawn]
        assert 0.9 * most < max(values) <= most
        assert len(set(values)) > 5
    assert 0.7 < np.mean([one.rain + one.snow + one.night == 0 for one in drawn]) < 0.9


def test_no_weather_has_random_colours_if_none_are_asked_for():
    assert not any(one.color_seed for one in weathers(recolored=0.0))


def test_a_camera_is_mounted_higher_by_up_to_the_limit_and_nothing_else_changes():
    usual, raised = weathers(), weathers(camera_height_m=0.5)
    heights = [one.camera_height_m for one in raised]
    assert min(heights) >= 0.0
    assert max(heights) == pytest.approx(0.5, abs=0.02)
    assert np.mean(heights) == pytest.approx(0.25, abs=0.05)
    assert [replace(one, camera_height_m=0.0) for one in raised] == usual
