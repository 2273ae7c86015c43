"""Batches, and weights and losses after 20 steps: each feed, network and way to train."""

import csv

import h5py
import numpy as np
import pytest

from bcclone import SampleDataset
from tests.conftest import made_once
from tests.golden.expected import check, digest
from tests.running import ROOT, run_script

FEEDS = ("memory", "hdf5-chunks", "hdf5-shuffle", "sequence", "device")
NETWORKS = ("cnn", "cnn-small")
WAYS = {
    **{f"feed {feed}": f"store.h5 --feed {feed}" for feed in FEEDS},
    "feed files": "{drives}/lake --feed files --network cnn-small",
    "feed shards": "shards --feed shards",
    **{
        f"network {network}": f"store.h5 --feed memory --no-augment --network {network}"
        for network in NETWORKS
    },
    "network gru": "store.h5 --feed memory --no-augment --network gru --seq-length 3",
    "network lstm": "store.h5 --feed memory --no-augment --network lstm --seq-length 3",
    "windows": "store.h5 --feed memory --seq-length 3",
    "augmented on the device": "store.h5 --feed memory --augment-on device",
    "augmented strongly": "store.h5 --feed memory --shift-m 1.5 --appearance 3 --shadows 1",
    "adamw": "store.h5 --feed memory --optimizer adamw",
    "another seed": "store.h5 --feed memory --dropout 0.2 --zero-fraction 0.1 --seed 4",
    "speed": "store.h5 --feed memory --predict speed",
    "throttle": "store.h5 --feed memory --predict throttle",
    "fine-tuned": "store.h5 --feed memory --from {models}/any-road.h5",
}
pytestmark = pytest.mark.slow  # loads Keras, and compiles networks

NEAR = {"rtol": 2e-3, "atol": 1e-5}  # of other kernels, on another processor


@pytest.fixture(scope="session")
def stores(drives, tmp_path_factory):
    """A folder with store.h5 and shards of the same drive, 160 samples. Not to be changed."""

    def make(folder):
        options = ("--size", 64, "--block-seconds", 1, "--cameras", "center")
        lake = drives / "lake"
        run_script("preprocess.py", lake, "-o", folder / "store.h5", *options, "--quiet")
        shards = ("--shard-mb", 1, "--jobs", 1, "--quiet")
        run_script("preprocess.py", lake, "-o", folder / "shards", *options, *shards)

    return made_once(tmp_path_factory, "golden stores", make)


def trained(drives, stores, folder, words):
    """Train for two epochs of 10 steps; return the losses, and the norm of each weight."""
    source, *options = words.format(models=ROOT / "models", drives=drives).split()
    line = ("model.py", stores / source, "--batch-size", 15, "--epochs", 2, *options)
    run_script(*line, "-o", "model.h5", "--name", "run", "--no-plots", cwd=folder)
    with (folder / "runs" / "run" / "history.csv").open() as file:
        epochs = [
            {
                name: float(value) if value else None
                for name, value in row.items()
                if "loss" in name or "mae" in name
            }
            for row in csv.DictReader(file)
        ]
    norms = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            norms[name] = float(np.linalg.norm(item[()]))

    with h5py.File(folder / "model.h5") as file:
        file["model_weights"].visititems(add)
    return {"epochs": epochs, "norms": norms}


@pytest.mark.parametrize("name", WAYS)
def test_weights_after_20_steps(name, drives, stores, tmp_path):
    check("weights", name, trained(drives, stores, tmp_path, WAYS[name]), **NEAR)


def test_a_resumed_training_gives_the_weights_of_an_uninterrupted_one(stores, tmp_path):
    """The last checkpoint is taken away, as if the training had been killed before it."""

    def train(*options):
        line = ("model.py", stores / "store.h5", "-o", "model.h5", "--name", "run", "--no-plots")
        line += ("--batch-size", 15, "--epochs", 2, *options)
        return run_script(*line, cwd=tmp_path)

    def weights():
        found = {}
        with h5py.File(tmp_path / "model.h5") as file:
            file["model_weights"].visititems(
                lambda name, item: (
                    found.update({name: digest(item[()])})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
        return found

    train()
    whole = weights()
    run = tmp_path / "runs" / "run"
    max((run / "checkpoints").glob("*.h5")).unlink()
    (run / "result.json").unlink()
    (tmp_path / "model.h5").unlink()
    assert "epoch 2: loss" in train("--resume").stderr
    assert weights() == whole


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 2, "batch_size": 7},
        {"part": "validation"},
        {"seq_length": 3},
        {"targets": "next frame"},
        {"seq_length": 2, "targets": "next frame"},
    ],
    ids=lambda options: ", ".join(f"{name} {value}" for name, value in options.items()) or "usual",
)
@pytest.mark.parametrize("source", ["store.h5", "shards"])
def test_batches(source, options, stores):
    """The first batches of two epochs, byte for byte."""
    epochs = []
    with SampleDataset.from_store(stores / source, **options) as samples:
        for _ in range(2):
            shown = [samples[number] for number in range(3)] if len(samples) > 2 else [samples[0]]
            epochs.append([{"images": digest(x), "targets": digest(y)} for x, y in shown])
            samples.on_epoch_end()
    name = ", ".join(f"{name} {value}" for name, value in options.items()) or "usual"
    check("batches", f"{source}: {name}", epochs)
