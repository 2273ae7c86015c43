"""Find the lens of a camera, and how a driver steers: a drive and a network that already drives.

To try a lens, the pictures of the drive are turned into frames with it, and that network, the
witness, predicts their steering. Its answers correlate by r with the recorded steering. The lens
has the likelihood (1 - r^2)^(-n / 2) of n independent samples, summed over the delays that the
driver may have. On a grid of usual lenses this gives a posterior; its mean is taken and not its
best point, because a short drive has few bends. Neighbouring frames are not independent: n is the
drive's length in units of _SAMPLE_SECONDS, or the number of pictures if that is smaller.

A lens that is found so is the one that suits the network, not always the camera's own.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bcclone.camera.framing import Framing, Lens
from bcclone.camera.images import Image
from bcclone.realcar.labelled_drive import FEWEST_PICTURES, SHORTEST_FOCAL, LabelledDrive
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.statistics import correlation

_BATCH = 256  # frames that the witness answers at once
# driving time that gives one independent sample: by their autocorrelation, a network's answers and
# the steering of three real cars give one every 0.9 to 2.8 s
_SAMPLE_SECONDS = 2.0

Witness = Callable[[Sequence[Image]], FloatArray]  # frames, 320x160 -> steering, (frames,)
# a framing, and pictures of the camera -> the witness's steering on their frames, (pictures,)
AnswerThrough = Callable[[Framing, Sequence[Image]], FloatArray]


def witness_of(path: Path) -> Witness:
    """Return a function that lets a model's network answer frames.

    Raises UserError for a recurrent network, and for one of several frames.
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model.model_file import load_own_model

    file = load_own_model(path)
    if file.seq_length > 1:
        raise UserError(
            f"{path}: a network of {file.seq_length} frames, expected one of single frames"
        )

    def answer(frames: Sequence[Image]) -> FloatArray:
        images = np.stack([file.preprocessing.apply(frame) for frame in frames])
        parts = []
        for start in range(0, len(images), _BATCH):
            answers = file.model.predict_on_batch(images[start : start + _BATCH])
            parts.append(np.asarray(answers)[:, 0])
        return np.concatenate(parts).astype(np.float64)

    return answer


def answers_through(framing: Framing, pictures: Sequence[Image], witness: Witness) -> FloatArray:
    """Return the witness's steering on pictures, turned into frames by a framing, (pictures,)."""
    answers = witness([framing.apply(picture) for picture in pictures])
    if not np.isfinite(answers).all():  # of a network with broken weights
        return np.zeros_like(answers)
    return answers


# ---- the posterior of a number. It is given by its points, (points,), and its scores (log):
# (points,), or (points, others), which are summed over the others

_FINE_POINTS = 4  # how many points a finer grid has
_FINE_REACH = 1.5  # how far it reaches to either side, in standard deviations of the posterior
_LEAST_DEVIATION = 0.02  # smallest standard deviation that is assumed for a finer grid


def _log_prior(points: FloatArray, middle: float, half_width: float) -> FloatArray:
    """Return the log of a Cauchy prior, which falls to half at `half_width` from the middle."""
    return -np.log1p(((points - middle) / half_width) ** 2)


def _mean_and_deviation(points: FloatArray, scores: FloatArray) -> tuple[float, float]:
    """Return the mean and the standard deviation of the posterior."""
    weights = np.exp(scores - scores.max())
    if weights.ndim > 1:
        weights = weights.sum(axis=1)
    weights /= weights.sum()
    mean = float(weights @ points)
    return mean, math.sqrt(float(weights @ (points - mean) ** 2))


def _finer(points: FloatArray, scores: FloatArray) -> FloatArray:
    """Return a finer grid around the mean of the posterior; a single one stays."""
    if len(points) == 1:
        return points
    mean, deviation = _mean_and_deviation(points, scores)
    reach = max(deviation, _LEAST_DEVIATION)
    return mean + reach * np.linspace(-_FINE_REACH, _FINE_REACH, _FINE_POINTS)


# ---- the lens

# the first grids
_FOCALS = np.log(np.geomspace(SHORTEST_FOCAL, 1.4, 6))  # log of widths of the picture
_HORIZONS = np.linspace(0.12, 0.66, 7)  # row of the vanishing point as a share of the height
_COLUMNS = np.linspace(0.45, 0.55, 5)  # column of the vanishing point as a share of the width
_COLUMN_PRIOR = _log_prior(_COLUMNS, middle=0.5, half_width=0.02)
# framings that find_lens() tries: the first grid with each kind of lens, the finer one, the columns
MOST_TRIALS = 2 * len(_FOCALS) * len(_HORIZONS) + _FINE_POINTS**2 + len(_COLUMNS)


