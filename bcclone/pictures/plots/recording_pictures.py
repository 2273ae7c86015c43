"""Draw recordings into PNGs: strips of rows and their steering, what a diagnosis found, and how pictures are framed."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bcclone.dataset.check import RecordingReport, read_center
from bcclone.dataset.evidence import Evidence
from bcclone.dataset.findings import Finding
from bcclone.dataset.framing import FRACTION, Framing, sampling_of
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.dataset.statistics import evenly
from bcclone.pictures.plots.style import GRAY, GREEN, ORANGE, RED, draw_steering, new_figure, save, show_image
from bcclone.recording.files import ImageIndex
from bcclone.system.arrays import FloatArray, IndexArray

_STRIP_ACROSS, _ROWS_IN_A_STRIP, _MOST_STRIPS = 8, 240, 12
_FADED = 0.35
_NO_IMAGE = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 200, np.uint8)
_LINES, _LEAST_SECONDS, _ACROSS = 4, 20.0, 6  # of a diagnosis: lines of curves, of so many seconds; frames


def plot_recording(log: Path, rows: pd.DataFrame, path: Path) -> None:
    """Draw strips of rows of a log into a PNG: pictures of the centre camera above the steering of each row.

    Deleted rows are shaded, and their pictures are faded. rows: with the columns of a log, and `seconds`, and
    `deleted`, bool; their index is the number of the row, from 0.
    """
    length = max(_ROWS_IN_A_STRIP, -(-len(rows) // _MOST_STRIPS))
    strips = [rows[start : start + length] for start in range(0, len(rows), length)]
    figure = new_figure(14, 2.3 * len(strips) + 0.4, f"{log.parent.name}/{log.name}")
    images = ImageIndex(log)
    parts = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
    for part, strip in zip(parts, strips, strict=True):
        _draw_strip(part, strip, images)
    save(figure, path)


def _draw_strip(part: SubFigure, rows: pd.DataFrame, images: ImageIndex) -> None:
    across = min(_STRIP_ACROSS, len(rows))
    grid = part.add_gridspec(2, across, height_ratios=(1.0, 0.9))
    for place, index in enumerate(evenly(len(rows), across)):
        row, frame = rows.iloc[index].to_dict(), _NO_IMAGE
        if found := images.find(str(row["center"])):
            with suppress(BadImage):
                frame = read_frame(found)
        shown = (255 - (255 - frame) * _FADED).astype(np.uint8) if row["deleted"] else frame
        title = f"row {rows.index[index] + 1}, {row['seconds']:.1f} s"
        show_image(part.add_subplot(grid[0, place]), shown, title)
    axes, numbers = part.add_subplot(grid[1, :]), rows.index.to_numpy(np.float64) + 1
    axes.axhline(0, color=GRAY, linewidth=0.6)
    pauses = np.flatnonzero(rows["episode"].diff().to_numpy() > 0)
    limits = (numbers[0], max(numbers[-1], numbers[0] + 1))
    draw_steering(axes, numbers, {"": rows["steering"].to_numpy(np.float64)}, limits, pauses)
    deleted = rows["deleted"].to_numpy()
    axes.fill_between(numbers, -1.05, 1.05, where=deleted, step="mid", color=RED, alpha=0.25, linewidth=0)
    axes.set_ylim(-1.05, 1.05)


def plot_diagnosis(report: RecordingReport, path: Path) -> None:
    """Draw the diagnosis of a recording into a PNG: steering and turns of the camera, and frames of what was found.

    Raises ValueError for a recording that was not diagnosed.
    """
    diagnosis, log = report.diagnosis, report.log
    if diagnosis is None or log is None or diagnosis.evidence is None:
        raise ValueError(f"{report.path}: it has no diagnosis, expected a recording with images")
    evidence = diagnosis.evidence
    duration = float(evidence.seconds[-1])
    count = max(1, min(_LINES, int(duration / _LEAST_SECONDS)))
    shown = [finding for finding in diagnosis.findings if finding.rows] or list(diagnosis.findings[:1])
    heights = [1.6] * count + [1.5] * len(shown)
    figure = new_figure(12, sum(heights) + 0.8, f"{log.path.parent.name}: {diagnosis.verdict}")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    lines = [part.subplots() for part in parts[:count]]
    for number, axes in enumerate(lines):
        _draw_curves(axes, evidence, (number * duration / count, (number + 1) * duration / count))
    lines[0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False)
    parts[count - 1].supxlabel("seconds of driving, without pauses", fontsize=9)
    for part, finding in zip(parts[count:], shown, strict=True):
        part.suptitle(f"{finding.fault}: {finding.text}", fontsize=9)
        for axes, row in zip(part.subplots(1, _ACROSS), _rows_of(finding, evidence).tolist(), strict=True):
            frame = read_center(log, row)
            show_image(axes, _NO_IMAGE if frame is None else frame, f"row {evidence.numbers[row]}")
    save(figure, path)


def _draw_curves(axes: Axes, evidence: Evidence, limits: tuple[float, float]) -> None:
    curvature = evidence.curvature()
    scale = evidence.steering.std() / curvature.std() if curvature.std() > 0 else 0.0
    turns = np.interp(evidence.seconds, evidence.middles, scale * curvature)
    axes.axhline(0, color=GRAY, linewidth=0.6)
    curves = {"recorded steering": evidence.steering, "turn of the camera, scaled": turns}
    draw_steering(axes, evidence.seconds, curves, limits)
    most = max(0.1, 1.1 * float(np.abs(evidence.steering).max()))
    axes.set_ylim(-most, most)


def _rows_of(finding: Finding, evidence: Evidence) -> IndexArray:
    """Return the indices of rows to show, (_ACROSS,): of those concerned, or of all, evenly spread.

    Few rows are shown with those beside them.
    """
    concerned = np.zeros(len(evidence.numbers), np.bool_)
    for first, last in finding.rows:
        concerned |= (evidence.numbers >= first) & (evidence.numbers <= last)
    rows = np.flatnonzero(concerned) if concerned.any() else np.arange(len(evidence.numbers))
    if len(rows) < _ACROSS:
        rows = np.clip(rows[0] - _ACROSS // 2, 0, len(concerned) - _ACROSS) + np.arange(_ACROSS)
    return rows[evenly(len(rows), _ACROSS)]


def plot_framing(
    framing: Framing, picture: Image, seconds: FloatArray, steering: Mapping[str, FloatArray], path: Path
) -> None:
    """Draw a picture, RGB uint8 (height, width, 3), with the part that its frame shows, the frame, and curves of
    steering over time into a PNG.
    """
    figure = new_figure(11, 6.5, framing.describe())
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1.0))
    before, after, below = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
    show_image(before, picture, "a picture, and what the network's frame shows of it")
    _draw_region(before, framing)
    show_image(after, framing.apply(picture), "the frame")
    draw_steering(below, seconds, steering, (seconds[0], max(seconds[-1], seconds[0] + 1e-9)))
    below.set_xlabel("seconds")
    below.legend(frameon=False)
    save(figure, path)


def _draw_region(axes: Axes, framing: Framing) -> None:
    """Draw the outline of the frame, and with a lens the horizon and the vanishing point."""
    lens = framing.lens
    if lens is None:
        (top, bottom), (left, right) = framing.rows or (0, framing.height), framing.columns or (0, framing.width)
        outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    else:
        sampling = sampling_of(framing)
        scale = framing.width / sampling.width, framing.height / sampling.height
        place = (sampling.corner + sampling.part / FRACTION + 0.5) * scale
        outline = np.concatenate([place[0], place[:, -1], place[-1, ::-1], place[::-1, 0]])
    axes.plot(*(outline - 0.5).T, color=ORANGE, linewidth=1.5)
    if lens is None:
        return
    slope = np.tan(np.radians(lens.roll_degrees))
    ends = np.array([-0.5, framing.width - 0.5])
    axes.plot(ends, lens.horizon_row + slope * (ends - lens.vanishing_column), color=GREEN, linewidth=1)
    axes.plot([lens.vanishing_column], [lens.horizon_row], "+", color=GREEN, markersize=12)
    axes.set(xlim=(-0.5, framing.width - 0.5), ylim=(framing.height - 0.5, -0.5))
