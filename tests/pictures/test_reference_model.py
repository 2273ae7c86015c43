"""A reference model's steering on a recorded drive: its results, its memory, and its input."""

import numpy as np
import pytest

from bcclone.dataset.images import BadImage
from bcclone.pictures.video.reference_model import ReferenceDrive, open_reference_model
from bcclone.pictures.video.run_frames import FrameDecoder, find_frames
from tests.pictures.video_runs import make_run

FRAMES = np.random.default_rng(2).integers(0, 256, (4, 160, 320, 3), dtype=np.uint8)


def last_answer(model, frames):
    """Return the steering at the last of some frames, which are all of a drive."""
    memory = ()
    for frame in frames:
        steering, memory = model.steer(frame, memory)
    return steering


def test_the_steering_is_within_the_lock_and_the_mask_has_the_size_of_the_frame(untrained_model):
    model = open_reference_model(untrained_model)
    assert model.seq_length == 1
    assert all(-1 <= model.steer(frame)[0] <= 1 for frame in FRAMES)
    mask = model.mask(FRAMES[0])
    assert (mask.shape, mask.dtype) == ((160, 320), np.float32)
    assert 0 <= mask.min() < mask.max() <= 1


def test_a_window_depends_on_the_previous_frames_of_its_own_drive_only(untrained_window_model):
    model = open_reference_model(untrained_window_model)
    first = last_answer(model, FRAMES[[0]])
    assert last_answer(model, FRAMES[[0, 1, 0]]) != pytest.approx(first, abs=1e-7)
    assert last_answer(model, FRAMES[[0]]) == first


def test_the_state_of_a_recurrent_model_depends_on_all_frames_of_the_drive(untrained_recurrent_model):
    model = open_reference_model(untrained_recurrent_model)
    assert model.seq_length > 1_000_000
    assert last_answer(model, FRAMES[[0, 2, 3, 2, 3, 2]]) != last_answer(model, FRAMES[[1, 2, 3, 2, 3, 2]])


class CountingModel:
    """Answers with the number of frames that it remembers."""

    seq_length = 4

    def steer(self, frame, memory=()):
        return len(memory), (*memory, frame)

    def mask(self, frame):
        return np.zeros(frame.shape[:2], np.float32)


def test_frames_that_a_clip_leaves_out_are_shown_to_the_model_as_well(tmp_path):
    frames = FrameDecoder(find_frames(make_run(tmp_path / "run", 10)))
    drive = ReferenceDrive(CountingModel(), frames, np.arange(10) / 10)
    frame = frames.decode(0)
    assert [drive.answer(index, frame)[0] for index in (2, 3, 9)] == [2, 3, 7]  # at 9: the 4 of before, then 6, 7, 8


def test_the_memory_ends_at_a_gap_in_the_drive(tmp_path):
    frames = FrameDecoder(find_frames(make_run(tmp_path / "run", 4)))
    drive = ReferenceDrive(CountingModel(), frames, np.array([0.0, 0.1, 5.0, 5.1]))
    assert [drive.answer(index, frames.decode(index))[0] for index in range(4)] == [0, 1, 0, 1]


def test_a_frame_of_another_size_is_refused(untrained_model):
    with pytest.raises(BadImage):
        open_reference_model(untrained_model).steer(FRAMES[0, :80])
