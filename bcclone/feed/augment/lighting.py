"""Random light: brightness, contrast, tint and gamma, for some images another saturation, or fog."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.feed.augment.kind import Numbers
from bcclone.system.compiled import compiled

NORMALS = {"contrast": 1, "brightness": 1, "tint": 3, "gamma": 1}
UNIFORMS = {"desaturate": 1, "saturation": 1, "fog": 1, "fog_density": 1, "fog_level": 1}
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
_IDENTITY = np.eye(3, dtype=np.float32)
_MIDDLE = 115.0  # about the mean of the simulator's frames
_FOG_FRACTION, _DESATURATED_FRACTION = 0.2, 0.3
_LOG_LEVELS = np.log(np.maximum(np.arange(256, dtype=np.float32), 1e-6) / 255)
_INT, _UINT, _FLOAT = np.int32, np.uint32, np.float32


@dataclass(frozen=True)
class Light:
    """A change of light: a color matrix and an offset, then a gamma.

    colors: float32 (samples, 3, 3), from the images' colors to RGB; offset: float32 (samples, 3), added to levels of 0
    to 255; gamma: float32 (samples,), the exponent of levels of 0 to 1.
    """

    colors: Any
    offset: Any
    gamma: Any


def light_of(numbers: Numbers, strength: float, to_rgb: npt.NDArray[np.float32], xp: Any = np) -> Light:
    """Return random brightness, contrast, tint and gamma; and for some images another saturation, or fog.

    to_rgb: float32 (3, 4), converts the images' own colors to RGB first.
    """
    contrast = xp.exp(0.25 * strength * numbers["contrast"])
    brightness = 25.0 * strength * numbers["brightness"]
    tint = xp.exp(0.08 * strength * numbers["tint"])
    is_desaturated = numbers["desaturate"] < _DESATURATED_FRACTION * strength
    saturation = xp.where(is_desaturated, 1.5 * numbers["saturation"], 1.0)[:, :, None]
    fog = xp.where(numbers["fog"] < _FOG_FRACTION * strength, 0.6 * numbers["fog_density"], 0.0)
    colors = tint[:, :, None] * (saturation * _IDENTITY + (1.0 - saturation) * _GRAY)
    offset = tint * _MIDDLE * (1.0 - contrast) + brightness  # each row of a saturation matrix adds up to 1
    fog_level = 120.0 + 110.0 * numbers["fog_level"]
    offset = (1.0 - fog) * offset + fog * fog_level
    gamma = xp.exp(0.25 * strength * numbers["gamma"])[:, 0]
    matrix = xp.matmul(((1.0 - fog) * contrast)[:, :, None] * colors, to_rgb)
    return Light(matrix[:, :, :3], offset + matrix[:, :, 3], gamma)


def levels_of(light: Light) -> npt.NDArray[np.float32]:
    """Return the gamma tables: a new value for each level from 0 to 255, float32 (samples, 256)."""
    return np.asarray(255 * np.exp(light.gamma[:, np.newaxis] * _LOG_LEVELS))


@compiled(error_model="numpy")
def light_row(matrix: Any, shade: Any, scratch: Any, view: Any) -> None:
    """Change the light of scratch.planes, and write it as a row of a view, uint8 (width, 3).

    matrix: float32 (3, 4), colors and offset of a Light; shade: int32 (width,), each pixel's index in scratch.tables.
    """
    planes, levels = scratch.planes, scratch.levels
    width = planes.shape[1]
    for channel in range(3):
        unit = _FLOAT(1 / 256)
        red, green, blue = matrix[channel, 0] * unit, matrix[channel, 1] * unit, matrix[channel, 2] * unit
        offset = matrix[channel, 3] + _FLOAT(0.5)
        for x in range(width):
            level = red * _FLOAT(planes[0, x]) + green * _FLOAT(planes[1, x]) + blue * _FLOAT(planes[2, x]) + offset
            levels[channel, x] = _INT(min(max(level, _FLOAT(0)), _FLOAT(255)))
    tables, flat = scratch.tables.reshape(-1), view.reshape(-1)
    reds, greens, blues = levels[0], levels[1], levels[2]
    for x in range(width):
        first, index = _UINT(shade[x] << 8), _UINT(3 * x)
        flat[index] = tables[first + _UINT(reds[x])]
        flat[index + _UINT(1)] = tables[first + _UINT(greens[x])]
        flat[index + _UINT(2)] = tables[first + _UINT(blues[x])]


def change_light(images: Any, light: Light, xp: Any) -> Any:
    """Return images, float32 (images, rows, width, 3), after a change of light."""
    flat = xp.reshape(images, (-1, images.shape[1] * images.shape[2], 3))
    changed = xp.matmul(flat, xp.transpose(light.colors, (0, 2, 1))) + light.offset[:, None]
    levels = xp.clip(changed / 255.0, 1e-6, 1.0)
    return xp.reshape(255.0 * xp.power(levels, light.gamma[:, None, None]), (-1, *images.shape[1:]))
