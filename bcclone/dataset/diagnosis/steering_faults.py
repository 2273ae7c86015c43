"""Judge the recorded steering: by its values, and by how the camera turned."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.diagnosis.driven import Driven
from bcclone.dataset.diagnosis.finding import Finding, delete_rows, spans_of
from bcclone.dataset.statistics import block_jackknife, correlation, robust_line, top_of
from bcclone.system.arrays import FloatArray, IndexArray

_FARTHEST_SECONDS, _LAG_STEP = 1.5, 0.025
_LAGS = np.arange(-_FARTHEST_SECONDS, _FARTHEST_SECONDS + _LAG_STEP / 2, _LAG_STEP)
_NEAR_SECONDS, _FINE_SECONDS = 0.6, 0.2
_FEWEST_STEPS = 50
_USUAL_LAG = -0.1  # seconds from the turn to the steering: the car turns after it is steered
_EARLIEST, _LATEST = -0.35, 0.05  # as untouched recordings have it, and a margin: benchmarks/lab-log/2026-11.md
UNRELATED, _CLEAR, _SURE = 0.5, 0.55, 0.7  # correlations; with another drive's log, 3 in 100 are above 0.55 by chance
_USUAL_SECONDS = 1.2  # a lag beyond it is one of chance, unless the correlation is sure
MOST_LAG_ERROR = 0.2
_LEAST_MATCH = 0.3  # of successive pictures
_PART_SECONDS = 8.0
_LESS, _WRONG = 0.3, 0.4  # correlation than in the better parts; error of the steering, of its standard deviation
_MOST_BIAS, _BLOCKS = 0.15, 8
_FEWEST_LEVELS = 5
_DEVICE_STEP, _GENTLE_STEPS = 0.05, 2.5  # a gentle drive uses few of the steps of 0.05 or 0.1 of a keyboard or stick
_FULL = 0.98  # of the largest steering that a log can hold
_CLIPPED_SHARE = 0.04  # of the turning rows at the largest value
_SHARPER, _CLEARLY_SHARPER = 1.02, 1.2  # bends than the largest value tells; where a stick ends, they are as it tells
_COARSE_LEVELS = 20
_LEAST_STEERING = 0.02


def few_steps(driven: Driven) -> Iterator[Finding]:
    """Yield whether the steering has few different values."""
    levels = np.unique(np.round(driven.steering, 4))
    steps = np.diff(levels) / _DEVICE_STEP
    gentle = len(levels) > 3 and bool((np.abs(steps - steps.round()) < 0.01).all() and steps.max() < _GENTLE_STEPS)
    if len(levels) <= _FEWEST_LEVELS and not gentle and (np.abs(driven.steering) > _LEAST_STEERING).sum() > 20:
        yield Finding(
            "few-steps",
            f"the steering has {len(levels)} different values, expected hundreds, or dozens from a keyboard",
            "record with a mouse or a gamepad, or train with it as it is and expect unsteady driving",
            value=float(len(levels)),
            usable=True,
        )


def clipped(driven: Driven, agreement: "Agreement | None") -> Iterator[Finding]:
    """Yield whether the steering ends at a limit that the car's bends go beyond.

    Many rows at the largest value are also those of a driver who holds a stick that ends there, or of a stick or keys
    with few steps: there, the bends must be clearly sharper than the largest value tells.
    """
    size = np.round(np.abs(driven.steering), 4)
    turning = size > _LEAST_STEERING
    levels, counts = np.unique(size[turning], return_counts=True)
    if len(levels) < 2 or levels[-1] >= _FULL:
        return
    largest, coarse = float(levels[-1]), len(levels) < _COARSE_LEVELS
    at_largest = turning & (size > 0.995 * largest)
    share = at_largest.sum() / turning.sum()
    sharper = _sharper_than_steered(driven, agreement, largest) if agreement else None
    if sharper is None:
        clear = share > 0.1 and at_largest.sum() > 1.5 * counts[-2] if coarse else True
    else:
        clear = sharper > (_CLEARLY_SHARPER if coarse else _SHARPER)
    if clear and turning.sum() > 20 and share > _CLIPPED_SHARE:
        yield Finding(
            "clipped",
            f"{share:.0%} of the turning rows have the largest steering, {largest:.3f}"
            + (f", and turn {sharper - 1:.0%} more than it tells" if sharper else ""),
            "look for a limit where the steering is recorded or converted, and record or import it again",
            spans_of(driven.numbers[at_largest].tolist()),
            largest,
        )


def _sharper_than_steered(driven: Driven, agreement: "Agreement", largest: float) -> float | None:
    """Return the turns at the largest steering, as a multiple of those that a line through the others gives there."""
    if not agreement.is_clear or agreement.correlation < 0:
        return None
    _, curvature, steering = driven.paired(agreement.lag, _FINE_SECONDS)
    top, others = np.abs(steering) > 0.97 * largest, np.abs(steering) < 0.9 * largest
    if min(top.sum(), (others & (np.abs(steering) > 0.3 * largest)).sum()) < 10:
        return None
    slope, offset = np.polyfit(steering[others], curvature[others], 1)
    side = np.sign(steering[top])
    return float(np.mean(side * curvature[top]) / np.mean(side * (slope * steering[top] + offset)))


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera.

    correlation: the greatest by size, when the steering is shifted by `lag` seconds, above 0 where it is recorded after
    the turn; error: standard error of lag.
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
    curvature, usable = driven.curvature(), driven.turns.usable
    if usable.sum() < _FEWEST_STEPS or np.median(driven.turns.match[usable]) < _LEAST_MATCH:
        return None
    if curvature.std() < 1e-6 or driven.steering.std() < 1e-3:
        return None
    about, r = _best_lag(_correlations(curvature[usable], driven.steering_after(_LAGS)[:, usable]))
    # how many steps a lag leaves in a stretch changes with the lag, and with it what is compared: not so nearby
    near = _LAGS[np.abs(_LAGS - about) <= _NEAR_SECONDS]
    curvature, steering = driven.curvature(_FINE_SECONDS), driven.steering_after(near, _FINE_SECONDS)
    usable = usable & np.isfinite(steering).all(axis=0)
    if usable.sum() < _FEWEST_STEPS:
        return Agreement(r, about, _NEAR_SECONDS)
    sign = np.sign(r)

    def best(steps: IndexArray) -> float:
        return _top_lag(near, sign * _correlations(curvature[steps], steering[:, steps]))

    steps = np.flatnonzero(usable)
    return Agreement(r, best(steps), block_jackknife(steps, _BLOCKS, best))


def steering_and_turns(driven: Driven, agreement: Agreement) -> Iterator[Finding]:
    """Yield what the steering shows beside the turns of the camera."""
    r, lag = agreement.correlation, agreement.lag
    if agreement.is_clear and r < 0:
        text = f"the car turns to the other side than it is steered: correlation {r:.2f}, expected above {_CLEAR}"
        yield Finding("mirrored", text, "bcclone edit RECORDING --mirror-steering", value=r)
        return
    # longer parts where few rows a second are recorded
    part_seconds = max(_PART_SECONDS, 1.2 * _FEWEST_STEPS * float(np.median(np.diff(driven.seconds))))
    parts = list(_parts_that_disagree(driven, lag, part_seconds))
    if parts and (agreement.is_clear or r > UNRELATED):
        yield Finding(
            "partly-unrelated",
            f"in parts of {part_seconds:.0f} s or more the steering does not follow the turns of the camera; "
            f"over all, the correlation is {r:.2f}",
            delete_rows(parts),
            tuple(parts),
        )
    elif not agreement.is_clear and r < UNRELATED:
        yield Finding(
            "unrelated",
            f"the steering does not follow the turns of the camera: correlation {r:.2f}, expected above {_CLEAR}",
            "look whether the log belongs to these frames, and whether rows and frames are counted alike",
            value=r,
        )
    if agreement.is_clear and agreement.error < MOST_LAG_ERROR:
        yield from _late_or_early(agreement)
    if agreement.is_clear:
        yield from _bias(driven, lag)


def _late_or_early(agreement: Agreement) -> Iterator[Finding]:
    lag, error = agreement.lag, agreement.error
    if not (lag > _LATEST + error or lag < _EARLIEST - error):
        return
    late = lag > _LATEST
    yield Finding(
        "late" if late else "early",
        f"the steering is recorded {abs(lag):.2f} s {'after' if lag > 0 else 'before'} the car turns (standard error "
        f"{error:.2f}), expected {-_USUAL_LAG:.2f} s before, from {-_EARLIEST:.2f} s before to {_LATEST:.2f} s after",
        f"bcclone edit RECORDING --advance-steering {lag - _USUAL_LAG:.2f}",
        value=lag - _USUAL_LAG,
        uncertainty=error,
        unit="seconds late",
    )


def _bias(driven: Driven, lag: float) -> Iterator[Finding]:
    steps, curvature, steering = driven.paired(lag)
    if len(steps) < 100:
        return

    def bias_of(part: IndexArray) -> float:
        return robust_line(curvature[part], steering[part])[1]

    everything = np.arange(len(steps))
    bias, error = bias_of(everything), block_jackknife(everything, _BLOCKS, bias_of)
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
            usable=True,
        )


def _parts_that_disagree(driven: Driven, lag: float, part_seconds: float) -> Iterator[tuple[int, int]]:
    """Yield the spans of rows in which the steering follows the turns much less than elsewhere."""
    steps, curvature, steering = driven.paired(lag)
    if len(steps) < _FEWEST_STEPS:
        return
    slope, offset, _ = robust_line(curvature, steering)
    errors = (steering - slope * curvature - offset) / driven.steering.std()
    middles = driven.middles
    starts = np.arange(middles[0], middles[-1] - part_seconds / 2, part_seconds / 2)
    follows, wrong = np.full(len(starts), np.nan), np.zeros(len(starts))
    for number, start in enumerate(starts):
        part = (middles[steps] >= start) & (middles[steps] < start + part_seconds)
        if part.sum() > _FEWEST_STEPS:
            follows[number] = correlation(curvature[part], steering[part]) or 0.0
            wrong[number] = np.sqrt(np.mean(errors[part] ** 2))
    if not np.isfinite(follows).any():
        return
    disagree = (wrong > _WRONG) & (follows < np.nanpercentile(follows, 75) - _LESS)
    # parts overlap by half, so that the one before or after must be wrong, too
    around = np.pad(disagree, 1)
    for first, last in spans_of(np.flatnonzero(disagree & (around[:-2] | around[2:])).tolist()):
        rows = np.flatnonzero((driven.seconds >= starts[first]) & (driven.seconds <= starts[last] + part_seconds))
        yield int(driven.numbers[rows[0]]), int(driven.numbers[rows[-1]])


def _best_lag(found: FloatArray) -> tuple[float, float]:
    """Return the lag of the correlation of the greatest size, and that correlation. found: for each of _LAGS, (lags,).

    Near the usual lag the sign is the car's; a bend in the other direction may follow a second later.
    """
    usual = found[np.abs(_LAGS) <= _NEAR_SECONDS]
    sign = np.sign(usual[np.argmax(np.abs(usual))]) or 1.0
    return _top_lag(_LAGS, sign * found), float(sign * (sign * found).max())


def _top_lag(lags: FloatArray, heights: FloatArray) -> float:
    return float(lags[0] + _LAG_STEP * top_of(heights))


def _correlations(curvature: FloatArray, steering: FloatArray) -> FloatArray:
    """Return the correlation of each shift of the steering, (lags, steps), where it is known; 0 for few such steps."""
    known = np.isfinite(steering)
    return np.array([
        (correlation(curvature[at], shifted[at]) or 0.0) if at.sum() >= _FEWEST_STEPS else 0.0
        for at, shifted in zip(known, steering, strict=True)
    ])  # fmt: skip
