"""Define how a camera frame becomes the network's input: crop, resize and colours. This is the only definition.

Image files -> prepared frames, decoded on all cores, in order.
"""

import hashlib
import itertools
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.location import names_url, read_urls
from bcclone.system.opencv import cv2
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.settings import LARGEST_IMAGE, SMALLEST_IMAGE, Checked, setting

# OpenCV's conversions from RGB; BGR-YUV swaps red and blue first
_COLORS = {
    "RGB": None,
    "YUV": cv2.COLOR_RGB2YUV,
    "BGR-YUV": cv2.COLOR_BGR2YUV,
    "GRAY": cv2.COLOR_RGB2GRAY,
}

# the same as matrices, (channels, 4), which map (red, green, blue, 1), each 0 to 255; and (3, 4) back, where a grey
# image is three equal channels
_YUV_MATRIX = np.array([[0.299, 0.587, 0.114, 0], [-0.147, -0.289, 0.436, 128], [0.615, -0.515, -0.1, 128]], np.float32)
_RGB_MATRIX = np.array([[1, 0, 1.14, -145.92], [1, -0.395, -0.581, 124.928], [1, 2.032, 0, -260.096]], np.float32)
_SAME_MATRIX = np.eye(3, 4, dtype=np.float32)
_GRAY_MATRIX = np.array([[0.299, 0.587, 0.114, 0]], np.float32)
_COLOR_MATRICES = {
    "RGB": (_SAME_MATRIX, _SAME_MATRIX),
    "YUV": (_YUV_MATRIX, _RGB_MATRIX),
    "GRAY": (_GRAY_MATRIX, _SAME_MATRIX),
    "BGR-YUV": (_YUV_MATRIX[:, [2, 1, 0, 3]], _RGB_MATRIX[::-1]),
}


_INTERPOLATION = {"interpolation": "linear"}  # of every stored definition


class PreprocessingMismatch(ValueError):
    """A stored preprocessing definition that this version does not support; the text shows both."""


