"""Draw three frames of a recovery in a simulated recording: its start, half-way back, on the centre line."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.pictures.plots.predictions import stretches
from bcclone.pictures.plots.style import new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn, SampleFrames, Subject
from bcclone.recording.run_tables import TracePoint, read_trace
from bcclone.system.arrays import FloatArray, IndexArray

_START_M, _END_M = 1.0, 0.3  # distance from the centre line: at least this at the start, at most that at the end
_LONGEST_SECONDS = 4.0


@dataclass(frozen=True)
class LocatedSamples:
    """Samples of the centre camera in the order of time, (samples,) each.

    indices: in the table of samples; seconds: since 1970; offset_m: metres to the right of the centre line.
    """

    indices: IndexArray
    seconds: FloatArray
    offset_m: FloatArray


def find_recoveries(seconds: FloatArray, offset_m: FloatArray) -> list[IndexArray]:
    """Return three indices of each recovery, (3,): its first frame, half-way back, and the first on the centre line.

    Recoveries begin after a pause of the recording. seconds, offset_m: (samples,), as in LocatedSamples.
    """
    found = []
    for stretch in stretches(seconds):
        distance_m = np.abs(offset_m[stretch])
        soon = seconds[stretch] - seconds[stretch[0]] <= _LONGEST_SECONDS
        half = np.flatnonzero(soon & (distance_m <= distance_m[0] / 2))
        middle = np.flatnonzero(soon & (distance_m <= _END_M))
        if distance_m[0] >= _START_M and len(middle):
            found.append(stretch[[0, half[0], middle[0]]])
    return found


def locate_samples(frames: SampleFrames) -> LocatedSamples:
    """Return the samples whose position on the track is in the trace.csv of their recording.

    Raises NotDrawn if there is no trace, and UserError for a trace that cannot be read.
    """
    samples = np.concatenate([frames.one_per_row(validation) for validation in (False, True)])
    samples = samples[np.argsort(frames.table["row"][samples], kind="stable")]
    traces: dict[Path, dict[str, TracePoint]] = {}
    offsets = np.full(len(samples), np.nan)
    for number, path in enumerate(map(frames.image_path, samples.tolist())):
        if path is None:
            continue
        image = Path(path)
        folder = image.parent.parent if image.parent.name == "IMG" else image.parent
        if folder not in traces:
            traces[folder] = read_trace(folder)
        if image.name in traces[folder]:
            offsets[number] = traces[folder][image.name].cross_track_m
    known = np.isfinite(offsets)
    if not known.any():
        raise NotDrawn("the positions of the car are not known: only `bcclone simulate record` writes a trace.csv")
    return LocatedSamples(samples[known], frames.seconds(samples[known]), offsets[known])


def plot_recovery_frames(subject: Subject, path: Path) -> None:
    """Draw the recovery that begins farthest from the centre line into a PNG; raises NotDrawn if there is none."""
    located = locate_samples(subject.frames)
    recoveries = find_recoveries(located.seconds, located.offset_m)
    if not recoveries:
        raise NotDrawn(f"there is no recovery from {_START_M:g} m or more beside the centre line")
    chosen = max(recoveries, key=lambda recovery: abs(located.offset_m[recovery[0]]))
    row = subject.frames.table["row"][located.indices]
    steering = subject.frames.data.rows["steering"][row]
    figure = new_figure(10, 2.5, "A recovery: the car begins beside the middle, and is recorded on its way back")
    for axes, number in zip(figure.subplots(1, len(chosen)), chosen.tolist(), strict=True):
        after = located.seconds[number] - located.seconds[chosen[0]]
        show_image(axes, subject.frames.frame(int(located.indices[number])), f"{after:.1f} s")
        axes.set_xlabel(f"{_describe(located.offset_m[number])}\nsteering {steering[number]:+.2f}", fontsize=9)
    save(figure, path)


def _describe(offset_m: float) -> str:
    return f"{abs(offset_m):.1f} m {'right' if offset_m > 0 else 'left'} of the middle"
