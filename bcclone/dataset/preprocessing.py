"""Define how a camera frame becomes the network's input: crop, resize and colours. This is the only
definition.

Image files -> prepared frames, decoded on all cores, in order.
"""

import hashlib
import itertools
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.dataset.preprocessing_text import (
    INTERPOLATIONS,
    STEPS,
    color_named,
    fields_of,
    scale_named,
)
from bcclone.dataset.preprocessing_text import PRESETS as TEXTS
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.errors import UserError
from bcclone.system.location import names_url, read_urls
from bcclone.system.opencv import cv2, opencv_on_one_thread
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.settings import LARGEST_IMAGE, SMALLEST_IMAGE, Checked, setting

# fields of a stored definition that older files lack
_LATER_FIELDS = {"crop_top", "crop_bottom", "crop_left", "crop_right", "blur", "order", "scale"}
_WIDEST_BLUR = 31

# OpenCV's conversions from RGB as matrices, (channels, 4), which map (red, green, blue, 1), each 0
# to 255; and (3, 4) back, where a grey image is three equal channels
_YUV_MATRIX = np.array(
    [[0.299, 0.587, 0.114, 0], [-0.147, -0.289, 0.436, 128], [0.615, -0.515, -0.1, 128]], np.float32
)
_RGB_MATRIX = np.array(
    [[1, 0, 1.14, -145.92], [1, -0.395, -0.581, 124.928], [1, 2.032, 0, -260.096]], np.float32
)
_SAME_MATRIX = np.eye(3, 4, dtype=np.float32)
_MATRICES = {
    "RGB": (_SAME_MATRIX, _SAME_MATRIX),
    "YUV": (_YUV_MATRIX, _RGB_MATRIX),
    "GRAY": (_YUV_MATRIX[:1], _SAME_MATRIX),
}
LINEAR_COLORS = ("RGB", "BGR", "YUV", "BGR-YUV", "GRAY", "BGR-GRAY")  # which are such a matrix


class PreprocessingMismatch(ValueError):
    """A stored preprocessing definition that this version does not support; the text shows both."""


