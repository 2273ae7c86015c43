"""Settings of exporting and importing recordings.

Loads neither NumPy nor pandas, so that --help is fast.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from bcclone.recording.row import CAMERAS
from bcclone.recording.time_forms import (
    DAY_FIRST,
    MONTH_FIRST,
    PER_MS,
    YEAR_FIRST,
    stated_unit,
)
from bcclone.system.settings import (
    Checked,
    Names,
    Setting,
    SettingError,
    argument,
    setting,
    settings_of,
)

EXPORT_FORMATS = ("csv", "tub")
IMPORT_FORMATS = ("tub", "lerobot", "recording", "video", "frames")  # see formats.py
FROM_MOTION = "from-motion"  # value of --steering: estimate the steering from the frames
# units of a steering in a table; a ratio is -1 to 1
RADIANS = "rad"
DEGREES = "deg"
RATIO = "ratio"
UNITS = (RADIANS, DEGREES, RATIO)
# how times are written: units of numbers, and what comes first in a date such as 05/06/26
TIME_FORMS = (*PER_MS, YEAR_FIRST, DAY_FIRST, MONTH_FIRST)
# settings of the formats whose columns are found by their names
OF_TABLES = frozenset(("steering_column", "unit", "left_positive", "straight", "max_degrees"))

_TABLES = "tables of others, and LeRobot"  # their group of options
_table = partial(setting, group=_TABLES)
ExportFormat = Annotated[str, Setting(choices=EXPORT_FORMATS)]


@dataclass(frozen=True)
class ExportSettings(Checked):
    """What to export, and how.

    source: recordings, as recording.files.find_logs() takes them, or a store.
    """

    source: str
    output: Path = Path("export")
    to: ExportFormat = "csv"
    cameras: Names = setting(
        (),
        f"cameras to export, separated by commas: {', '.join(CAMERAS)}",
        shown="all of the source",
        choices=CAMERAS,
    )


@dataclass(frozen=True)
class ImportSettings(Checked):
    """What to import.

    source: a folder or a file in one of IMPORT_FORMATS

    The steering of a recording is -1 to 1, right positive; an angle of max_degrees is 1.
    """

    source: Path = argument("folder of a tub, a data set or frames, a video, or a table")
    output: Path = setting(
        Path("recording"), "folder to write the recording to; must be new or empty", writes=True
    )
    format: str | None = setting(
        None,
        "format of the source",
        option="from",
        choices=IMPORT_FORMATS,
        shown="detected by its files",
    )
    framing: Path | None = setting(
        None,
        "framing.json of the camera, from bcclone calibrate: how its pictures become frames",
        unit="FILE",
        shown="all of a picture is stretched",
    )
    steering: str | None = setting(
        None,
        f"{FROM_MOTION}: for a film without steering, estimate it from how the camera moves; a "
        "steering in the source, or in a table beside it, is not read",
        choices=(FROM_MOTION,),
        shown="read from the source",
    )
    fov: float | None = setting(
        None,
        f"horizontal angle of view of a camera whose steering is {FROM_MOTION}",
        5,
        200,
        unit="DEGREES",
        shown="stated in the video",
    )
    camera_height_m: float | None = setting(
        None,
        f"height of a camera whose steering is {FROM_MOTION}, above the road; with it the speed is "
        "in mph, and a steering of 1 is that of the simulator's car",
        0.01,
        100,
        option="camera-height",
        unit="METRES",
        shown="unknown, or the simulator's",
        rare=True,
    )
    speed_mph: float | None = setting(
        None,
        f"usual speed of a car whose steering is {FROM_MOTION}, from which the scale of the "
        "steering follows; it is then not measured",
        0.1,
        200,
        option="speed",
        unit="MPH",
        shown="measured",
        rare=True,
    )
    min_throttle: float | None = setting(
        None,
        "leave out rows with less throttle than this, such as 0.05 to leave out a standing car; "
        "where a negative throttle drives forwards, give -0.05",
        -1,
        1,
    )
    table: Path | None = _table(
        None, "table with the steering of the frames or of the video", shown="the one beside them"
    )
    decimal_comma: bool = _table(
        False, "read numbers such as 0,25 although commas also divide the cells"
    )
    steering_column: str | None = _table(
        None,
        "column of the steering; in a table without names of columns, its number",
        unit="NAME",
        shown="by its name",
    )
    unit: str | None = _table(
        None,
        "unit of the steering, if the name of its column does not say it; ratio: -1 to 1",
        choices=UNITS,
        shown="by its name",
    )
    left_positive: bool | None = _table(
        None,
        "the steering is positive to the left, or with --no-left-positive to the right; also of a "
        "tub",
        shown="right, unless a name or a comment speaks of sides",
    )
    straight: float | None = _table(
        None,
        "value of the steering straight ahead, such as 90 of a servo",
        -1e6,
        1e6,
        unit="X",
        shown="0",
    )
    max_degrees: float | None = _table(
        None,
        "what full steering is: the angle of the front wheels, or 25 times the steering ratio for "
        "the angle of a steering wheel; for a servo, how much it differs from --straight",
        0.001,
        1e6,
        shown="25",
    )
    image_column: str | None = _table(
        None,
        "column of the image names; in a tub or data set, the camera that looks forward",
        unit="NAME",
        shown="by its name",
    )
    time_column: str | None = _table(
        None, "column of the times", unit="NAME", shown="by its name, or times in image names"
    )
    time_form: str | None = _table(
        None,
        f"how the times are written: {', '.join(TIME_FORMS)}; the unit of numbers, or how many of "
        "it they count, such as 10ms; or what comes first in a date such as 05/06/2026",
        unit="FORM",
        shown="by the column's name or the numbers of 1970 and later; seconds",
    )
    frame_rate: float | None = _table(
        None,
        "rows in a second, to count the times and not to read them",
        0.1,
        1000,
        shown="by the times",
    )
    follow_links: bool = setting(
        False,
        "read also what links in the source lead to outside of its folder, such as pictures on "
        "another disk, or a data set of links; without it they are refused",
        rare=True,
    )
    film_offset: float | None = _table(
        None,
        "how much later the film begins than the first row of its table, if the table has not one "
        "row for each frame",
        -1e9,
        1e9,
        unit="SECONDS",
        shown="a row for each frame",
    )

    @property
    def given_of_tables(self) -> list[str]:
        """Return the names of the settings of tables that the user changed."""
        return [
            declared.name
            for declared in settings_of(ImportSettings)
            if declared.group == _TABLES and getattr(self, declared.name) != declared.field.default
        ]

    def validate(self) -> None:
        # settings' names in braces, {fov} and {steering}, become their options
        for name in ("fov", "camera_height_m", "speed_mph"):
            if getattr(self, name) is not None and not self.steering:
                raise SettingError(f"{{{name}}} needs {{steering}} {FROM_MOTION}")
        for name in self.given_of_tables:
            # a film may need the rate of its frames, and nothing else of a table
            if self.steering and name != "frame_rate":
                raise SettingError(
                    f"{{{name}}} is of a table, which is not read with {{steering}} {FROM_MOTION}"
                )
        if self.time_form and self.time_form not in TIME_FORMS and not stated_unit(self.time_form):
            raise SettingError(
                f"{{time_form}} {self.time_form}, expected {', '.join(TIME_FORMS)}, or a number "
                "with a unit, such as 10ms"
            )
        for name in ("time_column", "time_form"):
            if self.frame_rate and getattr(self, name):
                raise SettingError(
                    f"{{frame_rate}} and {{{name}}} both say when the rows were taken; leave one "
                    "of them out"
                )
        if self.fov and self.framing:
            raise SettingError(
                "{fov} and {framing} both say what the camera sees; leave one of them out"
            )
