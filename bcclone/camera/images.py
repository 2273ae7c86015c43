"""Read, decode and encode camera frames: bytes or a path -> RGB pixels, and back.

The size in an image's header is checked before the image is decoded, because a file of a few bytes
can declare a huge image. Where the EXIF data of a JPEG say how the camera was turned, its size and
pixels are those of the upright picture.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import simplejpeg

from bcclone.system.codec import UnfetchedFile, read_bytes
from bcclone.system.errors import shown_command
from bcclone.system.location import names_url, read_urls
from bcclone.system.process import MOST_PIXELS, is_own_process

# Importing OpenCV adds an empty entry to this variable, which means the current folder: a process
# that is started later, such as ffmpeg, would load shared libraries from there. So the variable
# gets its value back at once
_SEARCH_PATH = "LD_LIBRARY_PATH"
_folders_before = os.environ.get(_SEARCH_PATH)
import cv2 as cv2  # noqa: E402 `as cv2` tells the type checker that others import it from here

os.environ.pop(_SEARCH_PATH, None)
if _folders_before:
    os.environ[_SEARCH_PATH] = _folders_before

Image = npt.NDArray[np.uint8]

# size of the simulator's frames, in pixels
FRAME_WIDTH = 320
FRAME_HEIGHT = 160
IMAGE_ENDINGS = (".jpeg", ".jpg", ".png")
MISSING = " is missing"  # what try_frame() says of a frame without a path

_SCAN = b"\xff\xda"  # the marker of a scan, a pass over the whole image, in a JPEG
_MOST_SCANS = 100  # to decode a scan takes as long as a plain image; most files have at most 10
_END = b"\xff\xd9"  # the marker at the end of a JPEG
_PNG = b"\x89PNG\r\n\x1a\n"
# first bytes of files of BMP, WebP, TIFF and PNM
_OTHERS = (b"BM", b"RIFF", b"II*\0", b"MM\0*", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
_EXIF = b"Exif\0\0"  # the first bytes of a segment with EXIF data
_UPRIGHT = 1  # the orientation of a picture that is shown as it is stored
_SIDEWAYS = range(5, 9)  # the orientations of pictures whose stored rows are columns


@contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Let OpenCV compute in the calling thread alone, for a caller that uses all cores already.

    OpenCV has one setting for all threads of a process. So the block changes nothing in the process
    of a program that imports bcclone, whose other threads may use OpenCV, too.
    """
    before = cv2.getNumThreads()
    if is_own_process():
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if is_own_process():
            cv2.setNumThreads(before)


class BadImage(ValueError):
    """Bytes that are not a usable camera frame; the text is the reason."""

    @classmethod
    def wrong_size(cls, width: int, height: int, expected_width: int, expected_height: int) -> Self:
        return cls(f"{width}x{height} pixels, expected {expected_width}x{expected_height}")


def size_remedy(recording: object) -> str:
    """Return what to do about a recording with pictures of another size."""
    command = shown_command("import", recording, "-o", "recordings/NAME")
    return f"make frames of pictures of another size with: {command}"


# ---- headers


def jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Return width and height in pixels of a JPEG, from its header; nothing is decoded.

    They are those of the upright picture. Raises BadImage for bytes that are no JPEG, for more than
    16 million pixels, and for more than 100 scans, which would take too long to decode.
    """
    width, height, _ = _read_header(bytes(data))
    return width, height


def _read_header(content: bytes) -> tuple[int, int, int]:
    """Return width and height of the upright picture, and the orientation of the stored one."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError as error:
        if content.startswith(_PNG):
            raise BadImage("a PNG, expected a JPEG") from None
        if not content:
            raise BadImage("the file is empty") from None
        raise BadImage(f"not a complete JPEG: {error}") from None
    # most files have one scan, and rfind() finds its marker in half the time of count()
    if content.rfind(_SCAN) > content.find(_SCAN):
        scans = content.count(_SCAN)
        if scans > _MOST_SCANS:
            raise BadImage(f"a JPEG of {scans} scans, expected at most {_MOST_SCANS}")
    _check_pixels(width, height)
    orientation = _orientation(content)
    if orientation in _SIDEWAYS:
        return height, width, orientation
    return width, height, orientation


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise BadImage(f"{width}x{height} pixels, expected at most {MOST_PIXELS} in all")


def is_upright(content: bytes) -> bool:
    """Return whether a JPEG is shown as it is stored: no EXIF data turn or mirror it."""
    return _orientation(content) == _UPRIGHT


def _orientation(content: bytes) -> int:
    """Return how EXIF data say a JPEG has to be turned or mirrored, 1 to 8; 1 without any.

    Source: EXIF 2.32, section 4.6.4; the data are a TIFF file.
    """
    application_markers = range(0xE0, 0xF0)  # of segments that hold what programs add
    orientation_tag = 0x0112
    # the segments stand before the picture, behind the marker with which a JPEG begins
    tiff = b""
    at = 2
    while len(content) > at + 4 and content[at] == 0xFF and content[at + 1] in application_markers:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if content.startswith(_EXIF, at + 4):
            tiff = content[at + 4 + len(_EXIF) : end]
            break
        at = end
    order = ">" if tiff.startswith(b"MM") else "<"
    with suppress(struct.error):  # raised for data that end too early
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(entries):
            # its tag, the type of its value, the number of values, and the value
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * entry)
            if tag == orientation_tag and 1 <= value <= 8:
                return int(value)
    return _UPRIGHT


