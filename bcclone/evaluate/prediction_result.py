"""The score of predictions: how well each driver agrees with the labels, as JSON values and as a table in text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.system.arrays import FloatArray
from bcclone.system.json_values import to_json

PREDICTIONS, SMOOTHED, FITTED, FITTED_SMOOTHED = "predictions", "smoothed", "fitted", "fitted_smoothed"
ZERO, CONSTANT = "zero", "constant"  # to compare with
_OPPOSITE = -0.2  # a lower correlation is hardly one of chance
_LEGEND = "r: correlation with the labels; RMSE, MAE: in their unit; EVA: 1 - Var(error) / Var(label)"


@dataclass(frozen=True)
class Agreement:
    """How well a driver agrees with the labels; None where a figure is not defined.

    correlation: Pearson's; right_side: fraction of the frames beyond the threshold with the label's sign; rmse, mae: in
    units of the labels; eva: explained variance, 1 - Var(error) / Var(label).
    """

    correlation: float | None
    right_side: float | None
    rmse: float
    mae: float
    eva: float | None


@dataclass(frozen=True)
class Fit:
    """The fitted steering is gain x prediction + bias. seconds: from the first frame on; frames: in them."""

    gain: float
    bias: float
    seconds: float
    frames: int

    def apply(self, predictions: FloatArray) -> FloatArray:
        """Return the fitted steering, (frames,)."""
        return self.gain * predictions + self.bias


@dataclass(frozen=True)
class Lag:
    """The shift with the greatest correlation: how much later than the labels the predictions are."""

    frames: int
    seconds: float | None
    correlation: float

    def describe(self) -> str:
        """Return it in words: "0.15 s late; r 0.975", or "neither early nor late; r 0.975"."""
        if not self.frames:
            return f"neither early nor late; r {self.correlation:.3f}"
        amount = f"{abs(self.frames)} frames" if self.seconds is None else f"{abs(self.seconds):.2f} s"
        return f"{amount} {'early' if self.frames < 0 else 'late'}; r {self.correlation:.3f}"


@dataclass(frozen=True)
class Matched:
    """Frames with a label and a prediction, in order of time, or of the labels if their names are no times.

    seconds: since the first one, None if unknown; labels, predictions: (frames,), with the same positive side; public:
    (frames,), None if the labels do not say; the last two: how many frames have only one of the two, and the first.
    """

    seconds: FloatArray | None
    labels: FloatArray
    predictions: FloatArray
    public: npt.NDArray[np.bool_] | None
    without_prediction: tuple[int, str]
    without_label: tuple[int, str]

    def __post_init__(self) -> None:
        given = [self.seconds, self.labels, self.predictions, self.public]
        if len(counts := {len(one) for one in given if one is not None}) > 1 or not len(self.labels):
            raise ValueError(
                f"{sorted(counts)} matched frames, expected as many labels as predictions, and one at least"
            )


@dataclass(frozen=True)
class PredictionScore:
    """The score of predictions.

    frames: that are scored; turns: those of them beyond the threshold; constant: steering of the driver of that name;
    smoothing: how the smoothed steering was made; lag: of the steering that `shown` names; drivers: the predictions as
    they are, smoothed and fitted, and those to compare with -> their agreement; parts: public and private -> the same;
    steering: of each driver in all matched frames, (frames,).
    """

    frames: int
    matched: Matched
    threshold: float
    turns: int
    constant: float
    smoothing: str
    fit: Fit | None
    lag: Lag | None
    drivers: Mapping[str, Agreement]
    parts: Mapping[str, Mapping[str, Agreement]]
    steering: Mapping[str, FloatArray]

    @property
    def shown(self) -> str:
        """Return the driver that a picture shows: the fitted predictions, or without a fit the predictions."""
        return FITTED if self.fit else PREDICTIONS

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        matched = self.matched
        return {
            "frames": self.frames,
            "labels_without_prediction": matched.without_prediction[0],
            "predictions_without_label": matched.without_label[0],
            "threshold": self.threshold,
            "frames_beyond_threshold": self.turns,
            "smoothing": self.smoothing,
            "constant_steering": self.constant,
            "fit": to_json(self.fit),
            "lag": to_json(self.lag),
            **to_json(self.drivers),
            **to_json(self.parts),
        }

    @property
    def notices(self) -> list[str]:
        """Return what a person should know of the frames that were left out, and of the side that is positive."""
        notices = []
        for what, (count, first) in (
            ("labels have no prediction", self.matched.without_prediction),
            ("predictions have no label", self.matched.without_label),
        ):
            if count:
                notices.append(f"{count} {what}, and are left out; the first: {first}")
        correlation = self.drivers[PREDICTIONS].correlation
        if correlation is not None and correlation < _OPPOSITE:
            notices.append(
                "the correlation is negative; if the labels are positive to the left and the predictions to the right, "
                "add --left-positive"
            )
        return notices

    @property
    def headline(self) -> str:
        """Return the figures of the predictions in a line."""
        its = self.drivers[self.shown]
        r = "not defined" if its.correlation is None else f"{its.correlation:.3f}"
        return f"correlation {r}, root mean square error {its.rmse:.4f}"

    def as_text(self) -> str:
        """Return the table of the predictions and those to compare with."""
        lines = [
            f"{self.frames:,} frames are scored; {_LEGEND}",
            f"right side: in the {self.turns:,} frames with a label beyond {self.threshold:g}",
            f"smoothed: {self.smoothing}; constant: the mean label{' of the fitted frames' if self.fit else ''}",
        ]
        if self.fit:
            lines.append(
                f"fitted: gain {self.fit.gain:.3f} and bias {self.fit.bias:+.4f}, on the {self.fit.frames:,} frames of "
                f"the first {self.fit.seconds:g} s, which are not scored"
            )
        rows = {name.replace("_", ", "): its for name, its in self.drivers.items()}
        rows |= {f"{self.shown}, {part}": drivers[self.shown] for part, drivers in self.parts.items()}
        width = max(map(len, rows))
        lines += ["", f"{'':{width}}       r  right side      RMSE       MAE       EVA"]
        lines += [f"{name:{width}}{_cells(its)}" for name, its in rows.items()]
        if self.lag:
            lines += ["", f"best lag: the predictions are {self.lag.describe()}"]
        return "\n".join(lines)


def _cells(its: Agreement) -> str:
    side = "-" if its.right_side is None else f"{100 * its.right_side:.1f} %"
    r, eva = ("-" if value is None else f"{value:.3f}" for value in (its.correlation, its.eva))
    return f"{r:>8}{side:>12}{its.rmse:10.4f}{its.mae:10.4f}{eva:>10}"
