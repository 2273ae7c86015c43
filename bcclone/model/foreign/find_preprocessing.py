"""Find out, with a recording, how another program prepared the frames for its model.

In: the model, and a recording. Out: `Candidate`s. The usual preparations that fit the model's input
are tried. With the right one, the model's answers probably agree best with the recorded steering.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import read_log
from bcclone.system.errors import Table, TableColumn, UserError, number_of
from bcclone.system.numbers import Float32Array, FloatArray, correlation, evenly, varies
from bcclone.system.process import ProgressBar

if TYPE_CHECKING:
    from bcclone.model.foreign.foreign_model import ForeignModel


@dataclass(frozen=True)
class Candidate:
    """A preprocessing, and how well a model's answers then agree with the recorded steering."""

    preprocess: str  # a text for --preprocess
    correlation: float  # Pearson's, of the answers and the recorded steering
    mean_absolute_error: float  # mean distance of the answers from the steering, which is -1 to 1

    @property
    def rank(self) -> tuple[float, float]:
        """Return a sort key, the best first: the correlation in hundredths, then the error."""
        return -round(self.correlation, 2), self.mean_absolute_error

    @property
    def agrees_well(self) -> bool:
        return self.correlation >= 0.5


@dataclass(frozen=True)
class _Search:
    """How many preprocessings are tried, and on how many rows of the recording."""

    few_rows: int = 80  # all preprocessings are tried on this many rows or up to twice as many
    # the best ones are tried again on this many rows; a network that takes windows of several
    # frames is tried on fewer windows, with about as many frames in all
    most_rows: int = 400
    finalists: int = 60  # how many preprocessings are tried again
    shown: int = 8  # how many candidates are returned
    batch: int = 40  # about how many rows a network gets at once


_SEARCH = _Search()


