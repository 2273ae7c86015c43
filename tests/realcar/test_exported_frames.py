"""The preparation of frames in exported files is that of the model, up to what the operations of a
format round.
"""

import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.realcar.export import road_pictures
from bcclone.realcar.exported import prepare

DEFINITIONS = PRESETS | {
    "half": Preprocessing(width=160, height=80),
    "grey": Preprocessing(width=320, height=80, color="GRAY"),
    "larger": Preprocessing(width=500, height=300, color="YUV"),
    "rows": Preprocessing(width=320, height=93, crop_top=67, color="BGR-YUV"),
    "columns": Preprocessing.of("rows 60-140, columns 40-280, 100x50, BGR"),
    "blurred": Preprocessing.of("rows 55-135, blur 5, 64x64, YUV, area"),
    "blurred last": Preprocessing.of("BGR-GRAY, 128x32, blur 7"),
    "area": Preprocessing.of("32x24, area"),
}
FRAMINGS = {
    "stretched": Framing(160, 120),
    "larger": Framing(640, 480),
    "half": Framing(640, 320),
    "odd": Framing(648, 486),
    "narrow": Framing(160, 400),
    "part": Framing(160, 120, rows=(40, 120), columns=(8, 152)),
    "lens": Framing(160, 120, lens=Lens(120.0, 45.0, 79.5)),
    "fisheye": Framing(161, 123, lens=Lens(60.0, 50.0, 70.0, roll_degrees=4.0, fisheye=True)),
    "reduced": Framing(640, 480, lens=Lens(500.0, 205.0, 330.0)),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_frames_are_prepared_nearly_as_by_opencv(name):
    preprocessing = DEFINITIONS[name]
    frames = np.stack(road_pictures(4, (320, 160)))
    expected = np.stack([preprocessing.apply(frame) for frame in frames])
    prepared = prepare(frames, preprocessing).numpy()
    assert prepared.shape == expected.shape
    assert np.abs(prepared - expected).mean() < 0.6  # of 255


@pytest.mark.parametrize("color", ["YUV", "BGR-YUV", "GRAY"])
def test_colours_are_converted_to_the_nearest_number_or_the_next(color):
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    frame[0, :8] = [
        [red, green, blue] for red in (0, 255) for green in (0, 255) for blue in (0, 255)
    ]
    size = {"width": 256, "height": 256, "frame_width": 256, "frame_height": 256}
    preprocessing = Preprocessing(**size, color=color)
    prepared = prepare(frame[np.newaxis], preprocessing).numpy()[0]
    assert np.abs(prepared - preprocessing.apply(frame)).max() <= 2


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", ["carnd-160x320-rgb", "carnd-128-rgb", "columns", "area"])
def test_a_pixel_shows_the_place_that_it_shows_with_opencv(framing, name):
    """The colours of the picture are its columns and rows; a pixel of the frame is 0.8 or 1.6 of
    them.
    """
    framing = FRAMINGS[framing]
    preprocessing = DEFINITIONS[name]
    across, down = np.meshgrid(
        np.linspace(0, 255, framing.width), np.linspace(0, 255, framing.height)
    )
    picture = np.rint(np.stack([across, down, 255 - across], axis=-1)).astype(np.uint8)
    expected = preprocessing.apply(framing.apply(picture))
    prepared = prepare(picture[np.newaxis], preprocessing, framing).numpy()[0]
    assert prepared.shape == expected.shape
    assert np.abs((prepared - expected).mean(axis=(0, 1))).max() < 0.6
    assert np.abs(prepared - expected).mean() < 0.8
