"""A checkpoint comes back as it was; a damaged one is reported, and the one before it used."""

import numpy as np
import pytest

from bcclone.training.checkpoint import checkpoint_paths, load_checkpoint, save_checkpoint
from bcclone.training.training_state import TrainingState


class Variable:
    def __init__(self, values):
        self.values = values
        self.shape = values.shape

    def assign(self, values):
        self.values = values

    def numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.values


class Network:
    """What a checkpoint keeps of a network in training, without TensorFlow."""

    def __init__(self):
        self.variables = [Variable(np.ones((3, 2), np.float32)), Variable(np.ones(4, np.float32))]
        self.totals = Variable(np.ones(3))


@pytest.fixture
def checkpoint(tmp_path):
    network = Network()
    save_checkpoint(tmp_path, network, TrainingState(step=5), b"model")
    (path,) = checkpoint_paths(tmp_path)
    assert load_checkpoint(tmp_path, network, print) == (TrainingState(step=5), b"model")
    return path


def test_the_sums_of_an_epochs_losses_come_back(checkpoint):
    network = Network()
    network.totals.assign(np.zeros(3))
    load_checkpoint(checkpoint.parent, network, print)
    assert network.totals.numpy().tolist() == [1, 1, 1]


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(checkpoint):
    save_checkpoint(checkpoint.parent, Network(), TrainingState(step=9), b"newer")
    newest, *_ = checkpoint_paths(checkpoint.parent)
    newest.write_bytes(newest.read_bytes()[:100])
    notes = []
    assert load_checkpoint(checkpoint.parent, Network(), notes.append) == (
        TrainingState(step=5),
        b"model",
    )
    assert [
        str(newest) in note and note.endswith("continuing from the one before it") for note in notes
    ] == [True]
