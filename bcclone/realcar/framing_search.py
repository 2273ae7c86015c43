"""Find the lens of a camera: labelled pictures and a network that already drives -> the lens.

The lens is the one with which that network, the witness, reads the pictures best. To try a lens,
the pictures are turned into frames with it, and the witness predicts their steering. The likelihood
of the lens follows from the correlation of these answers with the recorded steering (posterior.py),
summed over the delays that the driver may have (steering_fit.py). On a grid of usual lenses this
gives a posterior; its mean is taken and not its best point, because a short drive has few bends.

A lens that is found so is not always the camera's own: it is the one that suits the network.
benchmarks/lab-log/2026-11.md has the figures by which this method was chosen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import Framing, Lens
from bcclone.camera.images import Image
from bcclone.realcar.labelled_pictures import FEWEST_PICTURES, SHORTEST_FOCAL, LabelledPictures
from bcclone.realcar.posterior import FINE_POINTS, Axis
from bcclone.realcar.steering_fit import delay_scores
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray, correlation

LEAST_CORRELATION = 0.4  # a witness reads the camera's pictures only if r is this much or more
_BATCH = 256  # frames that the witness answers at once

Witness = Callable[[Sequence[Image]], FloatArray]  # frames, 320x160 -> steering, (frames,)


def witness_of(path: Path) -> Witness:
    """Return a function that lets a model's network answer frames.

    Raises UserError for a recurrent network, and for one of several frames.
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model.model_file import load_own_model

    file = load_own_model(path)
    if file.seq_length > 1 or file.steps:
        raise UserError(
            f"{path}: a network of {file.seq_length} frames, expected one of single frames"
        )

    def answer(frames: Sequence[Image]) -> FloatArray:
        images = np.stack([file.preprocessing.apply(frame) for frame in frames])
        parts = []
        for start in range(0, len(images), _BATCH):
            answers = file.model.predict_on_batch(images[start : start + _BATCH])
            steering = np.asarray(answers)[:, 0]
            parts.append(steering)
        return np.concatenate(parts).astype(np.float64)

    return answer


# ---- the grid

# the first grids, in the units of the search
_FOCAL = Axis(np.log(np.geomspace(SHORTEST_FOCAL, 1.4, 6)))  # log of widths of the picture
_HORIZON = Axis(np.linspace(0.12, 0.66, 7))  # row of the vanishing point as a share of the height
_COLUMN = Axis(  # column of the vanishing point as a share of the width
    np.linspace(0.45, 0.55, 5), middle=0.5, half_width=0.02
)
_KINDS = (False, True)  # whether the lens is a fisheye
# the first grid with each kind of lens, the finer grid, the columns, and the lens that is found
MAX_TRIALS = (
    len(_KINDS) * len(_FOCAL.points) * len(_HORIZON.points)
    + FINE_POINTS**2
    + len(_COLUMN.points)
    + 1
)


# ---- the search


@dataclass(frozen=True)
class Trial:
    """A framing, and how a witness reads pictures through it."""

    framing: Framing
    answers: FloatArray  # the witness's steering on the frames of the pictures, (pictures,)
    correlation: float  # correlation of the answers with the recorded steering

    def mirrored(self) -> Self:
        """Return the trial with the recorded steering to the other side."""
        return replace(self, correlation=-self.correlation)


