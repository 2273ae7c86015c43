"""Settings of `bcclone preprocess`: how rows become samples, and recordings become a store.

Importing this loads no large package, so that --help is fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from bcclone.dataset.preprocessing_text import PreprocessingText, Size, check_one_size
from bcclone.recording.row import CAMERAS
from bcclone.system.location import Location, is_url, parse_location
from bcclone.system.pool import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import (
    Checked,
    Count,
    Fraction,
    Megabytes,
    Names,
    Seconds,
    Seed,
    Setting,
    SettingError,
    setting,
)
from bcclone.system.values import from_json, names_of

if TYPE_CHECKING:
    from bcclone.dataset.preprocessing import Preprocessing
else:
    Preprocessing = Any  # its module loads OpenCV

# parts of the samples: each sample is in exactly one of them
TRAINING = "training"
VALIDATION = "validation"
TEST = "test"
PARTS = (TRAINING, VALIDATION, TEST)

# choices of --rows: which rows to use of recordings in which a person has taken over from a model
ALL_ROWS = "all"
GOOD_ROWS = "good"
CORRECTIONS = "corrections"
ROWS = (ALL_ROWS, GOOD_ROWS, CORRECTIONS)

BLOCKS = "blocks"  # choice of --split
AUTO = "auto"  # choice of --correction: compute it from camera position and speed
MAX_CORRECTION_WEIGHT = 100
MAX_FRAME_OFFSETS = 100
MAX_SEQ_LENGTH = 20
MAX_SKIPPED = 0.05  # largest share of the rows, and of the images, that may be skipped

# functions that declare a setting, one for each group in --help: (default, help, ...)
_sample = partial(setting, group="samples")
_label = partial(setting, group="steering of the samples")
_split = partial(setting, group="split into training and validation")
_shards = partial(setting, group="folder of shards")


def parse_correction(text: str) -> float | str:
    """Return the number in the text, or AUTO; raises ValueError for anything else."""
    if text == AUTO:
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number or {AUTO}") from None


@dataclass(frozen=True, kw_only=True)
class SampleSettings(Checked):
    """How rows become samples: which cameras and frames, which steering, and how they are split.

    PreprocessSettings inherits it. Its values are given by name, so that those of a conversion may
    be given by position.
    """

    cameras: Names = _sample(CAMERAS, "cameras to use, separated by commas", choices=CAMERAS)
    correction: float | str = _label(
        AUTO,
        "steering added to samples of the left camera and subtracted from those of the right, "
        "0 to 1; auto: computed from the camera's position and the car's speed, so that the car "
        "returns to its line",
        unit="X",
        parse=parse_correction,
    )
    lookahead_seconds: Seconds = _label(
        0.85,
        "with --correction auto, how far ahead on its line the car aims, in seconds of driving; "
        "shorter times make stronger corrections",
        minimum=0.2,
        maximum=5,
        rare=True,
    )
    smooth_seconds: Seconds = _label(
        0.2,
        "standard deviation of the Gaussian that smooths the recorded steering; 0: no smoothing",
        minimum=0,
        maximum=2,
        rare=True,
    )
    # how many seconds later than the frame the steering is taken; no option, since
    # `edit --advance-steering` shifts the steering of one recording
    lead_seconds: Annotated[float, Setting(minimum=-1, maximum=2)] = 0.0
    frame_offsets: int = _sample(
        0,
        "number of earlier frames that are also paired with each steering, as additional samples",
        minimum=0,
        maximum=MAX_FRAME_OFFSETS,
    )
    seq_length: Count = _sample(
        1,
        "default of model.py --seq-length for this store: number of consecutive frames in each "
        "input",
        minimum=1,
        maximum=MAX_SEQ_LENGTH,
    )
    rows: str = _sample(
        ALL_ROWS,
        "rows to use of recordings with take-overs (drivers.csv): all; good, without those that "
        "the model drove in the 5 s before a take-over; corrections, only those in which a person "
        "had taken over",
        choices=ROWS,
    )
    # of samples of take-overs; it has nothing to do with `correction`, which is for side cameras
    correction_weight: Count = _sample(
        1,
        "number of times that each training sample of a take-over is seen in an epoch",
        minimum=1,
        maximum=MAX_CORRECTION_WEIGHT,
    )
    flip: bool = _sample(True, "add the mirror image of each sample, with the opposite steering")
    split: str = _split(
        BLOCKS,
        "what is for validation: random blocks of time; the end of each recording; or random rows, "
        "which leaks information, because neighbouring frames are nearly the same",
        choices=(BLOCKS, "end", "random"),
    )
    validation: Fraction = _split(
        0.2, "fraction of the samples to use for validation", minimum=0, below=1
    )
    block_seconds: Seconds = _split(
        10.0, "with --split blocks, length of a block", above=0, maximum=1e6
    )
    seed: Seed = _split(0)

    def validate(self) -> None:
        if not self.cameras or len(set(self.cameras)) < len(self.cameras):
            named = ",".join(self.cameras) or "none"
            # {cameras} is not an argument, so SettingError replaces it by the name of the setting
            raise SettingError(
                "{cameras} {named}, expected some of {all}, each once",
                named=named,
                all=",".join(CAMERAS),
            )
        if self.correction == AUTO:
            return
        if isinstance(self.correction, str | bool) or not 0 <= self.correction <= 1:
            raise SettingError(
                "{correction} {value}, expected 0 to 1, or {auto}", value=self.correction, auto=AUTO
            )

    @classmethod
    def stored(cls, stored: Mapping[str, Any]) -> Self:
        """Read the settings in a store or a model.

        Raises ValueError or TypeError for values that are not settings.
        """
        # frame_offsets was called "previous" when models/lake.h5 was written
        if isinstance(stored, Mapping) and "previous" in stored:
            stored = dict(stored)
            stored["frame_offsets"] = stored.pop("previous")
        return from_json(cls, stored)


@dataclass(frozen=True)
class PreprocessSettings(SampleSettings):
    """Which recordings to convert, how their rows become samples, and into which store.

    The store is one file, or a folder of shards.

    With `add`, the store's settings of images and samples hold, and what is chosen here must not
    differ from them.
    """

    inputs: tuple[str, ...]  # recordings: folders, CSV files or patterns, as find_logs() takes them
    output: Location = setting(
        Path("data.h5"),
        "store to write: one file, or a folder of shards if the name has no ending such as .h5; "
        "the folder may be at a URL such as s3://BUCKET/STORE",
        unit="PATH",
        parse=parse_location,
        writes=True,
    )
    force: bool = setting(
        False,
        "overwrite an existing store",
    )
    add: bool = setting(
        False, "add the recordings to an existing store, with the settings of that store"
    )
    allow_skips: bool = setting(
        False, "continue even if more than 5 % of the rows or images cannot be used"
    )
    resume: bool = setting(
        False,
        "keep the shards that an interrupted run has left in the folder, and write the others",
    )
    scheduler: Scheduler = _shards("")
    jobs: Jobs = _shards(0)
    shard_mb: Megabytes = _shards(256, "size of the frames of a shard, about")
    size: Size | None = setting(None, "size of the stored images, N or WIDTHxHEIGHT", shown="128")
    preprocess: PreprocessingText | None = setting(
        None,
        "how the stored images are prepared, to fine-tune an older model or to train in grey, "
        "instead of --size: a preset, or parts as for a model",
        shown="carnd-128-rgb",
    )
    # named as in `inputs`; with these, a new store holds back no blocks of the other recordings
    validation_recordings: tuple[str, ...] = setting(
        (),
        "recording that is the validation set, whole, instead of blocks of the others; repeatable",
        unit="RECORDING",
        option="validation-recording",
    )
    # named as in `inputs`
    test_recordings: tuple[str, ...] = setting(
        (),
        "recording that no training sees, on which model.py scores the model at the end; "
        "repeatable",
        unit="RECORDING",
        option="test-recording",
    )
    # for programs, instead of the text `preprocess`; not a part of these settings but one value,
    # which the store keeps and model files repeat
    preprocessing: Preprocessing | None = None
    explicit: tuple[str, ...] = ()  # fields of SampleSettings that were given, if only by default

    def __post_init__(self) -> None:
        if isinstance(self.output, str):  # perhaps a URL, which is no Path
            object.__setattr__(self, "output", parse_location(self.output))
        super().__post_init__()

    def validate(self) -> None:
        super().validate()
        check_one_size(self.preprocess, self.size)
        if self.preprocess and self.preprocessing:
            raise SettingError(
                "{preprocess} {name} and {preprocessing} are both set; leave one out",
                name=self.preprocess,
            )
        if self.validation_recordings and "validation" in self.chosen_samples:
            raise SettingError(
                "{validation_recordings} are the validation set, whole; leave out {validation}"
            )
        if is_url(self.output) and self.output.suffix:
            raise SettingError(
                "{output} {path}: one file is written to a local path; name a folder of shards, "
                "without {suffix}, or a local path",
                path=self.output,
                suffix=self.output.suffix,
            )
        if (self.scheduler or self.resume or self.jobs) and not is_sharded(self.output):
            raise SettingError(
                "{scheduler}, {resume} and {jobs} write a folder of shards, and {output} {path} is "
                "one file; name one without {suffix}",
                path=self.output,
                suffix=self.output.suffix,
            )
        check_one_pool(self.scheduler, self.jobs)

    @property
    def chosen_samples(self) -> dict[str, Any]:
        """Return the settings of samples that are `explicit`, or differ from their default."""
        usual = SampleSettings()
        values = {name: getattr(self, name) for name in names_of(SampleSettings)}
        return {
            name: value
            for name, value in values.items()
            if name in self.explicit or value != getattr(usual, name)
        }


def is_sharded(output: Location) -> bool:
    """Return whether an output is, or becomes, a folder of shards, and not one file."""
    if is_url(output) or output.is_dir():
        return True
    return not output.suffix and not output.exists()
