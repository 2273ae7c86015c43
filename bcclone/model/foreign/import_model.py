"""Convert a Keras model of another program to a bcclone model file, which stores its preprocessing.

The preprocessing that the model was trained with is given, or found: those that fit its input are
tried on a recording.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, scaling_of_text
from bcclone.model.model_path import ImportModelSettings
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import read_log
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.output import MODEL, inputs_of, writing
from bcclone.system.progress import ProgressBar
from bcclone.system.statistics import correlation, evenly, varies
from bcclone.system.table import Table, TableColumn

if TYPE_CHECKING:
    from bcclone.model.foreign.rebuild import RebuiltModel
    from bcclone.model.model_file import ForeignModel

_CROPS = (
    (0, 160),
    (60, 135),
    (60, 140),
    (50, 140),
    (55, 135),
    (40, 140),
    (32, 135),
    (65, 140),
    (70, 135),
    (60, 160),
)
_COLORS = {1: ("GRAY", "HSV-S", "YUV-Y"), 3: ("RGB", "BGR", "YUV", "BGR-YUV", "HSV", "BGR-HSV")}
_SCALES = ("0..1", "-1..1", "-0.5..0.5", EACH_IMAGE, RAW)
_FEW, _MOST, _FINALISTS, _SHOWN = (
    80,
    400,
    60,
    8,
)  # rows that all are tried on, and the best; how many those are
# of one that is taken: its correlation, how much more that is than the next one's, or the fraction
# of its error
_CERTAIN, _APART, _BETTER = 0.5, 0.05, 0.7
_BATCH = 40
_COLUMNS = (
    TableColumn("r", "{:.3f}".format),
    TableColumn("error", "{:.3f}".format),
    TableColumn("--preprocess"),
)


@dataclass(frozen=True)
class Candidate:
    """How well a model agrees with the steering of a recording, if its frames are prepared so.

    preprocess: a text for --preprocess; correlation: Pearson's; mean_absolute_error: of the
    steering, -1 to 1.
    """

    preprocess: str
    correlation: float
    mean_absolute_error: float

    @property
    def rank(self) -> tuple[float, float]:
        """Return what candidates are sorted by: their correlation, and of about the same, their
        error.
        """
        return -round(self.correlation, 2), self.mean_absolute_error


@dataclass(frozen=True)
class ImportModelResult:
    """An imported model.

    model: the file written, None if it was only looked for the preprocessing; rebuilt: its network
    and its origin; preprocessing: how its frames are prepared; candidates: the best ones on a
    recording, the best first.
    """

    model: str | None
    rebuilt: "RebuiltModel"
    preprocessing: str | None
    candidates: tuple[Candidate, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the values of --json, also the shape of the input, without the batch, and the
        number of weights.
        """
        network, values = self.rebuilt.model, vars(self.rebuilt) | vars(self)
        figures = {"input_shape": network.input_shape[1:], "weights": network.count_params()}
        return {
            name: value
            for name, value in values.items()
            if name not in ("rebuilt", "pilot", "guessed")
        } | figures

    def as_text(self) -> str:
        """Return what was written, or what to choose from."""
        lines = []
        if self.candidates:
            lines = [
                "r: correlation with the recorded steering; error: mean absolute difference",
                _table(self.candidates),
            ]
            if self.candidates[0].correlation < _CERTAIN:
                lines.append(
                    "none agrees well: its frames may be prepared otherwise, or the driver was another"
                )
        if self.model:
            lines.append(f"its frames are prepared as {self.preprocessing}")
            lines.append(
                f"{self.model}: written; next: {shown_command('drive', self.model, 'run1')}"
            )
        else:
            best = self.candidates[0]
            words = (
                f"the same with -o model.h5 --preprocess '{best.preprocess}', or another of these"
            )
            check = (
                "; then see which one drives: bcclone evaluate model.h5"
                if best.correlation < _CERTAIN
                else ""
            )
            lines.append(f"next: {words}{check}")
        return "\n".join(lines)


def import_model(
    settings: ImportModelSettings, notify: Callable[[str], None] = lambda line: None
) -> ImportModelResult:
    """Rebuild the network of a model file without running code in it, and write it with its
    preprocessing.

    With a recording, and neither a preprocessing nor an output, nothing is written. notify: called
    with lines that describe the network, before its preprocessing is checked. Raises UserError when
    the file cannot be imported, when its preprocessing is missing, wrong, or not certain on the
    recording, or when the output cannot be written.
    """
    old, output, how = settings.old, settings.output, settings.preprocess
    if how or not settings.recording:
        output = output or Path("model.h5")
    if output and output.suffix != ".h5":
        raise UserError(f"{output}: a model's name must end in .h5; name another -o")
    with writing(output, MODEL, settings.force, inputs_of(settings)):
        from bcclone.system.tensorflow_quietly import load_tensorflow

        load_tensorflow()
        from bcclone.model.model_file import ModelFile, open_model, save_model

        loaded = open_model(
            old, how, scaling_of_text(settings.rescale) if settings.rescale else None
        )
        if isinstance(loaded, ModelFile):
            raise UserError(f"{old} is a bcclone model already; copy the file instead")
        for line in loaded.describe():
            notify(line)
        rebuilt, prepared, candidates = loaded.rebuilt, None, tuple[Candidate, ...]()
        if settings.recording:
            candidates = find_preprocessing(loaded, settings.recording, how, notify)
        if output:
            file = loaded.declared(_clear_winner(candidates) if candidates and not how else how)
            save_model(output, file.model, file.preprocessing, {"imported": file.training.imported})
            prepared = file.preprocessing.describe()
    return ImportModelResult(str(output) if output else None, rebuilt, prepared, candidates)


