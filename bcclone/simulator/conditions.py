"""How the world looks today: light, sun, fog, textures, what of the road can be seen, where the camera sits."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Conditions:
    """What may differ from the world that a model was trained in; the defaults are the simulator's own.

    light: brightness, 1 is normal; fog: density, 1 is normal, 0 none; sun_elevation, sun_azimuth: degrees,
    the azimuth from +z towards +x; texture_seed: of every generated texture and plant; line_visibility and
    road_visibility: 1 as they are, 0 painted over with what lies beside; camera_shift_m: to the right;
    camera_pitch: degrees farther up than it is mounted.
    """

    light: float = 1.0
    fog: float = 1.0
    sun_elevation: float = 42.2
    sun_azimuth: float = 89.7
    texture_seed: int = 0
    line_visibility: float = 1.0
    road_visibility: float = 1.0
    camera_shift_m: float = 0.0
    camera_pitch: float = 0.0

    def __post_init__(self) -> None:
        ranges = {
            "light": (0.0, 4.0),
            "fog": (0.0, 20.0),
            "sun_elevation": (10.0, 90.0),
            "sun_azimuth": (-360.0, 360.0),
            "line_visibility": (0.0, 1.0),
            "road_visibility": (0.0, 1.0),
            "camera_shift_m": (-3.0, 3.0),
            "camera_pitch": (-20.0, 20.0),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:  # NaN is not either
                raise ValueError(f"{name.replace('_', ' ')} {getattr(self, name):g}, expected {least:g} to {most:g}")
        if self.texture_seed < 0:
            raise ValueError(f"texture seed {self.texture_seed}, expected 0 or more")

    @property
    def sun(self) -> tuple[float, float, float]:
        """Return the direction towards the sun: x, y, z, of length 1."""
        up, around = math.radians(self.sun_elevation), math.radians(self.sun_azimuth)
        return math.cos(up) * math.sin(around), math.sin(up), math.cos(up) * math.cos(around)
