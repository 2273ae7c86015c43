"""Judge the recorded steering: by its values, and by how the camera turned."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.diagnosis.driven import Driven
from bcclone.dataset.diagnosis.finding import Finding, spans_of
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray

FARTHEST_SECONDS, _LAG_STEP = 1.5, 0.025
_USUAL_LAG = -0.1  # seconds from the turn to the steering: the car turns after it is steered
_EARLIEST, _LATEST = -0.35, 0.05  # as untouched recordings have it, and a margin: docs/lab-log/2026-11.md
_CLEAR, _SURE = 0.55, 0.7  # correlations; some of 0.5 are chance, where a recording has few bends
_USUAL_SECONDS = 1.2  # a lag beyond it is one of chance, unless the correlation is sure
_LEAST_MATCH = 0.3  # of successive pictures
_PART_SECONDS = 12.0
_LESS = 0.35  # than in the better parts
_MOST_BIAS, _BLOCKS = 0.1, 8
_FEWEST_LEVELS = 5
_FULL = 0.98  # of the largest steering that a log can hold
_CLIPPED_SHARE = 0.04  # of the turning rows at the largest value
_LEAST_STEERING = 0.02


def steering_values(driven: Driven) -> Iterator[Finding]:
    """Yield what the values of the steering alone show."""
    steering = driven.steering
    turning = np.abs(steering) > _LEAST_STEERING
    largest = float(np.abs(steering).max())
    at_largest = turning & (np.abs(steering) > 0.995 * largest)
    levels = len(np.unique(np.round(steering, 4)))
    if levels <= _FEWEST_LEVELS and turning.sum() > 20:
        yield Finding(
            "few-steps",
            f"the steering has {levels} different values, expected hundreds, or dozens from a keyboard",
            "record with a mouse or a gamepad, or train with it as it is and expect unsteady driving",
            value=float(levels),
        )
    if largest < _FULL and turning.sum() > 20 and at_largest.sum() > _CLIPPED_SHARE * turning.sum():
        yield Finding(
            "clipped",
            f"{at_largest.sum() / turning.sum():.0%} of the turning rows have the largest steering, {largest:.3f}",
            "look for a limit where the steering is recorded or converted, and record or import it again",
            spans_of(driven.lines[at_largest].tolist()),
            largest,
        )


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera.

    correlation: the greatest by size, when the steering is shifted by `lag` seconds; error: standard error of lag.
    """

    correlation: float
    lag: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Return whether steering and turns belong together, perhaps mirrored."""
        size = abs(self.correlation)
        return size > _SURE or (size > _CLEAR and abs(self.lag) < _USUAL_SECONDS)


def measure_agreement(driven: Driven) -> Agreement | None:
    """Return how steering and turns agree, None where either hardly changes, or the pictures do not match."""
    curvature, matches = driven.curvature, driven.turns.match[driven.turns.usable]
    if len(matches) < 50 or np.median(matches) < _LEAST_MATCH or curvature.std() < 1e-6 or driven.steering.std() < 1e-3:
        return None
    middles = driven.middles
    lag, correlation = _best_lag(driven, curvature, np.ones(len(middles), np.bool_))
    blocks = np.minimum((_BLOCKS * (middles - middles[0]) / (middles[-1] - middles[0])).astype(int), _BLOCKS - 1)
    without = [_best_lag(driven, curvature, blocks != block)[0] for block in range(_BLOCKS)]
    error = float(np.sqrt((_BLOCKS - 1) / _BLOCKS * np.sum((np.array(without) - np.mean(without)) ** 2)))
    return Agreement(correlation, lag, error)


def steering_and_turns(driven: Driven, agreement: Agreement) -> Iterator[Finding]:
    """Yield what the steering shows beside the turns of the camera."""
    r, lag = agreement.correlation, agreement.lag
    if not agreement.is_clear:
        yield Finding(
            "unrelated",
            f"the steering does not follow the turns of the camera: correlation {r:.2f}, expected above {_CLEAR}",
            "look whether the log belongs to these frames, and whether rows and frames are counted alike",
            value=r,
        )
        return
    if r < 0:
        yield Finding(
            "mirrored",
            f"the car turns to the other side than it is steered: correlation {r:.2f}, expected above {_CLEAR}",
            "change the sign of the steering where it is converted (bcclone import --left-positive)",
            value=r,
        )
        return
    parts = list(_parts_that_disagree(driven, lag))
    if parts:
        yield Finding(
            "partly-unrelated",
            f"in {len(parts)} parts of {_PART_SECONDS:.0f} s the steering does not follow the turns of the camera; "
            f"over all, the correlation is {r:.2f}",
            _delete(parts),
            tuple(parts),
        )
    yield from _late_or_early(agreement)
    yield from _bias(driven, lag)


def _late_or_early(agreement: Agreement) -> Iterator[Finding]:
    lag, error = agreement.lag, agreement.error
    if not (lag > _LATEST + error or lag < _EARLIEST - error):
        return
    late = lag > _LATEST
    yield Finding(
        "late" if late else "early",
        f"the steering is recorded {abs(lag):.2f} s {'after' if lag > 0 else 'before'} the car turns "
        f"(standard error {error:.2f}), expected {-_USUAL_LAG:.2f} s before it, at most {-_EARLIEST:.2f}",
        f"python preprocess.py RECORDING --lead-seconds {lag - _USUAL_LAG:.2f}",
        value=lag - _USUAL_LAG,
        uncertainty=error,
        unit="seconds late",
    )


def _bias(driven: Driven, lag: float) -> Iterator[Finding]:
    steering = np.interp(driven.middles + lag, driven.seconds, driven.smooth_steering)
    usable = driven.turns.usable
    if usable.sum() < 100:
        return
    curvature = driven.curvature
    blocks = np.array_split(np.flatnonzero(usable), _BLOCKS)
    biases = [_intercept(curvature, steering, np.concatenate(blocks[:k] + blocks[k + 1 :])) for k in range(_BLOCKS)]
    bias = _intercept(curvature, steering, np.flatnonzero(usable))
    error = float(np.sqrt((_BLOCKS - 1) / _BLOCKS * np.sum((np.array(biases) - np.mean(biases)) ** 2)))
    if abs(bias) > _MOST_BIAS + error:
        side = "right" if bias > 0 else "left"
        yield Finding(
            "bias",
            f"the car drives straight on with a steering of {bias:+.2f} (standard error {error:.2f}), expected 0",
            f"calibrate the middle of the steering, which lies too far to the {side}, and record again; "
            "bcclone calibrate fits gain and bias into a model",
            value=bias,
            uncertainty=error,
            unit="steering",
        )


def _intercept(curvature: FloatArray, steering: FloatArray, chosen: IndexArray) -> float:
    """Return the steering at which the car drives straight on, by a robust line."""
    x, y = curvature[chosen], steering[chosen]
    columns, weights = np.stack([x, np.ones_like(x)], 1), np.ones(len(x))
    for _ in range(10):
        line = np.linalg.lstsq(columns * weights[:, None], y * weights, rcond=None)[0]
        errors = y - columns @ line
        weights = 1 / np.sqrt(1 + (errors / (2 * float(np.median(np.abs(errors))) + 1e-3)) ** 2)
    return float(line[1])


def _parts_that_disagree(driven: Driven, lag: float) -> Iterator[tuple[int, int]]:
    """Yield the spans of lines in which the steering follows the turns much less than elsewhere."""
    curvature, middles = driven.curvature, driven.middles
    steering = np.interp(middles + lag, driven.seconds, driven.smooth_steering)
    starts = np.arange(middles[0], middles[-1] - _PART_SECONDS / 2, _PART_SECONDS / 2)
    follows = np.full(len(starts), np.nan)
    for number, start in enumerate(starts):
        part = (middles >= start) & (middles < start + _PART_SECONDS)
        moving = part.sum() > 40 and steering[part].std() > 0.3 * steering.std()
        if moving and curvature[part].std() > 0.3 * curvature.std():
            follows[number] = _correlation(curvature[part], steering[part])
    if not np.isfinite(follows).any():
        return
    wrong = (follows < np.nanpercentile(follows, 75) - _LESS).tolist()
    lines = driven.lines
    agreed = [index for index, is_wrong in enumerate(wrong) if is_wrong and _beside(wrong, index)]
    for first, last in spans_of(agreed, apart=1):
        rows = np.flatnonzero((driven.seconds >= starts[first]) & (driven.seconds <= starts[last] + _PART_SECONDS))
        yield int(lines[rows[0]]), int(lines[rows[-1]])


def _beside(wrong: list[bool], index: int) -> bool:
    """Return whether the part before or after is wrong, too; parts overlap by half."""
    return any(wrong[other] for other in (index - 1, index + 1) if 0 <= other < len(wrong))


def _delete(spans: list[tuple[int, int]]) -> str:
    first, last = spans[0]
    return f"bcclone edit RECORDING --delete {first} {last}" + (", and the other spans" if len(spans) > 1 else "")


def _best_lag(driven: Driven, curvature: FloatArray, chosen: BoolArray) -> tuple[float, float]:
    """Return the shift of the steering with the correlation of the greatest size, and that correlation."""
    lags = np.arange(-FARTHEST_SECONDS, FARTHEST_SECONDS + _LAG_STEP / 2, _LAG_STEP)
    middles = driven.middles[chosen]
    values, smooth = curvature[chosen], driven.smooth_steering
    found = []
    for lag in lags:
        times = middles + lag
        inside = (times > driven.seconds[0]) & (times < driven.seconds[-1])
        found.append(_correlation(values[inside], np.interp(times[inside], driven.seconds, smooth)))
    sizes = np.array(found)
    # near the usual lag the sign is the car's; a bend in the other direction may follow a second later
    usual = np.abs(lags) <= 0.6
    sign = np.sign(sizes[usual][np.argmax(np.abs(sizes[usual]))]) or 1.0
    best = int(np.argmax(sign * sizes))
    return float(lags[best] + _LAG_STEP * _vertex(sign * sizes, best)), float(sizes[best])


def _vertex(values: FloatArray, best: int) -> float:
    """Return by how many steps the top of the parabola through three values is beside the middle one."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, at, after = values[best - 1 : best + 2]
    bend = before - 2 * at + after
    return float(0.5 * (before - after) / bend) if bend else 0.0


def _correlation(first: FloatArray, second: FloatArray) -> float:
    if len(first) < 3:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0
