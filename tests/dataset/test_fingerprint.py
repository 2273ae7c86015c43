"""Fingerprints of recordings: what they survive, and what they tell apart."""

import numpy as np
import pytest

from bcclone.dataset.fingerprint import Fingerprint, fingerprints_of, merged, share_known


def drive(rows=400, seed=0):
    """Return the names of images, which all drives share, speeds and throttles of a drive."""
    random = np.random.default_rng(seed)
    names = [
        f"center_2026_01_01_00_00_{row // 15:02d}_{row % 15 * 66:03d}.jpg" for row in range(rows)
    ]
    return names, np.full(rows, 30.2), np.ones(rows), random.uniform(-1, 1, rows)


def marks_of(*drives):
    columns = [sum((list(one[at]) for one in drives), []) for at in range(4)]
    numbers = np.repeat(np.arange(len(drives)), [len(one[0]) for one in drives])
    return fingerprints_of(*columns, numbers)


def test_a_recording_is_known_again_whole_or_in_part_and_another_is_not():
    mine, other = drive(seed=1), drive(seed=2)
    known = marks_of(mine, drive(rows=50, seed=3))
    assert share_known(known, *mine) == 1
    assert share_known(known, *other) == 0  # of the same names
    part = [values[100:300] for values in mine]
    assert share_known(known, *part) == pytest.approx(1, abs=0.25)
    joined = [[*first, *second] for first, second in zip(mine, other, strict=True)]
    assert share_known(known, *joined) == pytest.approx(0.5, abs=0.02)
    assert share_known([], *mine) == 0


def test_single_precision_and_a_mirrored_steering_are_the_same():
    names, *columns, steering = drive()
    stored = [column.astype(np.float32) for column in columns]
    assert marks_of((names, *stored, -steering.astype(np.float32))) == marks_of(drive())


def test_rows_that_were_held_back_lower_the_share():
    names, *columns = drive()
    trained = np.arange(400) % 10 < 8
    kept = [name for name, is_in in zip(names, trained, strict=True) if is_in]
    known = marks_of((kept, *(column[trained] for column in columns)))
    assert share_known(known, names, *columns) == pytest.approx(0.8, abs=0.02)


def test_many_recordings_stay_small_in_a_model_file():
    known = marks_of(*(drive(rows=40, seed=seed) for seed in range(600)))
    assert sum(len(one.marks) for one in known) < 40_000
    assert share_known(known, *drive(rows=40, seed=7)) == pytest.approx(1, abs=0.01)
    more = [Fingerprint(5, f"{number:08x}" * 50) for number in range(1, 400)]
    twice = merged([*more, *more])
    assert len(twice) == 399
    assert sum(len(one.marks) for one in twice) < 40_000


@pytest.mark.parametrize(
    ("rows", "marks"), [(0, "00000000"), (3, ""), (3, "0000"), (3, "nonsense")]
)
def test_a_damaged_one_is_none(rows, marks):
    with pytest.raises(ValueError, match="rows, expected marks|invalid literal"):
        Fingerprint(rows, marks)
