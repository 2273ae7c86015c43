"""Frames of the simulator, byte for byte, and how its car moves."""

import numpy as np
import pytest

from bcclone import Simulator
from tests.golden.expected import check, digest

TRACKS = ("lake", "mountain")
EVERYTHING = ("center", "left", "right", "segmentation", "depth")
WORLDS = {
    "lake, reversed, all that is observed": {"reverse": True, "observations": EVERYTHING},
    "lake, snow": {"snow": 0.7, "fog": 3.0},
    "lake, night": {"night": 0.9, "light": 0.8},
    "lake, another camera": {"camera_height_m": 0.4, "camera_pitch": 5.0, "camera_shift_m": 0.3},
    "mountain, rain": {"road": "mountain", "rain": 1.0, "observations": ("left", "right")},
    "mountain, low sun, other textures": {
        "road": "mountain",
        "sun_elevation": 12.0,
        "sun_azimuth": 200.0,
        "texture_seed": 7,
    },
    "random road": {"road": "random:1:shape=winding,surface=dirt,length=250", "color_seed": 3},
    "a town, rails, a second road": {
        "road": "random:7:width=8,neighbor=right,surroundings=town,barriers=rail,length=300"
    },
    "eased slopes, water, walls, kerbs": {
        "road": "random:9:shape=winding,slopes=eased,hills=40,surroundings=water,barriers=wall,"
        "edges=kerb"
    },
    "lake, small frames": {"height": 64, "width": 64, "observations": EVERYTHING},
}


def shown(observation):
    if isinstance(observation, dict):
        return {name: digest(array) for name, array in observation.items()}
    return digest(observation)


@pytest.mark.parametrize("road", TRACKS)
def test_50_frames_of_a_track(road):
    env = Simulator(road=road, random_start=True)
    frames = [shown(env.reset(seed=seed)[0]) for seed in range(50)]
    env.close()
    check("frames", f"50 frames of {road}", frames)


@pytest.mark.parametrize("name", WORLDS)
def test_frames_of_a_world(name):
    env = Simulator(random_start=True, **WORLDS[name])
    frames = [shown(env.reset(seed=seed)[0]) for seed in range(4)]
    env.close()
    check("frames", name, frames)


@pytest.mark.parametrize("road", TRACKS)
def test_a_car_moves_as_expected(road):
    """The car's place, speed and reward after each tenth of a hundred steps."""
    env = Simulator(road=road, action="steering-throttle", observations=("center",))
    env.reset(seed=1)
    drive = []
    for step in range(100):
        action = np.array([((step * 7) % 11 - 5) / 25, 0.8 if step < 80 else -0.5], np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        if step % 10 == 9:
            figures = {name: value for name, value in info.items() if name != "seconds"}
            drive.append({"frame": shown(observation), "reward": reward, **figures})
            drive[-1] |= {"terminated": terminated, "truncated": truncated}
        if terminated or truncated:
            break
    env.close()
    check("frames", f"drive on {road}", plain(drive), rtol=1e-9, atol=1e-9)


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
