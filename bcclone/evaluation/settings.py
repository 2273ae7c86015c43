"""The checked settings of drives, suites, replays and predictions; nothing large is loaded."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.drive.controller import HeldSpeed, SpeedSettings
from bcclone.simulator.world_settings import (
    TOP_SPEED_MPH,
    Conditions,
    Limit,
    Reverse,
    Track,
    WorldSettings,
)
from bcclone.system.pool import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import (
    Checked,
    Force,
    Laps,
    Metres,
    Names,
    Seed,
    Setting,
    SettingError,
    argument,
    setting,
    span_parser,
)

SUITES = {  # name of a suite: what it drives
    "standard": "20 scenarios",
    "testing": "37 kinds of weather",
    "roads": "68 drives on 32 roads",
}
_SUITES_IN_WORDS = "; ".join(f"{name}: {drives}" for name, drives in SUITES.items())
_MAX_ROW = 100_000  # largest row of a picture in --rows
_FARTHEST_M = 5.0  # largest limit of a deviation: no useful view can be made from farther away


@dataclass(frozen=True)
class EvaluateSettings(Conditions, WorldSettings, SpeedSettings):
    """Settings of a simulated drive: track, direction, speed, disturbances and appearance of the
    world.

    The value can be passed where one of its parts is expected: to the driver as SpeedSettings, to
    the simulated world as WorldSettings, and to the renderer as Conditions.
    """

    # a setting without a help has that of its type
    track: Track = setting("lake")
    reverse: Reverse = setting(False)
    preprocess: PreprocessingText | None = setting(None)
    _: KW_ONLY
    speed_mph: HeldSpeed = setting(30.0)

    def validate(self) -> None:
        super().validate()
        if not 0 < self.speed_mph <= TOP_SPEED_MPH:
            limits = {"speed": f"{self.speed_mph:g}", "top": f"{TOP_SPEED_MPH:g}"}
            # {speed_mph} becomes the name of the setting's option, see SettingError
            raise SettingError("{speed_mph} {speed}, expected more than 0, up to {top}", **limits)


@dataclass(frozen=True)
class SuiteSettings(Checked):
    """The scenarios of a suite, and the processes or the cluster that drive them.

    track: the road that the rows of the lake drive instead; "" for each row's own
    most_interventions: a drive ends at this number of interventions; 0 for no such end
    kept: folder for the results of finished drives, which are then not driven again; None for none
    """

    rows: Names = setting(
        (), "drive only these rows, separated by commas, such as lake-30,fog", shown="all"
    )
    suite: str = setting("standard", f"which: {_SUITES_IN_WORDS}", choices=tuple(SUITES))
    laps: Laps = setting(1.0)
    track: Track = setting("", "road to drive instead of the lake", shown="each row's own")
    texture_seed: Seed = setting(0, "seed of the generated textures and plants")
    jobs: Jobs = setting(0)
    scheduler: Scheduler = setting("")
    preprocess: PreprocessingText | None = setting(None)
    most_interventions: Limit = 0
    kept: Path | None = None

    def validate(self) -> None:
        check_one_pool(self.scheduler, self.jobs)


@dataclass(frozen=True)
class ReplaySettings(Checked):
    """Which rows of a recording are replayed, and which deviations count as interventions."""

    fraction: tuple[float, float] = setting(
        (0.0, 1.0),
        "part of the recording to replay, as two fractions of its rows; 0.8:1 is the last fifth",
        unit="FROM:TO",
        parse=span_parser(float, "two fractions such as 0.8:1"),
        shown="0:1",
    )
    limit_m: Metres = setting(
        2.0,
        "deviation from the recorded path that counts as an intervention, in metres, or in camera "
        "heights where speeds are estimated; interventions are also counted for 1, 1.5, 2 and 3",
        maximum=_FARTHEST_M,
        above=0,
        option="limit",
    )
    preprocess: PreprocessingText | None = setting(None)

    def validate(self) -> None:
        first, last = self.fraction
        if not 0 <= first < last <= 1:
            value = f"{first:g}:{last:g}"
            raise SettingError(
                "{fraction} {value}, expected two fractions of the rows such as 0.8:1", value=value
            )


Rows = Annotated[
    tuple[int, int], Setting(unit="FROM:TO", parse=span_parser(int, "two rows such as 160:480"))
]


@dataclass(frozen=True)
class PredictSettings(Checked):
    """Which model predicts the steering of which frames."""

    model: Path = argument("a model file of bcclone, Keras, ONNX or LiteRT")
    frames: Path = argument(
        "a recording, a folder of JPEGs or PNGs of any size, such as the images of a tub, or one "
        "of them"
    )
    output: Path = setting(Path("predictions.csv"), "the table to write", unit="FILE", writes=True)
    rows: Rows | None = setting(
        None,
        "rows of each image, from its top, to stretch to 320x160 pixels, such as 160:480 for the "
        "lower two thirds of 640x480; the framing of the model is then not used",
        shown="all",
    )
    framing: Path | None = setting(
        None,
        "framing.json of the camera, from bcclone calibrate",
        unit="FILE",
        shown="that of the model, if it has one",
    )
    force: Force = setting(False)
    preprocess: PreprocessingText | None = setting(None)

    def validate(self) -> None:
        if self.rows is not None and not 0 <= self.rows[0] < self.rows[1] <= _MAX_ROW:
            value = f"{self.rows[0]}:{self.rows[1]}"
            raise SettingError(
                "{rows} {value}, expected two rows such as 160:480, the upper one first",
                value=value,
            )
        if self.rows and self.framing:
            raise SettingError(
                "{rows} and {framing} both say how a frame is cut; leave one of them out"
            )
