"""The lens of a camera and its mounting: a direction -> the pixel that shows it.

The equidistant fisheye is that of J. Kannala, S. Brandt, "A generic camera model", 2006.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np

from bcclone.camera.geometry import rotation
from bcclone.system.numbers import FloatArray


@dataclass(frozen=True)
class Lens:
    """Which pixel of a camera's picture shows which direction: its lens and its mounting.

    Coordinate 0 is the centre of the first pixel.
    """

    focal_px: float  # focal length in pixels
    horizon_row: float  # row in which a straight level road ends
    vanishing_column: float  # column in which it ends
    # angle by which the picture is turned clockwise about the end of the road
    roll_degrees: float = 0.0
    # whether it is a fisheye: the distance of a point from the middle of the picture grows with the
    # angle from the camera's axis, and not with the tangent of that angle
    fisheye: bool = False

    def __post_init__(self) -> None:
        numbers = (self.focal_px, self.horizon_row, self.vanishing_column, self.roll_degrees)
        is_finite = all(map(math.isfinite, numbers))
        if not is_finite or self.focal_px < 1 or abs(self.roll_degrees) > 90:
            raise ValueError(
                f"a lens of {asdict(self)}, "
                "expected finite numbers, a focal length of 1 pixel or more, "
                "and a roll of at most 90 degrees"
            )

    def degrees_across(self, width: int) -> float:
        """Return the horizontal angle of view of a picture of this width."""
        # from the middle of the picture to its edge, in focal lengths
        distance = width / 2 / self.focal_px
        angle = distance if self.fisheye else math.atan(distance)
        return math.degrees(2 * angle)

    def scaled(self, across: float, down: float) -> Self:
        """Return the same lens for a picture with more or fewer pixels.

        across, down: factors of the columns and of the rows
        """
        return replace(
            self,
            focal_px=self.focal_px * across,
            horizon_row=(self.horizon_row + 0.5) * down - 0.5,
            vanishing_column=(self.vanishing_column + 0.5) * across - 0.5,
        )

    def pixels(self, rays: FloatArray, width: int, height: int) -> FloatArray:
        """Return the pixels that show rays, (2, n): column and row.

        Rays from behind the camera give pixels outside of the picture.

        rays: (3, n), their components to the right, down and ahead, in the car's axes
        width, height: the picture's size in pixels
        """
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        right, down, ahead = self._mount(middle) @ rays

        # a pinhole shows the tangent of the angle from its axis, a fisheye the angle itself; 1e-12
        # and 1e-3 avoid a division by 0 for rays along the axis and for rays from behind
        across = np.hypot(right, down)
        if self.fisheye:
            distance_px = np.arctan2(across, ahead) * self.focal_px
        else:
            distance_px = across / np.maximum(ahead, 1e-3) * self.focal_px
        scale = distance_px / np.maximum(across, 1e-12)
        seen = middle[:, np.newaxis] + np.stack([right * scale, down * scale])

        # turn the picture about the end of the road
        sine = math.sin(math.radians(self.roll_degrees))
        cosine = math.cos(math.radians(self.roll_degrees))
        roll = np.array([[cosine, -sine], [sine, cosine]])
        end = self._end_of_road[:, np.newaxis]
        return np.asarray(roll @ (seen - end) + end)

    @property
    def _end_of_road(self) -> FloatArray:
        return np.array([self.vanishing_column, self.horizon_row])

    def _mount(self, middle: FloatArray) -> FloatArray:
        """Return the rotation from the car's axes to the camera's, (3, 3).

        In the car's axes the road's end is straight ahead.

        middle: column and row of the picture's middle, where the camera's axis is.
        """
        offset = self._end_of_road - middle
        distance_px = math.hypot(*offset)
        distance = distance_px / self.focal_px  # in focal lengths
        angle = distance if self.fisheye else math.atan(distance)
        # (x, y, cos(angle)) is the unit vector to the road's end in the camera's axes; y points
        # down, and a pitch is positive upwards
        x, y = offset / max(distance_px, 1e-12) * math.sin(angle)
        yaw = np.float64(math.atan2(x, math.cos(angle)))
        pitch = np.float64(math.asin(-y))
        return np.asarray(rotation(yaw, pitch))
