"""Behavioral cloning in one file: a recording of the Udacity simulator -> a network that steers the
car.

    bcclone simulate record lap     # or record in the simulator itself
    python examples/one_file.py lap one.h5
    python drive.py one.h5 --preprocess nvidia-66x200-yuv

This is the whole idea, with TensorFlow, OpenCV and NumPy alone; it imports nothing of bcclone. The
functions stand in the order of the data: rows of the log -> samples -> images in batches ->
network. The package adds all else: logs of every dialect, stores that feed a GPU, exact resume,
checks, simulated drives, and models of any origin.
"""

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers

HEIGHT, WIDTH = 66, 200  # of the network's input, as in Bojarski et al., arXiv:1604.07316
# a side camera shows the road as if the car were off its line; this steers back to the line
SIDE_CORRECTION = 0.2
STRETCH = 45  # rows, three seconds of driving


class Sample(NamedTuple):
    """An image to train on, and the steering that it asks for, -1 (left) to 1 (right).

    flipped: the image is mirrored when it is loaded; its steering is the mirror image's.
    """

    image: Path
    steering: float
    flipped: bool


def read_recording(folder: Path) -> list[list[Sample]]:
    """Return the six samples of each row of driving_log.csv: three cameras, each also as a mirror
    image.

    The simulator writes center,left,right,steering,throttle,brake,speed. Mirror images teach the
    network as many right bends as left ones.
    """
    rows = []
    with (folder / "driving_log.csv").open(newline="") as file:
        for center, left, right, steering, *_ in csv.reader(file):
            try:
                angle = float(steering)
            except ValueError:  # a header
                continue
            row = []
            for path, correction in (
                (center, 0.0),
                (left, SIDE_CORRECTION),
                (right, -SIDE_CORRECTION),
            ):
                image, label = image_in(folder, path), angle + correction
                row += [Sample(image, label, flipped=False), Sample(image, -label, flipped=True)]
            rows.append(row)
    return rows


def image_in(folder: Path, path: str) -> Path:
    """Return the path of an image; the log has paths of the machine that recorded, so only the name
    counts.
    """
    return folder / "IMG" / path.strip().replace("\\", "/").rpartition("/")[2]


def split(rows: list[list[Sample]]) -> tuple[list[Sample], list[Sample]]:
    """Return the samples for training and for validation: every fifth stretch of the drive is held
    out.

    Neighbouring frames are nearly alike, so a random split would only test what the network has
    memorised.
    """
    training: list[Sample] = []
    validation: list[Sample] = []
    for number, row in enumerate(rows):
        held_out = (
            number // STRETCH % 5 == 2
        )  # the third of each five, so that a short drive has one, too
        (validation if held_out else training).extend(row)
    return training, validation


def prepare(frame: np.ndarray) -> np.ndarray:
    """Return the network's input, YUV uint8 (66, 200, 3), for a camera frame, RGB uint8 (160, 320,
    3).

    Sky and bonnet are cropped: they do not show the road. drive.py must prepare its frames alike;
    it calls this preprocessing nvidia-66x200-yuv.
    """
    road = cv2.resize(frame[60:135], (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(road, cv2.COLOR_RGB2YUV)


def load(samples: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return the prepared images, uint8 (samples, 66, 200, 3), and the steering, float32
    (samples,).
    """
    images = np.empty((len(samples), HEIGHT, WIDTH, 3), np.uint8)
    for number, sample in enumerate(samples):
        frame = cv2.imread(str(sample.image))
        if frame is None:
            raise SystemExit(f"error: {sample.image}: no image; is the recording complete?")
        image = prepare(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        images[number] = image[:, ::-1] if sample.flipped else image
    return images, np.array([sample.steering for sample in samples], np.float32)


def batches(
    samples: list[Sample], batch_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches without end, shuffled anew in each epoch; only one batch of images is in
    memory.
    """
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(samples))
        for first in range(0, len(samples), batch_size):
            yield load([samples[index] for index in order[first : first + batch_size]])


def build_network() -> keras.Model:
    """Return the network of Nvidia's PilotNet, 252,219 weights, with a dropout layer against
    memorising.
    """
    return keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(24, 5, strides=2, activation="elu"),
            layers.Conv2D(36, 5, strides=2, activation="elu"),
            layers.Conv2D(48, 5, strides=2, activation="elu"),
            layers.Conv2D(64, 3, activation="elu"),
            layers.Conv2D(64, 3, activation="elu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(100, activation="elu"),
            layers.Dense(50, activation="elu"),
            layers.Dense(10, activation="elu"),
            layers.Dense(1),
        ]
    )


def train(recording: Path, output: Path, epochs: int, batch_size: int = 64, seed: int = 0) -> None:
    """Train on a recording and write the model. seed: of weights, dropout and the order of the
    samples.
    """
    keras.utils.set_random_seed(seed)
    training, validation = split(read_recording(recording))
    if not training or not validation:
        raise SystemExit(f"error: {recording}: too few rows to train on")
    print(
        f"{len(training)} training and {len(validation)} validation samples; TensorFlow "
        f"{tf.__version__}"
    )
    network = build_network()
    network.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    network.fit(
        batches(training, batch_size, seed),
        steps_per_epoch=math.ceil(len(training) / batch_size),
        epochs=epochs,
        validation_data=batches(validation, batch_size, seed),
        validation_steps=math.ceil(len(validation) / batch_size),
        verbose=2,
    )
    network.save(output)
    print(f"{output}: drive with it: python drive.py {output} --preprocess nvidia-66x200-yuv")


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(
        description="Train a network on one recording.", allow_abbrev=False
    )
    parser.add_argument("recording", type=Path, help="folder with driving_log.csv and IMG/")
    parser.add_argument("output", type=Path, help="model file to write, .h5 or .keras")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    train(arguments.recording, arguments.output, arguments.epochs)


if __name__ == "__main__":
    main()
