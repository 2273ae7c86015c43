"""Read, check, decode and encode images: bytes or a path -> RGB pixels, and back.

The size in a header is checked before anything is decoded.
"""

import struct
from typing import Self

import numpy as np
import numpy.typing as npt
import simplejpeg

from bcclone.system.location import names_url, read_urls
from bcclone.system.opencv import cv2
from bcclone.system.reading import MOST_IMAGE, read_limited

Image = npt.NDArray[np.uint8]

FRAME_WIDTH, FRAME_HEIGHT = 320, 160
MOST_PIXELS = 1 << 24  # of an image that is decoded; a file of a few bytes can declare many more
_SCAN, _MOST_SCANS = b"\xff\xda", 100  # the marker of a scan, which takes as long as an image; most files have 10
_END = b"\xff\xd9"  # of a JPEG
_PNG = b"\x89PNG\r\n\x1a\n"


class BadImage(ValueError):
    """Bytes that are not a usable camera frame; the text is the reason."""

    @classmethod
    def wrong_size(cls, width: int, height: int, expected_width: int, expected_height: int) -> Self:
        """Return the error for an image of an unexpected size."""
        return cls(f"{width}x{height} pixels, expected {expected_width}x{expected_height}")


def image_size(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels of a JPEG or PNG, by its header, before anything is decoded.

    Raises BadImage for anything else, for more than MOST_PIXELS, and for a JPEG of more than 100 scans.
    """
    if not content.startswith(_PNG):
        return jpeg_size(content)
    if content[8:16] != b"\0\0\0\rIHDR" or len(content) < 24:
        raise BadImage("not a complete PNG")
    width, height = struct.unpack(">II", content[16:24])
    return _checked_size(width, height)


def jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Return width and height in pixels of a JPEG; raises BadImage as image_size()."""
    content = bytes(data)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError as error:
        raise BadImage(f"not a complete JPEG: {error}" if content else "the file is empty") from None
    if (scans := content.count(_SCAN)) > _MOST_SCANS:
        raise BadImage(f"a JPEG of {scans} scans, expected at most {_MOST_SCANS}")
    return _checked_size(width, height)


def _checked_size(width: int, height: int) -> tuple[int, int]:
    if width * height > MOST_PIXELS:
        raise BadImage(f"{width}x{height} pixels, expected at most {MOST_PIXELS} in all")
    return width, height


def decode_jpeg(data: bytes | memoryview, into: Image | None = None) -> Image:
    """Decode a camera frame to RGB uint8 (160, 320, 3), written into `into` if that is given.

    The size in the header is checked before any memory is reserved, because a small file can declare a huge image.
    Raises BadImage for anything except a complete JPEG of that size.
    """
    width, height = jpeg_size(data)
    if (width, height) != (FRAME_WIDTH, FRAME_HEIGHT):
        raise BadImage.wrong_size(width, height, FRAME_WIDTH, FRAME_HEIGHT)
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=into), dtype=np.uint8)
    except ValueError as error:
        raise BadImage(f"not a complete JPEG: {error}") from None


def decode_image(content: bytes) -> Image:
    """Return the pixels of a JPEG or PNG of any size, RGB uint8 (height, width, 3); raises BadImage as image_size()."""
    image_size(content)
    if not content.startswith(_PNG) and content.rfind(_END) < content.rfind(_SCAN):  # OpenCV makes the rest grey
        raise BadImage("not a complete JPEG: it ends too early")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise BadImage("neither a complete JPEG nor a complete PNG")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def encode_jpeg(frame: Image) -> bytes:
    """Encode an RGB frame, (height, width, 3), as the simulator does: JPEG of quality 75 with 4:2:0 subsampling."""
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame), quality=75, colorspace="RGB", colorsubsampling="420"
    )
    return data


def read_frame(path: str, into: Image | None = None, content: bytes | OSError | None = None) -> Image:
    """Return the frame in a JPEG file, RGB uint8 (160, 320, 3), written into `into` if given; raises BadImage.

    content: of the file, or why it cannot be read, if somebody has read it.
    """
    try:
        if isinstance(content, OSError):
            raise content
        return decode_jpeg(read_file(path) if content is None else content, into=into)
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or type(error).__name__}") from None


def read_file(path: str) -> bytes:
    """Return the content of an image file at a path or URL; raises OSError, for a pipe or device, too."""
    if not names_url(path):
        return read_limited(path, MOST_IMAGE)
    (content,) = read_urls([path])
    if isinstance(content, OSError):
        raise content
    return content
