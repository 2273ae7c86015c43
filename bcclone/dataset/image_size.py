"""The size of the images that a network is given, as a setting."""

from typing import Annotated

from bcclone.system.settings import Setting, SettingError

SMALLEST_IMAGE = 8  # smallest width or height of an image that a network is given, in pixels
LARGEST_IMAGE = 1024  # largest width or height
LARGEST_PICTURE = 4096  # largest width or height of a picture that an exported file takes


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "128" or "320x160"; raises ValueError for anything else."""
    width, by, height = text.lower().partition("x")
    if not by:
        height = width
    try:
        return int(width), int(height)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None


Size = Annotated[
    tuple[int, int],
    Setting(minimum=SMALLEST_IMAGE, maximum=LARGEST_IMAGE, unit="SIZE", parse=parse_size),
]


def check_one_size(preset: str | None, size: tuple[int, int] | None) -> None:
    """Raise SettingError if both a size and a preprocessing, which includes a size, are given.

    preset: name of the preprocessing
    """
    if preset and size:
        raise SettingError("{preprocess} {preset} includes a size; leave out {size}", preset=preset)
