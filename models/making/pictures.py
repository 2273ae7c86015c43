"""Draw writeup_images/random-roads.png and writeup_images/worst-frames.png.

    python -m models.making.pictures

The first shows frames of twelve random roads, half of them in other colours. The second shows what
models/any-camera.h5 reads most wrongly of 2,000 cameras, on roads that no network was trained on,
with the right steering and the network's. What is printed says how the hundred worst differ from
all.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import PIL.Image

from bcclone.camera.images import Image, resized
from bcclone.dataset.preprocessing import choose_preprocessing
from bcclone.dataset.shards import open_store
from bcclone.model.policy import load_policy
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.files import replacing
from models.making.samples import FIRST_ROAD, Roads, make_samples

ROOT = Path(__file__).parent.parent.parent
PICTURES = ROOT / "writeup_images"
MODEL = ROOT / "models" / "any-camera.h5"
FRAMES_DRAWN = 24
FRAMES_COUNTED = 100
DARK = 30.0  # mean of a frame's pixels, of 255


def main() -> None:
    """Draw both pictures."""
    draw_random_roads(PICTURES / "random-roads.png")
    draw_worst_frames(PICTURES / "worst-frames.png")


def frames_of(roads: Roads) -> tuple[list[Image], FloatArray]:
    """Return the frames of random roads, RGB uint8 (160, 320, 3), and their steering, (frames,)."""
    with TemporaryDirectory(prefix="bcclone-") as folder:
        path = Path(folder) / "roads.h5"
        make_samples(path, roads, choose_preprocessing("carnd-160x320-rgb", None))
        with open_store(path) as store:
            rows = store.rows
            frames = [np.array(store.frames[int(number)]) for number in rows["frame_center"]]
            return frames, np.array(rows["steering"])


def draw_random_roads(path: Path) -> None:
    """Draw a frame of each of twelve roads, in lines of four."""
    images = []
    for first_road, recolored in ((FIRST_ROAD, 0.0), (FIRST_ROAD + 6, 1.0)):
        roads = Roads(6, 1, first_road=first_road, recolored=recolored, validation=0.0)
        frames, _ = frames_of(roads)
        images += [resized(frame, (240, 120)) for frame in frames]
    save_in_lines(images, 4, path)


def save_in_lines(images: list[Image], images_a_line: int, path: Path) -> None:
    """Write images of one size side by side, as a PNG of 256 colours."""
    lines = []
    for start in range(0, len(images), images_a_line):
        lines.append(np.hstack(images[start : start + images_a_line]))
    picture = PIL.Image.fromarray(np.vstack(lines)).quantize(256)
    with replacing(path) as temporary:
        picture.save(temporary, "png", optimize=True)


def draw_worst_frames(path: Path) -> None:
    """Draw the frames with the largest errors, the worst first, and print figures."""
    frames, labels = frames_of(Roads(100, 20, first_road=5_000_000, any_camera=1.0, validation=0.0))
    policy = load_policy(MODEL)
    steering = []
    for frame in frames:
        policy.forget()  # no frame follows another
        steering.append(policy.answer(frame).steering)
    answers = np.array(steering)
    worst = np.argsort(-np.abs(answers - labels))
    report(frames, labels, answers, worst[:FRAMES_COUNTED])
    tiles = []
    for number in worst[:FRAMES_DRAWN]:
        tile = np.full((122, 204, 3), 255, np.uint8)
        tile[20:-2, 2:-2] = resized(frames[number], (200, 100))
        text = f"{labels[number]:+.2f}, answered {answers[number]:+.2f}"
        cv2.putText(tile, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    save_in_lines(tiles, 6, path)


def report(frames: list[Image], labels: FloatArray, answers: FloatArray, worst: IndexArray) -> None:
    """Print in how many of the worst frames, and of all, each of some properties is found."""
    squared_errors = (answers - labels) ** 2
    share = squared_errors[worst].sum() / squared_errors.sum()
    correlation = np.corrcoef(answers, labels)[0, 1]
    print(f"correlation {correlation:.3f} of {len(labels)} frames")
    print(f"the {len(worst)} worst have {share:.0%} of the squared error")
    properties: dict[str, BoolArray] = {
        "steered to the wrong side": np.sign(answers) != np.sign(labels),
        "steered too little": np.abs(answers) < np.abs(labels),
        "a steering above 0.5": np.abs(labels) > 0.5,
        "dark": np.array([frame.mean() < DARK for frame in frames]),
    }
    for name, has_it in properties.items():
        print(f"{name}: {has_it[worst].mean():.0%} of the worst, {has_it.mean():.0%} of all")


if __name__ == "__main__":
    main()
