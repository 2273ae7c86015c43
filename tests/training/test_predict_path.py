"""model.py --predict path: where the road leads helps in training; the written model keeps the
steering alone.
"""

import keras
import numpy as np
import pytest

from bcclone.dataset.labels import PATH_ENDS_M
from bcclone.dataset.shards import open_store
from bcclone.feed.selection import select
from bcclone.model.model_file import load_model
from bcclone.model.network import build_network
from bcclone.training.prepare import make_trainer, with_dropout_rate
from bcclone.training.train_settings import TrainSettings
from tests.conftest import calibrated


def test_the_path_of_a_mirror_image_is_mirrored(simulated_store):
    with open_store(simulated_store) as store:
        arrays = select(store, predict="path")
        assert arrays.labels.shape[1] == 1 + len(PATH_ENDS_M)
        path = arrays.labels[:, 1:]
        assert path[arrays.flipped].any(axis=0).all()
        for frame in np.unique(arrays.frame)[::5]:
            plain, mirrored = (
                arrays.labels[:, 1:][(arrays.frame == frame) & (arrays.flipped == flip)]
                for flip in (0, 1)
            )
            assert (plain == -mirrored).all()


def trainer_of(store, start=None, **settings):
    learned = select(store, predict=settings.get("predict", "steering")).labels.shape[1]
    return make_trainer(
        store, TrainSettings(seq_length=1, learning_rate=1e-3, start=start, **settings), learned
    )


def test_the_exported_network_is_the_trained_one_without_the_path(simulated_store):
    with open_store(simulated_store) as store:
        trainer = trainer_of(store, predict="path")
        images = np.stack([store.frames[number] for number in range(4)])
    assert trainer.model.output_shape == (None, 1 + len(PATH_ENDS_M))
    exported = trainer.export()
    assert exported.output_shape == (None, 1)
    steering = np.array(trainer.model(images))[:, :1]
    tolerance = 1e-6
    assert np.array(exported(images)) == pytest.approx(steering, abs=tolerance)


@pytest.mark.slow
def test_a_model_is_fine_tuned_with_the_path_from_where_it_is(simulated_store, untrained_model):
    with open_store(simulated_store) as store:
        trainer = trainer_of(store, untrained_model, predict="path")
        images = np.stack([store.frames[number] for number in range(4)])
    begun = np.array(load_model(untrained_model).model(images))
    assert np.array(trainer.model(images))[:, :1] == pytest.approx(begun, abs=1e-6)
    assert np.array(trainer.export()(images)) == pytest.approx(begun, abs=1e-6)


def test_dropout_is_set_in_every_layer_or_kept(simulated_store, untrained_model):
    def rates(model):
        each = [
            part
            for layer in model.layers
            for part in getattr(getattr(layer, "layer", None), "layers", [layer])
        ]
        return [layer.rate for layer in each if isinstance(layer, keras.layers.Dropout)]

    for made in (build_network(network="cnn"), build_network(network="gru", seq_length=2)):
        less = with_dropout_rate(made, 0.1)
        assert (rates(made), rates(less)) == ([0.5, 0.5], [0.1, 0.1])
        assert all(
            (one == other).all()
            for one, other in zip(made.get_weights(), less.get_weights(), strict=True)
        )
    with open_store(simulated_store) as store:
        assert rates(trainer_of(store, untrained_model).model) == [0.5, 0.5]
        assert rates(trainer_of(store, untrained_model, dropout=0.2).model) == [0.2, 0.2]


def test_a_training_from_a_calibrated_model_begins_with_the_cars_steering(
    simulated_store, untrained_model, tmp_path
):
    car = calibrated(untrained_model, tmp_path / "car.h5", 0.5, 0.1)
    with open_store(simulated_store) as store:
        images = np.stack([store.frames[number] for number in range(4)])
        before, after = (
            np.array(trainer_of(store, path).model(images)) for path in (untrained_model, car)
        )
    assert after[:, 0] == pytest.approx(0.5 * before[:, 0] + 0.1, abs=1e-5)