def find_lens(
    drive: LabelledDrive,
    answer: AnswerThrough,
    focal_px: float | None = None,
    horizon_row: float | None = None,
) -> Framing:
    """Return the framing with the lens through which the witness reads the drive's pictures best.

    focal_px, horizon_row: values of the lens that are known
    """
    width, height = drive.size
    middle = width / 2 - 0.5

    def framing_of(focal: float, horizon: float, column: float, is_fisheye: bool) -> Framing:
        """Return the framing of a lens, in the units of the grids; its column is in pixels."""
        lens = Lens(
            focal_px=round(math.exp(focal) * width, 3),
            horizon_row=round(horizon * height - 0.5, 3),
            vanishing_column=round(column, 3),
            fisheye=is_fisheye,
        )
        return Framing(width, height, lens=lens)

    def log_likelihood(pictured: LabelledDrive, framing: Framing) -> float:
        """Return the log of the likelihood of a framing, summed over the driver's delays."""
        scores = _delay_scores(answer(framing, pictured.pictures), pictured)
        return float(np.logaddexp.reduce(scores))

    def log_posterior(
        pictured: LabelledDrive, focals: FloatArray, horizons: FloatArray, is_fisheye: bool
    ) -> FloatArray:
        """Return the log of the posterior of each lens, (focals, horizons).

        With a flat prior it is the likelihood.
        """
        log_likelihoods = [
            [
                log_likelihood(pictured, framing_of(focal, horizon, middle, is_fisheye))
                for horizon in horizons
            ]
            for focal in focals
        ]
        return np.array(log_likelihoods)

    focals = _FOCALS if focal_px is None else np.log([focal_px / width])
    horizons = _HORIZONS if horizon_row is None else np.array([(horizon_row + 0.5) / height])
    # every Nth picture is enough to show the kind of the lens, and about where its numbers are
    rough = drive.thinned(max(1, len(drive.pictures) // FEWEST_PICTURES))
    scores_of = {kind: log_posterior(rough, focals, horizons, kind) for kind in (False, True)}
    is_fisheye = max(scores_of, key=lambda kind: float(np.logaddexp.reduce(scores_of[kind], None)))
    # all pictures, on a finer grid, show the numbers of the lens more exactly
    focals = _finer(focals, scores_of[is_fisheye])
    horizons = _finer(horizons, scores_of[is_fisheye].T)
    scores = log_posterior(drive, focals, horizons, is_fisheye)
    focal, _ = _mean_and_deviation(focals, scores)
    horizon, _ = _mean_and_deviation(horizons, scores.T)
    of_columns = [
        log_likelihood(drive, framing_of(focal, horizon, share * width - 0.5, is_fisheye))
        for share in _COLUMNS
    ]
    share, _ = _mean_and_deviation(_COLUMNS, np.array(of_columns) + _COLUMN_PRIOR)
    return framing_of(focal, horizon, share * width - 0.5, is_fisheye)


# ---- the driver

# seconds that are tried; people in five recordings were 0 to 0.6 s late
_DELAYS = np.linspace(-1.0, 1.5, 51)
_DELAY_PRIOR = _log_prior(_DELAYS, middle=0.2, half_width=0.25)
_LEAST_DELAY = 0.05  # seconds; a shorter delay cannot be told from none


def _independent_samples(drive: LabelledDrive) -> float:
    return max(min(drive.driven_seconds / _SAMPLE_SECONDS, len(drive.seconds)), 1.0)


def _delay_scores(answers: FloatArray, drive: LabelledDrive) -> FloatArray:
    """Return the log of likelihood x prior of each delay that is tried, (delays,).

    answers: the witness's steering on the pictures, (pictures,)
    """
    samples = _independent_samples(drive)
    log_likelihoods = []
    for delay in _DELAYS:
        # a negative correlation counts as none
        r = max(correlation(answers, drive.steering(delay)) or 0.0, 0.0)
        log_likelihoods.append(-0.5 * samples * math.log(max(1 - r**2, 1e-6)))
    return np.array(log_likelihoods) + _DELAY_PRIOR


def fit_delay(answers: FloatArray, drive: LabelledDrive) -> float:
    """Return how many seconds the recorded steering is later than the answers, (pictures,).

    It is the mean of delays from -1 to 1.5 s, under a prior of usual ones.
    """
    mean, _ = _mean_and_deviation(_DELAYS, _delay_scores(answers, drive))
    return round(mean, 2) if abs(mean) >= _LEAST_DELAY else 0.0


def fit_steering(
    answers: FloatArray, drive: LabelledDrive, delay_seconds: float, gain: float | None = None
) -> tuple[float, float]:
    """Return gain and bias from the witness's answers to the recorded steering.

    They are fitted by least squares, with a prior that the bias is near 0: in a drive with few
    bends, most of them to one side, the bias would otherwise tell where the road went, and not how
    the car's wheels stand.

    answers: the witness's steering on the pictures, (pictures,)
    delay_seconds: how much later the recorded steering is
    gain: the gain if it is known, None to fit it
    """
    steering = drive.steering(delay_seconds)
    # least squares alone
    slope = gain
    if slope is None:
        spread = answers.var()
        # NumPy's argument `bias` makes it divide by N, as var() does
        covariance = np.cov(answers, steering, bias=True)[0, 1]
        slope = float(covariance / spread) if spread else 0.0
    bias = float(steering.mean() - slope * answers.mean())
    # the variances of the prior and of the fit say how much of the bias to believe
    prior = (0.2 * steering.std()) ** 2
    error = (steering - slope * answers - bias).var() / _independent_samples(drive)
    # a steering that is constant, which read_drive() refuses, could make this 0 / 0
    share = float(prior / (prior + error)) if prior else 1.0
    bias = round(bias * share, 6)
    if gain is None:
        square = float((answers**2).sum())
        gain = round(float(((steering - bias) * answers).sum()) / square, 6) if square else 0.0
    return gain, bias
