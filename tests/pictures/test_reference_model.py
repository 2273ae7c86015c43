"""A reference model's steering on a recorded drive: its results, its memory, and its input."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bcclone.dataset.answer import Answer
from bcclone.dataset.preprocessing import PRESETS
from bcclone.pictures.clip import ReferenceDrive, load_reference
from bcclone.pictures.recorded_run import read_run
from bcclone.system.errors import UserError
from tests.pictures.video_runs import make_run

FRAMES = np.random.default_rng(2).integers(0, 256, (4, 160, 320, 3), dtype=np.uint8)


def drive_of(folder, model, count=10, seconds=None):
    run = read_run(make_run(folder, count), times_only=True)
    if seconds is not None:
        run = replace(run, seconds=np.array(seconds))
    return ReferenceDrive(*model, run), run


def test_the_steering_is_within_the_lock_and_the_mask_has_the_size_of_the_frame(
    untrained_model, tmp_path
):
    drive, _ = drive_of(tmp_path / "run", load_reference(untrained_model))
    for index, frame in enumerate(FRAMES):
        steering, mask = drive.answer(index, frame)
        assert -1 <= steering <= 1
        assert (mask.shape, mask.dtype) == ((160, 320), np.float32)
        assert 0 <= mask.min() < mask.max() <= 1
    with pytest.raises(UserError, match="cannot take these frames.*--model"):
        drive.answer(4, FRAMES[0, :80])


def counting():
    """Return a model that answers with a hundredth of the number of frames that it remembers."""
    policy = SimpleNamespace(
        seq_length=4,
        carries_states=False,
        preprocessing=PRESETS["carnd-160x320-rgb"],
        next_answer=lambda image, memory: (Answer(len(memory) / 100), (*memory, image)),
    )
    return policy, SimpleNamespace(of_input=lambda image: None)


@pytest.mark.parametrize(
    ("seconds", "shown", "remembered"),
    [
        # at 9: the 4 of before, then 6, 7, 8, which the clip leaves out
        (None, (2, 3, 9), (2, 3, 7)),
        ((0.0, 0.1, 5.0, 5.1), range(4), (0, 1, 0, 1)),  # the memory ends at a gap
    ],
)
def test_the_memory_has_the_frames_that_a_clip_leaves_out_and_ends_at_a_gap(
    tmp_path, seconds, shown, remembered
):
    drive, run = drive_of(tmp_path / "run", counting(), len(seconds or range(10)), seconds)
    steering = [drive.answer(index, run.frame(index))[0] for index in shown]
    assert steering == pytest.approx([count / 100 for count in remembered])
