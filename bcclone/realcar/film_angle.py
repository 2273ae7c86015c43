"""What the user and the file state about a film -> its camera's angle of view and focal length.

The scale of a film's steering goes with the square of the focal length. The film itself hardly
shows it: in a turn, points x columns from the middle move by x^2 / f more, but away from the
middle, and so do points that the car passes. So the user is asked where nothing states it.
"""

import math
from dataclasses import dataclass

from bcclone.camera.framing import Framing
from bcclone.exchange.exchange_settings import FROM_MOTION, ImportSettings
from bcclone.exchange.labelled_video import stated_focal_mm
from bcclone.system.errors import Table, TableColumn, UserError, shown_command

_FISHEYE_DEGREES = 110.0  # a lens with a wider angle of view counts as a fisheye

# Degrees from the left to the right edge. Those of a phone follow from 2 atan(18 mm / f); those of
# a dashcam from the shares of the width and the diagonal in a picture of 16 to 9. docs/how-to/
# film.md has the same table.
USUAL_ANGLES = Table(
    (TableColumn("camera"), TableColumn("degrees", heading="--fov")),
    (
        ("phone, main camera of 24 mm", 74),
        ("phone, main camera of 26 mm", 69),
        ("phone, wide camera of 13 mm", 108),
        ("action camera, wide", 118),
        ("action camera, linear", 86),
        ("dashcam of 120 degrees, which is its diagonal", 104),
        ("dashcam of 140 degrees", 122),
        ("dashcam of 170 degrees", 148),
        ("Raspberry Pi camera 1, whole sensor", 54),
        ("Raspberry Pi camera 2, whole sensor", 62),
        ("Raspberry Pi camera 3", 66),
        ("Raspberry Pi camera 3 Wide", 102),
    ),
)


def angle_of_view(stretched: Framing, settings: ImportSettings) -> float:
    """Return the degrees that a film's camera sees from the left to the right edge.

    The user's count more than those of the file. Raises UserError, which asks for them, without
    both.

    stretched: the framing that stretches the film's pictures to frames; it has their size
    """
    degrees = settings.fov or _stated_angle(stretched, settings)
    if degrees is None:
        command = shown_command(
            "import", settings.source, "-o", settings.output, "--steering", FROM_MOTION, "--fov"
        )
        raise UserError(
            f"{settings.source}: the film does not state its angle of view, on which the scale of "
            "the steering depends; say with --fov how many degrees the camera sees from the left "
            f"to the right edge, or less if the film is cropped or stabilised:\n{USUAL_ANGLES}\n"
            f"for a phone, for example: {command} 69"
        )
    return degrees


@dataclass(frozen=True)
class FocalLength:
    """The focal length of a film's camera."""

    focal_px: float  # in pixels of the film's pictures
    fisheye: bool
    words: str  # where it comes from, and with which source it disagrees; "" if the user says it


def known_focal(stretched: Framing, settings: ImportSettings) -> FocalLength:
    """Return the focal length that follows from the angle of view; raises UserError without one.

    stretched: as in angle_of_view()
    """
    degrees = angle_of_view(stretched, settings)
    stated = _stated_angle(stretched, settings)
    words = ""
    if not settings.fov:
        words = (
            f"; its angle of view, {degrees:.0f} degrees, is the file's, and less if the picture "
            "is cropped"
        )
    elif stated:
        words = _disagreement(degrees, stated, stretched.width)
    fisheye = _is_fisheye(degrees)
    return FocalLength(_focal_px(degrees, stretched.width), fisheye, words)


def _disagreement(degrees: float, stated: float, width: int) -> str:
    """Return in words how far the user's angle of view is from that of the file; "" if it is near.

    degrees, stated: angle of view of the user, and of the file
    width: of the film's pictures in pixels
    """
    greatest_factor = 1.3  # of the steering's scale, up to which two sources agree
    factor = (_focal_px(degrees, width) / _focal_px(stated, width)) ** 2
    if 1 / greatest_factor < factor < greatest_factor:
        return ""
    return (
        f"; careful: the file states {stated:.0f} degrees, with which the steering would be "
        f"{factor:.2g} times as strong"
    )


def _stated_angle(stretched: Framing, settings: ImportSettings) -> float | None:
    """Return the angle of view in degrees that the file states, None if it states none.

    stretched: as in angle_of_view()
    """
    focal_mm = stated_focal_mm(settings.source)
    if focal_mm is None:
        return None
    # a stated focal length is for a film of 36 mm; a picture that is higher than wide shows less of
    # its width
    half_mm = 18 * min(1.0, stretched.width / stretched.height)
    return math.degrees(2 * math.atan(half_mm / focal_mm))


def _is_fisheye(degrees: float) -> bool:
    """Return whether a lens with this angle of view counts as a fisheye."""
    return degrees > _FISHEYE_DEGREES


def _focal_px(degrees: float, width: int) -> float:
    """Return the focal length, in pixels, with which a width of pixels is seen at an angle."""
    half = math.radians(degrees / 2)
    distance = half if _is_fisheye(degrees) else math.tan(half)
    return width / 2 / distance
