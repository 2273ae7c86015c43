"""Correction of the side cameras -> how soon it brings the car back from where they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.labels import Correction
from bcclone.plots.figure import BLUE, GRAY, GREEN, ORANGE, RED, new_figure, save, tidy
from bcclone.plots.subject import Subject
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH, SIDE_CAMERA_M, seconds_back, steering_back

_USUAL_MPH = (10.0, 20.0, 30.0)
_APART_MPH = 4.0  # nearer curves could not be told apart
_LEAST_MPH = 3.0  # slower is no driving
_STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"))
_SECONDS = np.linspace(0.3, 3.0, 200)


@dataclass(frozen=True)
class Return:
    """A correction at a speed: the car is back on its line after so many seconds and metres."""

    speed_mph: float
    correction: float
    seconds: float
    metres: float


def returns(correction: Correction, speeds_mph: Sequence[float]) -> list[Return]:
    """Return when a car that is where a side camera is has come back, at each speed."""
    speeds = np.array(speeds_mph, float)
    sides = (correction.of_camera("left", speeds) - correction.of_camera("right", speeds)) / 2
    found = []
    for speed, steering in zip(speeds.tolist(), sides.tolist(), strict=True):
        seconds = seconds_back(SIDE_CAMERA_M, speed * MPH, steering)
        found.append(Return(speed, steering, seconds, seconds * speed * MPH))
    return found


def typical_speeds(recorded_mph: npt.NDArray[np.float64]) -> list[float]:
    """Return the median speed of (rows,) and, of 10, 20 and 30 mph, those that are not near it; from slow to fast."""
    driven = recorded_mph[recorded_mph >= _LEAST_MPH]
    if not len(driven):
        return list(_USUAL_MPH)
    median = float(round(np.median(driven)))
    return sorted([median, *(speed for speed in _USUAL_MPH if abs(speed - median) >= _APART_MPH)])


def plot_recovery(subject: Subject, path: Path) -> None:
    """Draw the steering that brings the car back in a time, against the correction, into a PNG."""
    correction = subject.correction
    title = f"Steering that brings the car back from a side camera's place, {SIDE_CAMERA_M:.2f} m beside its line"
    figure = new_figure(8, 4.8, title)
    axes = figure.subplots()
    speeds = typical_speeds(subject.scenes.speeds_mph())
    backs = returns(correction, speeds)
    for back, (color, style) in zip(backs, _STYLES, strict=False):
        needed = [steering_back(SIDE_CAMERA_M, back.speed_mph * MPH, seconds) for seconds in _SECONDS]
        label = f"{back.speed_mph:g} mph"
        if math.isfinite(back.seconds):
            label += f": {back.correction:.3g} takes {back.seconds:.1f} s, {back.metres:.0f} m"
            axes.plot([back.seconds], [back.correction], "o", color=color, zorder=4)
        axes.plot(_SECONDS, needed, style, color=color, linewidth=2, label=label)
    if isinstance(correction.steering, float):
        label = f"correction that the samples carry: {correction.steering:g}"
        axes.axhline(correction.steering, color=GRAY, linestyle=":", label=label)
    else:
        axes.plot([], [], " ", label=f"correction: auto, aiming {correction.lookahead_seconds:g} s ahead")
    axes.set(
        xlabel="seconds until it is back on its line, beginning parallel to it and holding the steering",
        ylabel=f"steering (1 is full lock, {FULL_LOCK_DEGREES:g} degrees)",
        xlim=(0, _SECONDS[-1]),
        ylim=(0, max(0.5, 1.6 * max(back.correction for back in backs))),
    )
    tidy(axes)
    axes.legend(fontsize=9)
    save(figure, path)
