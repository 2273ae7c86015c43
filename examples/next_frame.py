"""Predict the next frame of a sequence from windows of grey frames: another target than the
steering.

    python examples/next_frame.py next-frame

A stripe moves over each sequence with three degrees of freedom: its speed, its slope and where it
starts. The sequences are written as recordings of the simulator, converted to a store of grey
images of 80x120, and read back as windows of 20 frames, each with the frame that follows it. A
small network learns to draw that frame. The script prints its error beside that of the simplest
guess, the same frame again, and writes a picture of both.
"""

import argparse
import datetime
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from bcclone import PreprocessSettings, SampleDataset, convert

HEIGHT, WIDTH = 160, 320  # of a camera frame
WINDOW, SEQUENCE = 20, 30  # frames
FRAME_MS, PAUSE_MS = 66, 60_000
SHOWN = 6


def draw_sequence(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return a sequence, uint8 (SEQUENCE, HEIGHT, WIDTH): a bright stripe that moves over a dark
    ground.
    """
    speed, slope, start = random.uniform(3, 9), random.uniform(-0.8, 0.8), random.uniform(20, 60)
    down, across = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    middle = (
        start
        + speed * np.arange(SEQUENCE, dtype=np.float32)[:, None, None]
        + slope * (down - HEIGHT / 2)
    )
    brightness = 40 + 180 * np.exp(-(((across - middle) / 12) ** 2))
    return np.asarray(brightness, np.uint8)


def record_sequences(folder: Path, count: int, seed: int) -> None:
    """Write sequences as one recording: images, and a row of the log for each; a pause separates
    the sequences.
    """
    (folder / "IMG").mkdir(parents=True)
    random, time = np.random.default_rng(seed), datetime.datetime(2026, 1, 1, 12)
    rows = []
    for _ in range(count):
        for frame in draw_sequence(random):
            name = f"center_{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg"
            cv2.imwrite(str(folder / "IMG" / name), cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
            rows.append(f"IMG/{name},,,0,0,0,10\n")
            time += datetime.timedelta(milliseconds=FRAME_MS)
        time += datetime.timedelta(milliseconds=PAUSE_MS)
    (folder / "driving_log.csv").write_text("".join(rows))


def make_store(folder: Path, sequences: int) -> Path:
    """Record sequences for training and for validation; return the store of both, in grey."""
    record_sequences(folder / "training", sequences, seed=0)
    record_sequences(folder / "validation", max(sequences // 5, 1), seed=1)
    settings = PreprocessSettings(
        inputs=(str(folder / "training"),),
        validation_recordings=(str(folder / "validation"),),
        output=folder / "sequences.h5",
        preprocess="gray-80x120",
        cameras=("center",),
        flip=False,
    )
    convert(settings)
    return folder / "sequences.h5"


def build_network(height: int = 80, width: int = 120) -> keras.Model:
    """Return a network from a window, uint8 (batch, WINDOW, height, width, 1), to the change up to
    the next frame.

    It gives the next frame, float32 (batch, height, width, 1), 0 to 255: the last one and what the
    network adds to it.
    """
    window = keras.Input((WINDOW, height, width, 1), dtype="uint8")
    frames = layers.Rescaling(1 / 255)(window)
    stacked = layers.Reshape((height, width, WINDOW))(layers.Permute((2, 3, 1, 4))(frames))
    features = layers.Conv2D(32, 7, strides=2, padding="same", activation="elu")(stacked)
    features = layers.Conv2D(32, 5, padding="same", activation="elu")(features)
    change = layers.Conv2DTranspose(1, 6, strides=2, padding="same")(features)
    last = layers.Cropping3D(((WINDOW - 1, 0), (0, 0), (0, 0)))(frames)
    following = layers.Add()([layers.Reshape((height, width, 1))(last), change])
    return keras.Model(window, layers.Rescaling(255)(following))


def draw_picture(path: Path, network: keras.Model, samples: SampleDataset) -> None:
    """Write a picture: a row each of last frames, true next frames, predicted ones, and their
    differences times 4.
    """
    windows, following = samples[0]
    chosen = np.linspace(0, len(windows) - 1, SHOWN).astype(int)
    predicted = np.clip(network.predict(windows[chosen], verbose=0), 0, 255)
    true = following[chosen].astype(np.float32)
    rows = [windows[chosen, -1], true, predicted, np.clip(4 * np.abs(predicted - true), 0, 255)]
    cv2.imwrite(str(path), np.vstack([np.hstack(row.astype(np.uint8)) for row in rows]))


def main(folder: Path, sequences: int, epochs: int) -> tuple[float, float]:
    """Make the store, train, draw; return the errors of the network and of the same frame again, in
    grey levels.
    """
    keras.utils.set_random_seed(0)
    store, network = make_store(folder, sequences), build_network()
    network.compile(optimizer=keras.optimizers.Adam(0.002), loss="mae")
    with (
        SampleDataset.from_store(store, 16, seq_length=WINDOW, targets="next frame") as training,
        SampleDataset.from_store(
            store, 64, part="validation", seq_length=WINDOW, targets="next frame"
        ) as validation,
    ):
        network.fit(training, validation_data=validation, epochs=epochs, verbose=2)
        error = float(network.evaluate(validation, verbose=0))
        batches = [validation[number] for number in range(len(validation))]
        same = float(
            np.mean(
                [np.abs(after - before[:, -1].astype(float)).mean() for before, after in batches]
            )
        )
        draw_picture(folder / "next_frame.png", network, validation)
    print(
        f"mean absolute error: network {error:.2f}, the same frame again {same:.2f} of 255 grey "
        "levels"
    )
    print(
        f"{folder / 'next_frame.png'}: last, next, predicted next frame, and four times the "
        "difference"
    )
    return error, same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("folder", type=Path, help="new folder for recordings, store and picture")
    parser.add_argument(
        "--sequences", type=int, default=60, help="number of sequences to train on (default: 60)"
    )
    parser.add_argument(
        "--epochs", type=int, default=6, help="number of passes over them (default: 6)"
    )
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists already; name another folder")
    main(arguments.folder, arguments.sequences, arguments.epochs)
