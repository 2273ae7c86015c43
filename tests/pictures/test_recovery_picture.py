"""docs/recovery_picture.py: which three rows of a recording show a recovery."""

import numpy as np
import PIL.Image
import pytest
from recovery_picture import draw, find_recovery

from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings

ALONG = [0.1, 1.5, 0.1]  # metres from the middle; it is there when its episode begins
BACK = [-2.0, -1.6, -0.9, -0.15, 0.1]
SLOW = [1.8, 1.7, 1.6]  # it does not come back


def test_a_recovery_begins_an_episode_beside_the_middle_and_ends_in_it():
    offset_m = np.array(ALONG + BACK + SLOW)
    episode = np.repeat([0, 1, 2], [3, 5, 3])
    seconds = np.arange(len(offset_m)) * 0.5
    assert offset_m[list(find_recovery(seconds, episode, offset_m))].tolist() == [-2.0, -0.9, -0.15]
    with pytest.raises(ValueError, match="--recoveries"):  # it takes too long
        find_recovery(seconds * 5, episode, offset_m)


@pytest.mark.slow
def test_the_picture_is_drawn_of_a_simulated_recording(tmp_path):
    record(tmp_path / "laps", RecordSettings(laps=0.3, recoveries=30))
    draw(tmp_path / "laps", tmp_path / "recovery.png")
    with PIL.Image.open(tmp_path / "recovery.png") as picture:
        assert picture.height > picture.width
