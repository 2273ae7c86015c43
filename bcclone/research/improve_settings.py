"""The checked settings of `bcclone improve`; nothing large is loaded."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.simulator.world_settings import TRACKS
from bcclone.system.pool import Jobs
from bcclone.system.settings import (
    Checked,
    Count,
    Laps,
    Names,
    Seed,
    SettingError,
    argument,
    setting,
)


@dataclass(frozen=True)
class ImproveSettings(Checked):
    """What a model learns from, for how long, and on which rows of the suite it is scored.

    recordings: folders, CSV files or patterns, as find_logs() of recording/files.py takes them.
        With `expert`, the rounds train on these recordings, too.
    """

    model: Path = argument("the model to improve")
    recordings: tuple[str, ...] = argument(
        "folder, CSV file or pattern, as for preprocess.py", (), unit="RECORDING", shown="none"
    )
    output: Path = setting(Path("better.h5"), "the improved model to write", writes=True)
    force: bool = setting(
        False,
        "overwrite an existing model, and what an earlier improvement has left in the work folder",
    )
    resume: bool = setting(False, "continue what was interrupted, with the same model and output")
    expert: bool = setting(
        False,
        "let the model drive the built-in simulator in rounds, and learn how its expert would have "
        "steered there",
    )
    track: str = setting("lake", "track on which the expert teaches", choices=TRACKS)
    # the numbers after a help are the smallest and largest value
    rounds: Count = setting(20, "end the expert's lessons after this many rounds", 1, 1000)
    epochs: Count = setting(
        0,
        "number of passes over the training samples, in each round",
        1,
        10_000,
        zero="4, and with --expert fewer in later rounds",
    )
    seed: Seed = setting(0)
    rows: Names = setting(
        (),
        "names of the suite's rows to drive before and after, such as lake-30; see "
        "docs/reference/cli.md",
        shown="a lap of the road of the take-overs; with --expert all rows of the track",
    )
    laps: Laps = setting(1.0)
    jobs: Jobs = setting(0)

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
        """Return the work folder for recordings, stores, runs and models of all rounds."""
        return self.output.with_name(f"{self.output.stem}-improve")
