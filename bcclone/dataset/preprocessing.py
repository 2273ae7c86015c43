"""Define how a camera frame becomes the network's input: crop, resize and colours.

A `Preprocessing` turns an RGB frame, uint8 (160, 320, 3), into the prepared image, uint8 (height,
width, channels). Nothing else defines how frames are prepared.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, cv2
from bcclone.dataset.preprocessing_text import (
    COLORS,
    INTERPOLATIONS,
    LARGEST_IMAGE,
    PRESET_TEXTS,
    SMALLEST_IMAGE,
    STEPS,
    fields_of,
    scale_named,
)
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.errors import UserError, first_line
from bcclone.system.settings import Checked, SettingError, setting

# OpenCV's conversions from RGB as matrices, (channels, 4), which map (red, green, blue, 1), each 0
# to 255
_RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114, 0], [-0.147, -0.289, 0.436, 128], [0.615, -0.515, -0.1, 128]],
    np.float32,
)
# the inverse conversion to RGB, (3, 4), from (y, u, v, 1)
_YUV_TO_RGB = np.array(
    [[1, 0, 1.14, -145.92], [1, -0.395, -0.581, 124.928], [1, 2.032, 0, -260.096]], np.float32
)
_IDENTITY = np.eye(3, 4, dtype=np.float32)
# colour space -> conversion from RGB, and back to RGB
_MATRICES = {
    "RGB": (_IDENTITY, _IDENTITY),
    "YUV": (_RGB_TO_YUV, _YUV_TO_RGB),
    # Y alone; the conversion back takes three channels, which are equal
    "GRAY": (_RGB_TO_YUV[:1], _IDENTITY),
}


class PreprocessingMismatch(ValueError):
    """A stored preprocessing definition that this version does not support; the text shows both."""


@dataclass(frozen=True)
class Preprocessing(Checked):
    """How a camera frame becomes the network's input.

    It is cropped, resized, converted to other colours and perhaps blurred. A layer of the network
    scales its values.
    """

    width: int = setting(
        128, "width of the prepared image", minimum=SMALLEST_IMAGE, maximum=LARGEST_IMAGE
    )
    height: int = setting(
        128, "height of the prepared image", minimum=SMALLEST_IMAGE, maximum=LARGEST_IMAGE
    )
    # the prefix "BGR-": red and blue are swapped before the conversion; GRAY is one channel
    color: str = setting("RGB", "colours of the prepared image", choices=COLORS)
    # size of the camera frame
    frame_width: int = FRAME_WIDTH
    frame_height: int = FRAME_HEIGHT
    # the frame's rows that are kept, from crop_top up to but not including crop_bottom (None: to
    # the last)
    crop_top: int = 0
    crop_bottom: int | None = None
    # the frame's columns that are kept, from crop_left up to but not including crop_right
    crop_left: int = 0
    crop_right: int | None = None
    interpolation: str = setting("linear", "how the image is resized", choices=INTERPOLATIONS)
    # rows and columns of the kernel, 0 for none
    blur: int = setting(0, "Gaussian blur", minimum=0, maximum=31)
    # names of steps, separated by blanks; "" means the order of STEPS
    order: str = ""
    # what a layer of the network makes of the values 0 to 255, as a text states it ("0..1", "mean
    # 120 deviation 60"), or "" if it is not stated; no file stores it, and definitions that differ
    # only in it are equal
    scale: str = field(default="", compare=False)

    def validate(self) -> None:
        if self.scale and scale_named(self.scale) is None:
            raise SettingError(
                "{scale} {value}, expected one such as 0..1, or no text if it is not known",
                value=repr(self.scale),
            )
        if self.blur and not self.blur % 2:
            raise SettingError(
                "{blur} {value}, expected the rows of a kernel, an odd number", value=self.blur
            )
        steps = self.order.split()
        if len(set(steps)) < len(steps) or not set(steps) <= set(STEPS):
            raise SettingError(
                "{order} {value}, expected some of {steps}, each once",
                value=repr(self.order),
                steps=", ".join(STEPS),
            )
        left, top, right, bottom = self.region
        for what, start, end, extent in (
            ("rows", top, bottom, self.frame_height),
            ("columns", left, right, self.frame_width),
        ):
            if not 0 <= start < end <= extent:
                raise SettingError(
                    f"{what} {start}-{end}, expected 0 to {extent} of the frame, the smaller "
                    "number first"
                )

    def normal_form(self) -> Mapping[str, Any]:
        """Return scale, crop and order so that equal definitions have equal hashes."""
        normal: dict[str, Any] = {"scale": scale_named(self.scale) or ""}
        # a crop to the frame's end is none
        if self.crop_bottom == self.frame_height:
            normal["crop_bottom"] = None
        if self.crop_right == self.frame_width:
            normal["crop_right"] = None
        # an order names the steps that change something, and is left out if it is the usual one
        normal["order"] = " ".join(self.steps)
        if list(self.steps) == sorted(self.steps, key=STEPS.index):
            normal["order"] = ""
        return normal

    @classmethod
    def of(cls, text: str, size: tuple[int, int] | None = None) -> Self:
        """Return the preprocessing of a text: a preset's name, or parts as describe() returns them.

        Raises ValueError.

        size: width and height if the text states none
        """
        stated = fields_of(text)
        if size:
            width, height = size
            stated = {"width": width, "height": height} | stated
        return cls(**stated)

    def apply(self, frame: Image, into: Image | None = None) -> Image:
        """Return the network's input, uint8 of `shape`, for an RGB frame.

        Raises BadImage if the size of the frame is not frame_width and frame_height.

        into: the array to write it into, if any.
        """
        if frame.shape != (self.frame_height, self.frame_width, 3):
            height, width = frame.shape[:2]
            raise BadImage.wrong_size(width, height, self.frame_width, self.frame_height)
        image: Any = frame[self.crop_top : self.crop_bottom, self.crop_left : self.crop_right]
        for step in self.steps:
            if step == "size":
                interpolation = getattr(cv2, f"INTER_{self.interpolation.upper()}")
                image = cv2.resize(image, (self.width, self.height), interpolation=interpolation)
            elif step == "blur":
                image = cv2.GaussianBlur(image, (self.blur, self.blur), 0)
            else:
                image = self.convert_colors(image)
        # OpenCV drops the axis of a single channel
        prepared = np.asarray(image, np.uint8).reshape(self.shape)
        if into is None:
            return prepared
        np.copyto(into, prepared)
        return into

    def convert_colors(self, resized: Image) -> Image:
        """Return an RGB image, (height, width, 3), in the prepared image's colours."""
        if self.color == "RGB":
            return resized
        # BGR-YUV is what OpenCV makes of an image whose red and blue are swapped
        is_swapped = self.color.startswith("BGR-")
        code = self.color.replace("-", "2") if is_swapped else f"RGB2{self.color}"
        converted = cv2.cvtColor(resized, getattr(cv2, f"COLOR_{code}"))
        # OpenCV drops the axis of a single channel
        return np.asarray(converted, np.uint8).reshape(*resized.shape[:2], self.channels)

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Return what is done after cropping: those of STEPS that change something, in order."""
        active = ["size"]
        if self.color != "RGB":
            active.append("color")
        if self.blur:
            active.append("blur")
        # the steps that `order` does not name come first
        stated = [step for step in self.order.split() if step in active]
        others = [step for step in active if step not in stated]
        return (*others, *stated)

    @property
    def is_plain(self) -> bool:
        """Return whether only convert_colors() is left to do for a view rendered as prepared.

        Such a view shows the cropped region, and has the final size.
        """
        return self.interpolation == "linear" and not self.blur and not self.order

    @property
    def channels(self) -> int:
        return 1 if self.color.endswith("GRAY") else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of the prepared image."""
        return self.height, self.width, self.channels

    @property
    def region(self) -> tuple[int, int, int, int]:
        """Return what is kept of the frame, in its pixels: left, top, right and bottom.

        The column `right` and the row `bottom` are not kept.
        """
        right = self.frame_width if self.crop_right is None else self.crop_right
        bottom = self.frame_height if self.crop_bottom is None else self.crop_bottom
        return self.crop_left, self.crop_top, right, bottom

    @property
    def crops(self) -> bool:
        return self.region != (0, 0, self.frame_width, self.frame_height)

    @property
    def frame_to_prepared(self) -> FloatArray:
        """Return the matrix, (3, 3), from pixels (column, row, 1) of the frame to prepared ones.

        Coordinate 0 is the centre of the first pixel.
        """
        left, top, right, bottom = self.region
        across = self.width / (right - left)
        down = self.height / (bottom - top)
        # the frame's pixel at `left` begins half a pixel before its centre
        first_column = (0.5 - left) * across - 0.5
        first_row = (0.5 - top) * down - 0.5
        return np.array([[across, 0.0, first_column], [0.0, down, first_row], [0.0, 0.0, 1.0]])

    def describe(self) -> str:
        """Return the text that of() reads: "rows 60-135, 200x66, YUV"."""
        left, top, right, bottom = self.region
        parts = []
        if (self.frame_width, self.frame_height) != (FRAME_WIDTH, FRAME_HEIGHT):
            parts.append(f"frame {self.frame_width}x{self.frame_height}")
        if bottom - top < self.frame_height:
            parts.append(f"rows {top}-{bottom}")
        if right - left < self.frame_width:
            parts.append(f"columns {left}-{right}")
        for step in self.steps:
            if step == "size":
                parts.append(f"{self.width}x{self.height}")
                if self.color == "RGB":  # RGB is not a step, but a reader wants to know the colours
                    parts.append("RGB")
            elif step == "color":
                parts.append(self.color)
            else:
                parts.append(f"blur {self.blur}")
        if self.interpolation != "linear":
            parts.append(self.interpolation)
        if self.scale:
            parts.append(self.scale)
        return ", ".join(parts)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the definition, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the definition as JSON with sorted keys, the form that is stored and hashed.

        Fields that older files lack are left out where they change nothing. The scale is always
        left out.
        """
        later_fields = {
            "crop_top", "crop_bottom", "crop_left", "crop_right", "blur", "order", "scale"
        }  # fmt: skip
        stored = asdict(self) | {"scale": ""}  # its default, so that it is left out below
        for declared in fields(self):
            if declared.name in later_fields and stored[declared.name] == declared.default:
                del stored[declared.name]
        return json.dumps(stored, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored definition.

        Raises PreprocessingMismatch if this version does not support it.
        """
        try:
            stored: dict[str, Any] = json.loads(text)
            definition = cls(**stored)
            if stored != json.loads(definition.to_json()):
                raise ValueError("its fields are not those of this version")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise PreprocessingMismatch(
                f"unknown preprocessing ({first_line(error)})\n"
                f"  stored:    {text}\n"
                f"  supported: {cls().to_json()}"
            ) from None
        return definition


