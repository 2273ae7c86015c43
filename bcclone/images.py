"""JPEG bytes -> RGB uint8 frame -> what the network sees; the ONE definition of preprocessing, hashable."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

Image = npt.NDArray[np.uint8]

FRAME_WIDTH, FRAME_HEIGHT = 320, 160
_SMALLEST, _LARGEST = 8, 1024
# OpenCV's names for the steps of converting an RGB frame, and back; BGR-YUV takes red for blue and blue for red
_COLORS = {
    "RGB": (),
    "YUV": (cv2.COLOR_RGB2YUV,),
    "BGR-YUV": (cv2.COLOR_BGR2YUV,),
    "GRAY": (cv2.COLOR_RGB2GRAY, cv2.COLOR_GRAY2RGB),  # three equal channels, so that all images have three
}
_BACK = {"RGB": (), "YUV": (cv2.COLOR_YUV2RGB,), "BGR-YUV": (cv2.COLOR_YUV2BGR,), "GRAY": ()}

# the same as matrices, (3, 4): what becomes of red, green, blue and 1, all of 0 to 255, and back
_YUV_MATRIX = np.array([[0.299, 0.587, 0.114, 0], [-0.147, -0.289, 0.436, 128], [0.615, -0.515, -0.1, 128]], np.float32)
_RGB_MATRIX = np.array([[1, 0, 1.14, -145.92], [1, -0.395, -0.581, 124.928], [1, 2.032, 0, -260.096]], np.float32)
_SAME_MATRIX = np.eye(3, 4, dtype=np.float32)
_GRAY_MATRIX = np.array([[0.299, 0.587, 0.114, 0]] * 3, np.float32)
_COLOR_MATRICES = {
    "RGB": (_SAME_MATRIX, _SAME_MATRIX),
    "YUV": (_YUV_MATRIX, _RGB_MATRIX),
    "GRAY": (_GRAY_MATRIX, _SAME_MATRIX),
    "BGR-YUV": (_YUV_MATRIX[:, [2, 1, 0, 3]], _RGB_MATRIX[::-1]),
}


class BadImage(ValueError):
    """Bytes that are no usable camera frame; the text is the reason."""

    @classmethod
    def other_size(cls, width: int, height: int, expected_width: int, expected_height: int) -> Self:
        """Return the error for an image of another size than is expected."""
        return cls(f"{width}x{height} pixels, expected {expected_width}x{expected_height}")


class PreprocessingMismatch(ValueError):
    """A stored preprocessing definition that this version cannot apply; the text shows both."""


@dataclass(frozen=True)
class Preprocessing:
    """How a camera frame becomes the network's input: decoded, rows cut off, resized, colours converted.

    width, height: of the result, in pixels; color: "RGB", "YUV", "BGR-YUV" (red and blue swapped before YUV), or "GRAY"
    (three equal channels); frame_width, frame_height: of the camera frame; crop_top, crop_bottom: the rows of it that
    are kept, from crop_top up to and without crop_bottom (None: to the last).
    """

    width: int = 128
    height: int = 128
    color: str = "RGB"
    interpolation: str = "linear"
    frame_width: int = FRAME_WIDTH
    frame_height: int = FRAME_HEIGHT
    crop_top: int = 0
    crop_bottom: int | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not _SMALLEST <= getattr(self, name) <= _LARGEST:
                raise ValueError(f"image {name} {getattr(self, name)}, expected {_SMALLEST} to {_LARGEST} pixels")
        if self.color not in _COLORS or self.interpolation != "linear":
            raise ValueError(f"no way to make {self.color} images with {self.interpolation} interpolation")
        if self.crop_bottom == self.frame_height:  # one definition, one hash
            object.__setattr__(self, "crop_bottom", None)
        bottom = self.frame_height if self.crop_bottom is None else self.crop_bottom
        whole = type(self.crop_top) is int and type(bottom) is int
        if not (whole and 0 <= self.crop_top < bottom <= self.frame_height):
            raise ValueError(f"rows {self.crop_top} to {bottom}, expected some of {self.frame_height} rows")

    def apply(self, frame: Image, into: Image | None = None) -> Image:
        """Return the network's input, uint8 (height, width, 3), for an RGB frame; `into` takes it where it is given.

        Raises BadImage for a frame of another size than frame_width and frame_height.
        """
        if frame.shape != (self.frame_height, self.frame_width, 3):
            height, width = frame.shape[:2]
            raise BadImage.other_size(width, height, self.frame_width, self.frame_height)
        kept = frame[self.crop_top : self.crop_bottom]
        prepared = cv2.resize(kept, (self.width, self.height), into, interpolation=cv2.INTER_LINEAR)
        return self.convert_colors(np.asarray(prepared, dtype=np.uint8), into)

    def convert_colors(self, resized: Image, into: Image | None = None) -> Image:
        """Return an RGB image, (height, width, 3), in the result's colours: the last step of apply()."""
        return _converted(resized, _COLORS[self.color], into)

    def to_rgb(self, prepared: Image, into: Image | None = None) -> Image:
        """Return a prepared image, (height, width, 3), in RGB, to within rounding; `into` may be the image itself."""
        return _converted(prepared, _BACK[self.color], into)

    @property
    def color_matrix(self) -> npt.NDArray[np.float32]:
        """Return convert_colors() as a matrix, (3, 4): the result's colours from (red, green, blue, 1)."""
        return _COLOR_MATRICES[self.color][0]

    @property
    def rgb_matrix(self) -> npt.NDArray[np.float32]:
        """Return to_rgb() as a matrix, (3, 4): red, green and blue from (the result's three colours, 1)."""
        return _COLOR_MATRICES[self.color][1]

    @property
    def pixels(self) -> npt.NDArray[np.float64]:
        """Return the (3, 3) that takes (column, row, 1) of the frame to those of the result; 0 is a pixel's centre."""
        kept = (self.crop_bottom or self.frame_height) - self.crop_top
        across, down = self.width / self.frame_width, self.height / kept
        right, below = (across - 1) / 2, (0.5 - self.crop_top) * down - 0.5
        return np.array([[across, 0.0, right], [0.0, down, below], [0.0, 0.0, 1.0]])

    def describe(self) -> str:
        """Return the definition in words, for people: "320x160, rows 60-135 -> 200x66 YUV"."""
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

        crop_top and crop_bottom are left out where they cut nothing off: older files do not have them.
        """
        stored = asdict(self)
        for name, nothing in (("crop_top", 0), ("crop_bottom", None)):
            if stored[name] == nothing:
                del stored[name]
        return json.dumps(stored, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored definition; raises PreprocessingMismatch when this version knows no way to apply it."""
        try:
            stored: dict[str, Any] = json.loads(text)
            definition = cls(**stored)
            if set(stored) != set(json.loads(definition.to_json())):
                raise ValueError("its fields are others")
        except (ValueError, TypeError, RecursionError) as error:
            reason = error if isinstance(error, ValueError) else "its fields are of another kind, or others"
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
}


