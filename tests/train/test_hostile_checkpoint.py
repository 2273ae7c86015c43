"""A checkpoint that somebody else made, or a damaged one, is refused before memory is asked for; nothing is loaded."""

import json
import os

import h5py
import numpy as np
import pytest

from bcclone.system.errors import UserError
from bcclone.train.checkpoint import checkpoint_paths, load_checkpoint, save_checkpoint
from bcclone.train.training_state import TrainingState
from tests.dataset.test_hostile_store import WRONG, external_link, external_storage, group, missing, soft_link, virtual


class Variable:
    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def assign(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class Network:
    """What a checkpoint keeps of a network in training, without TensorFlow."""

    def __init__(self):
        self.variables = [Variable(np.ones((3, 2), np.float32)), Variable(np.ones(4, np.float32))]
        self.totals = self

    def read(self):
        return np.ones(3)

    def write(self, totals):
        assert totals.shape == (3,)


@pytest.fixture
def checkpoint(tmp_path):
    network = Network()
    save_checkpoint(tmp_path, network, TrainingState(step=5), b"model")
    (path,) = checkpoint_paths(tmp_path)
    assert load_checkpoint(tmp_path, network, print) == (TrainingState(step=5), b"model")
    return path


def refused(path):
    network = Network()
    with pytest.raises(UserError, match=r"not an intact checkpoint.*train again without --resume") as caught:
        load_checkpoint(path.parent, network, print)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert all((variable.values == 1).all() for variable in network.variables), "a part was loaded"


NAMES = ("variables/0000", "variables/0001", "totals", "progress", "model")


@pytest.mark.parametrize("attack", [external_link, soft_link, external_storage, virtual, group, missing])
@pytest.mark.parametrize("name", NAMES)
def test_no_array_of_a_checkpoint_comes_from_another_file(checkpoint, tmp_path, name, attack):
    checkpoint.rename(tmp_path / "data.h5")
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        attack(file, name, tmp_path)
    (tmp_path / "data.h5").rename(checkpoint)
    refused(checkpoint)


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", NAMES)
def test_an_object_of_another_type_in_a_checkpoint_is_refused(checkpoint, name, value):
    with h5py.File(checkpoint, "r+") as file:
        del file[name]
        file[name] = value
    refused(checkpoint)


@pytest.mark.parametrize(
    "progress", ['{"step": -1}', '{"step": 1e9}', '{"step": NaN}', '{"history": [[]]}', json.dumps({"step": 10**40})]
)
def test_progress_that_no_training_makes_is_refused(checkpoint, progress):
    with h5py.File(checkpoint, "r+") as file:
        del file["progress"]
        file["progress"] = progress
    refused(checkpoint)


@pytest.mark.parametrize("name", ["variables/0000", "totals", "model"])
def test_a_compressed_array_of_a_checkpoint_is_refused(checkpoint, name):
    with h5py.File(checkpoint, "r+") as file:
        del file[name]
        file.create_dataset(name, (1 << 34,), "u1", chunks=(1 << 20,), compression="gzip")[: 1 << 20] = 1
    refused(checkpoint)


def test_a_pipe_is_no_checkpoint(checkpoint):
    checkpoint.unlink()
    os.mkfifo(checkpoint)
    refused(checkpoint)
