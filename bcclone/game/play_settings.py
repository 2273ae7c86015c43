"""The settings of `bcclone play`, made from the command line's options, and the result of a play.

Loads nothing large, for --help.
"""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.drive.controller import HeldSpeed, SpeedSettings
from bcclone.simulator.world_settings import LOST_M, Conditions, Reverse, Track
from bcclone.system.errors import number_of
from bcclone.system.settings import Metres, Port, argument, setting
from bcclone.web.access import AllowedNames, check_access

PLAY_SPEED_MPH = 20.0
PLAY_PORT = 4568  # the one after drive.py's, so that both can run
_server = partial(setting, group="server")


@dataclass(frozen=True)
class PlaySettings(Conditions, SpeedSettings):
    """Which car drives where, who may drive it, where the page is served, and where R records.

    A recording never goes into a folder that contains something; the next free name is taken.
    """

    model: Path | None = argument(
        "let this model drive, until you take over", None, shown="you drive"
    )
    folder: Path | None = setting(
        None,
        "folder to record into; the next free one of DIR-2, DIR-3 ... when it contains something",
        unit="DIR",
        option="output",
        shown="play-DATE_TIME",
        writes=True,
    )
    # help of the settings without a text comes with their types
    track: Track = setting("lake")
    reverse: Reverse = setting(False)
    start_m: Metres = setting(0.0, "begin so far along the lap")
    start_offset_m: Metres = setting(
        0.0, "begin so far to the right of the middle", -LOST_M, LOST_M
    )
    browser: bool = setting(True, "open the page in a browser, where this machine has one")
    preprocess: PreprocessingText | None = setting(None)
    host: str = _server(
        "127.0.0.1", "address to listen on; the default is reachable from this machine only"
    )
    port: Port = _server(PLAY_PORT, "port to listen on")
    token: str = _server(
        "",
        "secret that the page asks for; required when --host is reachable from other machines, and "
        "with --allow-host",
    )
    allow_host: AllowedNames = _server(())
    _: KW_ONLY
    speed_mph: HeldSpeed = setting(PLAY_SPEED_MPH)

    def validate(self) -> None:
        super().validate()
        check_access(self.host, self.token, self.allow_host)


@dataclass(frozen=True)
class PlayResult:
    """The result of a play."""

    frames: int  # shown
    seconds: float  # driven, in simulated time
    laps: float  # driven
    best_lap_seconds: float | None  # None without a whole lap
    folder: Path | None  # of the recording, None when nothing was recorded
    rows: int  # recorded
    dropped: int  # rows that the disk or the machine was too slow for
    failure: str  # why the last recording ended by itself, or ""

    def as_text(self) -> str:
        """Return the laps and what was recorded, in words."""
        driven = f"ended; {self.laps:.2f} laps driven"
        if self.best_lap_seconds is not None:
            driven += f", the fastest in {self.best_lap_seconds:.1f} s"
        if self.folder is None:
            return driven
        recorded = f"{number_of(self.rows, 'row')} recorded"
        if self.dropped:
            recorded += f", {self.dropped} dropped"
        return f"{driven}\n{recorded}"