def _converted(image: Image, steps: tuple[int, ...], into: Image | None) -> Image:
    """Return an image, (height, width, 3), after these conversions; the last one is written into `into`."""
    for step in steps[:-1]:
        image = np.asarray(cv2.cvtColor(image, step), np.uint8)
    return np.asarray(cv2.cvtColor(image, steps[-1], into), dtype=np.uint8) if steps else image


def seen_rows(height: int) -> slice:
    """Return the rows of an image that the network sees: of 128, all but 43 of sky and 12 of bonnet."""
    return slice(round(height * 43 / 128), height - round(height * 12 / 128))


def decode_jpeg(
    data: bytes | memoryview, width: int = FRAME_WIDTH, height: int = FRAME_HEIGHT, into: Image | None = None
) -> Image:
    """Decode a JPEG to RGB uint8 (height, width, 3); `into` of that shape takes the pixels where it is given.

    The size is read from the header and checked first, so that a small file that announces huge dimensions
    costs nothing. Raises BadImage for anything but a whole JPEG of that size.
    """
    try:
        found_height, found_width, _, _ = simplejpeg.decode_jpeg_header(data)
        if (found_width, found_height) != (width, height):
            raise BadImage.other_size(found_width, found_height, width, height)
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=into), dtype=np.uint8)
    except ValueError as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"no whole JPEG: {error}" if data else "the file is empty") from None


def encode_jpeg(frame: Image) -> bytes:
    """Encode an RGB frame, (height, width, 3), as the simulator does: JPEG quality 75, 4:2:0."""
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame), quality=75, colorspace="RGB", colorsubsampling="420"
    )
    return data
