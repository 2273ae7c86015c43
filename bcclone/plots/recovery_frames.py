"""Samples of a simulated recording -> three frames of a recovery: where it begins, half way back, in the middle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.plots.predictions import stretches
from bcclone.plots.style import new_figure, save, show_image
from bcclone.plots.subject import NotDrawn, Positions, Scenes, Subject
from bcclone.recording.run_tables import TracePoint, read_trace

Array = npt.NDArray[np.float64]

_BESIDE_M, _MIDDLE_M = 1.0, 0.3  # from the centre line: where a recovery begins, at least, and where it ends
_LONGEST_SECONDS = 4.0


@dataclass(frozen=True)
class Placed:
    """Samples of the centre camera in the order of time, each of (instants,).

    positions: in the table of samples; seconds: since 1970; offset_m: metres to the right of the centre line.
    """

    positions: Positions
    seconds: Array
    offset_m: Array


def find_recoveries(seconds: Array, offset_m: Array) -> list[Positions]:
    """Return three indices for each recovery, (3,): its first frame, half way back, and the first frame in the middle.

    Recoveries begin after a pause of the recording. seconds, offset_m: (instants,), as in Placed.
    """
    found = []
    for stretch in stretches(seconds):
        beside = np.abs(offset_m[stretch])
        soon = seconds[stretch] - seconds[stretch[0]] <= _LONGEST_SECONDS
        half = np.flatnonzero(soon & (beside <= beside[0] / 2))
        middle = np.flatnonzero(soon & (beside <= _MIDDLE_M))
        if beside[0] >= _BESIDE_M and len(middle):
            found.append(stretch[[0, half[0], middle[0]]])
    return found


def place_samples(scenes: Scenes) -> Placed:
    """Return the instants whose place on the track is in the trace.csv of their recording.

    Raises NotDrawn where there is no trace, and UserError for a trace that cannot be read.
    """
    instants = np.concatenate([scenes.instants(validation) for validation in (False, True)])
    instants = instants[np.argsort(scenes.samples["row"][instants], kind="stable")]
    traces: dict[Path, dict[str, TracePoint]] = {}
    offsets = np.full(len(instants), np.nan)
    for place, path in enumerate(map(scenes.image_path, instants.tolist())):
        if path is None:
            continue
        image = Path(path)
        folder = image.parent.parent if image.parent.name == "IMG" else image.parent
        if folder not in traces:
            traces[folder] = read_trace(folder)
        if image.name in traces[folder]:
            offsets[place] = traces[folder][image.name].cross_track_m
    known = np.isfinite(offsets)
    if not known.any():
        raise NotDrawn("where the car was is not known: only `bcclone simulate record` writes a trace.csv")
    return Placed(instants[known], scenes.seconds(instants[known]), offsets[known])


def plot_recovery_frames(subject: Subject, path: Path) -> None:
    """Draw the recovery that begins farthest from the middle into a PNG; raises NotDrawn where there is none."""
    placed = place_samples(subject.scenes)
    recoveries = find_recoveries(placed.seconds, placed.offset_m)
    if not recoveries:
        raise NotDrawn(f"there is no recovery from {_BESIDE_M:g} m and more beside the middle")
    chosen = max(recoveries, key=lambda recovery: abs(placed.offset_m[recovery[0]]))
    row = subject.scenes.samples["row"][placed.positions]
    steering = subject.scenes.data.rows["steering"][row]
    figure = new_figure(10, 2.5, "A recovery: the car begins beside the middle, and is recorded on its way back")
    for axes, place in zip(figure.subplots(1, len(chosen)), chosen.tolist(), strict=True):
        after = placed.seconds[place] - placed.seconds[chosen[0]]
        show_image(axes, subject.scenes.frame(int(placed.positions[place])), f"{after:.1f} s")
        axes.set_xlabel(f"{_describe(placed.offset_m[place])}\nsteering {steering[place]:+.2f}", fontsize=9)
    save(figure, path)


def _describe(offset_m: float) -> str:
    return f"{abs(offset_m):.1f} m {'right' if offset_m > 0 else 'left'} of the middle"