# ---- the preprocessing that fits a recording


def find_preprocessing(
    model: "ForeignModel",
    recording: Path,
    how: str | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> tuple[Candidate, ...]:
    """Return the ways to prepare frames with which a model agrees best with a recording's steering,
    the best first.

    how: the only way to try; None for the usual ones that fit: presets, and crops, colours and
    scales. Raises UserError for a recording that cannot be used, or whose steering never changes.
    """
    from bcclone.model.layer_kinds import scaling_layer
    from bcclone.model.model_file import with_scale
    from bcclone.model.recurrent import compile_call

    network, shape = model.rebuilt.model, model.input_shape
    windows, steering = _recorded(recording, shape[0] if len(shape) == 4 else 1)
    ways = [] if how else [
        replace(plausible, scale=scale)
        for plausible, scale in itertools.product(_plausible(shape[-3:]), [""] if scaling_layer(network) else _SCALES)
    ]  # fmt: skip
    ways = ways or [model.declared(how).preprocessing]
    calls = {
        scale: compile_call(with_scale(network, scale), None)
        for scale in {way.scale for way in ways}
    }

    def tried(way: Preprocessing, rows: slice) -> Candidate:
        images = np.stack([[way.apply(frame) for frame in window] for window in windows[rows]])
        parts = np.array_split(images.reshape(-1, *shape), len(images) // _BATCH + 1)
        answers = np.concatenate([calls[way.scale](part)[:, 0] for part in parts]).astype(
            np.float64
        )
        answers, wanted = np.nan_to_num(answers).clip(-1.0, 1.0), steering[rows]
        error = float(np.abs(answers - wanted).mean())
        return Candidate(
            way.describe(), round(correlation(answers, wanted) or 0.0, 4), round(error, 4)
        )

    notify(f"trying {number_of(len(ways), 'way')} to prepare the frames of {recording}")
    few = slice(0, None, max(len(windows) // _FEW, 1))
    ranks = []
    with ProgressBar("trying", len(ways), "ways") as progress:
        for way in ways:
            ranks.append(tried(way, few).rank)
            progress.advance(1)
    best = sorted(zip(ranks, ways, strict=True), key=lambda pair: pair[0])[:_FINALISTS]
    return tuple(
        sorted((tried(way, slice(None)) for _, way in best), key=lambda one: one.rank)[:_SHOWN]
    )


def _recorded(recording: Path, length: int) -> tuple[list[list[Image]], FloatArray]:
    """Return the windows of so many frames that end at rows spread over a recording, and the
    steering of these rows.
    """
    log = find_log(str(recording))
    index, rows = ImageIndex(log), read_log(log).rows
    paths = [index.find(name) for name in rows["center"]]
    windows, steering = [], []
    for row in evenly(len(paths), max(_MOST // length, _FEW)).tolist():
        try:
            first = max(row - length + 1, 0)
            window = [read_frame(path) for path in paths[first : row + 1] if path]
        except BadImage:
            continue
        if paths[row]:
            windows.append([window[0]] * (length - len(window)) + window)
            steering.append(float(rows["steering"].iloc[row]))
    if not varies(np.array(steering)):
        raise UserError(
            f"{log}: of {len(steering)} readable frames, all have one steering; name a recording with bends"
        )
    return windows, np.array(steering)


def _plausible(shape: Sequence[int]) -> Iterable[Preprocessing]:
    """Return the usual ways to prepare frames for a network of this input: presets, and crops and
    colours.
    """
    rows, columns, channels = shape
    crops = _CROPS[:1] if (rows, columns) == (FRAME_HEIGHT, FRAME_WIDTH) else _CROPS
    ways = [
        replace(preset, scale="")
        for preset in PRESETS.values()
        if preset.shape == (rows, columns, channels)
    ]
    for (top, bottom), color in itertools.product(crops, _COLORS.get(channels, ())):
        ways.append(Preprocessing(columns, rows, color, crop_top=top, crop_bottom=bottom))
    return dict.fromkeys(ways)


def _table(candidates: Sequence[Candidate]) -> str:
    return str(
        Table(
            _COLUMNS,
            [
                (one.correlation, one.mean_absolute_error, f"'{one.preprocess}'")
                for one in candidates
            ],
        )
    )


def _clear_winner(candidates: Sequence[Candidate]) -> str:
    """Return the text of the best candidate; raises UserError if another one may be it."""
    best, *others = candidates
    unlike = all(
        best.correlation - other.correlation >= _APART
        or best.mean_absolute_error < _BETTER * other.mean_absolute_error
        for other in others
    )
    if best.correlation < _CERTAIN or not unlike:
        raise UserError(
            "none is clearly the best; give one of these, as the author's program or bcclone evaluate says:\n"
            f"{_table(candidates)}"
        )
    return best.preprocess
