"""Draw writeup_images/worst-frames.png: what models/any-camera.h5 reads most wrongly.

    python docs/worst_frames_picture.py

The frames are of 2,000 cameras of the simulator, on roads that no network was trained on. The
twenty-four with the largest errors are drawn, the worst first, each with the right steering and the
network's. What is printed says how the hundred worst differ from all.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from random_roads_picture import save_in_lines

from bcclone.camera.images import Image, resized
from bcclone.dataset.store import Store
from bcclone.model.policy import Policy, load_policy
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.writing import make_road_samples
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray, correlation

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "writeup_images" / "worst-frames.png"
MODEL = ROOT / "models" / "any-camera.h5"
FRAMES_DRAWN = 24
FRAMES_COUNTED = 100
DARK = 30.0  # mean of a frame's pixels, of 255


def main() -> None:
    """Draw the picture, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    with TemporaryDirectory(prefix="bcclone-") as folder:
        output = Path(folder) / "roads.h5"
        settings = RoadSamplesSettings(
            output,
            roads=100,
            frames=20,
            first_road=5_000_000,
            any_camera=1.0,
            flip=False,
            validation=0.0,
            preprocess="carnd-160x320-rgb",
        )
        make_road_samples(settings)
        with Store(output) as store:
            rows = store.rows
            frames = [np.array(store.frames[int(number)]) for number in rows["frame_center"]]
            labels = np.array(rows["steering"])
    answers = answers_of(load_policy(MODEL), frames)
    worst = np.argsort(-np.abs(answers - labels))
    report(frames, labels, answers, worst[:FRAMES_COUNTED])
    drawn = worst[:FRAMES_DRAWN]
    draw([frames[number] for number in drawn], labels[drawn], answers[drawn], PICTURE)


def answers_of(policy: Policy, frames: list[Image]) -> FloatArray:
    """Return the steering for each frame, of which none follows another, (frames,)."""
    answers = []
    for frame in frames:
        policy.forget()
        answers.append(policy.answer(frame).steering)
    return np.array(answers)


def report(frames: list[Image], labels: FloatArray, answers: FloatArray, worst: IndexArray) -> None:
    """Print in how many of the worst frames, and of all, each of some properties is found."""
    squared_errors = (answers - labels) ** 2
    share = squared_errors[worst].sum() / squared_errors.sum()
    print(f"correlation {correlation(answers, labels):.3f} of {len(labels)} frames")
    print(f"the {len(worst)} worst have {share:.0%} of the squared error")
    properties: dict[str, BoolArray] = {
        "steered to the wrong side": np.sign(answers) != np.sign(labels),
        "steered too little": np.abs(answers) < np.abs(labels),
        "a steering above 0.5": np.abs(labels) > 0.5,
        "dark": np.array([frame.mean() < DARK for frame in frames]),
    }
    for name, has_it in properties.items():
        print(f"{name}: {has_it[worst].mean():.0%} of the worst, {has_it.mean():.0%} of all")


def draw(frames: list[Image], labels: FloatArray, answers: FloatArray, path: Path) -> None:
    """Draw frames in lines of six, with both steerings above each."""
    size = (200, 100)  # width and height of a frame in pixels
    tiles = []
    for frame, label, answer in zip(frames, labels, answers, strict=True):
        tile = np.full((size[1] + 22, size[0] + 4, 3), 255, np.uint8)
        tile[20:-2, 2:-2] = resized(frame, size)
        text = f"{label:+.2f}, answered {answer:+.2f}"
        cv2.putText(tile, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    save_in_lines(tiles, 6, path)


if __name__ == "__main__":
    main()
