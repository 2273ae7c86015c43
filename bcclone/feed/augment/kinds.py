"""The list of all augmentations, and the random numbers of a batch that they need.

In: number of samples and seed. Out: `Draws`, and each kind's part of them by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module

import numpy as np

from bcclone.feed.augment import lighting, shadows, viewpoint
from bcclone.feed.augment.augment_settings import LENS_SETTINGS
from bcclone.feed.augment.kind import Draws, LensChange, Numbers

# the kind of a setting is the KIND of the module with its name
LENS: tuple[LensChange, ...] = tuple(import_module(f"{__package__}.{name}").KIND for name in LENS_SETTINGS)
_DRAWN_TOGETHER = ("blur", "patches", "noise")  # in one table with viewpoint, light and shadows, as they always were


def columns_of(names: Iterable[Mapping[str, int]]) -> dict[str, slice]:
    """Return the columns of each name; raises ValueError for a name that comes twice: its numbers would be shared.

    names: how many numbers a sample has of each name, kind by kind.
    """
    columns: dict[str, slice] = {}
    end = 0
    for name, width in (pair for kind in names for pair in kind.items()):
        if name in columns:
            raise ValueError(f"two kinds draw {name}; give the numbers of a kind their own names")
        columns[name] = slice(end, end := end + width)
    return columns


_NORMAL = columns_of([viewpoint.NORMALS, lighting.NORMALS])
_ALONE = tuple(kind for kind in LENS if kind.setting not in _DRAWN_TOGETHER)
_FIRST: list[Mapping[str, int]] = [viewpoint.UNIFORMS, lighting.UNIFORMS, shadows.UNIFORMS]
_FIRST += [kind.uniforms for kind in LENS if kind.setting in _DRAWN_TOGETHER]
_FIRST_NUMBERS = sum(width for names in _FIRST for width in names.values())
_UNIFORM = columns_of([*_FIRST, *(kind.uniforms for kind in _ALONE)])
NORMALS, UNIFORMS = (max(column.stop for column in columns.values()) for columns in (_NORMAL, _UNIFORM))  # per sample


def draw(samples: int, seed: Sequence[int], alone: Sequence[LensChange] = _ALONE) -> Draws:
    """Return random numbers for `samples` samples. seed: for example training seed, epoch and first sample.

    alone: kinds that came later; each draws by its name, so that a new kind leaves the numbers of all others as they
    are.
    """
    random = np.random.default_rng(seed)
    normal = random.standard_normal((samples, NORMALS), np.float32)
    tables = [random.random((samples, _FIRST_NUMBERS), np.float32)]
    for kind in alone:
        own = np.random.default_rng([*seed, *kind.setting.encode()])
        tables.append(own.random((samples, sum(kind.uniforms.values())), np.float32))
    return Draws(normal, np.concatenate(tables, axis=1))


def numbers_of(draws: Draws) -> Numbers:
    """Return the random numbers of a batch by name, float32 (samples, numbers) each."""
    normal = {name: draws.normal[:, columns] for name, columns in _NORMAL.items()}
    return normal | {name: draws.uniform[:, columns] for name, columns in _UNIFORM.items()}
