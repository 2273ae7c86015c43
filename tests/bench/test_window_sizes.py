"""The benchmark of windows of shards measures orders and trainings, and its table has a line for each size."""

import json

import pytest

from bcclone.bench.feeds.window_sizes import WindowSize, measure_window_sizes, to_rows
from bcclone.bench.settings import WindowsBenchSettings
from bcclone.errors import UserError


def test_the_table_has_a_line_for_each_size():
    sizes = [
        WindowSize(0, 1.0, 200.0, 1.0, 1.0, 1.0, (0.02, 0.01, 0.03)),
        WindowSize(4, 0.1, 20.0, 0.4, 0.5, 1.2, (0.025,)),
    ]
    rows = to_rows(sizes)
    assert len(rows) == 3
    assert "all samples" in rows[1]
    assert "0.0200" in rows[1]
    assert "4 shards" in rows[2]
    assert json.loads(json.dumps(sizes[1].as_json()))["window_shards"] == 4


@pytest.mark.long
def test_larger_windows_are_nearer_to_a_shuffle_of_all_samples(sharded_store):
    settings = WindowsBenchSettings(store=sharded_store, epochs=1, rounds=1)
    whole, one, eight = measure_window_sizes(settings, windows=(1, 8))
    assert (whole.distance, whole.fraction, whole.window_shards) == (1.0, 1.0, 0)
    assert one.distance < eight.distance < 1
    assert one.fraction < eight.fraction < 1
    assert all(len(size.val_loss) == 1 and 0 < size.val_loss[0] < 1 for size in (whole, one, eight))


def test_a_store_of_few_shards_is_refused(sharded_store):
    with pytest.raises(UserError, match="shards, expected at least 2000; make it with a smaller --shard-mb"):
        measure_window_sizes(WindowsBenchSettings(store=sharded_store), windows=(1, 1000))


def test_a_store_and_frames_to_draw_exclude_each_other():
    with pytest.raises(ValueError, match="leave one out"):
        WindowsBenchSettings(store="data.h5", frames=100)
