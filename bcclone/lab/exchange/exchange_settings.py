"""Settings of exporting and importing recordings; loads neither NumPy nor pandas, so that --help is fast."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.recording.row import CAMERAS
from bcclone.system.settings import check_settings, parse_names, setting

CSV, TUB, LEROBOT, MINARI, ROBOMIMIC = EXPORT_FORMATS = ("csv", "tub", "lerobot", "minari", "robomimic")
IMPORT_FORMATS = (CSV, TUB, LEROBOT)


@dataclass(frozen=True)
class ExportSettings:
    """What to export, and how.

    source: recordings (a folder, a CSV file or a pattern, see recording.find_logs()), or a store.
    """

    source: str
    output: Path = setting(Path("export"), "folder to write, or the file of --to robomimic; must be new", short="-o")
    to: str = setting(CSV, "format", choices=EXPORT_FORMATS)
    cameras: tuple[str, ...] = setting(
        (), f"cameras to export, separated by commas: {', '.join(CAMERAS)}", unit="NAMES", shown="all of the source",
        parse=parse_names, choices=CAMERAS,
    )  # fmt: skip
    allow_skips: bool = setting(False, "continue even if more than 5 % of the rows cannot be used")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class ImportSettings:
    """What to import. source: a folder or a file in one of IMPORT_FORMATS."""

    source: Path
    output: Path = setting(Path("recording"), "folder to write the recording to; must be new or empty", short="-o")
    format: str | None = setting(
        None, "format of the source", option="from", choices=IMPORT_FORMATS, shown="detected by its files"
    )
    framing: Path | None = setting(
        None,
        "framing.json of the camera, from bcclone calibrate: how its pictures become frames",
        unit="FILE",
        shown="all of a picture is stretched",
    )

    def __post_init__(self) -> None:
        check_settings(self)