class FramingSearch:
    """Finds the lens of a camera.

    witness: network that already drives
    labelled: pictures of the camera with their steering
    advance: called with 1 for each framing that was tried
    """

    def __init__(
        self,
        witness: Witness,
        labelled: LabelledPictures,
        advance: Callable[[int], None] = lambda trials: None,
    ) -> None:
        self._witness = witness
        self._labelled = labelled
        self._advance = advance
        self._width, self._height = labelled.size

    def with_labels(self, labelled: LabelledPictures) -> Self:
        """Return a search by the same witness with other labels."""
        return type(self)(self._witness, labelled, self._advance)

    def attempt(self, framing: Framing) -> Trial:
        """Let the witness answer the pictures, turned into frames by a framing."""
        answers = self._witness([framing.apply(picture) for picture in self._labelled.pictures])
        self._advance(1)
        if not np.isfinite(answers).all():  # of a network with broken weights
            answers = np.zeros_like(answers)
        return Trial(framing, answers, correlation(answers, self._labelled.steering) or 0.0)

    def find(self, known: Mapping[str, float]) -> Trial:
        """Return the trial of the lens that is found.

        known: values of Lens that stay as they are, by name
        """
        # the first grid, with a single point for a number that is known
        roll = known.get("roll_degrees", 0.0)
        column = known.get("vanishing_column", self._width / 2 - 0.5)
        focal = _FOCAL
        if "focal_px" in known:
            focal = replace(focal, points=np.log([known["focal_px"] / self._width]))
        horizon = _HORIZON
        if "horizon_row" in known:
            share = (known["horizon_row"] + 0.5) / self._height
            horizon = replace(horizon, points=np.array([share]))
        kinds: Sequence[bool] = _KINDS
        if "fisheye" in known:
            kinds = (bool(known["fisheye"]),)

        # every Nth picture is enough to show the kind of the lens, and about where its numbers are
        every = max(1, len(self._labelled.pictures) // FEWEST_PICTURES)
        rough = self.with_labels(self._labelled.thinned(every))
        framing_makers = {
            kind: partial(self._framing_of_lens, column=column, roll=roll, fisheye=kind)
            for kind in kinds
        }
        scores_of = {
            kind: rough._log_posterior(focal, horizon, make_framing)
            for kind, make_framing in framing_makers.items()
        }
        evidence_of = {
            kind: float(np.logaddexp.reduce(scores, axis=None))
            for kind, scores in scores_of.items()
        }
        fisheye = max(kinds, key=lambda kind: evidence_of[kind])

        # all pictures, on a finer grid, show the numbers of the lens more exactly
        focal = focal.finer(scores_of[fisheye])
        horizon = horizon.finer(scores_of[fisheye].T)
        scores = self._log_posterior(focal, horizon, framing_makers[fisheye])
        best_focal, _ = focal.mean_and_deviation(scores)
        best_horizon, _ = horizon.mean_and_deviation(scores.T)
        make_framing = partial(
            self._framing_of_lens, best_focal, best_horizon, roll=roll, fisheye=fisheye
        )
        if "vanishing_column" not in known:
            column = self._find_column(make_framing)
        return self.attempt(make_framing(column=column))

    def _find_column(self, make_framing: Callable[..., Framing]) -> float:
        """Return the column of the vanishing point.

        make_framing: takes the argument `column`
        """
        columns = _COLUMN.points * self._width - 0.5
        log_likelihoods = [self._log_likelihood(make_framing(column=column)) for column in columns]
        share, _ = _COLUMN.mean_and_deviation(np.array(log_likelihoods) + _COLUMN.log_prior)
        return share * self._width - 0.5

    def _framing_of_lens(
        self, focal: float, horizon: float, column: float, roll: float, fisheye: bool
    ) -> Framing:
        """Return the framing of a lens.

        focal, horizon: in the units of _FOCAL and _HORIZON
        column: column of the vanishing point, in pixels
        roll: by how many degrees pictures are turned
        """
        lens = Lens(
            focal_px=round(math.exp(focal) * self._width, 3),
            horizon_row=round(horizon * self._height - 0.5, 3),
            vanishing_column=round(column, 3),
            roll_degrees=roll,
            fisheye=fisheye,
        )
        return Framing(self._width, self._height, lens=lens)

    def _log_posterior(
        self,
        focal: Axis,
        horizon: Axis,
        make_framing: Callable[[float, float], Framing],
    ) -> FloatArray:
        """Return the log of the posterior, (focal lengths, horizons).

        It is that of the likelihood: no lens of the grid is more likely than another beforehand.

        make_framing: takes a focal length and a horizon
        """
        log_likelihoods = [
            [self._log_likelihood(make_framing(point, row)) for row in horizon.points]
            for point in focal.points
        ]
        return np.array(log_likelihoods)

    def _log_likelihood(self, framing: Framing) -> float:
        """Return the log of the likelihood of a framing, summed over the driver's delays."""
        scores = delay_scores(self.attempt(framing).answers, self._labelled)
        return float(np.logaddexp.reduce(scores))
