"""The colours of prepared images: an RGB image -> an image in other colours, and the way back.

Colours are named as Preprocessing.color names them, such as "YUV", "BGR-YUV" or "HSV-S".
"""

from typing import Any

import numpy as np

from bcclone.camera.images import Image, cv2
from bcclone.system.errors import UserError
from bcclone.system.numbers import Float32Array

# OpenCV's conversions from RGB as matrices, (channels, 4), which map (red, green, blue, 1), each 0
# to 255
_RGB_TO_YUV = np.array(
    [
        [0.299, 0.587, 0.114, 0],
        [-0.147, -0.289, 0.436, 128],
        [0.615, -0.515, -0.1, 128],
    ],
    np.float32,
)
# the inverse conversion to RGB, (3, 4), from (y, u, v, 1)
_YUV_TO_RGB = np.array(
    [
        [1, 0, 1.14, -145.92],
        [1, -0.395, -0.581, 124.928],
        [1, 2.032, 0, -260.096],
    ],
    np.float32,
)
_IDENTITY = np.eye(3, 4, dtype=np.float32)
# colour space -> conversion from RGB, and back to RGB
_MATRICES = {
    "RGB": (_IDENTITY, _IDENTITY),
    "YUV": (_RGB_TO_YUV, _YUV_TO_RGB),
    # Y alone; the conversion back takes three channels, which are equal
    "GRAY": (_RGB_TO_YUV[:1], _IDENTITY),
}
# the colours whose conversion is such a matrix
LINEAR_COLORS = ("RGB", "BGR", "YUV", "BGR-YUV", "GRAY", "BGR-GRAY")


def channels_of(color: str) -> int:
    """Return how many channels an image of these colours has."""
    return 1 if color.endswith("GRAY") or _is_one_channel(color) else 3


def _is_one_channel(color: str) -> bool:
    """Return whether the colours are one channel of a space, such as HSV-S."""
    return color[-2:-1] == "-"


def in_colors(image: Image, color: str) -> Image:
    """Return an RGB image, (height, width, 3), in other colours, (height, width, channels)."""
    # of BGR-HSV-S, "BGR" means swapped and "HSV" is the space; the single letter is the channel
    *swapped, space = [name for name in color.split("-") if len(name) > 1]
    converted: Any = image
    source = "BGR" if swapped else "RGB"
    if space != source:
        converted = cv2.cvtColor(image, getattr(cv2, f"COLOR_{source}2{space}"))
    if _is_one_channel(color):
        converted = converted[..., space.index(color[-1])]
    return np.asarray(converted, np.uint8).reshape(*image.shape[:2], channels_of(color))


def color_matrices(color: str) -> tuple[Float32Array, Float32Array]:
    """Return in_colors() as a matrix, and the matrix of the way back.

    The first is (channels, 4), from (red, green, blue, 1). The second is (3, 4), from (first,
    second, third prepared channel, 1) back to RGB; for a grey image, its channel has to be given
    three times. Raises UserError for colours without such a matrix.
    """
    if color not in LINEAR_COLORS:
        raise UserError(
            f"images in {color} cannot be augmented: they cannot be turned back into colours; "
            "train with --no-augment, or make the store in one of "
            f"{', '.join(LINEAR_COLORS)}"
        )
    # "BGR-YUV" -> "YUV", "BGR" -> "RGB"
    space = color.removeprefix("BGR-").replace("BGR", "RGB")
    from_rgb, to_rgb = _MATRICES[space]
    if color.startswith("BGR"):
        # the columns of the first matrix take red and blue, the rows of the second give them
        red_and_blue_swapped = [2, 1, 0, 3]
        return from_rgb[:, red_and_blue_swapped], to_rgb[::-1]
    return from_rgb, to_rgb