def color_matrices(color: str) -> tuple[Float32Array, Float32Array]:
    """Return Preprocessing.convert_colors() as a matrix, and the matrix of the way back.

    The first is (channels, 4), from (red, green, blue, 1). The second is (3, 4), from (first,
    second, third prepared channel, 1) back to RGB; for a grey image, its channel has to be given
    three times.
    """
    # "BGR-YUV" -> "YUV", "BGR" -> "RGB"
    space = color.removeprefix("BGR-").replace("BGR", "RGB")
    from_rgb, to_rgb = _MATRICES[space]
    if color.startswith("BGR"):
        # the columns of the first matrix take red and blue, the rows of the second give them
        red_and_blue_swapped = [2, 1, 0, 3]
        return from_rgb[:, red_and_blue_swapped], to_rgb[::-1]
    return from_rgb, to_rgb


# ---- presets, and what a user chose

PRESETS = {name: Preprocessing.of(name) for name in PRESET_TEXTS}


def preprocessing_of(text: str, size: tuple[int, int] | None = None) -> Preprocessing:
    """Return the preprocessing of a text that a user gave, as Preprocessing.of() does.

    Raises UserError.
    """
    try:
        return Preprocessing.of(text, size)
    except ValueError as error:
        raise UserError(f"--preprocess {text}: {error}") from None


def choose_preprocessing(
    text: str | None, size: tuple[int, int] | None, otherwise: Preprocessing | None = None
) -> Preprocessing:
    """Return how the images of a store are prepared: as 0 to 255, without a scale.

    Raises UserError.

    text: the preprocessing that the user asked for, if any
    size: width and height, if they are given; they override those of the text
    otherwise: the preprocessing if there is no text; None for the default one
    """
    chosen = preprocessing_of(text) if text else otherwise or Preprocessing()
    width, height = size or (chosen.width, chosen.height)
    return replace(chosen, width=width, height=height, scale="")


def seen_rows(height: int) -> slice:
    """Return the rows that the default network keeps when it crops an image inside itself.

    Of 128 rows, these are all except 43 of sky and 12 of the bonnet.
    """
    return slice(round(height * 43 / 128), height - round(height * 12 / 128))