@dataclass(frozen=True)
class Preprocessing(Checked):
    """How a camera frame becomes the network's input: crop, resize, convert colours, perhaps blur,
    and scale.

    color: "RGB", "BGR", "YUV", "HSV", "HLS", "LAB" or "GRAY" (one channel), after "BGR-" with red
    and blue swapped before the conversion, and before "-S" (or another letter) for one channel;
    frame_width, frame_height: size of the camera frame; crop_top, crop_bottom: the rows of it that
    are kept, from crop_top up to but not including crop_bottom (None: to the last); crop_left,
    crop_right: the columns; interpolation: of INTERPOLATIONS; blur: rows and columns of the
    Gaussian kernel, 0 for none; order: the steps, "size color blur" if it is ""; scale: what is
    made of the values 0 to 255, as a text states it ("0..1", "mean 120 deviation 60"), "" if it is
    not stated. A layer of the network applies it, so no file stores it, and definitions that differ
    in it alone are equal.
    """

    width: int = setting(128, "width of the prepared image", SMALLEST_IMAGE, LARGEST_IMAGE)
    height: int = setting(128, "height of the prepared image", SMALLEST_IMAGE, LARGEST_IMAGE)
    color: str = setting("RGB", "colours of the prepared image")
    frame_width: int = FRAME_WIDTH
    frame_height: int = FRAME_HEIGHT
    crop_top: int = 0
    crop_bottom: int | None = None
    crop_left: int = 0
    crop_right: int | None = None
    interpolation: str = setting("linear", "how the image is resized", choices=INTERPOLATIONS)
    blur: int = setting(0, "Gaussian blur", 0, _WIDEST_BLUR)
    order: str = ""
    scale: str = field(default="", compare=False)

    def validate(self) -> None:
        color, scale = color_named(self.color), scale_named(self.scale)
        if color is None or (self.scale and scale is None):
            raise ValueError(
                f"color {self.color!r} and scale {self.scale!r}, expected such as 'YUV' and '0..1'"
            )
        if self.blur and not self.blur % 2:
            raise ValueError(f"blur {self.blur}, expected the rows of a kernel, an odd number")
        canonical: dict[str, Any] = {"color": color, "scale": scale or ""}
        for what, first, last, extent in (
            ("rows", "crop_top", "crop_bottom", self.frame_height),
            ("columns", "crop_left", "crop_right", self.frame_width),
        ):
            start, end = getattr(self, first), getattr(self, last)
            if end == extent:
                canonical[last] = end = None
            if not 0 <= start < (extent if end is None else end) <= extent:
                raise ValueError(
                    f"{what} {start}-{end}, expected 0 to {extent} of the frame, the smaller number first"
                )
        for name, value in canonical.items():  # equal definitions have equal hashes
            object.__setattr__(self, name, value)
        steps = [*self.steps]
        object.__setattr__(
            self, "order", " ".join(steps) if steps != sorted(steps, key=STEPS.index) else ""
        )

    @classmethod
    def of(cls, text: str, size: tuple[int, int] | None = None) -> Self:
        """Return the preprocessing of a text: a preset's name, or parts as describe() returns them.

        size: width and height where the text has none. Raises ValueError.
        """
        return cls(**(dict(zip(("width", "height"), size or (), strict=False)) | fields_of(text)))

    def apply(self, frame: Image, into: Image | None = None) -> Image:
        """Return the network's input, uint8 of `shape`, for an RGB frame; written into `into` if
        that is given.

        Raises BadImage if the size of the frame is not frame_width and frame_height.
        """
        if frame.shape != (self.frame_height, self.frame_width, 3):
            height, width = frame.shape[:2]
            raise BadImage.wrong_size(width, height, self.frame_width, self.frame_height)
        image: Any = frame[self.crop_top : self.crop_bottom, self.crop_left : self.crop_right]
        for step in self.steps:
            if step == "size":
                how = getattr(cv2, f"INTER_{self.interpolation.upper()}")
                image = cv2.resize(image, (self.width, self.height), interpolation=how)
            elif step == "blur":
                image = cv2.GaussianBlur(image, (self.blur, self.blur), 0)
            else:
                image = self.convert_colors(image)
        prepared = np.asarray(image, np.uint8).reshape(
            self.shape
        )  # OpenCV drops the axis of a single channel
        if into is None:
            return prepared
        np.copyto(into, prepared)
        return into

    def convert_colors(self, resized: Image) -> Image:
        """Return an RGB image, (height, width, 3), in the prepared image's colours: the last step
        if is_plain.
        """
        *swapped, space = [name for name in self.color.split("-") if len(name) > 1]
        image: Any = resized
        source = "BGR" if swapped else "RGB"
        if space != source:
            image = cv2.cvtColor(resized, getattr(cv2, f"COLOR_{source}2{space}"))
        if self.color[-2:-1] == "-":
            image = image[..., space.index(self.color[-1])]
        return np.asarray(image, np.uint8).reshape(*resized.shape[:2], self.channels)

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Return what is done after cropping, in order: of STEPS, "size" and what the others
        change.
        """
        active = [step for step in STEPS if step == "size" or getattr(self, step) not in (0, "RGB")]
        stated = [step for step in self.order.split() if step in active]
        return (*(step for step in active if step not in stated), *stated)

    @property
    def is_plain(self) -> bool:
        """Return whether a view that is drawn at the prepared size lacks convert_colors() alone."""
        return self.interpolation == "linear" and not self.blur and not self.order

    @property
    def channels(self) -> int:
        return 1 if self.color.endswith("GRAY") or self.color[-2:-1] == "-" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of the prepared image."""
        return self.height, self.width, self.channels

    @property
    def color_matrices(self) -> tuple[Float32Array, Float32Array]:
        """Return convert_colors() as a matrix, (channels, 4), from (red, green, blue, 1); and the
        one back, (3, 4).

        A grey image is taken back as three equal channels. Raises UserError for colours without.
        """
        if self.color not in LINEAR_COLORS:
            raise UserError(
                f"images in {self.color} cannot be augmented: they cannot be turned back into colours; train with "
                f"--no-augment, or make the store in one of {', '.join(LINEAR_COLORS)}"
            )
        color, back = _MATRICES[self.color.removeprefix("BGR-").replace("BGR", "RGB")]
        return (
            (color[:, [2, 1, 0, 3]], back[::-1]) if self.color.startswith("BGR") else (color, back)
        )

    @property
    def region(self) -> tuple[int, int, int, int]:
        """Return what is kept of the frame, in its pixels: left, top, right and bottom, the latter
        two exclusive.
        """
        return (
            self.crop_left,
            self.crop_top,
            self.crop_right or self.frame_width,
            self.crop_bottom or self.frame_height,
        )

    @property
    def crops(self) -> bool:
        return self.region != (0, 0, self.frame_width, self.frame_height)

    @property
    def pixels(self) -> FloatArray:
        """Return the matrix, (3, 3), that maps pixels (column, row, 1) of the frame to those of the
        prepared image.

        Coordinate 0 is the centre of the first pixel.
        """
        first_column, first_row, column, row = self.region
        across, down = self.width / (column - first_column), self.height / (row - first_row)
        right, below = (0.5 - first_column) * across - 0.5, (0.5 - first_row) * down - 0.5
        return np.array([[across, 0.0, right], [0.0, down, below], [0.0, 0.0, 1.0]])

    def describe(self) -> str:
        """Return the text that of() reads: "rows 60-135, 200x66, YUV"."""
        left, top, right, bottom = self.region
        parts = []
        if (self.frame_width, self.frame_height) != (FRAME_WIDTH, FRAME_HEIGHT):
            parts += [f"frame {self.frame_width}x{self.frame_height}"]
        parts += [f"rows {top}-{bottom}"] if bottom - top < self.frame_height else []
        parts += [f"columns {left}-{right}"] if right - left < self.frame_width else []
        size = f"{self.width}x{self.height}{', RGB' if self.color == 'RGB' else ''}"
        parts += [
            {"size": size, "color": self.color, "blur": f"blur {self.blur}"}[step]
            for step in self.steps
        ]
        parts += [self.interpolation] if self.interpolation != "linear" else []
        return ", ".join([*parts, *([self.scale] if self.scale else [])])

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the definition, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the definition as JSON with sorted keys, the form that is stored and hashed.

        Fields that older files lack are left out where they change nothing, and so is the scale.
        """
        stored = asdict(self) | {"scale": ""}
        for each in fields(self):
            if each.name in _LATER_FIELDS and stored[each.name] == each.default:
                del stored[each.name]
        return json.dumps(stored, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored definition; raises PreprocessingMismatch if this version does not support
        it.
        """
        try:
            stored: dict[str, Any] = json.loads(text)
            definition = cls(**stored)
            if stored != json.loads(definition.to_json()):
                raise ValueError("its fields differ")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = error if isinstance(error, ValueError) else "its fields differ"
            raise PreprocessingMismatch(
                f"unknown preprocessing ({reason})\n  stored:    {text}\n  supported: {cls().to_json()}"
            ) from None
        return definition


