"""Make a model better: learn from a person's corrections, or from the built-in expert.

Importing this loads neither TensorFlow nor the renderer, so that --help answers at once.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.dataset.sample_settings import MAX_CORRECTION_WEIGHT
from bcclone.simulator.world_settings import TRACKS
from bcclone.system.pool import Jobs
from bcclone.system.settings import (
    Checked,
    Count,
    Laps,
    Minutes,
    Names,
    Seed,
    SettingError,
    argument,
    setting,
)
from bcclone.training.train_settings import FINE_TUNING_LEARNING_RATE

_SCORE = "scoring, before and after"
_expert = partial(setting, group="learning from the built-in expert")
_training = partial(setting, group="training")
_score = partial(setting, group=_SCORE)


@dataclass(frozen=True)
class ImproveSettings(Checked):
    """What a model learns from, for how long, and on which rows of the suite it is scored.

    recordings: folders, CSV files or patterns, as find_logs() of recording/files.py takes them.
        With `expert`, each round trains on these recordings, too.
    """

    model: Path = argument("the model to improve")
    recordings: tuple[str, ...] = argument(
        "folder, CSV file or pattern, as for preprocess.py", (), unit="RECORDING", shown="none"
    )
    output: Path = setting(Path("better.h5"), "the improved model to write")
    force: bool = setting(
        False,
        "overwrite an existing model, and what an earlier improvement has left in the work folder",
    )
    resume: bool = setting(False, "continue what was interrupted, with the same model and output")
    work: Path | None = setting(
        None,
        "folder for recordings, stores, runs and figures on the way",
        unit="DIR",
        shown="OUTPUT-improve",
    )
    expert: bool = _expert(
        False,
        "let the model drive the built-in simulator in rounds, and learn how its expert would have "
        "steered there",
    )
    track: str = _expert("lake", "track on which the expert teaches", choices=TRACKS)
    # the numbers after a help are the smallest and largest value
    rounds: Count = _expert(20, "end after this many rounds", 1, 1000)
    minutes: Minutes = _expert(0.0, "begin no other round after so many minutes", zero="no limit")
    drives: Count = _expert(2, "drives in a round, each in the other direction", 1, 100, rare=True)
    drive_laps: Laps = _expert(1.0, "length of each drive", maximum=100, rare=True)
    epochs: Count = _training(
        0,
        "number of passes over the training samples, in each round",
        1,
        10_000,
        zero="4, and with --expert fewer in later rounds",
    )
    learning_rate: float = _training(
        0.0,
        "highest learning rate",
        above=0,
        below=1,
        zero=f"{FINE_TUNING_LEARNING_RATE}, and 0.0005 with --expert",
        rare=True,
    )
    correction_weight: Count = _training(
        0,
        "number of times that each training sample of a take-over is seen in an epoch",
        1,
        MAX_CORRECTION_WEIGHT,
        zero="so often that half of the samples are corrections",
        rare=True,
    )
    seed: Seed = _training(0)
    rows: Names = _score(
        (),
        "names of the suite's rows to drive, such as lake-30; see docs/reference/cli.md",
        shown="all, with --expert all of the track",
    )
    laps: Laps = _score(1.0)
    jobs: Jobs = _score(0)

    def validate(self) -> None:
        if not self.expert and not self.recordings:
            raise SettingError(
                "nothing to learn from; add {recordings} with take-overs, or learn from the "
                "built-in expert: {expert}"
            )
        if self.output.suffix != ".h5":
            raise SettingError(
                "{output} {path}, expected a name that ends in .h5", path=self.output
            )

    @property
    def folder(self) -> Path:
        """Return the folder for recordings, stores, runs and models of all rounds."""
        return self.work or self.output.with_name(f"{self.output.stem}-improve")