@dataclass(frozen=True)
class Preprocessing(Checked):
    """How a camera frame becomes the network's input: crop rows, resize with linear interpolation, convert colours.

    color: "RGB", "YUV", "BGR-YUV" (red and blue swapped before YUV), or "GRAY" (one channel); frame_width,
    frame_height: size of the camera frame; crop_top, crop_bottom: the rows of it that are kept, from crop_top up to but
    not including crop_bottom (None: to the last).
    """

    width: int = setting(128, "width of the prepared image", SMALLEST_IMAGE, LARGEST_IMAGE)
    height: int = setting(128, "height of the prepared image", SMALLEST_IMAGE, LARGEST_IMAGE)
    color: str = setting("RGB", "colours of the prepared image", choices=tuple(_COLORS))
    frame_width: int = FRAME_WIDTH
    frame_height: int = FRAME_HEIGHT
    crop_top: int = 0
    crop_bottom: int | None = None

    def validate(self) -> None:
        if self.crop_bottom == self.frame_height:  # equal definitions have equal hashes
            object.__setattr__(self, "crop_bottom", None)
        bottom = self.frame_height if self.crop_bottom is None else self.crop_bottom
        if not 0 <= self.crop_top < bottom <= self.frame_height:
            raise ValueError(
                f"crop_top {self.crop_top} and crop_bottom {bottom}, expected 0 to {self.frame_height}, the top first"
            )

    def apply(self, frame: Image, into: Image | None = None) -> Image:
        """Return the network's input, uint8 of `shape`, for an RGB frame; written into `into` if that is given.

        Raises BadImage if the size of the frame is not frame_width and frame_height.
        """
        if frame.shape != (self.frame_height, self.frame_width, 3):
            height, width = frame.shape[:2]
            raise BadImage.wrong_size(width, height, self.frame_width, self.frame_height)
        kept = frame[self.crop_top : self.crop_bottom]
        resized = None if self.channels == 1 else into  # which has as many channels as the frame
        prepared = cv2.resize(kept, (self.width, self.height), resized, interpolation=cv2.INTER_LINEAR)
        return self.convert_colors(np.asarray(prepared, dtype=np.uint8), into)

    def convert_colors(self, resized: Image, into: Image | None = None) -> Image:
        """Return an RGB image, (height, width, 3), in the prepared image's colours: the last step of apply()."""
        conversion = _COLORS[self.color]
        if conversion is None:
            return resized
        if into is not None and self.channels == 1:
            into = into[..., 0]  # OpenCV's grey images have two axes
        converted = np.asarray(cv2.cvtColor(resized, conversion, into), np.uint8)
        return converted[..., np.newaxis] if self.channels == 1 else converted

    @property
    def channels(self) -> int:
        return 1 if self.color == "GRAY" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of the prepared image."""
        return self.height, self.width, self.channels

    @property
    def color_matrix(self) -> Float32Array:
        """Return convert_colors() as a matrix, (channels, 4), from (red, green, blue, 1)."""
        return _COLOR_MATRICES[self.color][0]

    @property
    def rgb_matrix(self) -> Float32Array:
        """Return the matrix, (3, 4), back: from (the image's three colours, 1) to red, green and blue.

        A grey image is taken as three equal channels.
        """
        return _COLOR_MATRICES[self.color][1]

    @property
    def pixels(self) -> FloatArray:
        """Return the matrix, (3, 3), that maps pixels (column, row, 1) of the frame to those of the prepared image.

        Coordinate 0 is the centre of the first pixel.
        """
        kept = (self.crop_bottom or self.frame_height) - self.crop_top
        across, down = self.width / self.frame_width, self.height / kept
        right, below = (across - 1) / 2, (0.5 - self.crop_top) * down - 0.5
        return np.array([[across, 0.0, right], [0.0, down, below], [0.0, 0.0, 1.0]])

    def describe(self) -> str:
        """Return a short description: "320x160, rows 60-135 -> 200x66 YUV"."""
        rows = f", rows {self.crop_top}-{self.crop_bottom or self.frame_height}"
        cut = self.crop_top > 0 or self.crop_bottom is not None
        size = f"{self.frame_width}x{self.frame_height}{rows if cut else ''}"
        return f"{size} -> {self.width}x{self.height} {self.color}"

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the definition, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the definition as JSON with sorted keys, the form that is stored and hashed.

        Older files have no crop_top and crop_bottom, so both are left out if they crop nothing. `interpolation` always
        has the same value; it is stored because hashes include it.
        """
        stored = asdict(self) | _INTERPOLATION
        for name, nothing in (("crop_top", 0), ("crop_bottom", None)):
            if stored[name] == nothing:
                del stored[name]
        return json.dumps(stored, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored definition; raises PreprocessingMismatch if this version does not support it."""
        try:
            stored: dict[str, Any] = json.loads(text)
            definition = cls(**{name: value for name, value in stored.items() if name not in _INTERPOLATION})
            supported = json.loads(definition.to_json())
            if stored != supported:
                raise ValueError(f"its fields differ: {', '.join(sorted(set(stored) ^ set(supported))) or 'values'}")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = error if isinstance(error, ValueError) else "its fields differ"
            raise PreprocessingMismatch(
                f"unknown preprocessing ({reason})\n  stored:    {text}\n  supported: {cls().to_json()}"
            ) from None
        return definition


_NVIDIA = Preprocessing(width=200, height=66, color="YUV", crop_top=60, crop_bottom=135)
PRESETS = {
    "carnd-128-rgb": Preprocessing(),
    "carnd-160x320-rgb": Preprocessing(width=FRAME_WIDTH, height=FRAME_HEIGHT),
    "nvidia-66x200-yuv": _NVIDIA,
    "nvidia-66x200-yuv-bgr": replace(_NVIDIA, color="BGR-YUV"),
    "gray-80x120": Preprocessing(width=120, height=80, color="GRAY"),
    "chauffeur-120x320-yuv": Preprocessing(width=FRAME_WIDTH, height=120, color="YUV", crop_top=40),
    "epoch-128x128-rgb": Preprocessing(crop_top=67),  # 5/12 of the rows: 200 of 480 in the teams' pictures
}


def choose_preprocessing(
    preset: str | None, size: tuple[int, int] | None, otherwise: Preprocessing | None = None
) -> Preprocessing:
    """Return a preset, by its name, or another preprocessing, with this width and height, if they are given."""
    chosen = PRESETS[preset] if preset else otherwise or Preprocessing()
    return replace(chosen, width=size[0], height=size[1]) if size else chosen


def seen_rows(height: int) -> slice:
    """Return the rows of an image that the network sees: of 128 rows, all except 43 of sky and 12 of the bonnet."""
    return slice(round(height * 43 / 128), height - round(height * 12 / 128))


_FILES_PER_TASK = 32


@dataclass(frozen=True)
class Decoded:
    """The result for some consecutive files.

    frames: those of the readable files, uint8 (frames, height, width, channels); checksums: zlib.crc32 of each frame;
    errors: index among the files -> reason.
    """

    frames: Image
    checksums: Sequence[int]
    errors: Mapping[int, str]


def decode_files(files: Sequence[str], preprocessing: Preprocessing, threads: int = 0) -> Iterator[Decoded]:
    """Yield the prepared frames of the files in order, a few files at a time.

    The frames are valid until the next result, which reuses their memory. Threads suffice, by default (0) one for each
    core: reading, decoding and resizing release the interpreter lock.
    """
    threads = threads or os.cpu_count() or 1
    ahead = 2 * threads
    cv2.setNumThreads(1)  # the cores decode different images
    scratch = threading.local()  # each thread decodes into its own camera frame
    # buffers are reused, because the system would clear every new page
    buffers = itertools.cycle(np.empty((ahead + 1, _FILES_PER_TASK, *preprocessing.shape), np.uint8))

    def decode(task: tuple[Sequence[str], Image]) -> Decoded:
        if not hasattr(scratch, "frame"):
            scratch.frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
        files, frames = task
        checksums: list[int] = []
        errors: dict[int, str] = {}
        contents = read_urls(files) if names_url(files[0]) else [None] * len(files)
        for index, (path, content) in enumerate(zip(files, contents, strict=True)):
            try:
                frame = frames[len(checksums)]
                preprocessing.apply(read_frame(path, scratch.frame, content), frame)
                checksums.append(zlib.crc32(frame.data))  # the frame is still in the processor's cache
            except BadImage as error:
                errors[index] = str(error)
        return Decoded(frames[: len(checksums)], checksums, errors)

    tasks = ((files[start : start + _FILES_PER_TASK], next(buffers)) for start in range(0, len(files), _FILES_PER_TASK))
    with prefetch_ordered(decode, tasks, threads, ahead) as results:
        yield from results
