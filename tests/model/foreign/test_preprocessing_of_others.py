"""Frames are prepared as the authors of other models did, or what does not fit is said."""

import re

import cv2
import numpy as np
import PIL.Image
import pytest
from keras import layers

from bcclone.model.model_file import load_model
from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from tests.model.foreign.written_models import FRAME, network
from tests.running import read_steering, result_of, run_script


def grey(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def standardized(image):
    return (image - image.mean()) / image.std()


def blurred_yuv(frame):
    return cv2.GaussianBlur(cv2.cvtColor(frame[60:135], cv2.COLOR_RGB2YUV), (3, 3), 0)


# --preprocess -> what the author's program does to a frame
AUTHORS = {
    "rows 60-140, 64x64, RGB, 0..1": lambda frame: cv2.resize(frame[60:140], (64, 64)) / 255,
    "80x80, BGR, area, -0.5..0.5": lambda frame: (
        cv2.resize(frame, (80, 80), interpolation=cv2.INTER_AREA)[..., ::-1] / 255 - 0.5
    ),
    "rows 50-140, grey, 128x32, x / 127.5 - 1": lambda frame: (
        cv2.resize(grey(frame[50:140]), (128, 32))[..., None] / 127.5 - 1
    ),
    "mean 123.7 116.8 103.9 deviation 58": lambda frame: (
        (cv2.resize(frame, (64, 64)) - [123.7, 116.8, 103.9]) / 58
    ),
    "course-66x200-yuv": lambda frame: cv2.resize(blurred_yuv(frame), (200, 66)) / 255,
    "mean and deviation": lambda frame: standardized(cv2.resize(frame, (64, 64))),
    "64x64, raw": lambda frame: cv2.resize(frame, (64, 64)),
}


@pytest.mark.slow
@pytest.mark.parametrize("text", AUTHORS)
def test_a_text_prepares_frames_as_the_author_did_and_is_stored(text, tmp_path):
    values = np.asarray(AUTHORS[text](FRAME), np.float32)
    model = network(*values.shape)
    old = tmp_path / "old.h5"
    model.save(old)
    expected = pytest.approx(float(model(values[np.newaxis])[0, 0]), abs=1e-5)
    assert load_policy(old, text).answer(FRAME).steering == expected

    new = tmp_path / "new.h5"
    imported = result_of("import-model", old, "-o", new, "--preprocess", text)
    policy = load_policy(new)
    assert policy.answer(FRAME).steering == expected
    stated = policy.preprocessing.describe()
    without_scale = stated.removesuffix(f", {policy.preprocessing.scale}")
    assert imported["preprocessing"] == stated
    assert without_scale != stated

    for same in (text, stated, without_scale):
        load_policy(new, same)
    other_scale = "0..1" if "raw" in text else "raw"
    with pytest.raises(UserError, match="own preprocessing.*import"):
        load_policy(new, f"{without_scale}, {other_scale}")


SCALED_BY_NOTHING = "no layer scales the pixels"
SCALED_TWICE = (
    "its own layer .* scales the pixels again after 0..1; leave that out.*"
    "'rows 60-135, 200x66, YUV'"
)


def test_pixels_that_nothing_scales_are_said_and_no_answer_is_beyond_full_steering(tmp_path):
    path = tmp_path / "old.h5"
    network(66, 200, 3, gain=0.15).save(path)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (160, 320, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(frames / f"{number}.png")
    line = ("predict", path, frames, "-o", tmp_path / "p.csv", "--json", "--force", "--preprocess")
    done = run_script(*line, "nvidia-66x200-yuv")
    assert SCALED_BY_NOTHING in done.stderr
    assert "--preprocess 'rows 60-135, 200x66, YUV, 0..1'" in done.stderr
    clipped = re.search(r"(\d+) of 12 answers are beyond -1 to 1, written as -1", done.stderr)
    assert int(clipped[1]) > 6
    assert "pixels / 255" in done.stderr
    assert max(map(abs, read_steering(tmp_path / "p.csv").values())) == 1

    done = run_script(*line, "nvidia-66x200-yuv, 0..1")
    assert "note" not in done.stderr
    assert "beyond" not in done.stderr
    assert "no layer scales" not in run_script(*line, "nvidia-66x200-yuv, raw").stderr


def batch_normalization(mean, variance):
    layer = layers.BatchNormalization()
    layer.build((None, 66, 200, 3))
    gamma = 1
    beta = 0
    layer.set_weights([np.full(3, value) for value in (gamma, beta, mean, variance)])
    return layer


@pytest.mark.parametrize(
    ("layer", "scales"),
    [
        (lambda: layers.Rescaling(1 / 255), True),
        (lambda: layers.Normalization(mean=0.4, variance=0.1), False),
        (lambda: layers.Normalization(mean=110.0, variance=3000.0), True),
        (lambda: batch_normalization(0.0, 1.0), False),
        (lambda: batch_normalization(110.0, 3000.0), True),
    ],
)
def test_pixels_that_are_scaled_twice_are_said(layer, scales, tmp_path, caplog):
    """A normalisation scales pixels if its mean is that of pixels."""
    path = tmp_path / "old.h5"
    network(66, 200, 3, first=[layer()]).save(path)
    load_model(path, "nvidia-66x200-yuv")
    assert (SCALED_BY_NOTHING in caplog.text) == (not scales)
    load_model(path, "nvidia-66x200-yuv, 0..1")
    assert bool(re.search(SCALED_TWICE, caplog.text)) == scales


BEYOND_FULL_STEERING = "answers are beyond -1 to 1, full steering: was it trained on pixels / 255"


@pytest.mark.slow
def test_scores_and_a_drive_say_what_does_not_fit(tmp_path):
    """The model's author divides the pixels by 255, and its answers are large without that."""
    path = tmp_path / "old.h5"
    network(66, 200, 3, gain=0.5).save(path)
    line = (path, "--preprocess", "nvidia-66x200-yuv")
    done = run_script("evaluate", *line, "--laps", "0.04")
    assert re.search(r"full steering in \d+ % of the answers", done.stdout)
    assert SCALED_BY_NOTHING in done.stderr
    assert BEYOND_FULL_STEERING in done.stderr
    row = ("--laps", "0.01", "--rows", "lake-30", "--jobs", "1")
    assert "old in lake-30: full steering" in run_script("suite", *line, *row).stdout


@pytest.mark.parametrize(
    ("shape", "preprocess", "message"),
    [
        (
            (64, 64, 3),
            None,
            r"drive.py says it.*such as --preprocess 'rows 60-140, 64x64, RGB, 0..1'",
        ),
        (
            (64, 64, 6),
            "64x64, RGB",
            "takes 64 x 64 x 6 .* stacked as channels.* are not supported: train it",
        ),
        (
            (66, 200, 3),
            None,
            r"--preprocess 'nvidia-66x200-yuv, 0..1' or .* --preprocess course-66x200-yuv",
        ),
        (
            (64, 64, 3),
            "nvidia-66x200-yuv",
            "64 x 64 x 3 .*, and rows 60-135, 200x66, YUV makes 66 x 200 x 3; give .*64x64",
        ),
        ((64, 64, 3), "foo", "--preprocess foo: 'foo', expected a preset"),
    ],
)
def test_a_missing_or_unfit_preprocessing_is_refused_with_what_fits(
    shape, preprocess, message, tmp_path
):
    network(*shape).save(tmp_path / "old.h5")
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "old.h5", preprocess)
