"""JPEG bytes -> RGB uint8 frame -> what the network sees; the ONE definition of preprocessing, hashable."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

Image = npt.NDArray[np.uint8]

FRAME_WIDTH, FRAME_HEIGHT = 320, 160
_SMALLEST, _LARGEST = 8, 1024


class BadImage(ValueError):
    """Bytes that are no usable camera frame; the text is the reason."""


class PreprocessingMismatch(ValueError):
    """A stored preprocessing definition that this version cannot apply; the text shows both."""


@dataclass(frozen=True)
class Preprocessing:
    """How a camera frame becomes the network's input: decoded, resized, nothing else.

    width, height: of the result, in pixels; frame_width, frame_height: of the camera frame.
    """

    width: int = 128
    height: int = 128
    color: str = "RGB"
    interpolation: str = "linear"
    frame_width: int = FRAME_WIDTH
    frame_height: int = FRAME_HEIGHT

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not _SMALLEST <= getattr(self, name) <= _LARGEST:
                raise ValueError(f"image {name} {getattr(self, name)}, expected {_SMALLEST} to {_LARGEST} pixels")
        if (self.color, self.interpolation) != ("RGB", "linear"):
            raise ValueError(f"no way to make {self.color} images with {self.interpolation} interpolation")

    def apply(self, frame: Image) -> Image:
        """Return the network's input, uint8 (height, width, 3), for an RGB frame."""
        if frame.shape != (self.frame_height, self.frame_width, 3):
            height, width = frame.shape[:2]
            raise BadImage(f"{width}x{height} pixels, expected {self.frame_width}x{self.frame_height}")
        resized = cv2.resize(frame, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.uint8)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the definition, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the definition as JSON with sorted keys, the form that is stored and hashed."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored definition; raises PreprocessingMismatch when this version knows no way to apply it."""
        try:
            stored: dict[str, Any] = json.loads(text)
            if set(stored) != {field.name for field in fields(cls)}:
                raise ValueError("its fields are others")
            return cls(**stored)
        except (ValueError, TypeError) as error:
            raise PreprocessingMismatch(
                f"unknown preprocessing ({error})\n  stored:    {text}\n  supported: {cls().to_json()}"
            ) from None


def decode_jpeg(data: bytes, width: int = FRAME_WIDTH, height: int = FRAME_HEIGHT) -> Image:
    """Decode a JPEG to RGB uint8 (height, width, 3).

    The size is read from the header and checked first, so that a small file that announces huge dimensions
    costs nothing. Raises BadImage for anything but a whole JPEG of that size.
    """
    try:
        found_height, found_width, _, _ = simplejpeg.decode_jpeg_header(data)
        if (found_width, found_height) != (width, height):
            raise BadImage(f"{found_width}x{found_height} pixels, expected {width}x{height}")
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"), dtype=np.uint8)
    except ValueError as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"no whole JPEG: {error}" if data else "the file is empty") from None


def encode_jpeg(frame: Image) -> bytes:
    """Encode an RGB frame as the simulator does: JPEG quality 75, 4:2:0."""
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame), quality=75, colorspace="RGB", colorsubsampling="420"
    )
    return data
