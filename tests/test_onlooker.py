"""A model that looks on at somebody's drive: its steering, what decided it, and where it begins anew."""

import numpy as np
import pytest

from bcclone.images import BadImage
from bcclone.policy import load_onlooker

FRAMES = np.random.default_rng(2).integers(0, 256, (4, 160, 320, 3), dtype=np.uint8)


def test_it_steers_within_the_lock_and_lights_what_decided(untrained_model):
    onlooker = load_onlooker(untrained_model)
    assert onlooker.seq_length == 1
    assert all(-1 <= onlooker.steer(frame) <= 1 for frame in FRAMES)
    mask = onlooker.mask(FRAMES[0])
    assert (mask.shape, mask.dtype) == ((160, 320), np.float32)
    assert 0 <= mask.min() < mask.max() <= 1


def test_after_forgetting_it_steers_as_at_the_beginning(untrained_window_model):
    onlooker = load_onlooker(untrained_window_model)
    first = onlooker.steer(FRAMES[0])
    onlooker.steer(FRAMES[1])
    assert onlooker.steer(FRAMES[0]) != pytest.approx(first, abs=1e-7)
    onlooker.forget()
    assert onlooker.steer(FRAMES[0]) == pytest.approx(first, abs=1e-7)


def test_the_state_of_a_recurrent_model_comes_from_all_frames_since_it_began(untrained_recurrent_model):
    """A clip shows it all frames that it passes over, since any of them may decide."""
    onlooker = load_onlooker(untrained_recurrent_model)
    assert onlooker.seq_length > 1_000_000
    last = []
    for first in FRAMES[0], FRAMES[1]:
        onlooker.forget()
        last.append([onlooker.steer(frame) for frame in (first, *FRAMES[[2, 3, 2, 3, 2]])][-1])
    assert last[0] != last[1]


def test_a_frame_of_another_size_is_refused(untrained_model):
    with pytest.raises(BadImage):
        load_onlooker(untrained_model).steer(FRAMES[0, :80])
