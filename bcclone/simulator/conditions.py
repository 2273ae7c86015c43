"""How the world looks today: light, sun, fog, textures, what of the road can be seen, where the camera sits."""

import math
from dataclasses import dataclass

from bcclone.settings import check_settings, setting

_GROUP = "how the world looks"


@dataclass(frozen=True)
class Conditions:
    """What may differ from the world that a model was trained in; the defaults are those of the Unity simulator."""

    light: float = setting(1.0, "brightness of the light; 1 is normal", minimum=0, maximum=4, group=_GROUP)
    fog: float = setting(1.0, "density of the fog; 1 is normal, 0 is none", minimum=0, maximum=20, group=_GROUP)
    sun_elevation: float = setting(
        42.2, "height of the sun, in degrees", unit="DEGREES", minimum=10, maximum=90, group=_GROUP
    )
    sun_azimuth: float = setting(
        89.7,
        "direction of the sun, in degrees from +z towards +x",
        unit="DEGREES",
        minimum=-360,
        maximum=360,
        group=_GROUP,
    )
    texture_seed: int = setting(0, "seed of the generated textures and plants", minimum=0, group=_GROUP)
    line_visibility: float = setting(
        1.0,
        "visibility of the lines on the road; 0 paints them over",
        unit="FRACTION",
        minimum=0,
        maximum=1,
        group=_GROUP,
    )
    road_visibility: float = setting(
        1.0,
        "visibility of the whole road; at 0 it is painted over, and a model that still drives does not look at it",
        unit="FRACTION",
        minimum=0,
        maximum=1,
        group=_GROUP,
    )
    camera_shift_m: float = setting(
        0.0,
        "how far the camera is shifted to the right, in metres",
        unit="M",
        minimum=-3,
        maximum=3,
        group=_GROUP,
    )
    camera_pitch: float = setting(
        0.0,
        "how far the camera is pitched up, in degrees",
        unit="DEGREES",
        minimum=-20,
        maximum=20,
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def sun(self) -> tuple[float, float, float]:
        """Return the direction towards the sun: x, y, z, of length 1."""
        up, around = math.radians(self.sun_elevation), math.radians(self.sun_azimuth)
        return math.cos(up) * math.sin(around), math.sin(up), math.cos(up) * math.cos(around)