def find_preprocessing(
    model: "ForeignModel",
    recording: Path,
    how: str | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> tuple[Candidate, ...]:
    """Return the preprocessings with which a model agrees best with a recording, the best first.

    Raises UserError for a recording that cannot be used, or whose steering never changes.

    how: the only preprocessing to try; None for the usual ones that fit the model's input: presets,
        and combinations of usual crops, colours and scales
    notify: called with a line that says how many are tried
    """
    from bcclone.model.layer_kinds import scaling_layer, with_scale
    from bcclone.model.recurrent import compile_call

    network = model.rebuilt.model
    shape = model.input_shape
    trial = _read_trial(recording, shape)

    # which preprocessings to try; a network that scales the pixels itself needs no scale
    scales = ["0..1", "-1..1", "-0.5..0.5", EACH_IMAGE, RAW]
    if scaling_layer(network):
        scales = [""]
    if how:
        choices = [model.declared(how)[1]]
    else:
        usual = _usual_choices(shape[-3:])
        choices = [
            replace(unscaled, scale=scale) for unscaled, scale in itertools.product(usual, scales)
        ]
    if not choices:  # declared() raises the UserError; only for a pilot of donkeycar, it knows one
        choices = [model.declared(how)[1]]

    # the scale becomes the network's first layer, so each scale makes a network of its own
    calls: dict[str, Callable[[Image], Float32Array]] = {}
    for choice in choices:
        if choice.scale not in calls:
            calls[choice.scale] = compile_call(with_scale(network, choice.scale), batch=None)

    # all on a few rows, then the best of them on all rows
    notify(f"trying {number_of(len(choices), 'way')} to prepare the frames of {recording}")
    few_rows = trial.every(max(len(trial.windows) // _SEARCH.few_rows, 1))
    ranks = []
    with ProgressBar("trying", len(choices), "ways") as progress:
        for choice in choices:
            ranks.append(few_rows.candidate(choice, calls[choice.scale]).rank)
            progress.advance(1)
    order = sorted(range(len(choices)), key=lambda number: ranks[number])
    finalists = [choices[number] for number in order[: _SEARCH.finalists]]
    candidates = [trial.candidate(choice, calls[choice.scale]) for choice in finalists]
    candidates.sort(key=lambda candidate: candidate.rank)
    return tuple(candidates[: _SEARCH.shown])


@dataclass(frozen=True)
class _Trial:
    """Frames of a recording that a model is tried on."""

    windows: Sequence[Sequence[Image]]  # each has one frame if the network takes single frames
    steering: FloatArray  # recorded steering of the last frame of each window
    input_shape: tuple[int, ...]  # shape of the network's input, without the batch

    def every(self, step: int) -> "_Trial":
        """Return a trial of every `step`-th window."""
        return replace(self, windows=self.windows[::step], steering=self.steering[::step])

    def candidate(
        self, preprocessing: Preprocessing, call: Callable[[Image], Float32Array]
    ) -> Candidate:
        """Return how well a network agrees if the frames are prepared in this way.

        call: computes the network, with the scale as its first layer
        """
        prepared = [
            np.stack([preprocessing.apply(frame) for frame in window]) for window in self.windows
        ]
        images = np.stack(prepared).reshape(-1, *self.input_shape)
        batches = np.array_split(images, len(prepared) // _SEARCH.batch + 1)
        answers = np.concatenate([call(batch)[:, 0] for batch in batches]).astype(np.float64)
        answers = np.nan_to_num(answers).clip(-1.0, 1.0)
        error = float(np.abs(answers - self.steering).mean())
        agreement = correlation(answers, self.steering) or 0.0  # None if all answers are equal
        return Candidate(preprocessing.describe(), round(agreement, 4), round(error, 4))


def _read_trial(recording: Path, shape: tuple[int, ...]) -> _Trial:
    """Return windows that end at rows spread over a recording, with the steering of these rows.

    shape: rows, columns and channels of the network's input; in front of them, if it takes windows
        of frames, the number of frames
    """
    length = shape[0] if len(shape) == 4 else 1
    log = find_log(str(recording))
    index = ImageIndex(log)
    rows = read_log(log).rows
    paths = [index.find(name) for name in rows["center"]]
    windows = []
    steering = []
    count = max(_SEARCH.most_rows // length, _SEARCH.few_rows)
    for row in evenly(len(paths), count).tolist():
        first = max(row - length + 1, 0)
        try:
            window = [read_frame(path) for path in paths[first : row + 1] if path]
        except BadImage:
            continue
        if paths[row]:
            # copies of its first frame fill a window that begins before the recording or lacks
            # files
            missing = length - len(window)
            windows.append([window[0]] * missing + window)
            steering.append(float(rows["steering"].iloc[row]))
    if not varies(np.array(steering)):
        raise UserError(
            f"{log}: of {len(steering)} readable frames, all have one steering; name a recording "
            "with bends"
        )
    return _Trial(windows, np.array(steering), shape)


def _usual_choices(shape: Sequence[int]) -> Iterable[Preprocessing]:
    """Return the usual preprocessings for a network of this input, without their scales.

    They are the presets that fit, and the usual crops in the usual colours, each once.

    shape: rows, columns and channels of the network's input
    """
    rows, columns, channels = shape
    crops = [  # first row and row after the last one
        (0, 160), (60, 135), (60, 140), (50, 140), (55, 135), (40, 140), (32, 135), (65, 140),
        (70, 135), (60, 160),
    ]  # fmt: skip
    if (rows, columns) == (FRAME_HEIGHT, FRAME_WIDTH):  # whole frames
        crops = crops[:1]
    colors = {
        1: ("GRAY", "HSV-S", "YUV-Y"),
        3: ("RGB", "BGR", "YUV", "BGR-YUV", "HSV", "BGR-HSV"),
    }
    choices = [
        replace(preset, scale="")
        for preset in PRESETS.values()
        if preset.shape == (rows, columns, channels)
    ]
    for (top, bottom), color in itertools.product(crops, colors.get(channels, ())):
        choices.append(Preprocessing(columns, rows, color, crop_top=top, crop_bottom=bottom))
    return dict.fromkeys(choices)


# ---- the choice among the candidates


def candidates_table(candidates: Sequence[Candidate]) -> str:
    columns = (
        TableColumn("r", "{:.3f}".format),
        TableColumn("error", "{:.3f}".format),
        TableColumn("--preprocess"),
    )
    rows = [
        (candidate.correlation, candidate.mean_absolute_error, f"'{candidate.preprocess}'")
        for candidate in candidates
    ]
    return str(Table(columns, rows))


def clear_winner(candidates: Sequence[Candidate]) -> str:
    """Return the text of the best candidate; raises UserError if it is not clearly the best."""
    best, *others = candidates
    if not best.agrees_well or not all(_is_clearly_better(best, other) for other in others):
        raise UserError(
            "none is clearly the best; choose one of these: look into the author's program, or try "
            f"each with bcclone evaluate:\n{candidates_table(candidates)}"
        )
    return best.preprocess


def _is_clearly_better(best: Candidate, other: Candidate) -> bool:
    clear_gain = 0.05  # the best one's correlation is higher by this or more; or else:
    clear_fraction = 0.7  # its error is below this fraction of the other one's error
    return (
        best.correlation - other.correlation >= clear_gain
        or best.mean_absolute_error < clear_fraction * other.mean_absolute_error
    )
