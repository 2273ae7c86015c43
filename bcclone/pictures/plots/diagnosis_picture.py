"""Draw a diagnosis: a RecordingReport -> a PNG of the steering and the turns of the camera, and of frames."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bcclone.dataset.check import RecordingReport, read_center
from bcclone.dataset.diagnosis.driven import Driven
from bcclone.dataset.diagnosis.finding import Finding
from bcclone.pictures.plots.style import GRAY, draw_steering, new_figure, save, show_image
from bcclone.system.arrays import IndexArray

_LINES, _ACROSS = 4, 6
_LEAST_SECONDS = 20.0  # in a line


def plot_diagnosis(report: RecordingReport, path: Path) -> None:
    """Draw the diagnosis of a recording into a PNG; raises ValueError for one that was not diagnosed."""
    diagnosis, log = report.diagnosis, report.log
    if diagnosis is None or log is None or diagnosis.driven is None:
        raise ValueError(f"{report.path}: it has no diagnosis, expected a recording with images")
    driven = diagnosis.driven
    duration = float(driven.seconds[-1])
    count = max(1, min(_LINES, int(duration / _LEAST_SECONDS)))
    shown = [finding for finding in diagnosis.findings if finding.rows] or list(diagnosis.findings[:1])
    heights = [1.6] * count + [1.5] * len(shown)
    figure = new_figure(12, sum(heights) + 0.8, f"{log.path.parent.name}: {diagnosis.verdict}")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for number in range(count):
        axes = parts[number].subplots()
        _draw_curves(axes, driven, number * duration / count, (number + 1) * duration / count)
        if number == 0:
            axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False)
    parts[count - 1].supxlabel("seconds of driving, without pauses", fontsize=9)
    for part, finding in zip(parts[count:], shown, strict=True):
        part.suptitle(f"{finding.fault}: {finding.text}", fontsize=9)
        for axes, row in zip(part.subplots(1, _ACROSS), _rows_of(finding, driven), strict=True):
            frame = read_center(log, int(row))
            show_image(axes, np.full((160, 320, 3), 200, np.uint8) if frame is None else frame,
                       f"row {driven.numbers[row]}")  # fmt: skip
    save(figure, path)


def _draw_curves(axes: Axes, driven: Driven, first: float, last: float) -> None:
    curvature = driven.curvature()
    scale = driven.steering.std() / curvature.std() if curvature.std() > 0 else 0.0
    turns = np.interp(driven.seconds, driven.middles, scale * curvature)
    curves = {"recorded steering": driven.steering, "turn of the camera, scaled": turns}
    axes.axhline(0, color=GRAY, linewidth=0.6)
    draw_steering(axes, driven.seconds, curves, (first, last))
    most = max(0.1, 1.1 * float(np.abs(driven.steering).max()))
    axes.set_ylim(-most, most)


def _rows_of(finding: Finding, driven: Driven) -> IndexArray:
    """Return the indices of rows to show, (_ACROSS,): of those concerned, or of all, evenly spread.

    Few rows are shown with those beside them.
    """
    concerned = np.zeros(len(driven.numbers), np.bool_)
    for first, last in finding.rows:
        concerned |= (driven.numbers >= first) & (driven.numbers <= last)
    rows = np.flatnonzero(concerned) if concerned.any() else np.arange(len(driven.numbers))
    if len(rows) < _ACROSS:
        rows = np.clip(rows[0] - _ACROSS // 2, 0, len(concerned) - _ACROSS) + np.arange(_ACROSS)
    return np.asarray(rows[np.linspace(0, len(rows) - 1, _ACROSS).round().astype(int)], np.int64)
