"""Trainings, and what they begin with and leave: samples, weights, and the state of a run."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np

from bcclone.dataset.sample_settings import SampleSettings
from tests.running import run_process, run_script

QUICK = ("--epochs", 3, "--batch-size", 16)


def data(name="data.h5", content_hash="hash", seq_length=1, samples=100):
    """Return samples, as far as a run follows from them.

    samples: the number of those to train on
    """
    return SimpleNamespace(
        path=Path(name),
        content_hash=content_hash,
        sample_settings=SampleSettings(seq_length=seq_length),
        recordings=[],
        split_indices=lambda split: np.arange(samples),
    )


def weights(path):
    """Return the arrays of a model file by their names."""
    arrays = {}

    def collect(name, member):
        if isinstance(member, h5py.Dataset):
            arrays[name] = member[()]

    with h5py.File(path) as file:
        file["model_weights"].visititems(collect)
    return arrays


def assert_same_weights(first, second):
    first_arrays = weights(first)
    second_arrays = weights(second)
    assert first_arrays.keys() == second_arrays.keys()
    assert len(first_arrays) >= 16  # kernels and biases of 8 layers, the fewest that cnn has
    for name, array in first_arrays.items():
        assert (array == second_arrays[name]).all(), name


def state_of(run):
    """Return what later steps depend on in the newest checkpoint, and the history.

    The history is without its times.
    """
    newest = max((run / "checkpoints").glob("checkpoint-*[0-9].h5"))
    with h5py.File(newest) as file:
        variables = [file["variables"][name][()].tobytes() for name in sorted(file["variables"])]
        progress = json.loads(file["progress"].asstr()[()])
    losses = ("loss", "mae", "val_loss", "val_mae")
    epochs = [{name: row[name] for name in losses} for row in progress["history"]]
    return variables, epochs, progress["step"]


def train(store, folder, *options, code=0, run=run_script):
    """Run model.py without pictures, which take as long as all the rest."""
    places = ("-o", folder / "model.h5", "--runs", folder / "runs")
    return run("model.py", store, *places, "--no-plots", *options, "--json", code=code)


def train_apart(store, folder, *options):
    """Train in a process of its own.

    Weights are only the same to the bit with the same number of threads.
    """
    return train(store, folder, *options, run=run_process)


def history_of(run):
    """Return the epochs in the history of a run folder."""
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))
