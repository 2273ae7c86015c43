"""SampleDataset in Keras's model.fit, with threads and processes: each sample once an epoch, each
epoch shuffled.
"""

import json
import os
import pickle
import sys
import zlib

import numpy as np
import pytest

from bcclone.dataset.shards import open_store
from bcclone.feed.keras_sequence import SampleDataset
from bcclone.feed.order import shuffled
from bcclone.system.errors import UserError
from tests.feed.feeds import plain
from tests.processes import said
from tests.running import ROOT

BATCH = 50
SEED = 3

# Trains with each of the given options; prints what model.fit hands to a training step, epoch by
# epoch.
FIT = """
import json, multiprocessing, sys, zlib
import numpy as np
from bcclone.feed.keras_sequence import SampleDataset

def main(store, all_options):
    import keras

    class Recorder(keras.Model):
        def train_step(self, data):
            images, steering = (np.asarray(part) for part in data)
            assert images.dtype == np.uint8 and steering.dtype == np.float32
            for image, (value,) in zip(images, steering):
                came[-1].append([zlib.crc32(image.tobytes()), float(value)])
            return {"loss": 0.0}

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            came.append([])

    for options in all_options:
        came = []
        model = Recorder()
        model.compile(run_eagerly=True)
        with SampleDataset.from_store(store, batch_size=50, seed=3, **options) as samples:
            model.fit(samples, epochs=2, shuffle=False, callbacks=[Epochs()], verbose=0)
        print(json.dumps(came))

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main(sys.argv[1], json.loads(sys.argv[2]))
"""
THREADS = {"workers": 4}
NONE = {}
PROCESSES = {"workers": 2, "use_multiprocessing": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [[THREADS, NONE], pytest.param([PROCESSES], marks=pytest.mark.long)]
)
def test_fit_gets_every_sample_once_an_epoch_in_the_order_of_seed_and_epoch(
    options, simulated_store, tmp_path
):
    (tmp_path / "fit.py").write_text(FIT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = said(
        sys.executable, tmp_path / "fit.py", simulated_store, json.dumps(options), env=environment
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()[-len(options) :]
    for line in printed:
        first, second = json.loads(line)
        # Keras 3.15 calls on_epoch_end() before the first epoch, too
        begun = next(epoch for epoch in (1, 2) if expected(simulated_store, epoch) == first)
        assert second == expected(simulated_store, begun + 1)
        assert first != second
        assert sorted(first) == sorted(second)


def expected(path, epoch):
    """Return checksum and steering of each training sample in the order of an epoch."""
    with open_store(path) as store:
        samples = store.samples[~store.samples["validation"]]
        images, steering = plain(store, samples[shuffled(len(samples), SEED, epoch)])
    return [
        [zlib.crc32(image.tobytes()), float(one)]
        for image, one in zip(images, steering[:, 0], strict=True)
    ]


def test_validation_samples_and_windows_come_in_order(simulated_store):
    with open_store(simulated_store) as store:
        images, steering = plain(store, store.samples[store.samples["validation"]])
    with SampleDataset.from_store(simulated_store, batch_size=BATCH, part="validation") as samples:
        assert np.array_equal(samples[-1][0], samples[len(samples) - 1][0])
        with pytest.raises(IndexError):
            samples[len(samples)]
        for _ in range(2):
            came = list(samples)
            assert (np.concatenate([batch[0] for batch in came]) == images).all()
            assert (np.concatenate([batch[1] for batch in came]) == steering).all()
            samples.on_epoch_end()
    with SampleDataset.from_store(simulated_store, batch_size=4, seq_length=3) as windows:
        assert windows[0][0].shape == (4, 3, 128, 128, 3)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_each_part_is_shuffled_or_in_the_order_of_the_store_as_the_user_says(part, simulated_store):
    with open_store(simulated_store) as store:
        _, steering = plain(store, store.samples[store.split_indices(part)])

    def epochs(shuffle):
        with SampleDataset.from_store(
            simulated_store, batch_size=BATCH, seed=SEED, part=part, shuffle=shuffle
        ) as samples:
            first = np.concatenate([labels for _, labels in samples])
            samples.on_epoch_end()
            return first, np.concatenate([labels for _, labels in samples])

    for epoch in epochs(False):
        assert (epoch == steering).all()
    first, second = epochs(True)
    assert (first != second).any()
    for epoch in (first, second):
        assert (epoch != steering).any()
        assert (np.sort(epoch, axis=0) == np.sort(steering, axis=0)).all()


@pytest.mark.parametrize("seq_length", [1, 3])
def test_the_next_frame_is_the_target_of_the_images_before_it(simulated_store, seq_length):
    with (
        SampleDataset.from_store(
            simulated_store, 5, part="validation", seq_length=seq_length + 1
        ) as windows,
        SampleDataset.from_store(
            simulated_store, 5, part="validation", seq_length=seq_length, targets="next frame"
        ) as samples,
    ):
        assert len(samples) == len(windows)
        whole = windows[0][0]
        before, after = samples[0]
    expected = whole[:, :-1] if seq_length > 1 else whole[:, 0]
    np.testing.assert_array_equal(before, expected)
    np.testing.assert_array_equal(after, whole[:, -1])


def test_targets_are_a_function_of_the_samples_and_their_rows(simulated_store):
    def speed_and_side(samples, rows):
        return np.stack([rows["speed_mph"], samples["steering"] > 0], axis=1)

    with (
        SampleDataset.from_store(simulated_store, 7, seed=3) as steering,
        SampleDataset.from_store(simulated_store, 7, seed=3, targets=speed_and_side) as samples,
    ):
        images, speeds = samples[0]
        same, labels = steering[0]
        with pytest.raises(ValueError, match="expected a row for each"):
            SampleDataset.from_store(simulated_store, targets=lambda samples, rows: [1.0])
    np.testing.assert_array_equal(images, same)
    assert speeds.dtype == np.float32
    assert (speeds[:, 0] > 1).all()
    np.testing.assert_array_equal(speeds[:, 1], labels[:, 0] > 0)


def test_targets_that_nothing_is_called_by_are_refused(simulated_store):
    with pytest.raises(ValueError, match="'brake', expected.*steering"):
        SampleDataset.from_store(simulated_store, targets="brake")
    with pytest.raises(UserError, match="no test samples.*--test-recording"):
        SampleDataset.from_store(
            simulated_store, part="test", targets=lambda samples, rows: samples["steering"]
        )


def test_a_copy_in_another_process_gives_the_same_batches(simulated_store):
    with SampleDataset.from_store(simulated_store, batch_size=BATCH, seed=SEED) as samples:
        samples.on_epoch_end()
        with pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(samples)))) as copied:
            assert len(copied) == len(samples)
            for number in range(len(samples)):
                for mine, theirs in zip(samples[number], copied[number], strict=True):
                    assert (mine == theirs).all()