PRESETS = {name: Preprocessing.of(name) for name in TEXTS}


def preprocessing_of(text: str, size: tuple[int, int] | None = None) -> Preprocessing:
    """Return the preprocessing of a text that a user gave, as Preprocessing.of() does; raises
    UserError.
    """
    try:
        return Preprocessing.of(text, size)
    except ValueError as error:
        raise UserError(f"--preprocess {text}: {error}") from None


def choose_preprocessing(
    text: str | None, size: tuple[int, int] | None, otherwise: Preprocessing | None = None
) -> Preprocessing:
    """Return how the images of a store are prepared: as a text says, or another preprocessing, of
    this size if given.

    A store holds 0 to 255, so its images are not scaled. Raises UserError.
    """
    chosen = preprocessing_of(text) if text else otherwise or Preprocessing()
    width, height = size or (chosen.width, chosen.height)
    return replace(chosen, width=width, height=height, scale="")


def seen_rows(height: int) -> slice:
    """Return the rows of an image that the network sees: of 128 rows, all except 43 of sky and 12
    of the bonnet.
    """
    return slice(round(height * 43 / 128), height - round(height * 12 / 128))


_FILES_PER_TASK = 32


@dataclass(frozen=True)
class Decoded:
    """The result for some consecutive files.

    frames: those of the readable files, uint8 (frames, height, width, channels); checksums:
    zlib.crc32 of each frame; errors: index among the files -> reason.
    """

    frames: Image
    checksums: Sequence[int]
    errors: Mapping[int, str]


def decode_files(
    files: Sequence[str], preprocessing: Preprocessing, threads: int = 0
) -> Iterator[Decoded]:
    """Yield the prepared frames of the files in order, a few files at a time.

    The frames are valid until the next result, which reuses their memory. Threads suffice, by
    default (0) one for each core: reading, decoding and resizing release the interpreter lock.
    """
    threads = threads or os.cpu_count() or 1
    ahead = 2 * threads
    scratch = threading.local()  # each thread decodes into its own camera frame
    # buffers are reused, because the system would clear every new page
    buffers = itertools.cycle(
        np.empty((ahead + 1, _FILES_PER_TASK, *preprocessing.shape), np.uint8)
    )

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
                checksums.append(
                    zlib.crc32(frame.data)
                )  # the frame is still in the processor's cache
            except BadImage as error:
                errors[index] = str(error)
        return Decoded(frames[: len(checksums)], checksums, errors)

    tasks = (
        (files[start : start + _FILES_PER_TASK], next(buffers))
        for start in range(0, len(files), _FILES_PER_TASK)
    )
    # the cores decode different images
    with opencv_on_one_thread(), prefetch_ordered(decode, tasks, threads, ahead) as results:
        yield from results