# ---- decoding and encoding


def decode_jpeg(data: bytes | memoryview, into: Image | None = None) -> Image:
    """Decode a camera frame to RGB uint8 (160, 320, 3), written into `into` if that is given.

    A frame that its EXIF data turn or mirror becomes upright. Raises BadImage for anything except a
    complete JPEG of that size.
    """
    content = bytes(data)
    width, height, orientation = _read_header(content)
    if (width, height) != (FRAME_WIDTH, FRAME_HEIGHT):
        raise BadImage.wrong_size(width, height, FRAME_WIDTH, FRAME_HEIGHT)
    if orientation != _UPRIGHT:
        upright = _decode_by_opencv(content)
        if into is None:
            return upright
        into[:] = upright
        return into
    try:
        frame = simplejpeg.decode_jpeg(content, colorspace="RGB", buffer=into)
    except ValueError as error:
        raise BadImage(f"not a complete JPEG: {error}") from None
    return np.asarray(frame, dtype=np.uint8)


def decode_image(content: bytes, others: bool = False) -> Image:
    """Return the upright pixels of a JPEG or PNG of any size, RGB uint8 (height, width, 3).

    Raises BadImage as jpeg_size().

    others: decode also a BMP, WebP, TIFF or PNM, whose size only OpenCV checks
    """
    if content.startswith(_PNG):
        # the first chunk is the header, IHDR, of 13 bytes
        if content[8:16] != b"\0\0\0\rIHDR" or len(content) < 24:
            raise BadImage("not a complete PNG")
        _check_pixels(*struct.unpack(">II", content[16:24]))  # width and height
    elif not (others and content.startswith(_OTHERS)):
        _read_header(content)
    return _decode_by_opencv(content)


def _decode_by_opencv(content: bytes) -> Image:
    """Return the upright pixels of an image whose header has been checked; raises BadImage."""
    # OpenCV would fill the missing part of a truncated JPEG with grey
    if content.startswith(b"\xff\xd8") and content.rfind(_END) < content.rfind(_SCAN):
        raise BadImage("not a complete JPEG: it ends too early")
    pixels: Any = None
    with suppress(cv2.error):  # raised for too many pixels; for other faults, the result is None
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise BadImage("not a complete image, or one of too many pixels")
    return recolored(pixels, cv2.COLOR_BGR2RGB)


def recolored(image: Image, conversion: int) -> Image:
    """Return an image, uint8 (height, width, ...), in other colours.

    conversion: as cv2.cvtColor() takes it
    """
    return np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def resized(image: Image, size: tuple[int, int], interpolation: int = cv2.INTER_AREA) -> Image:
    """Return an image, uint8 (height, width, ...), of another size, (width, height)."""
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def upright_jpeg(content: bytes) -> bytes:
    """Return a camera frame as a JPEG that is shown as it is stored.

    Most frames are that already, and are returned as they are. Raises BadImage as decode_jpeg().
    """
    return content if is_upright(content) else encode_jpeg(decode_jpeg(content))


def encode_jpeg(frame: Image) -> bytes:
    """Encode an RGB frame, uint8 (height, width, 3), as the simulator does.

    The simulator writes JPEG of quality 75 with 4:2:0 subsampling.
    """
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame), quality=75, colorspace="RGB", colorsubsampling="420"
    )
    return data


# ---- files


def read_file(path: str) -> bytes:
    """Return the content of an image file at a path or URL.

    Raises OSError if it cannot be read, and for a pipe or device.
    """
    if not names_url(path):
        return read_bytes(path, "image")
    (content,) = read_urls([path])
    if isinstance(content, OSError):
        raise content
    return content


def read_frame(
    path: str, into: Image | None = None, content: bytes | OSError | None = None
) -> Image:
    """Return the frame in a JPEG file, RGB uint8 (160, 320, 3); raises BadImage.

    into: the array to write the frame into; None for a new one
    content: the content of the file, or why it cannot be read, if the caller has read it already
    """
    return decode_jpeg(_content(path, content), into)


def read_picture(path: str) -> Image:
    """Return a picture of any size, RGB uint8 (height, width, 3); raises BadImage."""
    return decode_image(_content(path))


def _content(path: str, content: bytes | OSError | None = None) -> bytes:
    """Return the content of a file, which is read unless `content` holds it; raises BadImage."""
    try:
        if isinstance(content, OSError):
            raise content
        return read_file(path) if content is None else content
    except UnfetchedFile as error:
        raise BadImage(error.what) from None
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or type(error).__name__}") from None


def try_frame(path: str | None) -> tuple[Image | None, str]:
    """Return the frame in a file and "", or None and what is wrong: MISSING, or ": reason".

    The second part follows the name of the image in a message.
    """
    if not path:
        return None, MISSING
    try:
        return read_frame(path), ""
    except BadImage as error:
        return None, f": {error}"
