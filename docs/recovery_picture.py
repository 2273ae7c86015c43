"""Draw three frames of a recovery into writeup_images/recovery.png.

    bcclone simulate record laps --laps 2
    python docs/recovery_picture.py laps

Of the recoveries in a recording of the built-in simulator, the one that begins farthest from the
middle of the road is drawn: where it begins, half-way back, and in the middle.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from bcclone.camera.images import read_frame
from bcclone.pictures.plots.style import new_figure, save, show_image
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import read_trace
from bcclone.system.arrays import FloatArray, IndexArray

PICTURE = Path(__file__).parent.parent / "writeup_images" / "recovery.png"
BEGINS_M = 1.0  # least distance from the middle at which a recovery begins
ENDS_M = 0.2  # distance at which it has ended
LONGEST_SECONDS = 5.0


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recording", type=Path, help="a recording of bcclone simulate record")
    draw(parser.parse_args().recording, PICTURE)


def draw(recording: Path, path: Path) -> None:
    """Draw three frames of a recovery in a recording; raises ValueError if there is none."""
    rows = read_log(recording / "driving_log.csv").rows
    trace = read_trace(recording)
    seconds = rows["time_ms"].to_numpy() / 1000
    offset_m = np.array([trace[image].cross_track_m for image in rows["center"]])
    begin, half, end = find_recovery(seconds, rows["episode"].to_numpy(), offset_m)

    figure = new_figure(7.6)
    for axes, row in zip(figure.subplots(3, 1), (begin, half, end), strict=True):
        steering = rows["steering"].iloc[row]
        side = "right" if offset_m[row] > 0 else "left"
        title = (
            f"{seconds[row] - seconds[begin]:.1f} s: {abs(offset_m[row]):.1f} m {side} of the "
            f"middle, steering {steering:+.2f}"
        )
        show_image(axes, read_frame(str(recording / "IMG" / rows["center"].iloc[row])), title)
        axes.set_axis_off()
    save(figure, path)


def find_recovery(
    seconds: FloatArray, episode: IndexArray, offset_m: FloatArray
) -> tuple[int, int, int]:
    """Return the rows of a recovery's begin, half-way back and end; raises ValueError for none.

    A recovery begins an episode, since the way out to the side is not recorded.

    seconds, episode, offset_m: time, number of the episode and place to the right of the middle of
        each row, (rows,)
    """
    found = []
    edges = [0, *(np.flatnonzero(np.diff(episode)) + 1), len(episode)]
    for first, last in pairwise(edges):
        beside = np.abs(offset_m[first:last])
        soon = seconds[first:last] - seconds[first] <= LONGEST_SECONDS
        half = np.flatnonzero(soon & (beside <= beside[0] / 2))
        ended = np.flatnonzero(soon & (beside <= ENDS_M))
        if beside[0] >= BEGINS_M and len(ended):
            found.append((beside[0], (first, first + int(half[0]), first + int(ended[0]))))
    if not found:
        raise ValueError("no recovery in this recording; record one with --recoveries 8")
    return max(found)[1]


if __name__ == "__main__":
    main()
