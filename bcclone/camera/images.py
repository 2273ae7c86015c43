"""Read, decode and encode camera frames: bytes or a path -> RGB pixels, and back."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import simplejpeg

from bcclone.system.codec import UnfetchedFile, read_bytes
from bcclone.system.errors import shown_command
from bcclone.system.location import names_url, read_urls
from bcclone.system.opencv import MOST_PIXELS as MOST_PIXELS
from bcclone.system.opencv import UPRIGHT, jpeg_orientation
from bcclone.system.opencv import BadImage as BadImage
from bcclone.system.opencv import decode_image as decode_image
from bcclone.system.opencv import jpeg_size as jpeg_size

Image = npt.NDArray[np.uint8]

# size of the simulator's frames, in pixels
FRAME_WIDTH = 320
FRAME_HEIGHT = 160

IMAGE_ENDINGS = (".jpeg", ".jpg", ".png")
MISSING = " is missing"  # what try_frame() says of a frame without a path


def decode_jpeg(data: bytes | memoryview, into: Image | None = None) -> Image:
    """Decode a camera frame to RGB uint8 (160, 320, 3), written into `into` if that is given.

    A frame that its EXIF data turn or mirror becomes upright. Raises BadImage for anything except a
    complete JPEG of that size.
    """
    # check the size before any memory is reserved, because a small file can declare a huge image
    width, height = jpeg_size(data)
    if (width, height) != (FRAME_WIDTH, FRAME_HEIGHT):
        raise BadImage.wrong_size(width, height, FRAME_WIDTH, FRAME_HEIGHT)
    if not is_upright(data):
        upright = decode_image(bytes(data))
        if into is None:
            return upright
        into[:] = upright
        return into
    try:
        frame = simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=into)
    except ValueError as error:
        raise BadImage(f"not a complete JPEG: {error}") from None
    return np.asarray(frame, dtype=np.uint8)


def is_upright(data: bytes | memoryview) -> bool:
    """Return whether a JPEG is shown as it is stored: no EXIF data turn or mirror it."""
    return jpeg_orientation(bytes(data)) == UPRIGHT


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


def read_frame(
    path: str, into: Image | None = None, content: bytes | OSError | None = None
) -> Image:
    """Return the frame in a JPEG file, RGB uint8 (160, 320, 3); raises BadImage.

    into: the array to write the frame into; None for a new one
    content: the content of the file, or why it cannot be read, if the caller has read it already
    """
    return decode_jpeg(_content(path, content), into=into)


def read_picture(path: str) -> Image:
    """Return a picture of any size, RGB uint8 (height, width, 3); raises BadImage."""
    return decode_image(_content(path))


def _content(path: str, content: bytes | OSError | None = None) -> bytes:
    """Return the content of a file, which is read unless `content` holds it; raises BadImage."""
    try:
        if isinstance(content, OSError):
            raise content
        return read_file(path) if content is None else content
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


def common_remedy(reasons: Sequence[str], recording: object = "RECORDING") -> str:
    """Return what to do about pictures that cannot be used, if most of them have one reason.

    The reasons with a remedy are another size, and pointers of Git LFS. Returns "" for others.

    reasons: why images of a recording cannot be used, a text for each
    recording: name of the recording in the command
    """
    command = shown_command("import", recording, "-o", "recordings/NAME")
    remedies = {  # how a reason ends -> its remedy
        # as the texts of BadImage.wrong_size()
        f" pixels, expected {FRAME_WIDTH}x{FRAME_HEIGHT}": "turn pictures of another size into "
        f"frames: {command}",
        UnfetchedFile.REASON: f"fetch the pictures with: {UnfetchedFile.REMEDY}",
    }
    for ending, remedy in remedies.items():
        count = sum(reason.endswith(ending) for reason in reasons)
        if 2 * count > len(reasons):
            return remedy
    return ""


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
