"""Samples and windows: their content and order, and no leak across the split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcclone.dataset.sample_settings import MAX_FRAME_OFFSETS, PARTS, SampleSettings
from bcclone.dataset.samples import assign_validation, indices_of, row_table, sample_chunks, windows


def make_rows(count, episodes=1, interval_ms=100, cameras=3):
    """Rows of `episodes` equal takes whose frames are numbered row by row, camera by camera."""
    rows = pd.DataFrame({"steering": np.linspace(-0.9, 0.9, count), "speed_mph": 20.0})
    rows["episode"] = np.arange(count) * episodes // max(count, 1)
    rows["time_ms"] = np.arange(count) * interval_ms + rows["episode"] * 60_000
    for index, camera in enumerate(("center", "left", "right")):
        rows[f"frame_{camera}"] = np.arange(count) * 3 + index if index < cameras else -1
    rows["validation"] = False
    rows["recording"] = 0
    return rows


def build_samples(rows, settings):
    return np.concatenate(list(sample_chunks(rows, settings)))


@pytest.mark.parametrize("weight", [1, 2, 3])
def test_a_training_sample_of_a_take_over_is_in_the_table_as_often_as_it_weighs(weight):
    rows = make_rows(6).assign(take_over=[False, True, True, False, True, False])
    rows["validation"] = [False, False, True, True, False, False]
    plain = build_samples(rows.drop(columns="take_over"), SampleSettings(correction_weight=weight))
    samples = build_samples(rows, SampleSettings(correction_weight=weight))
    weighs = np.isin(plain["row"], [1, 4])
    assert (samples == np.repeat(plain, np.where(weighs, weight, 1))).all()
    training, _ = windows(samples[~samples["validation"]], 2)
    assert np.unique(training[training["row"] == 1], return_counts=True)[1].tolist() == [weight] * 6


def test_the_correction_steers_side_cameras_back_to_the_line_and_is_clipped():
    rows = make_rows(3)
    rows["steering"] = [0.0, -0.95, 0.95]
    samples = build_samples(rows, SampleSettings(flip=False, correction=0.1, smooth_seconds=0))
    expected = np.array([0.0, 0.1, -0.1, -0.95, -0.85, -1.0, 0.95, 1.0, 0.85], np.float32)
    assert samples["steering"].tolist() == expected.tolist()
    assert samples["camera"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_samples_are_ordered_by_row_camera_frame_offset_and_flip():
    samples = build_samples(make_rows(102), SampleSettings(frame_offsets=MAX_FRAME_OFFSETS))
    order = samples[["row", "camera", "frame_offset", "flipped"]].tolist()
    assert order == sorted(order)
    assert samples["frame_offset"].max() == MAX_FRAME_OFFSETS


@settings(max_examples=60)
@given(
    count=st.integers(1, 200),
    episodes=st.integers(1, 4),
    frame_offsets=st.integers(0, 6),
    split=st.sampled_from(["blocks", "end", "random"]),
    validation=st.floats(0, 0.9),
    seed=st.integers(0, 5),
)
def test_no_sample_crosses_an_episode_or_the_split(
    count, episodes, frame_offsets, split, validation, seed
):
    rows = make_rows(count, episodes)
    wanted = SampleSettings(
        frame_offsets=frame_offsets,
        split=split,
        validation=validation,
        block_seconds=1.5,
        seed=seed,
    )
    rows["validation"] = assign_validation(rows, wanted)
    samples = build_samples(rows, wanted)
    from_row = samples["frame"] // 3
    assert (from_row == samples["row"] - samples["frame_offset"]).all()
    assert (rows["episode"].to_numpy()[from_row] == samples["episode"]).all()
    assert (rows["validation"].to_numpy()[from_row] == samples["validation"]).all()
    trained = set(samples["frame"][~samples["validation"]].tolist())
    validated = set(samples["frame"][samples["validation"]].tolist())
    assert not trained & validated
    assert trained | validated == set(range(3 * count))


@settings(max_examples=60)
@given(
    count=st.integers(1, 120),
    episodes=st.integers(1, 4),
    frame_offsets=st.integers(0, 3),
    seq_length=st.integers(2, 6),
    missing=st.integers(0, 119),
    split=st.sampled_from(["blocks", "end", "random"]),
)
def test_a_window_holds_consecutive_rows_of_one_camera_episode_and_split(
    count, episodes, frame_offsets, seq_length, missing, split
):
    rows = make_rows(count, episodes)
    rows.loc[missing % count, "frame_left"] = -1
    wanted = SampleSettings(frame_offsets=frame_offsets, split=split, block_seconds=1.5)
    rows["validation"] = assign_validation(rows, wanted)
    episode, side, left = (
        rows[name].to_numpy() for name in ("episode", "validation", "frame_left")
    )
    samples = build_samples(rows, wanted)
    for validation in (False, True):
        part = samples[samples["validation"] == validation]
        found, frames = windows(part, seq_length)
        expected = [
            (row, camera, flipped)
            for row in np.flatnonzero(side == validation).tolist()
            for camera in range(3)
            for flipped in (False, True)
            if row >= seq_length - 1
            and len(set(episode[row - seq_length + 1 : row + 1])) == 1
            and (side[row - seq_length + 1 : row + 1] == validation).all()
            and not (camera == 1 and (left[row - seq_length + 1 : row + 1] == -1).any())
        ]
        assert found[["row", "camera", "flipped"]].tolist() == expected
        before = np.arange(seq_length)[::-1]
        of_the_camera = (found["row"][:, None] - before) * 3 + found["camera"][:, None]
        assert (frames == of_the_camera).all()


def test_validation_consists_of_complete_blocks_and_is_near_the_requested_fraction():
    rows = make_rows(1000, episodes=2)  # 100 s: 10 blocks of 100 rows
    validation = assign_validation(rows, SampleSettings())
    assert validation.dtype == np.bool_
    assert validation.sum() == 200
    assert {int(block.sum()) for block in validation.reshape(10, 100)} == {0, 100}


def test_the_end_of_each_recording_is_for_validation_and_copies_are_on_one_side():
    first = make_rows(100)
    second = make_rows(50)
    copy = make_rows(100).iloc[30:90]
    second["time_ms"] += 1_000_000
    rows = pd.concat(
        [first, second.assign(recording=1), copy.assign(recording=2)], ignore_index=True
    )
    wanted = SampleSettings(split="end", validation=0.2)
    validation = assign_validation(rows, wanted)
    # the last fifth of the copy are its rows 78 to 89; of the recording itself, 80 to 99
    assert np.flatnonzero(validation).tolist() == [
        *range(78, 100),
        *range(140, 150),
        *range(198, 210),
    ]
    before = rows.assign(validation=validation)
    grown = make_rows(150)  # the rows that are in the store keep their side
    again = assign_validation(grown, wanted, before)
    assert np.flatnonzero(again).tolist() == [*range(78, 100), *range(120, 150)]


def test_the_smaller_of_two_blocks_moves_when_a_side_would_be_empty():
    rows = make_rows(150)  # blocks of 100 and of 50
    assert assign_validation(rows, SampleSettings(validation=0.05)).sum() == 50
    assert assign_validation(rows, SampleSettings(validation=0.95)).sum() == 100


def test_added_rows_keep_the_fraction_and_the_earlier_split():
    settings = SampleSettings()
    before = make_rows(1000)
    added = make_rows(500)
    added["time_ms"] += 1_000_000
    before["validation"] = assign_validation(before, settings)
    assert assign_validation(added, settings, before).sum() == 100
    before["validation"] = True  # far too much already: all that comes is for training
    assert assign_validation(added, settings, before).sum() == 0
    again = assign_validation(make_rows(300), settings, before)  # the same blocks of time
    assert again.all()


# the type in our stores, and one that others might write
@pytest.mark.parametrize("written", [np.bool_, np.uint8])
def test_added_rows_of_an_earlier_block_join_its_side_and_count_towards_the_fraction(written):
    settings = SampleSettings()
    before = make_rows(1000)
    added = make_rows(1500)  # the first 1000 are of the same ten blocks
    before["validation"] = (np.arange(1000) >= 900).astype(written)
    validation = assign_validation(added, settings, before)
    assert validation[:1000].tolist() == before["validation"].tolist()
    assert validation.sum() == 400  # and 100 before: a fifth of 2500


def test_rows_of_recordings_held_back_whole_do_not_count_towards_the_fraction():
    settings = SampleSettings()
    rows = make_rows(1500).assign(part=np.repeat(np.array([0, 1, 2], np.uint8), (1000, 300, 200)))
    rows["validation"] = assign_validation(rows, settings)
    assert rows["validation"][1000:].all()
    assert rows["validation"][:1000].sum() == 200
    added = make_rows(1500)[1000:]  # at the times of those held back whole, which decide nothing
    assert assign_validation(added, settings, rows).sum() == 100
    samples = build_samples(rows, settings)
    table = row_table(rows)
    of_rows = {
        part: set(samples["row"][indices_of(samples, table, part)].tolist()) for part in PARTS
    }
    assert of_rows["validation"] == set(np.flatnonzero(rows["validation"][:1300]))
    assert of_rows["test"] == set(range(1300, 1500))
    assert of_rows["training"] == set(np.flatnonzero(~rows["validation"]))
    without = row_table(rows.drop(columns="part"))
    assert len(indices_of(samples, without, "validation")) == samples["validation"].sum()
    assert len(indices_of(samples, table, "test")) == 6 * 200
