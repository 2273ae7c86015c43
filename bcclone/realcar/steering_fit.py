"""Fit a driver's steering to a network's answers on the same pictures: delay, gain and bias."""

import numpy as np

from bcclone.realcar.labelled_pictures import LabelledPictures
from bcclone.realcar.posterior import Axis, independent_samples, log_likelihood
from bcclone.system.numbers import FloatArray, correlation

# seconds that are tried; people in five recordings were 0 to 0.6 s late
_DELAY = Axis(np.linspace(-1.0, 1.5, 51), middle=0.2, half_width=0.25)
_LEAST_DELAY = 0.05  # seconds; a shorter delay cannot be told from none


def delay_scores(answers: FloatArray, labelled: LabelledPictures) -> FloatArray:
    """Return the log of likelihood x prior of each delay that is tried, (delays,).

    answers: the network's steering on the pictures, (pictures,)
    """
    samples = independent_samples(labelled.driven_seconds, len(answers))
    log_likelihoods = []
    for delay in _DELAY.points:
        later = labelled.recorded.at(labelled.seconds + delay)
        log_likelihoods.append(log_likelihood(correlation(answers, later) or 0.0, samples))
    return np.array(log_likelihoods) + _DELAY.log_prior


def fit_delay(answers: FloatArray, labelled: LabelledPictures) -> float:
    """Return how much later than the network's answers the recorded steering is, in seconds.

    It is the mean of delays from -1 to 1.5 s, under a prior of usual ones.

    answers: the network's steering on the pictures, (pictures,)
    """
    mean, _ = _DELAY.mean_and_deviation(delay_scores(answers, labelled))
    return round(mean, 2) if abs(mean) >= _LEAST_DELAY else 0.0


def fit_steering(
    answers: FloatArray,
    labels: FloatArray,
    seconds: float,
    gain: float | None = None,
    bias: float | None = None,
) -> tuple[float, float]:
    """Return gain and bias from a network's answers to labels, (frames,) each.

    They are fitted by least squares, with a prior that the bias is near 0: in a drive with few
    bends, most of them to one side, the bias would otherwise tell where the road went, and not how
    the car's wheels stand.

    answers, labels: the network's and the recorded steering
    seconds: time of driving that the frames cover
    gain, bias: values that are known; None for one that is fitted
    """
    if bias is None:
        bias = _fitted_bias(answers, labels, seconds, gain)
    if gain is None:
        square = float((answers**2).sum())
        gain = 0.0
        if square:
            gain = round(float(((labels - bias) * answers).sum()) / square, 6)
    return gain, bias


def _fitted_bias(
    answers: FloatArray, labels: FloatArray, seconds: float, gain: float | None
) -> float:
    """Return the bias, as fit_steering() describes it."""
    # least squares alone
    spread = answers.var()
    slope = gain
    if slope is None and spread:
        # NumPy's argument `bias` makes it divide by N, as var() does
        covariance = np.cov(answers, labels, bias=True)[0, 1]
        slope = float(covariance / spread)
    elif slope is None:
        slope = 0.0
    bias = float(labels.mean() - slope * answers.mean())
    # the variances of the prior and of the fit say how much of the bias to believe
    prior_sd = 0.2 * labels.std()
    prior = prior_sd**2
    samples = independent_samples(seconds, len(answers))
    error = (labels - slope * answers - bias).var() / samples
    # labels that are all equal, which read_labelled() refuses, could make this 0 / 0
    share = float(prior / (prior + error)) if prior else 1.0
    return round(bias * share, 6)
