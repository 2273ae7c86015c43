"""Draw the random numbers of a batch, which alone determine how its samples are augmented.

In: a seed. Out: two tables, whose columns belong to the augmentations by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from bcclone.feed.augment import LensChange, Numbers, lighting, viewpoint
from bcclone.feed.feed_settings import LENS_SETTINGS
from bcclone.system.numbers import Float32Array

# the kind of a setting is the KIND of the module with its name
LENS: tuple[LensChange, ...] = tuple(
    import_module(f"{__package__}.{name}").KIND for name in LENS_SETTINGS
)

# ---- which columns belong to which name


def _columns_of(kinds: Iterable[Mapping[str, int]]) -> dict[str, slice]:
    """Return the columns of each name.

    kinds: how many numbers a sample has of each name, kind by kind.
    """
    columns: dict[str, slice] = {}
    first = 0
    for widths in kinds:
        for name, width in widths.items():
            columns[name] = slice(first, first + width)
            first += width
    return columns


def _width_of(kinds: Iterable[Mapping[str, int]]) -> int:
    return sum(sum(widths.values()) for widths in kinds)


# drawn in one table with viewpoint, light and shadows, so that earlier trainings can be repeated
_DRAWN_TOGETHER = ("blur", "patches", "noise")
_TOGETHER = [kind for kind in LENS if kind.setting in _DRAWN_TOGETHER]
# kinds that came later; none so far
_ALONE = tuple(kind for kind in LENS if kind.setting not in _DRAWN_TOGETHER)

_NORMAL_KINDS = [viewpoint.NORMALS, lighting.NORMALS]
_FIRST_KINDS = [
    viewpoint.UNIFORMS,
    lighting.UNIFORMS,
    *(kind.uniforms for kind in _TOGETHER),
]
_UNIFORM_KINDS = [*_FIRST_KINDS, *(kind.uniforms for kind in _ALONE)]
_NORMAL_COLUMNS = _columns_of(_NORMAL_KINDS)
_UNIFORM_COLUMNS = _columns_of(_UNIFORM_KINDS)

# how many numbers a sample has: standard normal ones, and ones from 0 to 1
NORMALS = _width_of(_NORMAL_KINDS)
UNIFORMS = _width_of(_UNIFORM_KINDS)

# ---- the numbers


def draw(
    samples: int, seed: Sequence[int], alone: Sequence[LensChange] = _ALONE
) -> tuple[Float32Array, Float32Array]:
    """Return random numbers: standard normal, and from 0 to 1.

    seed: for example training seed, epoch and first sample.
    alone: kinds that came later; each draws by its name, so that a new kind leaves the numbers of
        all others as they are.
    Returns float32 (samples, NORMALS) and (samples, UNIFORMS).
    """
    random = np.random.default_rng(seed)
    normal = random.standard_normal((samples, NORMALS), np.float32)
    tables = [random.random((samples, _width_of(_FIRST_KINDS)), np.float32)]
    for kind in alone:
        random_of_kind = np.random.default_rng([*seed, *kind.setting.encode()])
        tables.append(random_of_kind.random((samples, _width_of([kind.uniforms])), np.float32))
    return normal, np.concatenate(tables, axis=1)


def numbers_of(normal: Any, uniform: Any) -> Numbers:
    """Return the random numbers of a batch by name, float32 (samples, numbers) each."""
    numbers = {name: normal[:, columns] for name, columns in _NORMAL_COLUMNS.items()}
    numbers |= {name: uniform[:, columns] for name, columns in _UNIFORM_COLUMNS.items()}
    return numbers
