"""Make the world's textures: a seed -> tiling noise and its coarser levels (mipmaps)."""

import numpy as np

from bcclone.simulator.scene.fields import blur, resize
from bcclone.system.arrays import Float32Array
from bcclone.system.exact_math import exponentials, normals

SIZE = 512  # texels of the finest level
LEVELS = 10
ASPHALT, GRAIN, COBBLE, ROCK = range(4)

_EVEN = ((1, 1.0), (2, 0.7), (4, 0.5), (8, 0.35), (16, 0.25))
_FINE = ((1, 1.0), (2, 0.6), (8, 0.25))
_STONES = 32  # in a row of cobbles


def make_textures(seed: int) -> Float32Array:
    """Return the four textures, float32 (4, texels), of all levels, each of mean 0 and deviation about 1."""
    asphalt = exponentials(0.5 * tiling_noise(SIZE, seed, _FINE))  # bright grains in a dark ground
    rock = blur(tiling_noise(SIZE, seed + 3, _EVEN), 9, across=False)
    return np.stack(
        [
            _with_levels(asphalt),
            _with_levels(tiling_noise(SIZE, seed + 1, _EVEN)),
            _with_levels(_cobbles(seed + 2)),
            _with_levels(rock),
        ]
    )


def tiling_noise(size: int, seed: int, octaves: tuple[tuple[int, float], ...]) -> Float32Array:
    """Return tiling noise of standard deviation 1, float32 (size, size); octaves: grain in cells, weight."""
    randomness = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for grain, weight in octaves:
        cells = size // grain
        field = normals(randomness, (cells, cells)).astype(np.float32)
        around = np.pad(field, 2, mode="wrap")
        smooth = resize(around, len(around) * grain, len(around) * grain)
        smooth = smooth[2 * grain : 2 * grain + size, 2 * grain : 2 * grain + size]
        total += weight * smooth / float(smooth.std())
    return np.asarray(total / float(total.std()), np.float32)


def _cobbles(seed: int) -> Float32Array:
    """Return paving stones of varying brightness with bent outlines and light joints."""
    randomness = np.random.default_rng(seed)
    pitch = SIZE // _STONES
    bend = [3.0 * tiling_noise(SIZE, seed + shift, ((16, 1.0),)) for shift in (50, 51)]
    rows, columns = (axis + bent for axis, bent in zip(np.mgrid[0:SIZE, 0:SIZE], bend, strict=True))
    stripe = np.floor(columns / pitch).astype(int) % _STONES
    shifted = rows + np.where(stripe % 2 == 1, pitch // 2, 0)
    stone = np.floor(shifted / pitch).astype(int) % _STONES
    brightness = (0.6 * normals(randomness, (_STONES, _STONES)) - 0.5)[stripe, stone]
    joint = np.minimum(columns % pitch, shifted % pitch) < 2.5
    stones = np.where(joint, 2.0, brightness).astype(np.float32)
    return np.asarray(blur(stones, 3) + 0.4 * tiling_noise(SIZE, seed, _EVEN), np.float32)


def _with_levels(texture: Float32Array) -> Float32Array:
    """Return a texture and its halvings, flattened and joined."""
    texture = (texture - texture.mean()) / texture.std()
    levels = [texture]
    while levels[-1].shape[0] > 1:
        half = levels[-1].shape[0] // 2
        levels.append(levels[-1].reshape(half, 2, half, 2).mean((1, 3)))
    return np.concatenate([level.ravel() for level in levels[:LEVELS]]).astype(np.float32)
