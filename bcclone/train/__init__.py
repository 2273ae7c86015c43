"""Train a network in a run folder: steps, checkpoints, exact resume.

from bcclone.train.run import run
from bcclone.train.run_settings import RunSettings
from bcclone.train.train_settings import TrainSettings

result = run(RunSettings(data=("data.h5",), training=TrainSettings(epochs=5)), notify=print)
"""
