"""The threshold of a monitor: a gamma distribution, and averages of windows."""

import numpy as np
import pytest
from scipy.stats import gamma

from bcclone.lab.monitor.fitting import moving_average
from bcclone.lab.monitor.monitor import GammaFit


@pytest.mark.parametrize("false_alarms", [0.01, 0.05, 0.2])
def test_the_threshold_is_exceeded_by_the_chosen_fraction_of_nominal_scores(false_alarms):
    scores = gamma.rvs(3.0, scale=0.02, size=20_000, random_state=1)
    threshold = GammaFit.of(scores).threshold(false_alarms)
    assert (scores > threshold).mean() == pytest.approx(false_alarms, rel=0.1)


@pytest.mark.parametrize("scores", [np.full(100, 0.5), np.zeros(100), np.arange(9.0), np.full(50, np.nan)])
def test_scores_that_no_distribution_fits_are_refused(scores):
    with pytest.raises(ValueError, match="give more frames"):
        GammaFit.of(scores)


def test_the_moving_average_covers_each_window_once():
    assert moving_average(np.array([1.0, 2.0, 3.0, 4.0]), 2).tolist() == [1.5, 2.5, 3.5]
    assert moving_average(np.array([1.0, 3.0]), 5).tolist() == [2.0]
    assert moving_average(np.empty(0), 5).tolist() == []
