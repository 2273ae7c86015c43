"""Train a network in a run folder: steps, checkpoints, exact resume.

    from bcclone.training.train import train
    from bcclone.training.train_settings import TrainSettings

    result = train(TrainSettings(data=("data.h5",), epochs=5), notify=print)

Importing the settings loads no large package; train() loads TensorFlow.
"""
